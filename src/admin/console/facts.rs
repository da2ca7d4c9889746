//! Facts that the sentences of the banner are derived from.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::history::{History, deltas};
use crate::admin::readiness::ReadinessState;
use crate::auth::Bypass;
use crate::http::rejection::Rejection;
use crate::observability::metrics::{Metrics, ReloadSource, Totals};
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
    pub(super) settings_version: u64,
    pub(super) metrics: &'a Metrics,
    pub(super) now: SystemTime,
}

impl Parts<'_> {
    /// Returns the time of day as Unix time.
    pub(super) fn unix_seconds(&self) -> u64 {
        self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

/// Facts about the process. Counts cover the last minute unless the field says otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) is_draining: bool,
    pub(super) now: i64,
    pub(super) certificate_end: Option<i64>,
    /// Calls of Graph, and those that failed: no usable response, or a status of 5xx.
    pub(super) calls: u64,
    pub(super) failed_calls: u64,
    /// Most frequent reason of calls without a usable response, unless more calls had a status of 5xx.
    pub(super) failure_reason: Option<&'static str>,
    /// Throttled applications, and throttled tokens without a proof.
    pub(super) throttled: (u64, u64),
    /// Longest time left of a throttle, seconds.
    pub(super) throttled_for: u64,
    /// Open circuit breakers.
    pub(super) broken: u64,
    /// Longest time left of an open circuit breaker, seconds.
    pub(super) broken_for: u64,
    /// Bodies that could not be scrubbed in the last 15 minutes.
    pub(super) scrub_failures: u64,
    pub(super) requests: u64,
    pub(super) answered_from_memory: u64,
    pub(super) bypass: u64,
    /// Most frequent reason of the last 15 minutes.
    pub(super) bypass_reason: Option<&'static str>,
    pub(super) rejected: u64,
    /// Most frequent reason of the last 15 minutes.
    pub(super) rejected_reason: Option<&'static str>,
    pub(super) evicted_by_space: u64,
    /// State of the shared tier if it is neither off nor live.
    pub(super) shared: Option<String>,
    /// Replicas that did not confirm the last purge of the last 15 minutes, and all replicas.
    pub(super) unconfirmed: (u64, u64),
    /// Files whose last reload failed.
    pub(super) failed_reloads: Vec<ReloadSource>,
    pub(super) uptime: u64,
}

impl Facts {
    /// Reads the facts from the history and the state.
    pub(super) fn new(history: &History, parts: &Parts<'_>) -> Self {
        let mut facts = Self {
            is_draining: parts.readiness == ReadinessState::Draining,
            now: i64::try_from(parts.unix_seconds()).unwrap_or(i64::MAX),
            certificate_end: parts.certificate_end,
            failed_reloads: parts.metrics.failed_reloads(),
            uptime: parts.uptime,
            ..Self::default()
        };
        facts.add_history(history);
        facts.add_scopes(parts);
        facts.add_shared(parts);
        facts
    }

    fn add_history(&mut self, history: &History) {
        let (mut with_5xx, mut unusable) = (0, 0);
        let add = |sum: &mut u64, counts: &[u32]| *sum += counts.iter().copied().map(u64::from).sum::<u64>();
        for point in history.newest(60) {
            let [hit, miss, stale, revalidated, collapsed, bypass, none] = point.outcomes;
            add(&mut self.requests, &[hit, miss, stale, revalidated, collapsed, bypass, none]);
            add(&mut self.answered_from_memory, &[hit, stale, revalidated, collapsed]);
            let [ok, client_error, throttled, server_error, failed] = point.graph;
            add(&mut self.calls, &[ok, client_error, throttled, server_error, failed]);
            add(&mut with_5xx, &[server_error]);
            add(&mut unusable, &[failed]);
            add(&mut self.rejected, &[point.rejected]);
            add(&mut self.bypass, &[point.bypass]);
            add(&mut self.evicted_by_space, &[point.evicted[0]]);
        }
        self.failed_calls = with_5xx + unusable;
        self.failure_reason = history
            .last_minute()
            .filter(|_| unusable >= with_5xx)
            .and_then(|window| most_frequent::<UpstreamFailure>(window, |totals| &totals.graph_errors));
        self.scrub_failures = history.points().map(|point| u64::from(point.scrub_failures)).sum();
        if let Some((begin, end)) = history.window() {
            self.bypass_reason = most_frequent::<Bypass>((begin, end), |totals| &totals.bypass);
            self.rejected_reason = most_frequent::<Rejection>((begin, end), |totals| &totals.rejected);
        }
    }

    fn add_scopes(&mut self, parts: &Parts<'_>) {
        for open in parts.overview["throttled"].as_array().into_iter().flatten() {
            let left = open["left_seconds"].as_u64().unwrap_or_default();
            let is_throttle = open["cause"] == Rejection::ThrottleGate.as_str();
            let (count, longest) = match is_throttle {
                true if open["scope"] == "application" => (&mut self.throttled.0, &mut self.throttled_for),
                true => (&mut self.throttled.1, &mut self.throttled_for),
                false => (&mut self.broken, &mut self.broken_for),
            };
            *count += 1;
            *longest = left.max(*longest);
        }
    }

    fn add_shared(&mut self, parts: &Parts<'_>) {
        let shared = &parts.overview["shared"];
        let state = shared["state"].as_str().filter(|state| !["off", "live"].contains(state));
        self.shared = state.map(str::to_owned);
        let purge = &shared["last_purge"];
        let number = |name: &str| purge[name].as_u64().unwrap_or_default();
        if parts.unix_seconds().saturating_sub(number("unix_seconds")) < UNCONFIRMED_SHOWN {
            let replicas = number("replicas");
            self.unconfirmed = (replicas.saturating_sub(number("confirmed")), replicas);
        }
    }
}

/// Returns the label that grew most between two totals; `None` if none did.
fn most_frequent<L: Label>(
    (begin, end): (&Totals, &Totals),
    family: fn(&Totals) -> &Vec<u64>,
) -> Option<&'static str> {
    let counts = L::ALL.iter().zip(deltas(family(begin), family(end)));
    let (label, _) = counts.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count)?;
    Some(label.as_str())
}

/// Seconds for which an unconfirmed purge is shown.
const UNCONFIRMED_SHOWN: u64 = 900;
