//! Publishers of events, and the numbers of their events that were applied.
//!
//! Each replica numbers its events. A hole in the numbers is an event that the log lost, and so is a number in an acknowledgement
//! that never came: after some seconds the local store is emptied, because an entry may be left that a lost purge selects.
//! An unknown publisher may have published before this process began. Its earlier events do not matter as long as the log
//! reaches back to a time at which the local store was empty.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::event::EventName;

/// Publishers whose events are numbered.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    known: HashMap<u64, Numbers>,
    /// Publishers of which only acknowledgements are known: the last number, and the time of the first acknowledgement.
    acknowledged: HashMap<u64, (u64, Instant)>,
    /// Whether the log holds, or held when it was read, all events since the local store was empty.
    is_complete: bool,
}

impl Publishers {
    /// Records that the log reaches back to a time at which the local store was empty.
    pub(super) fn trust_unknown(&mut self) {
        self.is_complete = true;
    }

    /// Records that a log was lost, and with it perhaps events of publishers that are not known.
    pub(super) fn doubt_unknown(&mut self) {
        self.is_complete = false;
    }

    /// Records the number of an event in the log. Returns what it says about the events before.
    pub(super) fn record(&mut self, name: EventName, now: Instant) -> Sequence {
        let last = if self.is_complete { name.number.saturating_sub(1) } else { 0 };
        let acknowledged = self.acknowledged.remove(&name.replica);
        let numbers = self.insert(name.replica, last, now);
        numbers.heard = now;
        let sequence = numbers.record(name.number, now);
        if let Some((number, _)) = acknowledged {
            numbers.expect(number, now);
        }
        sequence
    }

    /// Records that replicas have applied the events of a publisher up to a number. Those that are not known here are missing.
    pub(super) fn expect(&mut self, publisher: u64, number: u64, now: Instant) {
        if let Some(numbers) = self.known.get_mut(&publisher) {
            numbers.expect(number, now);
        } else if self.known.len() + self.acknowledged.len() < MAX_PUBLISHERS {
            let (known, _) = self.acknowledged.entry(publisher).or_insert((0, now));
            *known = number.max(*known);
        }
    }

    /// Returns whether events have been missing for so long that their publisher does not add them again.
    pub(super) fn have_lost_events(&mut self, now: Instant) -> bool {
        let is_over = |since: &Instant| now.saturating_duration_since(*since) > MAX_MISSING_TIME;
        let is_any_over = self.acknowledged.values().any(|(_, since)| is_over(since));
        if is_any_over && self.is_complete {
            // The events are older than the log, or none of them would be unknown by now.
            self.accept_acknowledged(now);
        }
        (is_any_over && !self.is_complete)
            || self.known.values().filter_map(|it| it.since.as_ref()).any(is_over)
    }

    /// Counts missing events as applied, because the local store was emptied.
    pub(super) fn forget_missing(&mut self, now: Instant) {
        self.accept_acknowledged(now);
        for numbers in self.known.values_mut() {
            *numbers = Numbers { heard: numbers.heard, ..Numbers::new(numbers.last, now) };
        }
        self.is_complete = true;
    }

    /// Returns whether an event of the log is applied.
    pub(super) fn has_applied(&self, name: EventName) -> bool {
        self.known.get(&name.replica).is_some_and(|numbers| numbers.contiguous() >= name.number)
    }

    /// Returns for each publisher the number up to which all its events are applied.
    pub(super) fn applied(&self) -> impl Iterator<Item = (u64, u64)> {
        self.known.iter().map(|(publisher, numbers)| (*publisher, numbers.contiguous()))
    }

    fn accept_acknowledged(&mut self, now: Instant) {
        for (publisher, (number, _)) in std::mem::take(&mut self.acknowledged) {
            self.insert(publisher, number, now);
        }
    }

    /// Returns the numbers of a publisher. A new one replaces the publisher that was silent for longest, if there are too many.
    fn insert(&mut self, publisher: u64, last: u64, now: Instant) -> &mut Numbers {
        if self.known.len() >= MAX_PUBLISHERS && !self.known.contains_key(&publisher) {
            let silent =
                self.known.iter().min_by_key(|(_, numbers)| numbers.heard).map(|(silent, _)| *silent);
            silent.map(|silent| self.known.remove(&silent));
        }
        self.known.entry(publisher).or_insert_with(|| Numbers::new(last, now))
    }
}

/// Numbers of the events of one publisher.
#[derive(Debug)]
struct Numbers {
    last: u64,
    /// Numbers up to `last` that were not in the log. They may come later: a publisher adds its events again after a failover.
    missing: BTreeSet<u64>,
    /// Last applied number before missing ones that are too many to be kept.
    applied_before: Option<u64>,
    /// Time since which some are missing.
    since: Option<Instant>,
    /// Time of the last event.
    heard: Instant,
}

impl Numbers {
    fn new(last: u64, heard: Instant) -> Self {
        Self { last, missing: BTreeSet::new(), applied_before: None, since: None, heard }
    }

    fn record(&mut self, number: u64, now: Instant) -> Sequence {
        if number <= self.last {
            let was_missing = self.missing.remove(&number);
            let is_whole = self.missing.is_empty() && self.applied_before.is_none();
            self.since = self.since.filter(|_| !is_whole);
            return if was_missing { Sequence::Next } else { Sequence::Copy };
        }
        let has_gap = number > self.last + 1;
        self.expect(number - 1, now);
        self.last = number;
        if has_gap { Sequence::Gap } else { Sequence::Next }
    }

    /// Counts the numbers after the last one as missing.
    fn expect(&mut self, number: u64, now: Instant) {
        if number <= self.last {
            return;
        }
        let applied = self.contiguous();
        let first = self.last.max(number.saturating_sub(MAX_MISSING)) + 1;
        let mut is_kept = first == self.last + 1;
        self.missing.extend(first..=number);
        while self.missing.len() as u64 > MAX_MISSING {
            self.missing.pop_first();
            is_kept = false;
        }
        if !is_kept {
            self.applied_before = Some(applied);
        }
        self.last = number;
        self.since = self.since.or(Some(now));
    }

    /// Returns the number up to which all events are applied.
    fn contiguous(&self) -> u64 {
        self.applied_before.or_else(|| self.missing.first().map(|missing| missing - 1)).unwrap_or(self.last)
    }
}

/// Position of an event among the events of its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// The next event, or the first one that this process sees.
    Next,
    /// Events in between are missing in the log.
    Gap,
    /// The event was in the log before.
    Copy,
}

/// Missing numbers of one publisher that are known.
const MAX_MISSING: u64 = 1000;
/// Time within which a publisher adds its events again after a failover or to a new log.
const MAX_MISSING_TIME: Duration = Duration::from_secs(2);
/// Publishers that one acknowledgement names.
pub(super) const MAX_PUBLISHERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHER: u64 = 9;

    fn name(number: u64) -> EventName {
        EventName { replica: PUBLISHER, number }
    }

    /// Publishers of a log that reaches back to the start, and the time.
    fn complete() -> (Publishers, Instant) {
        let mut publishers = Publishers::default();
        publishers.trust_unknown();
        (publishers, Instant::now())
    }

    #[test]
    fn copies_and_gaps_are_recognized_by_the_numbers() {
        let (mut publishers, now) = complete();
        let mut record = |number| publishers.record(name(number), now);
        assert_eq!(record(5), Sequence::Next, "the first event of a publisher from before the start");
        assert_eq!((record(5), record(8)), (Sequence::Copy, Sequence::Gap));
        assert_eq!(record(6), Sequence::Next, "late, after a failover");
        assert_eq!(publishers.applied().collect::<Vec<_>>(), [(PUBLISHER, 6)]);
        assert_eq!(publishers.record(name(6), now), Sequence::Copy);
        assert_eq!(publishers.record(name(7), now), Sequence::Next);
        assert!(publishers.has_applied(name(8)) && !publishers.has_applied(name(9)));
    }

    #[test]
    fn missing_events_that_were_given_up_count_as_applied_and_later_ones_are_confirmed_again() {
        let (mut publishers, now) = complete();
        publishers.record(name(1), now);
        assert_eq!(publishers.record(name(4), now), Sequence::Gap);
        assert!(!publishers.has_applied(name(4)) && !publishers.have_lost_events(now + MAX_MISSING_TIME));
        assert!(publishers.have_lost_events(now + 2 * MAX_MISSING_TIME));
        publishers.forget_missing(now);
        assert!(publishers.has_applied(name(4)) && !publishers.have_lost_events(now + 2 * MAX_MISSING_TIME));
        assert_eq!(publishers.record(name(2), now), Sequence::Copy, "the local store was emptied since");
        assert_eq!(publishers.record(name(5), now), Sequence::Next);
    }

    #[test]
    fn an_event_that_only_others_have_applied_is_missing_until_it_comes() {
        let (mut publishers, now) = complete();
        publishers.record(name(1), now);
        publishers.expect(PUBLISHER, 2, now);
        assert!(!publishers.has_applied(name(2)));
        assert_eq!(publishers.record(name(2), now), Sequence::Next);
        assert!(publishers.has_applied(name(2)) && !publishers.have_lost_events(now + 2 * MAX_MISSING_TIME));
        publishers.expect(PUBLISHER, 3, now);
        assert!(publishers.have_lost_events(now + 2 * MAX_MISSING_TIME));
    }

    #[test]
    fn an_unknown_publisher_has_lost_events_only_if_the_log_was_lost() {
        let (mut publishers, now) = complete();
        publishers.expect(PUBLISHER, 7, now);
        assert!(!publishers.have_lost_events(now + 2 * MAX_MISSING_TIME), "older than the log");
        assert!(publishers.has_applied(name(7)));
        assert_eq!(publishers.record(name(9), now), Sequence::Gap);

        let (mut publishers, now) = complete();
        publishers.doubt_unknown();
        publishers.expect(PUBLISHER, 7, now);
        assert!(!publishers.have_lost_events(now), "the events may be on their way");
        assert!(publishers.have_lost_events(now + 2 * MAX_MISSING_TIME));
        publishers.forget_missing(now);
        assert!(publishers.has_applied(name(7)));

        let (mut publishers, now) = complete();
        publishers.doubt_unknown();
        assert_eq!(publishers.record(name(2), now), Sequence::Gap, "the first event was lost");
    }

    #[test]
    fn an_event_on_its_way_is_applied_although_its_acknowledgement_came_first() {
        let (mut publishers, now) = complete();
        publishers.expect(PUBLISHER, 2, now);
        assert_eq!(publishers.record(name(1), now), Sequence::Next);
        assert!(!publishers.has_applied(name(2)));
        assert_eq!(publishers.record(name(2), now), Sequence::Next);
        assert!(publishers.has_applied(name(2)));
    }

    #[test]
    fn missing_events_that_are_too_many_to_be_kept_are_not_applied() {
        let (mut publishers, now) = complete();
        publishers.record(name(1), now);
        publishers.record(name(3 * MAX_MISSING), now);
        assert_eq!(publishers.applied().collect::<Vec<_>>(), [(PUBLISHER, 1)]);
        for number in 2 * MAX_MISSING..3 * MAX_MISSING {
            publishers.record(name(number), now);
        }
        assert!(!publishers.has_applied(name(2)) && publishers.have_lost_events(now + 2 * MAX_MISSING_TIME));
    }

    #[test]
    fn the_publisher_that_was_silent_for_longest_makes_room() {
        let (mut publishers, now) = complete();
        let second = Duration::from_secs(1);
        for replica in 0..=MAX_PUBLISHERS as u64 {
            publishers
                .record(EventName { replica, number: 1 }, now + second * u32::try_from(replica).unwrap());
        }
        assert_eq!(publishers.applied().count(), MAX_PUBLISHERS);
        assert!(!publishers.has_applied(EventName { replica: 0, number: 1 }));
        publishers.expect(u64::MAX, 5, now);
        assert!(publishers.acknowledged.is_empty(), "an acknowledgement makes no room");
    }
}
