//! Injected faults: latency and error responses.

use std::time::Duration;

use http::StatusCode;

/// The active faults.
pub(crate) struct Faults {
    latency: Duration,
    wait: Duration,
    next: Option<(u32, StatusCode)>,
    all: Option<StatusCode>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { latency: Duration::ZERO, wait: DEFAULT_RETRY_AFTER, next: None, all: None }
    }
}

impl Faults {
    pub(crate) fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Returns the delay before each response.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    pub(crate) fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Returns the `Retry-After` of an injected 429 or 503.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    pub(crate) fn fail_next(&mut self, count: u32, status: StatusCode) {
        self.next = Some((count, status));
    }

    pub(crate) fn fail_all(&mut self, status: StatusCode) {
        self.all = Some(status);
    }

    /// Resets all faults to the defaults.
    pub(crate) fn heal(&mut self) {
        *self = Self::default();
    }

    /// Returns the status of the failure for this request, if any.
    pub(crate) fn take(&mut self) -> Option<StatusCode> {
        match self.next.take() {
            Some((count, status)) if count > 0 => {
                self.next = Some((count - 1, status));
                Some(status)
            }
            _ => self.all,
        }
    }
}

const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);
