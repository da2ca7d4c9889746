//! Rate limit of log lines of one kind, so that no caller can fill the log.
//!
//! Each kind has a token bucket. A kind is a callsite, for access lines together with the reason and the status. Access
//! lines of successful requests are not limited: the operator chooses them (`log.access`), and each needs a token that
//! Graph accepts. Levels below INFO are not limited either.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Suppresses events beyond the limit of their kind.
#[derive(Debug, Default)]
pub(super) struct LineLimit(SuppressedLines);

/// Counts of suppressed lines. Clones read the same counts.
#[derive(Clone, Debug, Default)]
pub struct SuppressedLines(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    total: AtomicU64,
    /// Bounded: reasons and statuses come from closed sets.
    kinds: Mutex<HashMap<LineKind, Bucket>>,
}

/// Key of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LineKind {
    callsite: Identifier,
    reason: Reason,
    status: u64,
}

#[derive(Debug)]
struct Bucket {
    target: &'static str,
    level: Level,
    /// Time at which the bucket is full again.
    full_at: Instant,
    /// Lines suppressed since the last report.
    suppressed: u64,
}

/// Fields of an event that belong to its kind. Other fields are not formatted.
#[derive(Debug, Default)]
struct KindFields {
    reason: Reason,
    status: u64,
}

/// A reason in an array, so that a line needs no allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Reason {
    bytes: [u8; MAX_REASON_BYTES],
    length: usize,
}

impl LineLimit {
    /// Returns the counts of suppressed lines.
    pub(super) fn suppressed(&self) -> SuppressedLines {
        self.0.clone()
    }
}

impl<S: Subscriber> Layer<S> for LineLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut fields = KindFields::default();
        event.record(&mut fields);
        if metadata.target() == ACCESS && fields.status < 400 {
            return true;
        }
        self.0.admit(metadata, &fields, Instant::now())
    }
}

impl SuppressedLines {
    /// Returns the number of suppressed lines.
    pub fn total(&self) -> u64 {
        self.0.total.load(Relaxed)
    }

    /// Logs a line for each kind with lines suppressed since the last report.
    pub fn report(&self) {
        for (kind, target, level, lines) in self.take_suppressed() {
            tracing::warn!(
                lines,
                of_target = target,
                of_level = %level,
                of_reason = (kind.reason.length > 0).then(|| tracing::field::display(kind.reason)),
                of_status = (kind.status > 0).then_some(kind.status),
                "log lines were suppressed: more of one kind than {LINES_PER_SECOND} a second"
            );
        }
    }

    /// Returns the counts since the last call and resets them. Removes the kinds whose bucket is full.
    fn take_suppressed(&self) -> Vec<(LineKind, &'static str, Level, u64)> {
        let (mut counts, now) = (Vec::new(), Instant::now());
        let mut kinds = self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, bucket) in kinds.iter_mut().filter(|(_, bucket)| bucket.suppressed > 0) {
            let lines = std::mem::take(&mut bucket.suppressed);
            counts.push((kind.clone(), bucket.target, bucket.level, lines));
        }
        kinds.retain(|_, bucket| bucket.full_at > now);
        counts
    }

    fn admit(&self, metadata: &'static Metadata<'static>, fields: &KindFields, now: Instant) -> bool {
        let kind = LineKind { callsite: metadata.callsite(), reason: fields.reason, status: fields.status };
        let mut kinds = self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = kinds.entry(kind).or_insert_with(|| Bucket {
            target: metadata.target(),
            level: *metadata.level(),
            full_at: now,
            suppressed: 0,
        });
        let full_at = bucket.full_at.max(now) + LINE_INTERVAL;
        let is_admitted = full_at <= now + LINE_INTERVAL * BURST_LINES;
        if is_admitted {
            bucket.full_at = full_at;
        } else {
            bucket.suppressed += 1;
            self.0.total.fetch_add(1, Relaxed);
        }
        is_admitted
    }
}

impl Visit for KindFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "reason" {
            self.reason = Reason::new(value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Reason {
    fn new(text: &str) -> Self {
        let mut reason = Self::default();
        for (slot, byte) in reason.bytes.iter_mut().zip(text.bytes()) {
            *slot = byte;
            reason.length += 1;
        }
        reason
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes[..self.length]))
    }
}

/// The target of access lines.
const ACCESS: &str = "connector_cache::access";
/// Lines of one kind a second.
const LINES_PER_SECOND: u32 = 10;
/// Time that refills a bucket by one line.
const LINE_INTERVAL: Duration = Duration::from_millis(1000 / LINES_PER_SECOND as u64);
/// Lines of one kind at once, after a pause.
const BURST_LINES: u32 = 100;
/// Bytes of a reason that are compared; all reasons are shorter.
const MAX_REASON_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Counts the events that pass the limit.
    #[derive(Clone, Default)]
    struct Passed(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Passed {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn passed(log: impl Fn()) -> (u64, SuppressedLines) {
        let (limit, passed) = (LineLimit::default(), Passed::default());
        let suppressed = limit.suppressed();
        let subscriber = tracing_subscriber::registry().with(limit).with(passed.clone());
        tracing::subscriber::with_default(subscriber, log);
        (passed.0.load(Relaxed), suppressed)
    }

    fn access(status: u64, reason: &'static str) {
        tracing::info!(target: "connector_cache::access", status, reason = Some(reason));
    }

    #[test]
    fn each_kind_of_line_has_a_burst_and_further_lines_are_counted() {
        let (passed, suppressed) = passed(|| {
            for _ in 0..1_000 {
                access(401, "no-token");
                access(404, "path");
                tracing::warn!("something else");
                tracing::debug!("a detail");
                access(200, "");
            }
        });
        let limited = passed - 2_000;
        assert!((300..500).contains(&limited), "{limited} lines of three kinds");
        assert_eq!(suppressed.total(), 3_000 - limited);
        let mut reasons: Vec<_> =
            suppressed.take_suppressed().into_iter().map(|(kind, ..)| kind.reason.to_string()).collect();
        reasons.sort();
        assert_eq!(reasons, ["", "no-token", "path"]);
        assert!(suppressed.take_suppressed().is_empty(), "each is reported once");
    }

    #[test]
    fn lines_pass_again_after_a_pause() {
        let suppressed = SuppressedLines::default();
        let (fields, metadata) = (KindFields::default(), metadata());
        let now = Instant::now();
        let burst = (0..200).filter(|_| suppressed.admit(metadata, &fields, now)).count();
        assert_eq!(burst, BURST_LINES as usize);
        let later = now + Duration::from_secs(3);
        assert_eq!(
            (0..200).filter(|_| suppressed.admit(metadata, &fields, later)).count(),
            3 * LINES_PER_SECOND as usize
        );
    }

    fn metadata() -> &'static Metadata<'static> {
        use tracing::callsite::Callsite;
        static CALLSITE: tracing::callsite::DefaultCallsite = tracing::callsite::DefaultCallsite::new(&META);
        static META: Metadata<'static> = tracing::metadata! {
            name: "line",
            target: "connector_cache",
            level: Level::WARN,
            fields: &[],
            callsite: &CALLSITE,
            kind: tracing::metadata::Kind::EVENT,
        };
        CALLSITE.metadata()
    }
}
