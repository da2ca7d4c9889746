//! The generated references contain every key, every reason and every metric.
//!
//! `tests/docs.rs` compares the pages with their generator. These tests read the pages on their own, so that the
//! generator cannot omit anything.

use std::collections::{BTreeMap, BTreeSet};

use connector_cache::auth::Bypass;
use connector_cache::cache::outcome::{Eviction, HitReason, NotStored, Outcome, ProofChange, ProofLookup};
use connector_cache::config::LIVE;
use connector_cache::http::cache_status::Forward;
use connector_cache::http::rejection::Rejection;
use connector_cache::observability::metrics::{MethodLabel, Metrics};
use connector_cache::proxy::error_response::ErrorResponse;
use connector_cache::scrub::{ScrubFailure, ScrubbedField};
use connector_cache::server::ConnRejection;
use connector_cache::shared::SharedMetrics;
use connector_cache::support::labels::Label;
use connector_cache::support::watched_files::ReloadResult;
use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;
use connector_cache::upstream::metrics::{PermitKind, UpstreamMetrics};

use super::source::read;

/// Table rows whose first cell is code, by that cell without its backticks: in a section of a page, or in the whole page.
fn rows(page: &str, heading: Option<&str>) -> BTreeMap<String, Vec<String>> {
    let text = read(page);
    let title = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_owned());
    let mut is_inside = heading.is_none();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        if let (Some(heading), Some(title)) = (heading, title(line)) {
            is_inside = title == heading;
        } else if is_inside && line.starts_with("| `") {
            let cells: Vec<_> =
                line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_owned()).collect();
            let name = cells[0].trim_matches('`').to_owned();
            assert!(rows.insert(name, cells).is_none(), "twice in {page}: {line}");
        }
    }
    assert!(!rows.is_empty(), "{page} has no table in the section {heading:?}");
    rows
}

fn names(rows: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    rows.keys().cloned().collect()
}

#[test]
fn every_key_is_there_with_its_default() {
    let (mut keys, mut table) = (BTreeMap::new(), String::new());
    for line in read("config/default.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut table);
        } else if let Some((name, value)) = line.split_once(" = ")
            && !line.starts_with("# ")
        {
            let (name, default) = match name.strip_prefix('#') {
                Some(name) => (name, "not set".to_owned()),
                None => (name, format!("`{value}`")),
            };
            keys.insert(format!("{table}.{name}"), default);
        }
    }
    let in_page = rows("docs/configuration.md", None).into_iter().map(|(key, cells)| (key, cells[1].clone()));
    assert_eq!(in_page.collect::<BTreeMap<_, _>>(), keys);
}

#[test]
fn every_key_that_needs_no_restart_is_marked_and_no_other() {
    let rows = rows("docs/configuration.md", None);
    let live: BTreeSet<_> =
        rows.iter().filter(|(_, cells)| cells[3] == "reload").map(|(key, _)| key.as_str()).collect();
    assert_eq!(live, LIVE.iter().copied().collect());
}

#[test]
fn every_reason_is_there_and_no_other() {
    let reasons = |heading: &str| names(&rows(REASONS, Some(heading)));
    let rejections = &reasons(REFUSED) | &reasons("Why a connection was refused or closed");
    assert_eq!(reasons("Why a token may not use the cache"), words::<Bypass>());
    assert_eq!(reasons("Why a response was not stored"), words::<NotStored>());
    assert_eq!(rejections, &words::<Rejection>() | &words::<ConnRejection>());
    assert_eq!(reasons(UNUSABLE), words::<UpstreamFailure>());
    assert_eq!(reasons(UNSCRUBBABLE), words::<ScrubFailure>());
    assert_eq!(
        reasons("Why a stored response was used in place of a forwarded request"),
        words::<HitReason>()
    );
    assert!(read(REASONS).contains("`unreadable-error`"));
}

#[test]
fn every_reason_has_its_status() {
    let status = |response: ErrorResponse| response.status().as_str().to_owned();
    for (reason, cells) in rows(REASONS, Some(REFUSED)) {
        let rejection = Rejection::ALL.iter().copied().find(|known| known.as_str() == reason).unwrap();
        assert_eq!(cells[1], status(ErrorResponse::Rejected(rejection)), "{reason}");
    }
    let (unusable, unscrubbable) = (rows(REASONS, Some(UNUSABLE)), rows(REASONS, Some(UNSCRUBBABLE)));
    for &reason in UpstreamFailure::ALL {
        let expected = status(ErrorResponse::Upstream(reason));
        assert_eq!(unusable[reason.as_str()][1], expected, "{reason}");
    }
    for &reason in ScrubFailure::ALL {
        let expected = status(ErrorResponse::Unscrubbable(reason));
        assert_eq!(unscrubbable[reason.as_str()][1], expected, "{reason}");
    }
}

#[test]
fn every_way_to_graph_is_there() {
    let forwards = rows(REASONS, Some("Why a request was forwarded to Graph"));
    assert_eq!(names(&forwards), words::<Forward>());
}

#[test]
fn every_metric_is_there_with_its_labels_words() {
    let metrics = Metrics::new().unwrap();
    UpstreamMetrics::register(&metrics).unwrap();
    SharedMetrics::register(&metrics).unwrap();
    let rendered = metrics.render_text().unwrap();
    let names_of_types = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE connector_cache_"));
    let mut expected: BTreeSet<_> =
        names_of_types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    // The family has no series before a certificate is loaded.
    expected.insert("certificate_not_after_timestamp_seconds".to_owned());
    // A build without the feature otlp does not register it.
    expected.insert("trace_spans_total".to_owned());
    let page = read("docs/metrics.md");
    let in_page: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `connector_cache_"))
        .filter_map(|line| line.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(in_page, expected);

    let labels = [
        words::<Outcome>(),
        words::<MethodLabel>(),
        words::<ProofChange>(),
        words::<ProofLookup>(),
        words::<Eviction>(),
        words::<ScrubbedField>(),
        words::<Retry>(),
        words::<ReloadResult>(),
        words::<PermitKind>(),
        #[cfg(feature = "otlp")]
        words::<connector_cache::observability::metrics::SpanResult>(),
    ];
    let missing: Vec<_> =
        labels.into_iter().flatten().filter(|word| !page.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "labels that docs/metrics.md does not explain: {missing:?}");
}

const REASONS: &str = "docs/reasons.md";
const REFUSED: &str = "Why a request was refused";
const UNUSABLE: &str = "Why Graph's response could not be used";
const UNSCRUBBABLE: &str = "Why a body could not be scrubbed";

fn words<L: Label>() -> BTreeSet<String> {
    L::ALL.iter().map(|label| label.as_str().to_owned()).collect()
}
