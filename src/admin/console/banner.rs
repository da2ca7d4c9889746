//! Sentences at the head of the console: what needs attention, the worst first, each with its section of the runbook.

use serde_json::{Value, json};

/// Facts that the sentences are derived from. Counts cover the last minute unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) is_draining: bool,
    pub(super) now: i64,
    pub(super) certificate_end: Option<i64>,
    /// Calls of Graph, and those that failed: no usable response, or a status of 5xx.
    pub(super) calls: u64,
    pub(super) failed_calls: u64,
    /// Open throttles, and the longest time left.
    pub(super) throttled: (u64, u64),
    /// Open circuit breakers, and the longest time left.
    pub(super) broken: (u64, u64),
    pub(super) scrub_failures: u64,
    pub(super) requests: u64,
    pub(super) answered_from_memory: u64,
    pub(super) bypass: u64,
    pub(super) rejected: u64,
    pub(super) evicted_by_space: u64,
    /// State of the shared tier if it is neither off nor live.
    pub(super) shared: Option<String>,
    pub(super) uptime: u64,
}

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// `error`, `warning` or `info`.
    pub(super) severity: &'static str,
    pub(super) text: String,
    /// Heading of the runbook.
    pub(super) section: Option<&'static str>,
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
        draining,
        bypass,
        full,
        refused,
        hit_ratio,
    ];
    let mut found: Vec<Sentence> = checks.iter().filter_map(|check| check(facts)).collect();
    // A stable sort: within a severity the order of `checks` counts.
    found.sort_by_key(|sentence| match sentence.severity {
        ERROR => 0,
        WARNING => 1,
        _ => 2,
    });
    found.truncate(MAX_SENTENCES);
    found
}

#[expect(clippy::unnecessary_wraps, reason = "the result of each check")]
fn sentence(severity: &'static str, text: String, section: &'static str) -> Option<Sentence> {
    Some(Sentence { severity, text, section: Some(section) })
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
    (*failed_calls >= 3 && failed_calls * 2 >= *calls).then_some(())?;
    let text = format!("Graph fails: {failed_calls} of {calls} calls of the last minute.");
    sentence(ERROR, text, "ConnectorCacheGraphFails")
}

fn throttled(facts: &Facts) -> Option<Sentence> {
    let (count, left) = facts.throttled;
    (count > 0).then_some(())?;
    let text = format!("Graph throttles {}, {left} s left.", counted(count, "application"));
    sentence(ERROR, text, "ConnectorCacheThrottled")
}

fn broken(facts: &Facts) -> Option<Sentence> {
    let (count, left) = facts.broken;
    (count > 0).then_some(())?;
    let text =
        format!("{} open after failures of Graph, next attempt in {left} s.", counted(count, "breaker"));
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
    Some(Sentence { severity: WARNING, text, section: None })
}

fn draining(facts: &Facts) -> Option<Sentence> {
    let text = "The process drains and ends soon.".to_owned();
    facts.is_draining.then_some(Sentence { severity: WARNING, text, section: None })
}

fn bypass(facts: &Facts) -> Option<Sentence> {
    (facts.bypass >= 10 && facts.bypass * 5 >= facts.requests).then_some(())?;
    let text =
        format!("{} of {} requests have a token that may not use the cache.", facts.bypass, facts.requests);
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
    let text = format!("{} of {} requests of the last minute were refused.", facts.rejected, facts.requests);
    sentence(WARNING, text, "ConnectorCacheRefused")
}

fn hit_ratio(facts: &Facts) -> Option<Sentence> {
    let Facts { requests, answered_from_memory, .. } = facts;
    let is_low = facts.uptime >= 600 && *requests >= 50 && answered_from_memory * 2 < *requests;
    is_low.then_some(())?;
    let text = format!("{answered_from_memory} of {requests} requests of the last minute came from memory.");
    sentence(WARNING, text, "ConnectorCacheHitRatioLow")
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
            throttled: (1, 41),
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
                (ERROR, "Graph throttles 1 application, 41 s left.".to_owned()),
                (WARNING, "The certificate ends in 5 days.".to_owned()),
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
            Facts { calls: 3, failed_calls: 3, throttled: (1, 1), broken: (1, 1), ..Facts::default() },
            Facts { scrub_failures: 1, evicted_by_space: 1, ..Facts::default() },
            Facts { bypass: 10, requests: 10, rejected: 10, ..Facts::default() },
            Facts { uptime: 600, requests: 50, ..Facts::default() },
        ];
        let mut count = 0;
        for sentence in facts.iter().flat_map(sentences) {
            count += 1;
            let heading = format!("\n## {}\n", sentence.section.unwrap());
            assert!(runbook.contains(&heading), "{sentence:?}");
        }
        assert_eq!(count, 11);
    }
}
