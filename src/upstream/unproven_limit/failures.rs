//! Window of refused tokens: tokens to which Graph responded with 401 within the last minute.

use std::collections::VecDeque;
use std::time::Duration;

use crate::support::clock::Now;

/// Distinct refused tokens of one client subnet, or of all, within [`WINDOW`].
///
/// A token counts once, however many 401 responses it gets: one broken client is one failure.
#[derive(Debug, Default)]
pub(super) struct FailureWindow {
    /// Hashes of tokens with the time of the first 401, the oldest first.
    refused: VecDeque<(u64, Now)>,
}

impl FailureWindow {
    /// Adds a refused token. At most `limit` tokens are kept; the oldest are dropped first.
    pub(super) fn insert(&mut self, token: u64, limit: usize, now: Now) {
        self.expire(now);
        if self.contains(token) {
            return;
        }
        while self.refused.len() >= limit.max(1) {
            self.refused.pop_front();
        }
        self.refused.push_back((token, now));
    }

    /// Returns the number of tokens within the window.
    pub(super) fn count(&mut self, now: Now) -> usize {
        self.expire(now);
        self.refused.len()
    }

    /// Returns whether a token is within the window. [`Self::count`] removes the expired ones.
    pub(super) fn contains(&self, token: u64) -> bool {
        self.refused.iter().any(|(known, _)| *known == token)
    }

    fn expire(&mut self, now: Now) {
        while self.refused.front().is_some_and(|(_, since)| now.since(*since) >= WINDOW) {
            self.refused.pop_front();
        }
    }
}

/// Time for which a 401 counts.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::support::clock::Clock;

    #[test]
    fn a_token_counts_once_a_minute() {
        let (mut window, clock) = (FailureWindow::default(), Clock::manual(SystemTime::now()));
        for _ in 0..70 {
            window.insert(7, 60, clock.now());
        }
        window.insert(8, 60, clock.now());
        assert_eq!(window.count(clock.now()), 2);
        clock.advance(Duration::from_millis(59_999));
        window.insert(7, 60, clock.now());
        clock.advance(Duration::from_millis(1));
        assert_eq!(window.count(clock.now()), 0, "the first 401 starts the minute");
        window.insert(7, 60, clock.now());
        assert_eq!(window.count(clock.now()), 1);
    }

    #[test]
    fn no_more_than_the_limit_is_kept_and_the_newest_stay() {
        let (mut window, clock) = (FailureWindow::default(), Clock::manual(SystemTime::now()));
        (0..100).for_each(|token| window.insert(token, 10, clock.now()));
        assert_eq!(window.count(clock.now()), 10);
        assert!(window.contains(99) && !window.contains(89));
    }
}
