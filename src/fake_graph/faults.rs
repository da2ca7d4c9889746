//! What goes wrong on demand: slowness, and answers that are failures.

use std::time::Duration;

use http::StatusCode;

/// The faults in force.
pub(crate) struct Faults {
    latency: Duration,
    wait: Duration,
    next: Option<(u32, StatusCode)>,
    all: Option<StatusCode>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { latency: Duration::ZERO, wait: USUAL_WAIT, next: None, all: None }
    }
}

impl Faults {
    pub(crate) fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// The wait before every answer.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    pub(crate) fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// What a 429 or 503 on demand asks the caller to wait.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    pub(crate) fn fail_next(&mut self, count: u32, status: StatusCode) {
        self.next = Some((count, status));
    }

    pub(crate) fn fail_all(&mut self, status: StatusCode) {
        self.all = Some(status);
    }

    /// Ends every failure and the slowness, and forgets the wait.
    pub(crate) fn heal(&mut self) {
        *self = Self::default();
    }

    /// The status that this request has to fail with.
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

const USUAL_WAIT: Duration = Duration::from_secs(10);
