//! One client address: its places, and what it has to answer for.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::clock::Now;

/// What is remembered of an address.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) places: Arc<Semaphore>,
    pub(super) failures: Failures,
}

impl Address {
    pub(super) fn new(places: usize, failures: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), failures: Failures::new(failures) }
    }
}

/// A count of failures that fades at the rate at which they are allowed: a token bucket, seen from below.
#[derive(Debug)]
pub(super) struct Failures {
    per_minute: f64,
    /// The count, and when it was true.
    state: Mutex<(f64, Option<Now>)>,
}

impl Failures {
    pub(super) fn new(per_minute: usize) -> Self {
        let per_minute = u32::try_from(per_minute).unwrap_or(u32::MAX);
        Self { per_minute: f64::from(per_minute), state: Mutex::new((0.0, None)) }
    }

    pub(super) fn count(&self, now: Now) {
        let left = self.level(now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Never far past the limit: who stops is forgiven within a minute or so.
        *state = ((left + 1.0).min(self.per_minute + 1.0), Some(now));
    }

    /// As many as a minute allows.
    pub(super) fn exhausted(&self, now: Now) -> bool {
        self.level(now) >= self.per_minute
    }

    /// Any that has not faded yet.
    pub(super) fn any(&self, now: Now) -> bool {
        self.level(now) > 0.0
    }

    fn level(&self, now: Now) -> f64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let faded = state.1.map_or(0.0, |then| now.since(then).as_secs_f64() * self.per_minute / 60.0);
        (state.0 - faded).max(0.0)
    }
}
