//! History of the process: 15 minutes with one point a second, and one set of totals a minute.
//!
//! A point has the changes since the point before, computed from the totals of the counters, so that the path of a request
//! has nothing to do with the history. The totals of each minute give the breakdown by reason of the last 15 minutes.

use std::collections::VecDeque;

use crate::admin::console::quantile::quantile_micros;
use crate::observability::metrics::{Totals, bucket_bounds, upstream_bucket_bounds};
use crate::support::labels::Label as _;
use crate::upstream::UpstreamFailure;

/// State of the process at one time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Totals of the counters.
    pub totals: Totals,
    /// Responses in the cache.
    pub entries: u64,
    /// Memory of responses and proofs.
    pub bytes: u64,
}

/// Changes in one second, and the state at its end. Fixed size, so that the memory of the history is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// Seconds since the start of the history.
    pub(super) at: u32,
    /// Requests by outcome, in the order of `Outcome::ALL`.
    pub(super) outcomes: [u32; 7],
    /// Calls of Graph: success, other client error, 429, server error, no usable response.
    pub(super) graph: [u32; 5],
    pub(super) rejected: u32,
    pub(super) bypass: u32,
    pub(super) scrub_failures: u32,
    /// Entries evicted for lack of space, and after their retention time.
    pub(super) evicted: [u32; 2],
    pub(super) entries: u32,
    /// Median and 99th percentile of requests, then of calls of Graph, microseconds; 0 without requests.
    pub(super) latency_us: [u32; 4],
    pub(super) bytes: u64,
}

/// Ring of points.
#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
    last: Option<Totals>,
    /// Totals by minute, the oldest first.
    minutes: VecDeque<(u32, Totals)>,
}

impl History {
    /// Adds the point of the second `at`. The counters are zero before the first sample, because the history begins with the
    /// process.
    pub(super) fn push(&mut self, at: u32, sample: Sample, statuses: &[&str]) -> Point {
        let Sample { totals, entries, bytes } = sample;
        let before = self.last.take().unwrap_or_default();
        let point = Point { at, entries: saturate(entries), bytes, ..changes(&before, &totals, statuses) };
        if self.points.len() == CAPACITY {
            self.points.pop_front();
        } else if self.points.capacity() < CAPACITY {
            self.points.reserve_exact(CAPACITY);
        }
        self.points.push_back(point);
        if self.minutes.back().is_none_or(|(minute, _)| at >= minute + 60) {
            if self.minutes.len() == MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back((at, if self.minutes.is_empty() { before } else { totals.clone() }));
        }
        self.last = Some(totals);
        point
    }

    /// Returns the memory of a history in bytes, without that of the allocator.
    #[cfg(test)]
    fn memory(&self) -> usize {
        let of = |totals: &Totals| {
            let Totals {
                outcomes,
                durations,
                bypass,
                forwarded,
                rejected,
                not_stored,
                scrub_failures,
                scrubbed,
                evictions,
                proofs,
                graph_statuses,
                graph_durations,
                graph_errors,
            } = totals;
            [outcomes, durations, bypass, forwarded, rejected, not_stored, scrub_failures]
                .into_iter()
                .chain([scrubbed, evictions, proofs, graph_statuses, graph_durations, graph_errors])
                .map(|counts| counts.capacity() * size_of::<u64>())
                .sum::<usize>()
        };
        size_of::<Self>()
            + self.points.capacity() * size_of::<Point>()
            + self.minutes.capacity() * size_of::<(u32, Totals)>()
            + self.minutes.iter().map(|(_, totals)| totals).chain(&self.last).map(of).sum::<usize>()
    }

    /// Returns the points, the oldest first.
    pub(super) fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.iter()
    }

    /// Returns the newest points, at most `count`, the oldest first.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().skip(self.points.len().saturating_sub(count))
    }

    /// Returns the totals one to two minutes ago, or at the begin of the history, and the totals now.
    pub(super) fn last_minute(&self) -> Option<(&Totals, &Totals)> {
        let now = self.points.back()?.at;
        let begin = self.minutes.iter().rfind(|(at, _)| at + 60 <= now).or_else(|| self.minutes.front());
        Some((&begin?.1, self.last.as_ref()?))
    }

    /// Returns the totals at the begin of the window, and the totals now.
    pub(super) fn window(&self) -> Option<(&Totals, &Totals)> {
        Some((&self.minutes.front()?.1, self.last.as_ref()?))
    }
}

fn changes(before: &Totals, now: &Totals, statuses: &[&str]) -> Point {
    let sum = |before: &[u64], now: &[u64]| saturate(deltas(before, now).sum());
    let mut point = Point {
        rejected: sum(&before.rejected, &now.rejected),
        bypass: sum(&before.bypass, &now.bypass),
        scrub_failures: sum(&before.scrub_failures, &now.scrub_failures),
        ..Point::default()
    };
    let [success, client_error, throttled, server_error, failed] = &mut point.graph;
    for (status, delta) in statuses.iter().zip(deltas(&before.graph_statuses, &now.graph_statuses)) {
        let class = match *status {
            "429" => &mut *throttled,
            status if status.starts_with('4') => &mut *client_error,
            status if status.starts_with('5') => &mut *server_error,
            _ => &mut *success,
        };
        *class = class.saturating_add(saturate(delta));
    }
    for (failure, delta) in UpstreamFailure::ALL.iter().zip(deltas(&before.graph_errors, &now.graph_errors)) {
        let count = saturate(delta);
        *failed = failed.saturating_add(count);
        if failure.follows_status() {
            // The status of the response is counted above, but the call is one.
            *success = success.saturating_sub(count);
        }
    }
    for (slot, delta) in point.outcomes.iter_mut().zip(deltas(&before.outcomes, &now.outcomes)) {
        *slot = saturate(delta);
    }
    for (slot, delta) in point.evicted.iter_mut().zip(deltas(&before.evictions, &now.evictions)) {
        *slot = saturate(delta);
    }
    let requests: Vec<u64> = deltas(&before.durations, &now.durations).collect();
    let calls: Vec<u64> = deltas(&before.graph_durations, &now.graph_durations).collect();
    point.latency_us = [
        quantile_micros(bucket_bounds(), &requests, 50),
        quantile_micros(bucket_bounds(), &requests, 99),
        quantile_micros(upstream_bucket_bounds(), &calls, 50),
        quantile_micros(upstream_bucket_bounds(), &calls, 99),
    ];
    point
}

/// Returns the change of each counter.
pub(super) fn deltas(before: &[u64], now: &[u64]) -> impl Iterator<Item = u64> {
    now.iter()
        .zip(before.iter().copied().chain(std::iter::repeat(0)))
        .map(|(now, before)| now.saturating_sub(before))
}

fn saturate(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Points: 15 minutes.
pub(super) const CAPACITY: usize = 900;
/// Totals by minute: the window, and the minute that is not over.
const MINUTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests: u64) -> Sample {
        let totals = Totals {
            outcomes: vec![requests; 7],
            durations: vec![0, requests],
            graph_statuses: vec![requests, 2 * requests, 0],
            bypass: vec![requests, requests],
            ..Totals::default()
        };
        Sample { totals, entries: requests, bytes: 5 }
    }

    #[test]
    fn the_history_stays_below_128_kib() {
        let metrics = crate::observability::metrics::Metrics::new().unwrap();
        let upstream = crate::upstream::metrics::UpstreamMetrics::register(&metrics).unwrap();
        let totals =
            metrics.totals().with_graph(&upstream.requests, &upstream.duration, upstream.errors.counts());
        let (sample, mut history) = (Sample { totals, ..Sample::default() }, History::default());
        for at in 0..2_000 {
            history.push(at, sample.clone(), &[]);
        }
        let bytes = history.memory();
        println!(
            "history: {} points, {} sets of totals, {bytes} bytes",
            history.points.len(),
            history.minutes.len()
        );
        assert!(bytes > 64 << 10 && bytes < 128 << 10, "{bytes}");
    }

    #[test]
    fn a_point_has_the_changes_since_the_point_before() {
        let mut history = History::default();
        let statuses = ["200", "429", "other"];
        let first = history.push(0, sample(100), &statuses);
        assert_eq!(first.outcomes, [100; 7], "the counters of a new process are zero");
        let point = history.push(1, sample(103), &statuses);
        assert_eq!(point.outcomes, [3; 7]);
        assert_eq!(point.graph, [3, 0, 6, 0, 0]);
        assert_eq!((point.bypass, point.entries, point.bytes), (6, 103, 5));
        assert!((25..=50).contains(&point.latency_us[0]), "{point:?}");
        let (begin, end) = history.window().unwrap();
        assert_eq!((begin, end.outcomes[0]), (&Totals::default(), 103));
    }

    #[test]
    fn a_call_with_a_status_and_without_a_usable_response_is_one_failed_call() {
        let mut history = History::default();
        let with = |failure: UpstreamFailure, status: u64| {
            let errors = UpstreamFailure::ALL.iter().map(|it| u64::from(*it == failure));
            let totals =
                Totals { graph_statuses: vec![status], graph_errors: errors.collect(), ..Totals::default() };
            Sample { totals, ..Sample::default() }
        };
        assert_eq!(history.push(0, with(UpstreamFailure::Dns, 0), &["200"]).graph, [0, 0, 0, 0, 1]);
        let mut history = History::default();
        assert_eq!(history.push(0, with(UpstreamFailure::ContentType, 1), &["200"]).graph, [0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_last_minute_begins_at_most_two_minutes_ago() {
        let mut history = History::default();
        assert!(history.last_minute().is_none());
        for at in 0..300 {
            history.push(at, sample(u64::from(at)), &[]);
            let (begin, end) = history.last_minute().unwrap();
            let seconds = end.outcomes[0] - begin.outcomes.first().copied().unwrap_or_default();
            assert!(seconds >= u64::from(at).min(60) && seconds < 120, "{at}: {seconds}");
        }
    }

    #[test]
    fn the_oldest_point_leaves_a_full_ring() {
        let mut history = History::default();
        for at in 0..1_000 {
            history.push(at, sample(u64::from(at)), &[]);
        }
        let ats: Vec<u32> = history.points().map(|point| point.at).collect();
        assert_eq!((ats.len(), ats[0], ats[CAPACITY - 1]), (CAPACITY, 100, 999));
        assert_eq!(history.newest(2).map(|point| point.at).collect::<Vec<_>>(), [998, 999]);
        let (begin, end) = history.window().unwrap();
        assert_eq!((begin.outcomes[0], end.outcomes[0]), (60, 999));
    }
}
