//! Time, passed in.
//!
//! Rules never ask what time it is: they are given a [`Now`], which holds both clocks. The monotonic one
//! stands still while a machine sleeps; the wall clock can be set back. An age is the larger of the two
//! readings, so neither can make something old look young.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks, in milliseconds. Also the stamp on what is stored, of which there are many: so it has
/// no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub struct Now {
    mono_ms: u64,
    wall_ms: u64,
    /// How many milliseconds Graph's clock is ahead of ours. Small: each stored answer has one of these.
    behind: u32,
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

    /// Milliseconds since the Unix epoch, as whoever makes the tokens counts them: a clock of ours that is late
    /// makes no token last longer.
    pub fn token_millis(self) -> u64 {
        self.wall_ms.saturating_add(self.behind.into())
    }

    /// Milliseconds by the monotonic clock, modulo 2^32: for what may be off once in seven weeks, and while the
    /// machine sleeps.
    #[expect(clippy::cast_possible_truncation, reason = "that is what it is")]
    pub fn tick(self) -> u32 {
        self.mono_ms as u32
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
        let by = millis(by);
        let later = |ms: u64| ms.saturating_add(by);
        Now { mono_ms: later(self.mono_ms), wall_ms: later(self.wall_ms), ..self }
    }
}

/// Where [`Now`] comes from. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: TimeSource,
    /// Wall minus monotonic time in milliseconds, as it was when the wall clock was last trusted.
    offset_ms: AtomicU64,
    /// How far Graph's clock was ahead of ours when Graph last said what time it is, milliseconds.
    behind_ms: AtomicU32,
}

#[derive(Debug)]
enum TimeSource {
    System { start: Instant },
    Manual { mono_ms: AtomicU64, wall_ms: AtomicU64 },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self::of(TimeSource::System { start: Instant::now() })
    }

    /// A clock that moves only when a test moves it.
    pub fn manual(wall: SystemTime) -> Self {
        Self::of(TimeSource::Manual { mono_ms: AtomicU64::new(0), wall_ms: AtomicU64::new(unix_ms(wall)) })
    }

    fn of(source: TimeSource) -> Self {
        let (mono_ms, wall_ms) = source.read(Instant::now());
        let offset_ms = AtomicU64::new(wall_ms.saturating_sub(mono_ms));
        Self(Arc::new(Inner { source, offset_ms, behind_ms: AtomicU32::new(0) }))
    }

    /// Reads both clocks. The wall clock's reading never falls behind what the monotonic clock has counted
    /// since the wall clock was last trusted: a step back cannot lengthen the life of a token.
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// The same, where the monotonic clock was read a moment ago.
    pub fn at(&self, moment: Instant) -> Now {
        let (mono_ms, wall_ms) = self.0.source.read(moment);
        let wall_ms = wall_ms.max(mono_ms.saturating_add(self.0.offset_ms.load(Relaxed)));
        Now { mono_ms, wall_ms, behind: self.0.behind_ms.load(Relaxed) }
    }

    /// How far the machine's wall clock was set back since it was last trusted.
    pub fn stepped_back(&self) -> Duration {
        let (mono_ms, wall_ms) = self.0.source.read(Instant::now());
        let expected = mono_ms.saturating_add(self.0.offset_ms.load(Relaxed));
        Duration::from_millis(expected.saturating_sub(wall_ms))
    }

    /// Trusts the machine's wall clock again, as it stands. To be called after the cache was emptied.
    pub fn trust_wall(&self) {
        let (mono_ms, wall_ms) = self.0.source.read(Instant::now());
        self.0.offset_ms.store(wall_ms.saturating_sub(mono_ms), Relaxed);
    }

    /// Graph has just said that it is `date`. By its clock tokens end; ours may be late.
    pub fn heard(&self, date: SystemTime) {
        // Seven weeks late is as good as any more: every token has ended.
        let behind = u32::try_from(unix_ms(date).saturating_sub(self.now().wall_ms)).unwrap_or(u32::MAX);
        self.0.behind_ms.store(behind, Relaxed);
    }

    /// Moves a manual clock on. The system's clock takes no orders.
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Manual { mono_ms, .. } = &self.0.source {
            mono_ms.fetch_add(millis(by), Relaxed);
            self.suspend(by);
        }
    }

    /// Moves a manual clock on as a machine does that sleeps so long: its monotonic clock stands still.
    pub fn suspend(&self, by: Duration) {
        if let TimeSource::Manual { wall_ms, .. } = &self.0.source {
            wall_ms.fetch_add(millis(by), Relaxed);
        }
    }

    /// Sets a manual clock's wall clock back.
    pub fn set_back(&self, by: Duration) {
        if let TimeSource::Manual { wall_ms, .. } = &self.0.source {
            wall_ms.fetch_sub(millis(by), Relaxed);
        }
    }
}

impl TimeSource {
    /// Monotonic clock, as it was read, and wall clock, milliseconds.
    fn read(&self, moment: Instant) -> (u64, u64) {
        match self {
            Self::System { start } => {
                (millis(moment.saturating_duration_since(*start)), unix_ms(SystemTime::now()))
            }
            Self::Manual { mono_ms, wall_ms } => (mono_ms.load(Relaxed), wall_ms.load(Relaxed)),
        }
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall_ms: u64) -> Now {
        Now { mono_ms, wall_ms, behind: 0 }
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
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_hours(9));
        let before = clock.now();
        clock.set_back(Duration::from_mins(2));
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.stepped_back(), Duration::from_mins(2));
        assert_eq!(clock.now().unix_millis(), before.unix_millis() + 5_000);
        clock.trust_wall();
        assert_eq!(clock.stepped_back(), Duration::ZERO);
        assert_eq!(clock.now().unix_millis(), before.unix_millis() - 115_000);
    }

    #[test]
    fn the_machines_clock_was_not_set_back_when_nobody_did() {
        let clock = Clock::system();
        assert!(clock.stepped_back() < Duration::from_secs(1));
        let off = clock.now().unix_millis().abs_diff(unix_ms(SystemTime::now()));
        assert!(off < 1_000, "{off} ms");
    }

    #[test]
    fn a_clock_that_is_late_ends_tokens_by_graphs() {
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_000));
        clock.heard(UNIX_EPOCH + Duration::from_secs(1_600));
        assert_eq!(clock.now().token_millis(), 1_600_000);
        assert_eq!(clock.now().unix_seconds(), 1_000, "ages go by our own");
        clock.heard(UNIX_EPOCH + Duration::from_secs(400));
        assert_eq!(clock.now().token_millis(), 1_000_000, "a clock that is early lets tokens end early");
    }
}
