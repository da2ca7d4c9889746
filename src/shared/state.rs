//! Labels of the shared tier, and its state.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::store::Fault;
use crate::support::labels::labels;

labels! {
    /// State of the shared tier.
    pub enum SharedState {
        /// `shared.url` is not set.
        Off = "off",
        /// There is no connection to the store.
        Connecting = "connecting",
        /// Values are read and written.
        Live = "live",
        /// The log was not read within the last second, so no value counts.
        Lagging = "lagging",
        /// The circuit breaker is open: the store does not respond in time.
        Open = "open",
        /// The store refuses the user, the password, or a command of the user.
        Auth = "auth",
        /// TLS with the store fails.
        Tls = "tls",
        /// The clock of this machine differs from the store's by more than two seconds.
        Clock = "clock",
    }
}

labels! {
    /// Operation on the store.
    pub enum Operation {
        /// Reads entry and proof.
        Read = "read",
        /// Writes entry and proof.
        Write = "write",
        /// Takes the fill lease of a token and a resource.
        Lease = "lease",
        /// Adds an event to the log.
        Publish = "publish",
        /// Reads events of the log.
        Log = "log",
    }
}

labels! {
    /// Result of an operation on the store.
    pub enum OperationResult {
        /// A read found a valid entry and its proof.
        Hit = "hit",
        /// A read found nothing, or nothing that is fresh for the token.
        Miss = "miss",
        /// The operation succeeded.
        Ok = "ok",
        /// Another replica has the fill lease.
        Taken = "taken",
        /// The store answered with an error, or the connection failed.
        Error = "error",
        /// The store did not respond within `shared.timeout`.
        Timeout = "timeout",
        /// A value or event does not open, or its times do not fit.
        Invalid = "invalid",
        /// A newer event in the log makes a value invalid.
        Superseded = "superseded",
        /// The store was not used: not connected, breaker open, log not read, or too many operations at one time.
        Skipped = "skipped",
    }
}

/// Facts that the state follows from. Updated by the tasks of the tier, read on each local miss.
#[derive(Debug)]
pub(super) struct StateFacts {
    started: Instant,
    /// Milliseconds since `started` of the last read of the log, plus one; 0 if it is not read.
    log_read_at: AtomicU64,
    clock_differs: AtomicBool,
    /// Milliseconds since `started` of the last refused command, plus one.
    denied_at: AtomicU64,
    log_fault: std::sync::Mutex<Option<Fault>>,
}

impl StateFacts {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            log_read_at: AtomicU64::new(0),
            clock_differs: AtomicBool::new(false),
            denied_at: AtomicU64::new(0),
            log_fault: std::sync::Mutex::default(),
        }
    }

    /// Records that the log was read up to its end at `at`.
    pub(super) fn record_log_read(&self, at: Instant) {
        let ms = at.saturating_duration_since(self.started).as_millis();
        self.log_read_at.store(u64::try_from(ms).unwrap_or(u64::MAX).saturating_add(1), Relaxed);
    }

    /// Records that the log cannot be read.
    pub(super) fn record_log_fault(&self, fault: Option<Fault>) {
        *self.log_fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = fault;
    }

    pub(super) fn log_fault(&self) -> Option<Fault> {
        *self.log_fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Records the difference between the clocks of the store and of this machine. Returns whether the state changed.
    pub(super) fn record_clock(&self, difference: Duration) -> bool {
        let differs = difference > MAX_CLOCK_DIFFERENCE;
        self.clock_differs.swap(differs, Relaxed) != differs
    }

    pub(super) fn clock_differs(&self) -> bool {
        self.clock_differs.load(Relaxed)
    }

    /// Records that the store refused a command for lack of rights.
    pub(super) fn record_denied(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.denied_at.store(ms.saturating_add(1), Relaxed);
    }

    /// Returns whether a command was refused in the last seconds.
    pub(super) fn is_denied(&self) -> bool {
        self.since(&self.denied_at).is_some_and(|age| age < DENIED_FOR)
    }

    /// Returns the time since the start.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the time since the log was read, if it was.
    pub(super) fn log_age(&self) -> Option<Duration> {
        self.since(&self.log_read_at)
    }

    /// Returns whether values may count: the log was read within the last second, and the clocks agree.
    pub(super) fn admits_values(&self) -> bool {
        !self.clock_differs() && self.log_age().is_some_and(|age| age < MAX_LOG_AGE)
    }

    fn since(&self, at: &AtomicU64) -> Option<Duration> {
        let at = Duration::from_millis(at.load(Relaxed).checked_sub(1)?);
        Some(self.started.elapsed().saturating_sub(at))
    }
}

/// Largest difference of clocks, and largest time by which a value may be ahead.
pub(super) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);
/// Largest time since the last read of the log.
const MAX_LOG_AGE: Duration = Duration::from_secs(1);
/// Time for which a refused command determines the state.
const DENIED_FOR: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_only_while_the_log_is_read_and_the_clocks_agree() {
        let facts = StateFacts::new();
        assert!(!facts.admits_values(), "the log was never read");
        facts.record_log_read(Instant::now());
        assert!(facts.admits_values());
        assert!(facts.record_clock(Duration::from_millis(2001)) && !facts.admits_values());
        assert!(!facts.record_clock(Duration::from_secs(9)), "it differed already");
        assert!(facts.record_clock(Duration::from_secs(2)) && facts.admits_values());
    }

    #[test]
    fn a_refused_command_determines_the_state_for_a_while() {
        let facts = StateFacts::new();
        assert!(!facts.is_denied());
        facts.record_denied();
        assert!(facts.is_denied());
    }
}
