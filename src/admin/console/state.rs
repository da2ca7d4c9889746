//! State of the process as the page reads it: JSON of points, counts by reason, and the sentences of the banner.

use serde_json::{Map, Value, json};

use super::banner::sentences;
use super::facts::{Facts, Parts};
use super::history::{History, Point, deltas};
use crate::admin::readiness::ReadinessState;
use crate::auth::Bypass;
use crate::cache::outcome::{Eviction, ForwardReason, NotStored, Outcome, ProofLookup};
use crate::http::rejection::Rejection;
use crate::observability::metrics::{Metrics, REVISION, ReloadSource, Totals};
use crate::scrub::{ScrubFailure, ScrubbedField};
use crate::support::labels::Label;
use crate::support::watched_files::ReloadResult;
use crate::upstream::UpstreamFailure;

/// Names of the members of a point, in their order.
pub(super) const FIELDS: [&str; 24] = [
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
    "entries",
    "p50_us",
    "p99_us",
    "graph_p50_us",
    "graph_p99_us",
    "bytes",
];

/// Renders a point as an array in the order of [`FIELDS`].
pub(super) fn point(point: &Point) -> Value {
    let Point { at, outcomes, graph, rejected, bypass, scrub_failures, evicted, entries, latency_us, bytes } =
        *point;
    let numbers = [at].into_iter().chain(outcomes).chain(graph).chain([rejected, bypass, scrub_failures]);
    let numbers = numbers.chain(evicted).chain([entries]).chain(latency_us).map(u64::from);
    Value::Array(numbers.chain([bytes]).map(Value::from).collect())
}

/// Renders the state.
pub(super) fn render(history: &History, parts: &Parts<'_>) -> Value {
    let banner: Vec<Value> =
        sentences(&Facts::new(history, parts)).iter().map(super::banner::Sentence::to_json).collect();
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
        "unix_seconds": parts.unix_seconds(),
        "banner": banner,
        "cache": parts.overview,
        "window": window,
        "total": total,
        "certificate_not_after": parts.certificate_end,
        "has_admin_token": parts.has_token,
        "reloads": reloads(parts.metrics),
        "settings_version": parts.settings_version,
    })
}

/// Renders the reloads since the start.
fn reloads(metrics: &Metrics) -> Value {
    let failed = metrics.failed_reloads();
    json!({
        "successes": metrics.reloads(ReloadResult::Success),
        "failures": metrics.reloads(ReloadResult::Failure),
        "failed": failed.into_iter().map(ReloadSource::as_str).collect::<Vec<_>>(),
    })
}

/// Renders the counts between two totals by family and label, without zeros.
fn reasons(begin: &Totals, end: &Totals, statuses: &[&'static str]) -> Value {
    json!({
        "outcomes": by_label::<Outcome>(&begin.outcomes, &end.outcomes),
        "bypass": by_label::<Bypass>(&begin.bypass, &end.bypass),
        "forwarded": by_label::<ForwardReason>(&begin.forwarded, &end.forwarded),
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
