//! Results: outcomes, latency, and wrong responses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use crate::common::client::Response;

/// Results of all callers, which share them.
#[derive(Default)]
pub(super) struct Results(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: u64,
    lost: u64,
    refused: u64,
    /// By outcome: the number of responses, and the slowest.
    outcomes: BTreeMap<String, (u64, Duration)>,
    faults: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
}

impl Results {
    /// Records a response to a caller.
    pub(super) fn record_response(&self, response: &Response, took: Duration, verdict: Result<(), String>) {
        let mut counts = self.0.lock().unwrap();
        counts.requests += 1;
        let (count, slowest) = counts.outcomes.entry(outcome(response)).or_default();
        *count += 1;
        *slowest = took.max(*slowest);
        counts.note(verdict);
    }

    /// Records a connection that ended before its response.
    pub(super) fn record_lost(&self) {
        self.0.lock().unwrap().lost += 1;
    }

    /// Records an invalid request, or a request of an operator.
    pub(super) fn record_other(&self, verdict: Result<(), String>) {
        let mut counts = self.0.lock().unwrap();
        counts.refused += 1;
        counts.note(verdict);
    }

    /// Records the start of a fault.
    pub(super) fn faults(&self, name: &'static str) {
        *self.0.lock().unwrap().faults.entry(name).or_default() += 1;
    }

    /// Returns a summary for the reader of the output.
    pub(super) fn report(&self, took: Duration, calls: u64) -> String {
        let counts = self.0.lock().unwrap();
        let rate = counts.requests as f64 / took.as_secs_f64();
        let good: u64 =
            counts.outcomes.iter().filter(|(name, _)| name.starts_with("200")).map(|(_, (n, _))| n).sum();
        let mut text = format!(
            "soak: {} requests in {:.0} s ({rate:.0} a second), {} invalid or operator requests, {} connections lost\n",
            counts.requests,
            took.as_secs_f64(),
            counts.refused,
            counts.lost,
        );
        let _ = writeln!(text, "{:>10}  {:>9}  outcome", "responses", "slowest");
        for (name, (count, slowest)) in &counts.outcomes {
            let _ = writeln!(text, "{count:>10}  {:>6} ms  {name}", slowest.as_millis());
        }
        let faults: Vec<_> = counts.faults.iter().map(|(name, times)| format!("{name} {times}")).collect();
        let _ = writeln!(text, "faults: {}", faults.join(", "));
        let _ =
            write!(text, "Graph received {calls} requests; the cache saved {}", good.saturating_sub(calls));
        text
    }

    /// Fails on a wrong response, or if there were hardly any hits.
    pub(super) fn check(&self) {
        let counts = self.0.lock().unwrap();
        assert!(
            counts.wrong.is_empty(),
            "{} wrong responses, the first: {}",
            counts.wrong.len(),
            counts.wrong[0]
        );
        let hits = counts.outcomes.iter().filter(|(name, _)| name.starts_with("200 hit"));
        assert!(
            hits.map(|(_, (count, _))| count).sum::<u64>() > 20,
            "hardly any hits: {:?}",
            counts.outcomes
        );
        assert!(counts.lost * 50 < counts.requests, "{} of {} lost", counts.lost, counts.requests);
    }
}

impl Counts {
    fn note(&mut self, verdict: Result<(), String>) {
        if let Err(why) = verdict {
            self.wrong.push(why);
        }
    }
}

/// Returns the status and `Cache-Status` without its numbers.
fn outcome(response: &Response) -> String {
    let field = response.header("cache-status").unwrap_or("no cache-status");
    let parts = field.split("; ").skip(1).filter(|part| !part.starts_with("fwd-status="));
    let parts: Vec<_> = parts
        .map(|part| match part.strip_prefix("ttl=") {
            Some(ttl) if ttl.starts_with('-') => "stale",
            Some(_) => "fresh",
            None => part,
        })
        .collect();
    format!("{} {}", response.status, parts.join(" "))
}
