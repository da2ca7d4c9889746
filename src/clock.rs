//! Time, passed in.
//!
//! Rules never ask what time it is: they are given a [`Now`], which holds both clocks. The monotonic one
//! stands still while a machine sleeps; the wall clock can be set back. An age is the larger of the two
//! readings, so neither can make something old look young.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks, in milliseconds. Also the stamp on what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    mono_ms: u64,
    wall_ms: u64,
}

impl Now {
    /// Seconds since the Unix epoch, rounded down.
    pub fn unix_seconds(self) -> u64 {
        self.wall_ms / 1000
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_millis(self) -> u64 {
        self.wall_ms
    }

    /// The wall clock's reading.
    pub fn wall(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.wall_ms)
    }

    /// How long ago `stamp` was, by the clock that says it was longer ago.
    pub fn since(self, stamp: Now) -> Duration {
        let mono = self.mono_ms.saturating_sub(stamp.mono_ms);
        let wall = self.wall_ms.saturating_sub(stamp.wall_ms);
        Duration::from_millis(mono.max(wall))
    }

    /// Whether this is the later of two readings of one clock.
    pub fn is_after(self, other: Now) -> bool {
        self.mono_ms > other.mono_ms
    }

    /// The moment `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Now {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms: self.mono_ms.saturating_add(by), wall_ms: self.wall_ms.saturating_add(by) }
    }
}

/// Where [`Now`] comes from. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System {
        start: Instant,
        /// Wall minus monotonic time in milliseconds, as it was when the clock was last trusted.
        offset_ms: AtomicU64,
    },
    Manual {
        mono_ms: AtomicU64,
        wall_ms: AtomicU64,
    },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Arc::new(Source::System { start: Instant::now(), offset_ms: AtomicU64::new(unix_now_ms()) }))
    }

    /// A clock that moves only when a test moves it.
    pub fn manual(wall: SystemTime) -> Self {
        Self(Arc::new(Source::Manual {
            mono_ms: AtomicU64::new(0),
            wall_ms: AtomicU64::new(millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default())),
        }))
    }

    /// Reads both clocks. The wall clock's reading never falls behind what the monotonic clock has counted
    /// since the wall clock was last trusted: a step back cannot lengthen the life of a token.
    pub fn now(&self) -> Now {
        match &*self.0 {
            Source::System { start, offset_ms } => {
                let mono_ms = millis(start.elapsed());
                let wall_ms = unix_now_ms().max(mono_ms.saturating_add(offset_ms.load(Relaxed)));
                Now { mono_ms, wall_ms }
            }
            Source::Manual { mono_ms, wall_ms } => {
                Now { mono_ms: mono_ms.load(Relaxed), wall_ms: wall_ms.load(Relaxed) }
            }
        }
    }

    /// How far the machine's wall clock was set back since it was last trusted.
    pub fn stepped_back(&self) -> Duration {
        match &*self.0 {
            Source::System { start, offset_ms } => {
                let expected = millis(start.elapsed()).saturating_add(offset_ms.load(Relaxed));
                Duration::from_millis(expected.saturating_sub(unix_now_ms()))
            }
            Source::Manual { .. } => Duration::ZERO,
        }
    }

    /// Trusts the machine's wall clock again, as it stands. To be called after the cache was emptied.
    pub fn trust_wall(&self) {
        if let Source::System { start, offset_ms } = &*self.0 {
            offset_ms.store(unix_now_ms().saturating_sub(millis(start.elapsed())), Relaxed);
        }
    }

    /// Moves a manual clock on. The system's clock takes no orders.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { mono_ms, wall_ms } = &*self.0 {
            mono_ms.fetch_add(millis(by), Relaxed);
            wall_ms.fetch_add(millis(by), Relaxed);
        }
    }
}

fn unix_now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono_ms, wall_ms }
    }

    #[test]
    fn an_age_is_what_the_clock_that_ran_on_says() {
        let suspended = at(1_000, 61_000).since(at(1_000, 1_000));
        assert_eq!(suspended, Duration::from_secs(60), "the monotonic clock stood still");
        let set_back = at(61_000, 0).since(at(1_000, 50_000));
        assert_eq!(set_back, Duration::from_secs(60), "the wall clock was set back");
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(100));
        let before = clock.now();
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now().since(before), Duration::from_millis(1_500));
        assert_eq!(clock.now().unix_seconds(), 101);
    }

    #[test]
    fn a_wall_clock_that_was_set_back_does_not_slow_time() {
        let clock = Clock::system();
        if let Source::System { offset_ms, .. } = &*clock.0 {
            offset_ms.fetch_add(120_000, Relaxed); // as if the wall clock had been two minutes ahead
        }
        assert!(clock.stepped_back() > Duration::from_secs(119));
        assert!(clock.now().unix_millis() >= unix_now_ms() + 119_000);
        clock.trust_wall();
        assert!(clock.stepped_back() < Duration::from_secs(1));
    }
}
