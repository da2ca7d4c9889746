//! State of the process as the page reads it: JSON of points, counts by reason, and the sentences of the banner.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::banner::{Facts, sentences};
use super::history::{History, Point, deltas};
use crate::admin::readiness::ReadinessState;
use crate::auth::Bypass;
use crate::cache::outcome::{Eviction, NotStored, Outcome, ProofLookup};
use crate::http::rejection::Rejection;
use crate::observability::metrics::{REVISION, Totals};
use crate::scrub::{ScrubFailure, ScrubbedField};
use crate::support::labels::Label;
use crate::upstream::UpstreamFailure;

/// Parts of the state beside the history.
pub(super) struct Parts<'a> {
    pub(super) overview: &'a Value,
    pub(super) readiness: ReadinessState,
    pub(super) uptime: u64,
    pub(super) certificate_end: Option<i64>,
    pub(super) has_token: bool,
    pub(super) statuses: &'a [&'static str],
}

/// Names of the members of a point, in their order.
pub(super) const FIELDS: [&str; 25] = [
    "at",
    "hit",
    "miss",
    "stale",
    "revalidated",
    "collapsed",
    "bypass",
    "none",
    "graph_ok",
    "graph_4xx",
    "graph_429",
    "graph_5xx",
    "graph_failed",
    "rejected",
    "bypassed",
    "scrub_failures",
    "evicted_space",
    "evicted_time",
    "gates",
    "entries",
    "p50_us",
    "p99_us",
    "graph_p50_us",
    "graph_p99_us",
    "bytes",
];

/// Renders a point as an array in the order of [`FIELDS`].
pub(super) fn point(point: &Point) -> Value {
    let Point {
        at,
        outcomes,
        graph,
        rejected,
        bypass,
        scrub_failures,
        evicted,
        gates,
        entries,
        latency_us,
        bytes,
    } = *point;
    let numbers = [at].into_iter().chain(outcomes).chain(graph).chain([rejected, bypass, scrub_failures]);
    let numbers = numbers.chain(evicted).chain([gates, entries]).chain(latency_us).map(u64::from);
    Value::Array(numbers.chain([bytes]).map(Value::from).collect())
}

/// Renders the state.
pub(super) fn render(history: &History, parts: &Parts<'_>) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let facts = facts(history, parts, i64::try_from(now).unwrap_or(i64::MAX));
    let banner: Vec<Value> = sentences(&facts).iter().map(super::banner::Sentence::to_json).collect();
    let (window, total) = history.window().map_or((Value::Null, Value::Null), |(begin, end)| {
        (reasons(begin, end, parts.statuses), reasons(&Totals::default(), end, parts.statuses))
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": REVISION,
        "readiness": match parts.readiness {
            ReadinessState::Starting => "starting",
            ReadinessState::Ready => "ready",
            ReadinessState::Draining => "draining",
        },
        "uptime_seconds": parts.uptime,
        "unix_seconds": now,
        "banner": banner,
        "cache": parts.overview,
        "window": window,
        "total": total,
        "certificate_not_after": parts.certificate_end,
        "has_admin_token": parts.has_token,
    })
}

/// Renders the counts between two totals by family and label, without zeros.
fn reasons(begin: &Totals, end: &Totals, statuses: &[&'static str]) -> Value {
    json!({
        "outcomes": by_label::<Outcome>(&begin.outcomes, &end.outcomes),
        "bypass": by_label::<Bypass>(&begin.bypass, &end.bypass),
        "rejected": by_label::<Rejection>(&begin.rejected, &end.rejected),
        "not_stored": by_label::<NotStored>(&begin.not_stored, &end.not_stored),
        "scrub_failures": by_label::<ScrubFailure>(&begin.scrub_failures, &end.scrub_failures),
        "scrubbed": by_label::<ScrubbedField>(&begin.scrubbed, &end.scrubbed),
        "evictions": by_label::<Eviction>(&begin.evictions, &end.evictions),
        "proofs": by_label::<ProofLookup>(&begin.proofs, &end.proofs),
        "graph_errors": by_label::<UpstreamFailure>(&begin.graph_errors, &end.graph_errors),
        "graph_statuses": by_name(statuses.iter().copied(), &begin.graph_statuses, &end.graph_statuses),
    })
}

fn by_label<L: Label>(begin: &[u64], end: &[u64]) -> Value {
    by_name(L::ALL.iter().map(|label| label.as_str()), begin, end)
}

fn by_name(names: impl Iterator<Item = &'static str>, begin: &[u64], end: &[u64]) -> Value {
    let counts = names.zip(deltas(begin, end)).filter(|(_, count)| *count > 0);
    Value::Object(counts.map(|(name, count)| (name.to_owned(), Value::from(count))).collect::<Map<_, _>>())
}

fn facts(history: &History, parts: &Parts<'_>, now: i64) -> Facts {
    let mut facts = Facts {
        is_draining: parts.readiness == ReadinessState::Draining,
        now,
        certificate_end: parts.certificate_end,
        uptime: parts.uptime,
        ..Facts::default()
    };
    let add = |sum: &mut u64, counts: &[u32]| *sum += counts.iter().copied().map(u64::from).sum::<u64>();
    for point in history.newest(60) {
        let [hit, miss, stale, revalidated, collapsed, bypass, none] = point.outcomes;
        add(&mut facts.requests, &[hit, miss, stale, revalidated, collapsed, bypass, none]);
        add(&mut facts.answered_from_memory, &[hit, stale, revalidated, collapsed]);
        let [ok, client_error, throttled, server_error, failed] = point.graph;
        add(&mut facts.calls, &[ok, client_error, throttled, server_error, failed]);
        add(&mut facts.failed_calls, &[server_error, failed]);
        add(&mut facts.rejected, &[point.rejected]);
        add(&mut facts.bypass, &[point.bypass]);
        add(&mut facts.evicted_by_space, &[point.evicted[0]]);
    }
    facts.scrub_failures = history.points().map(|point| u64::from(point.scrub_failures)).sum();
    for open in parts.overview["throttled"].as_array().into_iter().flatten() {
        let left = open["left_seconds"].as_u64().unwrap_or_default();
        let kind = if open["cause"] == Rejection::ThrottleGate.as_str() {
            &mut facts.throttled
        } else {
            &mut facts.broken
        };
        *kind = (kind.0 + 1, kind.1.max(left));
    }
    let shared = parts.overview["shared"]["state"].as_str().filter(|state| !["off", "live"].contains(state));
    facts.shared = shared.map(str::to_owned);
    facts
}
