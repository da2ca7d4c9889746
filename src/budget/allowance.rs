//! What some of the unproven may do together: ask, so many at a time, and fail, so often in a minute.
//!
//! Whoever asks may fail, so it counts as a failure until the answer is there: with five failures left, five may
//! ask at one time. If only what has failed counted, every place could be taken anew in the moment in which one
//! failure has faded, and a flood would get as many questions a second as there are places.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{self, Notify};

use crate::clock::{Clock, Now};

/// The places and the failures of one address, or of all that failed lately.
#[derive(Debug)]
pub(super) struct Allowance {
    places: u32,
    per_minute: f64,
    state: Mutex<State>,
    /// Held by who waits longest. The others wait for it, in the order of arrival.
    turn: sync::Mutex<()>,
    /// A place was given back, or the last failure is spent.
    changed: Notify,
}

/// Failures fade at the rate at which they are allowed: a token bucket, seen from below.
#[derive(Debug, Default)]
struct State {
    under_way: u32,
    failures: f64,
    /// When that number was true: at the last failure.
    when: Option<Now>,
}

/// A question under way. Dropping it gives its place back.
#[derive(Debug)]
pub(super) struct Place(Arc<Allowance>);

/// As many have failed as may.
#[derive(Debug)]
pub(super) struct Spent;

impl Allowance {
    pub(super) fn new(places: usize, failures_per_minute: usize) -> Self {
        let per_minute = f64::from(u32::try_from(failures_per_minute).unwrap_or(u32::MAX));
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        Self {
            places,
            per_minute,
            state: Mutex::default(),
            turn: sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Waits for a place, in the order of arrival. Whoever waits while the last failure is spent is told so.
    pub(super) async fn enter(self: &Arc<Self>, clock: &Clock) -> Result<Place, Spent> {
        let _turn = self.turn.lock().await;
        while !self.try_enter(clock.now())? {
            self.changed.notified().await;
        }
        Ok(Place(Arc::clone(self)))
    }

    /// Takes a place, if one is free. While none is, somebody has one and will give it back.
    fn try_enter(&self, now: Now) -> Result<bool, Spent> {
        let mut state = self.lock();
        let failures = self.faded(&state, now);
        if self.is_spent(failures) {
            return Err(Spent);
        }
        let may_fail = f64::from(state.under_way) + failures <= self.per_minute - 1.0;
        let free = state.under_way == 0 || (state.under_way < self.places && may_fail);
        state.under_way += u32::from(free);
        Ok(free)
    }

    /// One more failure. All of a moment count, on whatever thread: the count is read and written under one lock.
    pub(super) fn count(&self, now: Now) {
        let mut state = self.lock();
        let failures = self.faded(&state, now) + 1.0;
        // Never past the limit: who stops is forgiven within a minute.
        (state.failures, state.when) = (failures.min(self.per_minute), Some(now));
        let spent = self.is_spent(state.failures);
        drop(state);
        if spent {
            self.changed.notify_one();
        }
    }

    /// As many as a minute allows.
    pub(super) fn exhausted(&self, now: Now) -> bool {
        self.is_spent(self.faded(&self.lock(), now))
    }

    /// Any within a minute. One failure fades sooner, and many addresses that fail in turn would look innocent.
    pub(super) fn any(&self, now: Now) -> bool {
        self.lock().when.is_some_and(|then| now.since(then) < A_MINUTE)
    }

    fn is_spent(&self, failures: f64) -> bool {
        failures > self.per_minute - 1.0
    }

    fn faded(&self, state: &State, now: Now) -> f64 {
        let faded = state.when.map_or(0.0, |then| now.since(then).as_secs_f64() * self.per_minute / 60.0);
        (state.failures - faded).max(0.0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.changed.notify_one();
    }
}

const A_MINUTE: Duration = Duration::from_mins(1);
