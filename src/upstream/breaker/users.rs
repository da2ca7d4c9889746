//! Recent users of an application: whether more than one user sends requests.

use std::time::Duration;

use crate::support::clock::Now;

/// Evidence of a second user within [`MAX_AGE`].
#[derive(Debug, Default)]
pub(super) struct RecentUsers {
    last: Option<u128>,
    /// Time of the last request by another user than the request before.
    changed: Option<Now>,
}

impl RecentUsers {
    /// Records a request of `user`.
    pub(super) fn record(&mut self, user: u128, now: Now) {
        if self.last.is_some_and(|last| last != user) {
            self.changed = Some(now);
        }
        self.last = Some(user);
    }

    /// Returns whether all requests within [`MAX_AGE`] came from one user.
    pub(super) fn is_single(&self, now: Now) -> bool {
        self.changed.is_none_or(|changed| now.since(changed) >= MAX_AGE)
    }
}

/// Time without a request after which a user does not count.
const MAX_AGE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::support::clock::Clock;

    #[test]
    fn a_user_is_single_before_another_sends_requests_and_after_the_other_stops() {
        let at = |seconds| Clock::manual(UNIX_EPOCH).now().plus(Duration::from_secs(seconds));
        let mut users = RecentUsers::default();
        users.record(1, at(0));
        users.record(1, at(1));
        assert!(users.is_single(at(1)));
        users.record(2, at(2));
        assert!(!users.is_single(at(61)));
        assert!(users.is_single(at(62)));
        users.record(1, at(62));
        assert!(!users.is_single(at(62)));
    }
}
