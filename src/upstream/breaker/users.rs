//! Users of an application that sent requests lately: whether there is more than one.

use std::time::Duration;

use crate::support::clock::Now;

/// The last two users.
#[derive(Debug, Default)]
pub(super) struct RecentUsers {
    last: Option<u128>,
    /// Time at which two users were known to be there: the last request of another user than the one before.
    changed: Option<Now>,
}

impl RecentUsers {
    /// Registers a request of `user`.
    pub(super) fn add(&mut self, user: u128, now: Now) {
        if self.last.is_some_and(|last| last != user) {
            self.changed = Some(now);
        }
        self.last = Some(user);
    }

    /// Whether all requests of late came from one user.
    pub(super) fn is_single(&self, now: Now) -> bool {
        self.changed.is_none_or(|changed| now.since(changed) >= MAX_AGE)
    }
}

/// A user without a request for so long is gone.
const MAX_AGE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::support::clock::Clock;

    #[test]
    fn a_user_is_single_until_another_comes_and_after_the_other_is_gone() {
        let at = |seconds| Clock::manual(UNIX_EPOCH).now().plus(Duration::from_secs(seconds));
        let mut users = RecentUsers::default();
        users.add(1, at(0));
        users.add(1, at(1));
        assert!(users.is_single(at(1)));
        users.add(2, at(2));
        assert!(!users.is_single(at(61)));
        assert!(users.is_single(at(62)));
        users.add(1, at(62));
        assert!(!users.is_single(at(62)));
    }
}
