//! Clocks.
//!
//! Rules do not read the time; they get a [`Now`], which holds both clocks. The monotonic clock stands still while a
//! machine sleeps; the wall clock can be set back. An age is the larger of the two readings, so that neither error
//! makes an entry younger.

mod graph_lead;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::graph_lead::GraphLead;

/// One reading of both clocks, milliseconds. Also the time stamp of stored entries, which are many, so it has no
/// padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
#[expect(clippy::struct_field_names, reason = "the unit belongs to each name")]
pub struct Now {
    mono_ms: u64,
    wall_ms: u64,
    /// Milliseconds by which Graph's clock is ahead of this machine's. 32 bits, since each entry has one.
    graph_ahead_ms: u32,
}

impl Now {
    /// Returns seconds since the Unix epoch, rounded down.
    pub fn unix_seconds(self) -> u64 {
        self.wall_ms / 1000
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_millis(self) -> u64 {
        self.wall_ms
    }

    /// Returns milliseconds since the Unix epoch by the clock of the token issuer: a late clock of this machine cannot
    /// extend the life of a token.
    pub fn token_millis(self) -> u64 {
        self.wall_ms.saturating_add(self.graph_ahead_ms.into())
    }

    /// Returns milliseconds of the monotonic clock, modulo 2^32, for uses that tolerate a wrap-around every seven
    /// weeks and a stop while the machine sleeps.
    #[expect(clippy::cast_possible_truncation, reason = "the value wraps on purpose")]
    pub fn monotonic_millis_u32(self) -> u32 {
        self.mono_ms as u32
    }

    /// Returns the reading of the wall clock.
    pub fn wall(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.wall_ms)
    }

    /// Returns the time since `stamp`: the larger of the two clocks' differences.
    #[inline]
    pub fn since(self, stamp: Now) -> Duration {
        let mono = self.mono_ms.saturating_sub(stamp.mono_ms);
        let wall = self.wall_ms.saturating_sub(stamp.wall_ms);
        Duration::from_millis(mono.max(wall))
    }

    /// Returns whether this reading is later than another one of the same clock.
    pub fn is_after(self, other: Now) -> bool {
        self.mono_ms > other.mono_ms
    }

    /// Returns the reading of this clock at an earlier wall-clock time, for a time stamp of another process. A time after this
    /// reading counts as this reading.
    #[must_use]
    pub fn at_unix_millis(self, wall_ms: u64) -> Now {
        let earlier = self.wall_ms.saturating_sub(wall_ms);
        Now { mono_ms: self.mono_ms.saturating_sub(earlier), wall_ms: self.wall_ms - earlier, ..self }
    }

    /// Returns the time `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Now {
        let by = millis(by);
        let later = |ms: u64| ms.saturating_add(by);
        Now { mono_ms: later(self.mono_ms), wall_ms: later(self.wall_ms), ..self }
    }
}

/// The source of [`Now`]. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: TimeSource,
    /// Wall minus monotonic time, milliseconds, at the last synchronisation.
    offset_ms: AtomicU64,
    /// Lead of Graph's clock.
    graph_lead: GraphLead,
}

#[derive(Debug)]
enum TimeSource {
    System { start: Instant },
    Manual { mono_ms: AtomicU64, wall_ms: AtomicU64 },
}

impl Clock {
    /// Creates a clock that reads the machine's clocks.
    pub fn system() -> Self {
        Self::from_source(TimeSource::System { start: Instant::now() })
    }

    /// Creates a clock for tests, which moves only by [`Clock::advance`] and its like.
    pub fn manual(wall: SystemTime) -> Self {
        Self::from_source(TimeSource::Manual {
            mono_ms: AtomicU64::new(0),
            wall_ms: AtomicU64::new(unix_ms(wall)),
        })
    }

    fn from_source(source: TimeSource) -> Self {
        let (mono_ms, wall_ms) = source.read(Instant::now());
        let offset_ms = AtomicU64::new(wall_ms.saturating_sub(mono_ms));
        Self(Arc::new(Inner { source, offset_ms, graph_lead: GraphLead::default() }))
    }

    /// Reads both clocks. The wall clock's reading is never behind the last synchronised one plus the monotonic time
    /// since then: a step back cannot extend the life of a token.
    #[inline]
    pub fn now(&self) -> Now {
        self.now_at(Instant::now())
    }

    /// Returns the time for a recent reading of the monotonic clock.
    #[inline]
    pub fn now_at(&self, moment: Instant) -> Now {
        let (mono_ms, wall_ms) = self.0.source.read(moment);
        let wall_ms = wall_ms.max(mono_ms.saturating_add(self.0.offset_ms.load(Relaxed)));
        Now { mono_ms, wall_ms, graph_ahead_ms: self.0.graph_lead.agreed_ms() }
    }

    /// Returns how far the machine's wall clock was set back since the last synchronisation.
    pub fn stepped_back(&self) -> Duration {
        let (mono_ms, wall_ms) = self.0.source.read(Instant::now());
        let expected = mono_ms.saturating_add(self.0.offset_ms.load(Relaxed));
        Duration::from_millis(expected.saturating_sub(wall_ms))
    }

    /// Synchronises with the machine's wall clock again. Must be called after the cache was cleared.
    pub fn resync_wall_clock(&self) {
        let (mono_ms, wall_ms) = self.0.source.read(Instant::now());
        self.0.offset_ms.store(wall_ms.saturating_sub(mono_ms), Relaxed);
    }

    /// Records the `Date` of a response of Graph that was received at `now`. Tokens expire by Graph's clock; this
    /// machine's may be late. A lead counts once several responses agree.
    pub fn record_graph_date(&self, date: SystemTime, now: Now) {
        self.0.graph_lead.record(Duration::from_millis(unix_ms(date).saturating_sub(now.wall_ms)));
    }

    /// Advances a manual clock. No effect on the system's clock.
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Manual { mono_ms, .. } = &self.0.source {
            mono_ms.fetch_add(millis(by), Relaxed);
            self.suspend(by);
        }
    }

    /// Advances only the wall clock of a manual clock, as while a machine sleeps.
    pub fn suspend(&self, by: Duration) {
        if let TimeSource::Manual { wall_ms, .. } = &self.0.source {
            wall_ms.fetch_add(millis(by), Relaxed);
        }
    }

    /// Sets the wall clock of a manual clock back.
    pub fn set_back(&self, by: Duration) {
        if let TimeSource::Manual { wall_ms, .. } = &self.0.source {
            wall_ms.fetch_sub(millis(by), Relaxed);
        }
    }
}

impl TimeSource {
    /// Returns the monotonic clock, as read at `moment`, and the wall clock, milliseconds.
    fn read(&self, moment: Instant) -> (u64, u64) {
        match self {
            Self::System { start } => {
                let elapsed = millis(moment.saturating_duration_since(*start));
                (MONOTONIC_START_MS.saturating_add(elapsed), unix_ms(SystemTime::now()))
            }
            Self::Manual { mono_ms, wall_ms } => (mono_ms.load(Relaxed), wall_ms.load(Relaxed)),
        }
    }
}

/// First reading of the monotonic clock: the time stamps of other processes from the hours before the start have a reading,
/// too, and keep their order.
const MONOTONIC_START_MS: u64 = 24 * 3600 * 1000;

/// Returns a time of day as Unix milliseconds; 0 before 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns a duration in whole milliseconds, limited to those of `u64`.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono_ms, wall_ms, graph_ahead_ms: 0 }
    }

    #[test]
    fn an_age_is_the_larger_difference_of_the_two_clocks() {
        let suspended = at(1_000, 61_000).since(at(1_000, 1_000));
        assert_eq!(suspended, Duration::from_secs(60), "the monotonic clock stopped");
        let set_back = at(61_000, 0).since(at(1_000, 50_000));
        assert_eq!(set_back, Duration::from_secs(60), "the wall clock was set back");
    }

    #[test]
    fn a_manual_clock_moves_by_its_methods() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(100));
        let before = clock.now();
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now().since(before), Duration::from_millis(1_500));
        assert_eq!(clock.now().unix_seconds(), 101);
    }

    #[test]
    fn a_wall_clock_that_was_set_back_does_not_slow_time() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_hours(9));
        let before = clock.now();
        clock.set_back(Duration::from_mins(2));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.stepped_back(), Duration::from_mins(2));
        assert_eq!(clock.now().unix_millis(), before.unix_millis() + 5_000);
        clock.resync_wall_clock();
        assert_eq!(clock.stepped_back(), Duration::ZERO);
        assert_eq!(clock.now().unix_millis(), before.unix_millis() - 115_000);
    }

    #[test]
    fn the_system_clock_reports_no_step_back() {
        let clock = Clock::system();
        assert!(clock.stepped_back() < Duration::from_secs(1));
        let off = clock.now().unix_millis().abs_diff(unix_ms(SystemTime::now()));
        assert!(off < 1_000, "{off} ms");
    }

    #[test]
    fn a_late_clock_expires_tokens_by_graphs_clock() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_000));
        let record = |seconds, times| {
            let date = UNIX_EPOCH + Duration::from_secs(seconds);
            (0..times).for_each(|_| clock.record_graph_date(date, clock.now()));
        };
        record(1_600, 8);
        assert_eq!(clock.now().token_millis(), 1_600_000);
        assert_eq!(clock.now().unix_seconds(), 1_000, "ages use the own clock");
        record(400, 8);
        assert_eq!(clock.now().token_millis(), 1_000_000, "an early clock expires tokens early");
    }
}
