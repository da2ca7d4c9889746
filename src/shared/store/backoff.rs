//! Waits between attempts to connect: they double up to a limit, with jitter, so that replicas do not connect in step.

use std::time::Duration;

use uuid::Uuid;

/// Waits between attempts.
#[derive(Debug)]
pub(in crate::shared) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(in crate::shared) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Returns the wait before the next attempt: half to all of the current limit.
    pub(in crate::shared) fn next_wait(&mut self) -> Duration {
        let limit = self.next;
        self.next = (limit * 2).min(LONGEST);
        limit / 2 + jitter(limit / 2)
    }
}

/// Returns a duration below `limit`, evenly distributed.
fn jitter(limit: Duration) -> Duration {
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(random() % micros)
}

/// Returns a random number.
pub(in crate::shared) fn random() -> u64 {
    // 62 bits of the lower half of a random UUID are random.
    Uuid::new_v4().as_u64_pair().1 & (u64::MAX >> 2)
}

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_are_not_zero() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..10).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits[9] >= LONGEST / 2 && waits[9] <= LONGEST, "{waits:?}");
    }
}
