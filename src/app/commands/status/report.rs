//! Rendering of the console's data as text.

use std::fmt::Write as _;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::super::terminal::{Mark, Marks};

/// Data of the console: state of the process, and one point for each second.
pub(super) struct Report<'a> {
    data: &'a Value,
    state: &'a Value,
}

impl<'a> Report<'a> {
    pub(super) fn new(data: &'a Value) -> Self {
        Self { data, state: &data["state"] }
    }

    /// Returns whether the proxy is ready and nothing needs attention.
    pub(super) fn is_good(&self) -> bool {
        self.state["readiness"] == "ready" && self.problems().next().is_none()
    }

    /// Returns the state without the history, and the result.
    pub(super) fn to_json_line(&self) -> String {
        let mut object = json!({ "ok": self.is_good() });
        if let (Some(object), Some(state)) = (object.as_object_mut(), self.state.as_object()) {
            object.extend(state.clone());
        }
        format!("{object}\n")
    }

    /// Returns one line, for the output of `--watch` into a file.
    pub(super) fn to_line(&self) -> String {
        let minute = self.last_minute();
        let problems: Vec<_> = self.problems().map(|it| text(&it["section"]).unwrap_or("other")).collect();
        format!(
            "{} requests={} from_memory={} graph_calls={} graph_429={} p50_ms={} p99_ms={} attention={}\n",
            text(&self.state["readiness"]).unwrap_or("unknown"),
            minute.requests,
            minute.ratio().map_or_else(|| "none".to_owned(), |ratio| format!("{ratio:.1}%")),
            minute.calls,
            minute.throttled,
            millis(self.newest("p50_us")),
            millis(self.newest("p99_us")),
            if problems.is_empty() { "none".to_owned() } else { problems.join(",") },
        )
    }

    /// Returns the whole state, the worst first.
    pub(super) fn to_text(&self, url: &str, marks: Marks) -> String {
        let state = self.state;
        let readiness = text(&state["readiness"]).unwrap_or("unknown");
        let mark = if readiness == "ready" { Mark::Good } else { Mark::Bad };
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} connector-cache {} ({}) at {url}: {readiness}, up {}",
            marks.mark(mark),
            text(&state["version"]).unwrap_or("unknown"),
            text(&state["revision"]).unwrap_or("unknown"),
            seconds(number(&state["uptime_seconds"])),
        );
        for problem in self.problems() {
            let mark = if problem["severity"] == "error" { Mark::Bad } else { Mark::Warning };
            let _ = writeln!(out, "{} {}", marks.mark(mark), text(&problem["text"]).unwrap_or_default());
            if let Some(section) = text(&problem["section"]) {
                let _ = writeln!(out, "    {section}: docs/runbook.md#{}", anchor(section));
            }
        }
        if self.is_good() {
            let _ = writeln!(out, "{} nothing needs attention", marks.mark(Mark::Good));
        }
        self.write_last_minute(&mut out);
        self.write_reasons(&mut out);
        self.write_now(&mut out);
        out
    }

    fn write_last_minute(&self, out: &mut String) {
        let minute = self.last_minute();
        out.push_str("\nLast minute\n");
        let ratio = minute.ratio().map_or_else(String::new, |ratio| format!(", {ratio:.1} % from memory"));
        let latency = self.latency("p50_us", "p99_us");
        row(out, "requests", &format!("{}{ratio}{latency}", minute.requests));
        let latency = self.latency("graph_p50_us", "graph_p99_us");
        let Minute { calls, throttled, failed, .. } = minute;
        row(out, "Graph", &format!("calls {calls}, with 429 {throttled}, failed {failed}{latency}"));
    }

    fn write_reasons(&self, out: &mut String) {
        out.push_str("\nLast 15 minutes\n");
        for (title, family) in FAMILIES {
            row(out, title, &counts(&self.state["window"][family]));
        }
    }

    fn write_now(&self, out: &mut String) {
        let (state, cache) = (self.state, &self.state["cache"]);
        out.push_str("\nNow\n");
        let size = |name: &str| ByteSize(number(&cache[name])).display().iec().to_string();
        let memory = format!(
            "{} of {}, entries {}, tokens with proofs {}",
            size("bytes"),
            size("capacity_bytes"),
            number(&cache["entries"]),
            number(&cache["tokens_with_proofs"])
        );
        row(out, "memory", &memory);
        let throttled: Vec<_> = cache["throttled"].as_array().into_iter().flatten().map(scope).collect();
        let throttled = if throttled.is_empty() { "none".to_owned() } else { throttled.join("; ") };
        row(out, "throttles", &throttled);
        let shared = &cache["shared"];
        let fleet = match text(&shared["state"]) {
            None | Some("off") => "off".to_owned(),
            Some(name) => fleet(name, shared),
        };
        row(out, "shared tier", &fleet);
        let left = |end: i64| end - state["unix_seconds"].as_i64().unwrap_or_default();
        let certificate = match state["certificate_not_after"].as_i64().map(left) {
            None => "none".to_owned(),
            Some(left) if left <= 0 => "expired".to_owned(),
            Some(left) => format!("{} days left", left / 86_400),
        };
        row(out, "certificate", &certificate);
    }

    /// Returns the sentences of the console's banner, the worst first.
    fn problems(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.state["banner"].as_array().into_iter().flatten()
    }

    fn last_minute(&self) -> Minute {
        let sum = |names: &[&str]| -> u64 {
            let columns: Vec<_> = names.iter().filter_map(|name| self.column(name)).collect();
            let points = self.points().iter().rev().take(60);
            points.map(|point| columns.iter().map(|column| number(&point[*column])).sum::<u64>()).sum()
        };
        Minute {
            requests: sum(&["hit", "miss", "stale", "revalidated", "collapsed", "bypass", "none"]),
            from_memory: sum(&["hit", "stale", "revalidated", "collapsed"]),
            calls: sum(&["graph_ok", "graph_4xx", "graph_429", "graph_5xx", "graph_failed"]),
            throttled: sum(&["graph_429"]),
            failed: sum(&["graph_5xx", "graph_failed"]),
        }
    }

    fn latency(&self, p50: &str, p99: &str) -> String {
        match (self.newest(p50), self.newest(p99)) {
            (0, 0) => String::new(),
            (p50, p99) => format!(", p50 {} ms, p99 {} ms", self.estimate(p50), self.estimate(p99)),
        }
    }

    /// Renders a quantile in milliseconds. One at the bound of a bucket may be any value of the bucket.
    fn estimate(&self, micros: u64) -> String {
        let bounds: Vec<_> =
            self.data["latency_bounds_us"].as_array().into_iter().flatten().map(number).collect();
        match bounds.last() {
            Some(last) if micros > *last => format!("> {}", millis(*last)),
            // A rounded bound might be too low.
            Some(_) if bounds.contains(&micros) => format!("<= {}", exact_millis(micros)),
            _ => millis(micros),
        }
    }

    /// Returns the value of the newest point that has one.
    fn newest(&self, name: &str) -> u64 {
        let Some(column) = self.column(name) else { return 0 };
        let values = self.points().iter().rev().take(60).map(|point| number(&point[column]));
        values.into_iter().find(|value| *value > 0).unwrap_or_default()
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.data["fields"].as_array()?.iter().position(|field| field == name)
    }

    fn points(&self) -> &'a [Value] {
        self.data["points"].as_array().map_or(&[], Vec::as_slice)
    }
}

/// Counts of the last 60 seconds.
struct Minute {
    requests: u64,
    from_memory: u64,
    calls: u64,
    throttled: u64,
    failed: u64,
}

impl Minute {
    /// Returns the share of requests that needed no call of their own, in percent.
    #[expect(clippy::cast_precision_loss, reason = "the counts of a minute are far below 2^52")]
    fn ratio(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.from_memory as f64 * 100.0 / self.requests as f64)
    }
}

fn row(out: &mut String, title: &str, value: &str) {
    let _ = writeln!(out, "  {title:<14}{value}");
}

/// Renders counts by name, the largest first.
fn counts(family: &Value) -> String {
    let mut counts: Vec<(&String, u64)> =
        family.as_object().into_iter().flatten().map(|(name, count)| (name, number(count))).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if counts.is_empty() {
        return "none".to_owned();
    }
    // The label of a request without a response from memory or Graph; beside "none" for no requests it needs words.
    let shown = |name| if name == "none" { "none (refused or failed)" } else { name };
    counts
        .iter()
        .map(|(name, count)| format!("{} {count}", shown(name.as_str())))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Renders the state of the shared tier.
fn fleet(state: &str, shared: &Value) -> String {
    let millis = |value: &Value| value.as_f64().map(|seconds| format!("{:.1} ms", seconds * 1000.0));
    let purge = &shared["last_purge"];
    let last_purge = match millis(&purge["seconds"]) {
        None => "none".to_owned(),
        Some(time) => format!("{}/{} in {time}", number(&purge["confirmed"]), number(&purge["replicas"])),
    };
    format!(
        "{state}, replicas {}, store {}, log read {} ago, last purge {last_purge}",
        number(&shared["replicas"]),
        millis(&shared["store_seconds"]).as_deref().unwrap_or("not connected"),
        millis(&shared["log_lag_seconds"]).unwrap_or_default(),
    )
}

/// Returns the anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    heading.to_ascii_lowercase().replace(' ', "-")
}

/// Renders a throttle or a circuit breaker.
fn scope(scope: &Value) -> String {
    let tag = text(&scope["tag"]).map_or_else(String::new, |tag| format!(" {tag}"));
    format!(
        "{}{tag}: {}, {} s left",
        text(&scope["scope"]).unwrap_or("unknown"),
        text(&scope["cause"]).unwrap_or("unknown"),
        number(&scope["left_seconds"])
    )
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a latency is far below 2^52 microseconds")]
fn millis(micros: u64) -> String {
    format!("{:.1}", micros as f64 / 1000.0)
}

/// Renders microseconds as milliseconds, with one digit after the point or more.
fn exact_millis(micros: u64) -> String {
    if micros.is_multiple_of(100) {
        return millis(micros);
    }
    let digits = format!("{}.{:03}", micros / 1000, micros % 1000);
    digits.trim_end_matches('0').to_owned()
}

fn seconds(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// Families of reasons in the console's state, with their titles.
const FAMILIES: [(&str, &str); 9] = [
    ("requests", "outcomes"),
    ("proofs", "proofs"),
    ("forwarded", "forwarded"),
    ("bypass", "bypass"),
    ("refused", "rejected"),
    ("not stored", "not_stored"),
    ("Graph", "graph_statuses"),
    ("Graph failed", "graph_errors"),
    ("evicted", "evictions"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_without_an_outcome_are_named() {
        let data = json!({ "state": { "window": { "outcomes": { "none": 2, "hit": 3 } } } });
        let text = Report::new(&data).to_text("http://a", Marks::for_stdout(&[]));
        assert!(text.contains("requests      hit 3, none (refused or failed) 2\n"), "{text}");
        assert!(
            Report::new(&json!({}))
                .to_text("http://a", Marks::for_stdout(&[]))
                .contains("requests      none\n")
        );
    }

    #[test]
    fn a_quantile_at_a_bound_is_no_estimate() {
        let data = json!({ "latency_bounds_us": [25, 250, 2_500, 150_000] });
        let report = Report::new(&data);
        for (micros, shown) in [
            (25, "<= 0.025"),
            (250, "<= 0.25"),
            (2_500, "<= 2.5"),
            (150_000, "<= 150.0"),
            (1_234, "1.2"),
            (150_001, "> 150.0"),
        ] {
            assert_eq!(report.estimate(micros), shown);
        }
        // A proxy of an older version sends no bounds.
        assert_eq!(Report::new(&json!({})).estimate(250), "0.2");
    }
}
