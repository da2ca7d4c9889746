//! Index of the events that make values invalid.
//!
//! The index answers one question: is an event that matches a value newer than the position of the value? An event of this
//! process is `pending` until the store has numbered it, and counts as newer than every value.

use std::collections::{HashMap, VecDeque};

use super::event::{EventName, LogId, Position};
use super::handler::ResourceForm;
use super::publishers::Publishers;
use super::record::Stamp;
use crate::auth::Claims;
use crate::cache::purge::PurgeSelector;
use crate::resource::Resource;

/// Values that an event makes invalid, in the terms of this process.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Matcher {
    Purge(PurgeSelector),
    Withdraw(Vec<[u8; 16]>, Option<ResourceForm>),
    Renew(Vec<[u8; 16]>, ResourceForm),
}

/// Request whose value is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) claims: &'a Claims,
    /// Hash of the principal under the second secret: an event may have only this one.
    pub(super) other_principal: Option<[u8; 16]>,
    pub(super) resource: &'a Resource,
    pub(super) form: &'a ResourceForm,
}

/// Events since the floor.
#[derive(Debug, Default)]
pub(super) struct EventIndex {
    /// `None` until the log is read for the first time.
    position: Option<Position>,
    /// Values with an earlier position are invalid: events before the floor are not known.
    floor: LogId,
    purges: VecDeque<(LogId, PurgeSelector)>,
    withdrawn: HashMap<[u8; 16], LogId>,
    withdrawn_resources: HashMap<([u8; 16], ResourceForm), LogId>,
    renewed: HashMap<([u8; 16], ResourceForm), (LogId, EventName)>,
    pending: Vec<(EventName, Matcher)>,
    /// Publishers of events and the numbers of their events.
    pub(super) publishers: Publishers,
}

impl EventIndex {
    /// Returns the position for a fetch that begins now.
    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// Sets the position after all events up to it are inserted and applied.
    pub(super) fn advance(&mut self, position: Position) {
        self.position = Some(position);
    }

    /// Begins a log: values of earlier logs, and values with an earlier position, are invalid.
    pub(super) fn begin(&mut self, position: Position) {
        self.position = Some(position);
        self.floor = position.id;
    }

    /// Raises the floor: events before it are missing.
    pub(super) fn raise_floor(&mut self, floor: LogId) {
        self.floor = self.floor.max(floor);
    }

    /// Sets the floor after the whole log was read.
    pub(super) fn set_floor(&mut self, floor: LogId) {
        self.floor = floor;
    }

    /// Raises the floor to the position. The local store was emptied because of missing events, and the values of the store from
    /// before must not fill it again.
    pub(super) fn raise_floor_to_position(&mut self) {
        if let Some(position) = self.position {
            self.raise_floor(position.id);
        }
    }

    /// Adds an event of this process that the store has not numbered yet.
    pub(super) fn insert_pending(&mut self, name: EventName, matcher: Matcher) {
        self.pending.push((name, matcher));
    }

    /// Numbers a pending event.
    pub(super) fn resolve(&mut self, name: EventName, id: LogId) {
        if let Some(at) = self.pending.iter().position(|(known, _)| *known == name) {
            let (name, matcher) = self.pending.swap_remove(at);
            self.insert(id, name, matcher);
        }
    }

    /// Adds an event of the log.
    pub(super) fn insert(&mut self, id: LogId, name: EventName, matcher: Matcher) {
        match matcher {
            Matcher::Purge(selector) => {
                let at = self.purges.partition_point(|(known, _)| *known <= id);
                self.purges.insert(at, (id, selector));
            }
            Matcher::Withdraw(principals, None) => {
                for principal in principals {
                    let known = self.withdrawn.entry(principal).or_default();
                    *known = id.max(*known);
                }
            }
            Matcher::Withdraw(principals, Some(form)) => {
                for principal in principals {
                    let known = self.withdrawn_resources.entry((principal, form.clone())).or_default();
                    *known = id.max(*known);
                }
            }
            Matcher::Renew(principals, form) => {
                for principal in principals {
                    let known = self.renewed.entry((principal, form.clone())).or_insert((id, name));
                    if known.0 < id {
                        *known = (id, name);
                    }
                }
            }
        }
        self.limit(id);
    }

    /// Drops events that are older than any value, and all events if there are too many: then the floor replaces them.
    fn limit(&mut self, newest: LogId) {
        let oldest = newest.ms.saturating_sub(MAX_VALUE_LIFE_MS);
        while self.purges.front().is_some_and(|(id, _)| id.ms < oldest) {
            self.purges.pop_front();
        }
        let count =
            self.purges.len() + self.withdrawn.len() + self.withdrawn_resources.len() + self.renewed.len();
        if count > MAX_EVENTS {
            self.withdrawn.retain(|_, id| id.ms >= oldest);
            self.withdrawn_resources.retain(|_, id| id.ms >= oldest);
            self.renewed.retain(|_, (id, _)| id.ms >= oldest);
            let count = self.purges.len()
                + self.withdrawn.len()
                + self.withdrawn_resources.len()
                + self.renewed.len();
            if count > MAX_EVENTS / 4 * 3 {
                self.floor = self.floor.max(newest);
                self.purges.clear();
                self.withdrawn.clear();
                self.withdrawn_resources.clear();
                self.renewed.clear();
            }
        }
    }

    /// Returns whether a value of this log is valid: no matching event is newer than its position.
    pub(super) fn admits(&self, subject: Subject<'_>, stamp: &Stamp) -> bool {
        self.admits_after(subject, stamp, None)
    }

    /// Returns whether the response of a forced refresh may be written. `last`: the last event of this process when the fetch
    /// began. Forced refreshes up to this event had their responses before, so their events do not make the response invalid,
    /// although the log may not have been read up to them.
    pub(super) fn admits_after(&self, subject: Subject<'_>, stamp: &Stamp, last: Option<EventName>) -> bool {
        let Position { generation, id: position } = stamp.position;
        if self.position.is_none_or(|own| own.generation != generation) || position < self.floor {
            return false;
        }
        let own = subject.claims.principal.to_bytes();
        let is_exempt = |name: &EventName| {
            stamp.renewal == Some(*name)
                || last.is_some_and(|last| last.replica == name.replica && name.number <= last.number)
        };
        let is_newer = |id: Option<&LogId>| id.is_some_and(|id| *id > position);
        let is_refused = [Some(own), subject.other_principal].into_iter().flatten().any(|principal| {
            let key = (principal, subject.form.clone());
            let renewed = self.renewed.get(&key);
            is_newer(self.withdrawn.get(&principal))
                || is_newer(self.withdrawn_resources.get(&key))
                || renewed.is_some_and(|(id, name)| *id > position && !is_exempt(name))
        });
        let selects = |selector: &PurgeSelector| selector.selects(Some(subject.claims), subject.resource);
        let is_purged =
            self.purges.iter().rev().take_while(|(id, _)| *id > position).any(|(_, it)| selects(it));
        let is_pending = self.pending.iter().any(|(name, matcher)| match matcher {
            Matcher::Purge(selector) => selects(selector),
            Matcher::Withdraw(principals, form) => {
                principals.contains(&own) && form.as_ref().is_none_or(|form| form == subject.form)
            }
            Matcher::Renew(principals, form) => {
                principals.contains(&own) && form == subject.form && !is_exempt(name)
            }
        });
        !is_refused && !is_purged && !is_pending
    }
}

/// Longest life of a value in the store.
pub(super) const MAX_VALUE_LIFE_MS: u64 = 3600 * 1000;
/// Events of the index. The log itself has about 10,000.
const MAX_EVENTS: usize = 20_000;

#[cfg(test)]
mod tests;
