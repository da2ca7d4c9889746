//! `docs/metrics.md`.

use std::collections::{BTreeMap, BTreeSet};

use connector_cache::auth::Bypass;
use connector_cache::cache::outcome::{
    Eviction, ForwardReason, NotStored, Outcome, ProofChange, ProofLookup,
};
use connector_cache::http::rejection::Rejection;
use connector_cache::observability::metrics::{MethodLabel, Metrics, SpanResult};
use connector_cache::scrub::{ScrubFailure, ScrubbedField};
use connector_cache::server::ConnRejection;
use connector_cache::shared::{Operation, OperationResult, SharedMetrics, SharedState};
use connector_cache::support::labels::Label;
use connector_cache::support::watched_files::ReloadResult;
use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;
use connector_cache::upstream::metrics::{PermitKind, UpstreamMetrics};

use super::markdown::{code, notice, table};

/// The text of the page.
pub(crate) fn page() -> String {
    let families = families();
    let mut text = notice("the registry in src/observability/metrics.rs") + HEAD;
    let own = families.iter().filter(|(name, _)| name.starts_with(PREFIX));
    let row = |(name, family): (&String, &Family)| {
        let labels: Vec<_> = family.labels.keys().map(|label| code(label)).collect();
        vec![code(name), family.kind.clone(), labels.join(", "), family.help.clone()]
    };
    text += &table(&["metric", "type", "labels", "meaning"], &own.map(row).collect::<Vec<_>>());
    text += LABELS;
    for (name, family) in &families {
        for (label, values) in &family.labels {
            text += &values_of(name, label, values);
        }
    }
    text + TAIL
}

/// A metric family of the exposition.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    /// Values by label.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The families that a new process exposes.
fn families() -> BTreeMap<String, Family> {
    let metrics = Metrics::new().unwrap();
    UpstreamMetrics::register(&metrics).unwrap();
    SharedMetrics::register(&metrics).unwrap();
    // The family has no series before a certificate is loaded.
    metrics.certificate_not_after.with_label_values(&["listen"]).set(0);
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in metrics.render_text().unwrap().lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if let Some((series, labels)) = line.split_once('{') {
            let name = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| series.strip_suffix(suffix));
            let name = name.filter(|name| families.contains_key(*name)).unwrap_or(series);
            let family = families.get_mut(name).unwrap();
            let (labels, _) = labels.rsplit_once('}').unwrap();
            for (label, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                if label != "le" {
                    let values = family.labels.entry(label.to_owned()).or_default();
                    values.insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    families
}

/// The values of a label. Empty for a set that an earlier line or page explains, or that is not closed by an enum.
fn values_of(family: &str, label: &str, values: &BTreeSet<String>) -> String {
    let head = format!("\n### `{label}` of `{}`\n\n", family.trim_start_matches(PREFIX));
    if let Some(&(_, page)) = EXPLAINED.iter().find(|(explained, _)| *explained == label) {
        return head + page + "\n";
    }
    let is_same =
        |set: &Set| set.iter().map(|(value, _)| (*value).to_owned()).collect::<BTreeSet<_>>() == *values;
    let set = sets().into_iter().find(is_same);
    let rows = match set {
        Some(set) => set.into_iter().map(|(value, text)| vec![code(value), text.to_owned()]).collect(),
        None => values.iter().map(|value| vec![code(value), String::new()]).collect::<Vec<_>>(),
    };
    head + &table(&["value", "meaning"], &rows)
}

type Set = Vec<(&'static str, &'static str)>;

/// The enums of labels.
fn sets() -> Vec<Set> {
    fn set<L: Label>() -> Set {
        L::ALL.iter().map(|label| (label.as_str(), label.description())).collect()
    }
    // Requests and connections share the metric, and some reasons.
    let mut rejected = set::<Rejection>();
    for reason in set::<ConnRejection>() {
        if rejected.iter().all(|(label, _)| *label != reason.0) {
            rejected.push(reason);
        }
    }
    vec![
        set::<Bypass>(),
        set::<Eviction>(),
        set::<ForwardReason>(),
        set::<MethodLabel>(),
        set::<NotStored>(),
        set::<Operation>(),
        set::<OperationResult>(),
        set::<Outcome>(),
        set::<PermitKind>(),
        set::<ProofChange>(),
        set::<ProofLookup>(),
        rejected,
        set::<ReloadResult>(),
        set::<Retry>(),
        set::<ScrubFailure>(),
        set::<ScrubbedField>(),
        set::<SharedState>(),
        set::<SpanResult>(),
        set::<UpstreamFailure>(),
    ]
}

/// Labels whose values are explained by a sentence.
const EXPLAINED: &[(&str, &str)] = &[
    ("method", "`GET`, `HEAD`, or `other`."),
    ("status", "The HTTP status, or `other`."),
    ("version", "The version of the package."),
    ("revision", "The commit that was built, or `unknown`."),
    ("use", "`listen`: the certificate of `listen.tls.certificate`."),
];

const PREFIX: &str = "connector_cache_";
const HEAD: &str = "\
# Metrics

The admin port serves these metrics at `/metrics`, in the format that the scraper prefers by `Accept`:

| format | additional content |
|---|---|
| Prometheus text 0.0.4 (default) | |
| OpenMetrics 1.0.0 | exemplars with the `trace_id` of traced requests, if `telemetry.otlp_endpoint` is set |
| Prometheus protobuf | exemplars, and native histograms (schema 3) of the durations |

Prometheus requests protobuf if native histograms are enabled in Prometheus itself. The proxy counts native buckets from the
first such scrape; earlier observations count in the middle of their classic bucket. Names, labels and classic buckets are
the same in all formats.

Values of labels are closed sets, so the number of series is limited. Every series that is known in advance exists from the
start, with the value 0. The standard metrics `process_*` (CPU, memory, file descriptors, start time) are exposed too.

";
const LABELS: &str = "
## Values of labels
";
const TAIL: &str = "
Reasons with status, code and message: [reasons.md](reasons.md).
";
