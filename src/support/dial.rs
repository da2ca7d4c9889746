//! A value that an operator may turn while requests go by.
//!
//! To read it is one plain load of a word that hardly ever changes: no lock, and nothing that two readers
//! contend for. Several dials that are turned together may be read half turned; each value is sound by itself.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::labels::Label;

/// A value of at most 64 bits, shared by reference.
pub struct Dial<T> {
    word: AtomicU64,
    kind: PhantomData<fn(T) -> T>,
}

/// What fits on a dial.
pub trait Notch: Copy {
    /// As a word.
    fn pack(self) -> u64;

    /// The value that was packed.
    fn unpack(word: u64) -> Self;
}

impl<T: Notch> Dial<T> {
    /// A dial that shows `value`.
    pub fn new(value: T) -> Self {
        Self { word: AtomicU64::new(value.pack()), kind: PhantomData }
    }

    /// What it shows.
    pub fn get(&self) -> T {
        T::unpack(self.word.load(Relaxed))
    }

    /// Turns it.
    pub fn set(&self, value: T) {
        self.word.store(value.pack(), Relaxed);
    }
}

impl<T: Notch + fmt::Debug> fmt::Debug for Dial<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Up to 136 years; more than any key accepts.
impl Notch for Duration {
    fn pack(self) -> u64 {
        let seconds = u32::try_from(self.as_secs()).unwrap_or(u32::MAX);
        u64::from(seconds) << 32 | u64::from(self.subsec_nanos())
    }

    fn unpack(word: u64) -> Self {
        let nanos = u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
        Self::new(word >> 32, nanos)
    }
}

impl Notch for usize {
    fn pack(self) -> u64 {
        u64::try_from(self).unwrap_or(u64::MAX)
    }

    fn unpack(word: u64) -> Self {
        Self::try_from(word).unwrap_or(Self::MAX)
    }
}

impl<W: Label> Notch for W {
    fn pack(self) -> u64 {
        self.index().pack()
    }

    fn unpack(word: u64) -> Self {
        // What was packed is the index of a word.
        Self::ALL[usize::unpack(word)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::outcome::Outcome;

    #[test]
    fn a_dial_shows_what_it_was_set_to() {
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::new(86_400, 999_999_999)] {
            let dial = Dial::new(Duration::from_secs(7));
            dial.set(duration);
            assert_eq!(dial.get(), duration);
        }
        for &word in Outcome::ALL {
            assert_eq!(Dial::new(word).get(), word);
        }
        assert_eq!(Dial::new(usize::MAX).get(), usize::MAX);
    }
}
