//! Notices of unknown members: at most one a minute, and each name once while it is remembered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::unknown::{MemberName, UnknownMembers};
use connector_cache_support::clock::Now;

/// Selects the unknown members to log. Used only for a body with masked text that is not in the schema.
#[derive(Debug, Default)]
pub struct UnknownMemberNotices(Mutex<NoticeState>);

#[derive(Debug, Default)]
struct NoticeState {
    last: Option<Now>,
    /// The logged names, oldest first.
    logged: VecDeque<MemberName>,
    suppressed: u64,
}

/// A name to log.
#[derive(Debug, PartialEq, Eq)]
pub struct Notice {
    /// The member.
    pub member: MemberName,
    /// The number of new names that were not logged since the last notice.
    pub suppressed: u64,
}

impl UnknownMemberNotices {
    /// Returns the name to log now, if one is new and the last notice is at least a minute old.
    pub fn next_notice(&self, members: &UnknownMembers, now: Now) -> Option<Notice> {
        let mut names = members.iter().peekable();
        names.peek()?;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = names.filter(|name| !state.logged.contains(name));
        let member = new.next()?.clone();
        let others = new.count() as u64;
        if state.last.is_some_and(|last| now.since(last) < NOTICE_INTERVAL) {
            state.suppressed += others + 1;
            return None;
        }
        if state.logged.len() == MAX_REMEMBERED_NAMES {
            state.logged.pop_front();
        }
        state.logged.push_back(member.clone());
        state.last = Some(now);
        Some(Notice { member, suppressed: std::mem::replace(&mut state.suppressed, 0) + others })
    }
}

const NOTICE_INTERVAL: Duration = Duration::from_mins(1);
/// Each name has at most 64 bytes.
const MAX_REMEMBERED_NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use connector_cache_support::clock::Clock;

    fn members(names: &[&str]) -> UnknownMembers {
        let mut members = UnknownMembers::default();
        for name in names {
            members.add(name, true);
        }
        members
    }

    /// A notice as text: the member, and the number of those that were suppressed.
    fn next(notices: &UnknownMemberNotices, names: &[&str], clock: &Clock) -> Option<(String, u64)> {
        let notice = notices.next_notice(&members(names), clock.now())?;
        Some((notice.member.to_string(), notice.suppressed))
    }

    #[test]
    fn one_name_a_minute_is_logged_and_the_others_are_counted() {
        let (notices, clock) = (UnknownMemberNotices::default(), Clock::manual(UNIX_EPOCH + NOTICE_INTERVAL));
        assert_eq!(next(&notices, &[], &clock), None);
        assert_eq!(next(&notices, &["a", "b"], &clock), Some(("a".to_owned(), 1)));
        for names in [&["a"][..], &["a", "b"], &["c"]] {
            assert_eq!(next(&notices, names, &clock), None);
        }
        clock.advance(Duration::from_millis(59_999));
        assert_eq!(next(&notices, &["b"], &clock), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(next(&notices, &["a", "b"], &clock), Some(("b".to_owned(), 3)));
        clock.advance(NOTICE_INTERVAL);
        assert_eq!(next(&notices, &["a", "b"], &clock), None, "both were logged");
        assert_eq!(next(&notices, &["a", "c"], &clock), Some(("c".to_owned(), 0)));
    }

    #[test]
    fn the_oldest_name_is_forgotten() {
        let (notices, clock) = (UnknownMemberNotices::default(), Clock::manual(UNIX_EPOCH + NOTICE_INTERVAL));
        for number in 0..=MAX_REMEMBERED_NAMES {
            assert!(next(&notices, &[&format!("x{number}")], &clock).is_some());
            clock.advance(NOTICE_INTERVAL);
        }
        assert_eq!(next(&notices, &["x1"], &clock), None);
        assert_eq!(next(&notices, &["x0"], &clock), Some(("x0".to_owned(), 0)));
    }
}
