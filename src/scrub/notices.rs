//! Notices of unknown members: at most one a minute, and each name once as long as it is remembered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::unknown::{MemberName, UnknownMembers};
use crate::clock::Now;

/// Decides which unknown members are logged. It is consulted only for a body in which text was masked because no
/// schema knows it.
#[derive(Debug, Default)]
pub struct UnknownMemberNotices(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Now>,
    /// The names that were logged, the oldest first.
    logged: VecDeque<MemberName>,
    suppressed: u64,
}

/// A name to log.
#[derive(Debug, PartialEq, Eq)]
pub struct Notice {
    /// The member.
    pub member: MemberName,
    /// The number of times that a new name was seen and not logged since the last notice.
    pub suppressed: u64,
}

impl UnknownMemberNotices {
    /// The name to log now, if any of these is new and the last notice is old enough.
    pub fn next(&self, members: &UnknownMembers, now: Now) -> Option<Notice> {
        let mut names = members.iter().peekable();
        names.peek()?;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = names.filter(|name| !state.logged.contains(name));
        let member = new.next()?.clone();
        let others = new.count() as u64;
        if state.last.is_some_and(|last| now.since(last) < INTERVAL) {
            state.suppressed += others + 1;
            return None;
        }
        if state.logged.len() == MAX_REMEMBERED {
            state.logged.pop_front();
        }
        state.logged.push_back(member.clone());
        state.last = Some(now);
        Some(Notice { member, suppressed: std::mem::replace(&mut state.suppressed, 0) + others })
    }
}

const INTERVAL: Duration = Duration::from_mins(1);
/// At 64 bytes each.
const MAX_REMEMBERED: usize = 64;
