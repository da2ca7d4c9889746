//! The README says what the code says: every key, every word, every metric.

use std::collections::{BTreeMap, BTreeSet};

use connector_cache::auth::Bypass;
use connector_cache::cache::outcome::{Eviction, HitReason, NotStored, Outcome, ProofChange, ProofLookup};
use connector_cache::config::LIVE;
use connector_cache::http::cache_status::Forward;
use connector_cache::http::rejection::Rejection;
use connector_cache::observability::metrics::{MethodLabel, Metrics, PermitKind};
use connector_cache::proxy::error_response::ErrorResponse;
use connector_cache::scrub::{ScrubFailure, ScrubbedField};
use connector_cache::server::ConnRejection;
use connector_cache::support::labels::Label;
use connector_cache::support::watched_files::ReloadResult;
use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;

use super::source::read;

/// What stands between a heading and the next.
pub(crate) fn section(heading: &str) -> Vec<String> {
    let readme = read("README.md");
    let title = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_owned());
    let mut lines = readme.lines().skip_while(|line| title(line).as_deref() != Some(heading));
    assert!(lines.next().is_some(), "README.md has no section {heading:?}");
    lines.take_while(|line| title(line).is_none()).map(str::to_owned).collect()
}

/// The table rows of a section whose first cell is code: that cell, and the second.
fn rows(heading: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in section(heading).iter().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_owned());
        let (first, second) = (cells.next().unwrap(), cells.next().unwrap_or_default());
        assert_eq!(
            rows.insert(first.trim_matches('`').to_owned(), second),
            None,
            "twice in {heading}: {first}"
        );
    }
    rows
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
    assert_eq!(rows("Configuration"), keys);
}

#[test]
fn every_key_that_needs_no_restart_is_told_and_no_other() {
    let text = section("What changes without a restart").join("\n");
    let told: BTreeSet<_> = text.split('`').skip(1).step_by(2).filter(|code| is_key(code)).collect();
    assert_eq!(told, LIVE.iter().copied().collect());
}

/// A section and a name.
fn is_key(code: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
    };
    code.split_once('.').is_some_and(|(section, name)| plain(section) && plain(name))
}

#[test]
fn every_reason_is_there_and_no_other() {
    let reasons = |of: &str| rows(of).into_keys().collect::<BTreeSet<_>>();
    let own = &words::<HitReason>() | &BTreeSet::from(["unreadable-error".to_owned()]);
    let of_graph = &words::<UpstreamFailure>() | &words::<ScrubFailure>();
    assert_eq!(reasons("Why a token may not use the cache"), words::<Bypass>());
    assert_eq!(reasons("Why an answer was not stored"), words::<NotStored>());
    assert_eq!(reasons("Why a request was refused"), &words::<Rejection>() | &words::<ConnRejection>());
    assert_eq!(reasons("Why Graph's answer could not be used"), of_graph);
    assert_eq!(reasons("Other reasons"), own);
}

#[test]
fn every_reason_has_its_status() {
    let (refused, of_graph) =
        (rows("Why a request was refused"), rows("Why Graph's answer could not be used"));
    for &reason in Rejection::ALL {
        let (told, is) =
            (&refused[reason.as_str()], ErrorResponse::Rejected(reason).status().as_str().to_owned());
        assert_eq!(*told, is, "{reason}");
    }
    for &reason in UpstreamFailure::ALL {
        assert_eq!(of_graph[reason.as_str()], ErrorResponse::Upstream(reason).status().as_str(), "{reason}");
    }
    for &reason in ScrubFailure::ALL {
        assert_eq!(
            of_graph[reason.as_str()],
            ErrorResponse::Unscrubbable(reason).status().as_str(),
            "{reason}"
        );
    }
}

#[test]
fn every_way_to_graph_is_there() {
    assert_eq!(rows("Cache-Status").into_keys().collect::<BTreeSet<_>>(), words::<Forward>());
}

#[test]
fn every_metric_is_there_with_its_labels_words() {
    let rendered = Metrics::new().unwrap().render().unwrap();
    let names = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE connector_cache_"));
    let mut names: BTreeSet<_> = names.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    // It has no series before there is a certificate.
    names.insert("certificate_not_after_timestamp_seconds".to_owned());
    // Nor where there are no spans.
    names.insert("trace_spans_total".to_owned());
    let told = rows("Metrics");
    let told_names: BTreeSet<_> =
        told.keys().map(|name| name.split('{').next().unwrap().to_owned()).collect();
    assert_eq!(told_names, names);

    let text = section("Metrics").join("\n");
    let labels = [
        words::<Outcome>(),
        words::<MethodLabel>(),
        words::<ProofLookup>(),
        words::<ProofChange>(),
        words::<Eviction>(),
        words::<ScrubbedField>(),
        words::<Retry>(),
        words::<ReloadResult>(),
        words::<PermitKind>(),
        #[cfg(feature = "otlp")]
        words::<connector_cache::observability::metrics::SpanResult>(),
    ];
    let missing: Vec<_> =
        labels.into_iter().flatten().filter(|word| !text.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "labels that the section Metrics does not explain: {missing:?}");
}

fn words<W: Label>() -> BTreeSet<String> {
    W::ALL.iter().map(|word| word.as_str().to_owned()).collect()
}
