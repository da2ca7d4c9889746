//! A connection to Graph that is made before anybody wants one.
//!
//! While questions come, the pool has connections. The first question, and the first after a rest, would have to wait
//! for a name, TCP and TLS, which is three or four ways to Graph and back: it finds a spare instead. One is made at
//! the start and after each rest, and made anew before Graph would take it for dead, until nobody has asked for
//! [`WARM`]. What is known of a connection that rested in the pool holds of a spare: it may have gone stale.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::Conn;
use super::connector::Connector;

/// The place of a spare, and whether one is of use.
pub(super) struct Preconnect {
    place: Mutex<PreconnectSlot>,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
    /// Held by whoever takes it, or waits until it is made.
    taking: tokio::sync::Mutex<()>,
}

struct PreconnectSlot {
    kept: Option<(Conn, Instant)>,
    /// When a question was last asked, or the process began.
    asked: Instant,
    /// A question has been asked.
    begun: bool,
}

impl Preconnect {
    /// Sees to it that there is one when it is of use, by a connector that gives out none. Where none can be made, the
    /// next question finds out why.
    pub(super) async fn keep_warm(&self, mut connector: Connector, uri: &Uri) {
        let mut ticks = interval(LIFE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Before it is decided: who asks after that waits for what is made, and makes no other.
            let _making = self.making.lock().await;
            self.clear();
            if self.is_wanted()
                && let Ok(connection) = connector.make(uri.clone()).await
            {
                self.place().kept = Some((connection, Instant::now()));
            }
        }
    }

    /// Says that a question is asked: whatever connection it takes, the pool has one after it.
    pub(super) fn note_question(&self) {
        let mut place = self.place();
        (place.asked, place.begun) = (Instant::now(), true);
    }

    /// Whether whoever asks next may find no connection in the pool, and is likely to come.
    fn is_wanted(&self) -> bool {
        let place = self.place();
        let rest = place.asked.elapsed();
        rest < WARM && (!place.begun || rest >= LIFE)
    }

    /// Drops it.
    pub(super) fn clear(&self) {
        self.place().kept = None;
    }

    /// The spare, if it is there and not too old. One may wait for it while it is made; others are not kept waiting.
    pub(super) async fn take(&self) -> Option<Conn> {
        let _taking = self.taking.try_lock().ok()?;
        let _made = self.making.lock().await;
        let (connection, since) = self.place().kept.take()?;
        // A tick may be late.
        (since.elapsed() <= LIFE * 2).then_some(connection)
    }

    fn place(&self) -> MutexGuard<'_, PreconnectSlot> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Preconnect {
    /// None is there, and nobody has asked yet.
    fn default() -> Self {
        let place = Mutex::new(PreconnectSlot { kept: None, asked: Instant::now(), begun: false });
        Self { place, making: tokio::sync::Mutex::default(), taking: tokio::sync::Mutex::default() }
    }
}

impl fmt::Debug for Preconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").field("is_there", &self.place().kept.is_some()).finish()
    }
}

/// A connection over which nothing was asked is closed by front ends after half a minute or later. It is also how
/// long nobody asks before a spare is of use again: less than connections live in the pool.
const LIFE: Duration = Duration::from_secs(25);
/// Whoever has not come for so long is not waited for: at most 24 connections in vain.
const WARM: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
