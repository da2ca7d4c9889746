//! Sentences at the head of the console: what needs attention, the worst first, each with its section of the runbook.

use serde_json::{Value, json};

use super::facts::Facts;
use crate::observability::metrics::ReloadSource;

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// `error` or `warning`.
    pub(super) severity: &'static str,
    pub(super) text: String,
    /// Heading of the runbook.
    pub(super) section: &'static str,
}

impl Sentence {
    pub(super) fn to_json(&self) -> Value {
        json!({ "severity": self.severity, "text": self.text, "section": self.section })
    }
}

/// Returns at most [`MAX_SENTENCES`], the worst first.
pub(super) fn sentences(facts: &Facts) -> Vec<Sentence> {
    let checks = [
        certificate,
        graph_fails,
        throttled,
        broken,
        unscrubbable,
        shared,
        unconfirmed,
        reload,
        draining,
        bypass,
        full,
        refused,
        hit_ratio,
    ];
    let mut found: Vec<Sentence> = checks.iter().filter_map(|check| check(facts)).collect();
    // A stable sort: within a severity the order of `checks` counts.
    found.sort_by_key(|sentence| sentence.severity != ERROR);
    found.truncate(MAX_SENTENCES);
    found
}

#[expect(clippy::unnecessary_wraps, reason = "the result of each check")]
fn sentence(severity: &'static str, text: String, section: &'static str) -> Option<Sentence> {
    Some(Sentence { severity, text, section })
}

fn certificate(facts: &Facts) -> Option<Sentence> {
    let left = facts.certificate_end? - facts.now;
    let days = left / SECONDS_OF_DAY;
    match left {
        ..=0 => sentence(ERROR, "The certificate has expired.".into(), "ConnectorCacheCertificateExpired"),
        1..172_800 => sentence(
            ERROR,
            format!("The certificate ends in {} h.", left / 3600),
            "ConnectorCacheCertificateEndsNow",
        ),
        _ if days < 14 => sentence(
            WARNING,
            format!("The certificate ends in {days} days."),
            "ConnectorCacheCertificateEnds",
        ),
        _ => None,
    }
}

fn graph_fails(facts: &Facts) -> Option<Sentence> {
    let Facts { calls, failed_calls, .. } = facts;
    // While some calls succeed, a single failure is no state of Graph. If none succeeds, the first failure may be the wrong
    // address or network of a new proxy.
    let is_outage = *failed_calls > 0 && failed_calls == calls;
    let is_frequent = *failed_calls >= 3 && failed_calls * 2 >= *calls;
    (is_outage || is_frequent).then_some(())?;
    let reason = mostly(facts.failure_reason);
    let text = format!("Graph fails: {failed_calls} of {calls} calls of the last minute{reason}.");
    sentence(ERROR, text, "ConnectorCacheGraphFails")
}

fn throttled(facts: &Facts) -> Option<Sentence> {
    let (applications, tokens) = facts.throttled;
    let parts = [(applications, "application"), (tokens, "unproven token")];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(*count, noun)).collect();
    (!parts.is_empty()).then_some(())?;
    let text = format!("Graph throttles {}, {} s left.", parts.join(" and "), facts.throttled_for);
    sentence(ERROR, text, "ConnectorCacheThrottled")
}

fn broken(facts: &Facts) -> Option<Sentence> {
    (facts.broken > 0).then_some(())?;
    let text = format!(
        "{} open after failures of Graph, next attempt in {} s.",
        counted(facts.broken, "breaker"),
        facts.broken_for
    );
    sentence(ERROR, text, "ConnectorCacheGateShut")
}

fn unscrubbable(facts: &Facts) -> Option<Sentence> {
    (facts.scrub_failures > 0).then_some(())?;
    let text = format!(
        "{} of Graph could not be scrubbed in the last 15 minutes.",
        counted(facts.scrub_failures, "body")
    );
    sentence(ERROR, text, "ConnectorCacheUnscrubbable")
}

fn shared(facts: &Facts) -> Option<Sentence> {
    let text = format!("The shared tier is not in use: {}.", facts.shared.as_ref()?);
    sentence(WARNING, text, "ConnectorCacheSharedUnused")
}

fn unconfirmed(facts: &Facts) -> Option<Sentence> {
    let (unconfirmed, replicas) = facts.unconfirmed;
    (unconfirmed > 0).then_some(())?;
    let text = format!("{unconfirmed} of {} did not confirm the last purge.", counted(replicas, "replica"));
    sentence(WARNING, text, "Old answers after a purge")
}

fn reload(facts: &Facts) -> Option<Sentence> {
    let names: Vec<_> = facts
        .failed_reloads
        .iter()
        .map(|source| match source {
            ReloadSource::Configuration => "configuration",
            ReloadSource::Certificate => "certificate",
            ReloadSource::AdminToken => "admin token",
        })
        .collect();
    (!names.is_empty()).then_some(())?;
    let verb = if names.len() == 1 { "stays" } else { "stay" };
    let text = format!(
        "A reload failed, and the old {} {verb} in use: the log has the reason.",
        names.join(" and ")
    );
    sentence(WARNING, text, "ConnectorCacheReloadFailed")
}

fn draining(facts: &Facts) -> Option<Sentence> {
    facts.is_draining.then_some(())?;
    sentence(WARNING, "The process drains and ends soon.".into(), "Pods restart")
}

fn bypass(facts: &Facts) -> Option<Sentence> {
    (facts.bypass >= 10 && facts.bypass * 5 >= facts.requests).then_some(())?;
    let text = format!(
        "{} of {} requests of the last minute have a token that may not use the cache{}.",
        facts.bypass,
        facts.requests,
        mostly(facts.bypass_reason)
    );
    sentence(WARNING, text, "ConnectorCacheBypass")
}

fn full(facts: &Facts) -> Option<Sentence> {
    (facts.evicted_by_space > 0).then_some(())?;
    let text = format!(
        "Memory is full: {} evicted in the last minute.",
        counted(facts.evicted_by_space, "response")
    );
    sentence(WARNING, text, "ConnectorCacheFull")
}

fn refused(facts: &Facts) -> Option<Sentence> {
    (facts.rejected >= 10 && facts.rejected * 10 >= facts.requests).then_some(())?;
    let text = format!(
        "{} of {} requests of the last minute were refused{}.",
        facts.rejected,
        facts.requests,
        mostly(facts.rejected_reason)
    );
    sentence(WARNING, text, "ConnectorCacheRefused")
}

fn hit_ratio(facts: &Facts) -> Option<Sentence> {
    let Facts { requests, answered_from_memory, .. } = facts;
    let is_low = facts.uptime >= 600 && *requests >= 50 && answered_from_memory * 2 < *requests;
    is_low.then_some(())?;
    let text = format!("{answered_from_memory} of {requests} requests of the last minute came from memory.");
    sentence(WARNING, text, "ConnectorCacheHitRatioLow")
}

/// Returns the most frequent reason as the end of a sentence.
fn mostly(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(", mostly {reason}"))
}

/// Returns a number with its noun.
fn counted(count: u64, noun: &str) -> String {
    match (count, noun) {
        (1, noun) => format!("1 {noun}"),
        (count, "body") => format!("{count} bodies"),
        (count, noun) => format!("{count} {noun}s"),
    }
}

/// Sentences at one time: more would hide the worst.
pub(super) const MAX_SENTENCES: usize = 3;
const ERROR: &str = "error";
const WARNING: &str = "warning";
const SECONDS_OF_DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_while_nothing_needs_attention() {
        let facts = Facts { requests: 1_000, answered_from_memory: 990, rejected: 3, ..Facts::default() };
        assert_eq!(sentences(&facts), []);
    }

    #[test]
    fn at_most_three_sentences_are_said_and_the_worst_are_first() {
        let facts = Facts {
            throttled: (1, 2),
            throttled_for: 41,
            certificate_end: Some(5 * SECONDS_OF_DAY),
            evicted_by_space: 7,
            bypass: 50,
            rejected: 50,
            requests: 100,
            calls: 10,
            failed_calls: 9,
            ..Facts::default()
        };
        let said: Vec<_> = sentences(&facts).into_iter().map(|it| (it.severity, it.text)).collect();
        assert_eq!(
            said,
            [
                (ERROR, "Graph fails: 9 of 10 calls of the last minute.".to_owned()),
                (ERROR, "Graph throttles 1 application and 2 unproven tokens, 41 s left.".to_owned()),
                (WARNING, "The certificate ends in 5 days.".to_owned()),
            ]
        );
    }

    #[test]
    fn the_first_failure_is_said_if_no_call_succeeds() {
        let text = |calls, failed_calls, failure_reason| {
            let facts = Facts { calls, failed_calls, failure_reason, ..Facts::default() };
            sentences(&facts).first().map(|sentence| sentence.text.clone())
        };
        let failing = |sentence: &str| Some(sentence.to_owned());
        assert_eq!(
            text(1, 1, Some("dns")),
            failing("Graph fails: 1 of 1 calls of the last minute, mostly dns.")
        );
        assert_eq!(text(2, 2, None), failing("Graph fails: 2 of 2 calls of the last minute."));
        assert_eq!(text(2, 1, Some("reset")), None, "some calls succeed");
        assert_eq!(text(5, 2, Some("reset")), None);
        assert_eq!(
            text(6, 3, Some("reset")),
            failing("Graph fails: 3 of 6 calls of the last minute, mostly reset.")
        );
        assert_eq!(text(0, 0, None), None);
    }

    #[test]
    fn a_failed_reload_names_the_files() {
        let text = |failed_reloads| {
            sentences(&Facts { failed_reloads, ..Facts::default() })
                .into_iter()
                .map(|it| it.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(text(vec![]), Vec::<String>::new());
        assert_eq!(
            text(vec![ReloadSource::AdminToken]),
            ["A reload failed, and the old admin token stays in use: the log has the reason."]
        );
        assert_eq!(
            text(vec![ReloadSource::Configuration, ReloadSource::Certificate]),
            [
                "A reload failed, and the old configuration and certificate stay in use: the log has the reason."
            ]
        );
    }

    #[test]
    fn each_sentence_has_a_section_of_the_runbook() {
        let runbook = super::super::assets::RUNBOOK;
        let facts = [
            Facts { certificate_end: Some(0), ..Facts::default() },
            Facts { certificate_end: Some(3_600), ..Facts::default() },
            Facts { certificate_end: Some(5 * SECONDS_OF_DAY), ..Facts::default() },
            Facts { calls: 3, failed_calls: 3, throttled: (1, 0), broken: 1, ..Facts::default() },
            Facts { scrub_failures: 1, evicted_by_space: 1, ..Facts::default() },
            Facts { bypass: 10, requests: 10, rejected: 10, ..Facts::default() },
            Facts { uptime: 600, requests: 50, ..Facts::default() },
            Facts {
                shared: Some("connecting".into()),
                unconfirmed: (1, 3),
                failed_reloads: vec![ReloadSource::Configuration, ReloadSource::Certificate],
                ..Facts::default()
            },
            Facts { is_draining: true, ..Facts::default() },
        ];
        let mut count = 0;
        for sentence in facts.iter().flat_map(sentences) {
            count += 1;
            let heading = format!("\n## {}\n", sentence.section);
            assert!(runbook.contains(&heading), "{sentence:?}");
        }
        assert_eq!(count, 15);
    }
}
