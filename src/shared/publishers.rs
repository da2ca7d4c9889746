//! Publishers of events, and the numbers of their events that were applied.
//!
//! Each replica numbers its events. A number that is missing between two events, or that other replicas have acknowledged, is an
//! event that the log lost, unless it comes within some seconds. Then the local store is emptied, because an entry may be left
//! that a lost purge selects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::event::EventName;

/// Publishers whose events are numbered.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    known: HashMap<u64, Numbers>,
    /// Events before the first one of a publisher do not matter: the local store was empty when the log began.
    accepts_later_first: bool,
}

impl Publishers {
    /// Begins the first load of a log that is older than the content of the local store. `acknowledged` are the last events that
    /// replicas had applied before: no entry is left that these events concern, except for those in the log.
    pub(super) fn begin_first_load(
        &mut self,
        acknowledged: impl IntoIterator<Item = (u64, u64)>,
        now_ms: u64,
    ) {
        self.accepts_later_first = true;
        for (publisher, number) in acknowledged {
            self.insert(publisher, number, now_ms);
        }
    }

    /// Ends the first load. From now on the events of an unknown publisher begin with number 1.
    pub(super) fn end_first_load(&mut self) {
        self.accepts_later_first = false;
    }

    /// Records the number of an event in the log. `at_ms`: time of the event. Returns what the number says about the events before.
    pub(super) fn record(&mut self, name: EventName, at_ms: u64, now: Instant) -> Sequence {
        let before = if self.accepts_later_first { name.number.saturating_sub(1) } else { 0 };
        let numbers = self.insert(name.replica, before, at_ms);
        numbers.heard_ms = at_ms.max(numbers.heard_ms);
        numbers.is_heard = true;
        numbers.record(name.number, now)
    }

    /// Records that a replica has applied the events of a publisher up to a number. Those that did not come are missing.
    pub(super) fn expect(&mut self, publisher: u64, number: u64, (now, now_ms): (Instant, u64)) {
        self.insert(publisher, 0, now_ms).expect(number, now);
    }

    /// Returns whether events have been missing for so long that their publisher does not add them again.
    pub(super) fn have_lost_events(&self, now: Instant) -> bool {
        self.known.values().any(|numbers| numbers.is_lost(now))
    }

    /// Counts lost events as applied, because the local store was emptied.
    pub(super) fn give_up_lost(&mut self, now: Instant) {
        self.known
            .values_mut()
            .filter(|numbers| numbers.is_lost(now))
            .for_each(|numbers| numbers.give_up(now));
    }

    /// Counts all missing events as applied: the log was read to its end, and the local store was emptied.
    pub(super) fn give_up_missing(&mut self) {
        for numbers in self.known.values_mut() {
            (numbers.given_up, numbers.waiting) = (numbers.last, None);
        }
    }

    /// Forgets publishers that have stopped, after the time for which other replicas name their events.
    pub(super) fn retain(&mut self, alive: &HashSet<u64>, now_ms: u64) {
        let is_recent = |numbers: &Numbers| now_ms.saturating_sub(numbers.heard_ms) < 2 * NAMED_FOR_MS;
        self.known.retain(|publisher, numbers| alive.contains(publisher) || is_recent(numbers));
    }

    /// Returns whether an event of the log is applied.
    pub(super) fn has_applied(&self, name: EventName) -> bool {
        self.known.get(&name.replica).is_some_and(|numbers| numbers.applied() >= name.number)
    }

    /// Returns for this replica, and for each publisher with an event of the last hour, the number up to which all events are applied.
    pub(super) fn applied(&self, own: u64, now_ms: u64) -> impl Iterator<Item = (u64, u64)> {
        let is_named = move |publisher: u64, numbers: &Numbers| {
            publisher == own || (numbers.is_heard && now_ms.saturating_sub(numbers.heard_ms) < NAMED_FOR_MS)
        };
        let named = self.known.iter().filter(move |(publisher, numbers)| is_named(**publisher, numbers));
        named.map(|(publisher, numbers)| (*publisher, numbers.applied()))
    }

    /// Returns the numbers of a publisher. A new one, whose events up to `before` do not matter, replaces the publisher that was
    /// silent for longest if there are too many.
    fn insert(&mut self, publisher: u64, before: u64, heard_ms: u64) -> &mut Numbers {
        if self.known.len() >= MAX_PUBLISHERS && !self.known.contains_key(&publisher) {
            let silent = self.known.iter().min_by_key(|(_, numbers)| numbers.heard_ms);
            let silent = silent.map(|(silent, _)| *silent);
            silent.map(|silent| self.known.remove(&silent));
        }
        self.known.entry(publisher).or_insert_with(|| Numbers::new(before, heard_ms))
    }
}

/// Numbers of the events of one publisher.
#[derive(Debug)]
struct Numbers {
    /// Highest number of an event or of an acknowledgement.
    last: u64,
    /// Numbers up to `last` that did not come. They may come later: a publisher adds its events again after a failover.
    unseen: BTreeSet<u64>,
    /// For numbers up to this one it is not known whether they came. Their events are applied, perhaps a second time.
    unrecorded: u64,
    /// Numbers up to this one count as applied, because the local store was empty at a later time.
    given_up: u64,
    /// Highest missing number at a time, and the time.
    waiting: Option<(u64, Instant)>,
    /// Time of the last event, Unix milliseconds.
    heard_ms: u64,
    is_heard: bool,
}

impl Numbers {
    fn new(before: u64, heard_ms: u64) -> Self {
        Self {
            last: before,
            unseen: BTreeSet::new(),
            unrecorded: before,
            given_up: before,
            waiting: None,
            heard_ms,
            is_heard: false,
        }
    }

    fn record(&mut self, number: u64, now: Instant) -> Sequence {
        if number > self.last {
            let has_gap = number > self.last + 1;
            self.expect(number - 1, now);
            self.last = number;
            return if has_gap { Sequence::Gap } else { Sequence::Next };
        }
        let is_new = self.unseen.remove(&number) || number <= self.unrecorded;
        if self.waiting.is_some_and(|(until, _)| self.first_missing().is_none_or(|missing| missing > until)) {
            self.wait(now);
        }
        if is_new { Sequence::Next } else { Sequence::Copy }
    }

    /// Counts the numbers after the last one as missing.
    fn expect(&mut self, number: u64, now: Instant) {
        if number <= self.last {
            return;
        }
        let first = self.last.max(number.saturating_sub(MAX_UNSEEN)) + 1;
        if first > self.last + 1 {
            self.unrecorded = first - 1;
        }
        self.unseen.extend(first..=number);
        while self.unseen.len() as u64 > MAX_UNSEEN {
            self.unrecorded = self.unseen.pop_first().unwrap_or_default().max(self.unrecorded);
        }
        self.last = number;
        if self.waiting.is_none() {
            self.wait(now);
        }
    }

    /// Waits from now on for all numbers that are missing.
    fn wait(&mut self, now: Instant) {
        self.waiting = self.first_missing().map(|_| (self.last, now));
    }

    fn is_lost(&self, now: Instant) -> bool {
        self.waiting.is_some_and(|(_, since)| now.saturating_duration_since(since) > MAX_MISSING_TIME)
    }

    fn give_up(&mut self, now: Instant) {
        let until = self.waiting.map_or(0, |(until, _)| until);
        self.given_up = self.given_up.max(until);
        self.wait(now);
    }

    fn first_missing(&self) -> Option<u64> {
        let first = self.given_up + 1;
        if self.unrecorded >= first { Some(first) } else { self.unseen.range(first..).next().copied() }
    }

    /// Returns the number up to which all events are applied.
    fn applied(&self) -> u64 {
        self.first_missing().map_or(self.last, |missing| missing - 1)
    }
}

/// Position of an event among the events of its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// The event is the next one, or a missing one that came late.
    Next,
    /// Events in between are missing in the log.
    Gap,
    /// The event was applied before.
    Copy,
}

/// Unseen numbers of one publisher that are recorded.
const MAX_UNSEEN: u64 = 1000;
/// Time within which a publisher adds its events again after a failover or to a new log.
const MAX_MISSING_TIME: Duration = Duration::from_secs(2);
/// Time after its last event for which a publisher is named in acknowledgements.
pub(super) const NAMED_FOR_MS: u64 = 3600 * 1000;
/// Publishers that one acknowledgement names.
pub(super) const MAX_PUBLISHERS: usize = 1024;

#[cfg(test)]
mod tests;
