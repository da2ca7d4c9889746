use super::*;

const PUBLISHER: u64 = 9;
const OWN: u64 = 1;

fn name(number: u64) -> EventName {
    EventName { replica: PUBLISHER, number }
}

/// Publishers after the first load, the time, and a time at which missing events are lost.
fn loaded() -> (Publishers, Instant, Instant) {
    let now = Instant::now();
    (Publishers::default(), now, now + 2 * MAX_MISSING_TIME)
}

#[test]
fn copies_and_gaps_are_recognized_by_the_numbers() {
    let (mut publishers, now, _) = loaded();
    let mut record = |number| publishers.record(name(number), 0, now);
    assert_eq!((record(1), record(1), record(4)), (Sequence::Next, Sequence::Copy, Sequence::Gap));
    assert_eq!((record(2), record(2)), (Sequence::Next, Sequence::Copy), "late, after a failover");
    assert!(publishers.has_applied(name(2)) && !publishers.has_applied(name(4)));
    assert_eq!(publishers.record(name(3), 0, now), Sequence::Next);
    assert!(publishers.has_applied(name(4)) && !publishers.has_applied(name(5)));
}

#[test]
fn lost_events_count_as_applied_once_the_store_is_empty_and_are_applied_if_they_come_after_all() {
    let (mut publishers, now, later) = loaded();
    publishers.record(name(1), 0, now);
    assert_eq!(publishers.record(name(4), 0, now), Sequence::Gap);
    assert!(!publishers.has_applied(name(4)) && !publishers.have_lost_events(now + MAX_MISSING_TIME));
    assert!(publishers.have_lost_events(later));
    publishers.give_up_lost(later);
    assert!(publishers.has_applied(name(4)) && !publishers.have_lost_events(later + 2 * MAX_MISSING_TIME));
    assert_eq!(publishers.record(name(2), 0, later), Sequence::Next);
    assert_eq!(publishers.record(name(5), 0, later), Sequence::Next);
}

#[test]
fn an_event_that_only_others_have_applied_is_missing_until_it_comes() {
    let (mut publishers, now, later) = loaded();
    publishers.record(name(1), 0, now);
    publishers.expect(PUBLISHER, 2, (now, 0));
    assert!(!publishers.has_applied(name(2)));
    assert_eq!(publishers.record(name(2), 0, now), Sequence::Next);
    assert!(publishers.has_applied(name(2)) && !publishers.have_lost_events(later));
    publishers.expect(PUBLISHER, 3, (now, 0));
    assert!(publishers.have_lost_events(later));
}

#[test]
fn an_event_that_was_acknowledged_shortly_before_the_store_was_emptied_is_not_given_up() {
    let (mut publishers, now, later) = loaded();
    publishers.expect(7, 7, (now, 0));
    publishers.expect(PUBLISHER, 1, (now, 0));
    publishers.expect(PUBLISHER, 2, (later, 0));
    publishers.expect(8, 1, (later, 0));
    publishers.give_up_lost(later);
    assert!(publishers.has_applied(EventName { replica: 7, number: 7 }));
    assert!(publishers.has_applied(name(1)) && !publishers.has_applied(name(2)));
    assert!(!publishers.has_applied(EventName { replica: 8, number: 1 }));
    assert_eq!(publishers.record(name(2), 0, later), Sequence::Next);
    assert!(publishers.has_applied(name(2)));
}

#[test]
fn an_unknown_publisher_begins_with_its_first_event_except_in_the_first_load() {
    let (mut publishers, now, later) = loaded();
    assert_eq!(publishers.record(name(2), 0, now), Sequence::Gap, "the first event was lost");
    assert!(publishers.have_lost_events(later));

    let (mut publishers, now, later) = loaded();
    publishers.begin_first_load([(8, 5)], 0);
    assert_eq!(publishers.record(name(3), 0, now), Sequence::Next, "earlier ones are older than the log");
    assert_eq!(publishers.record(EventName { replica: 8, number: 4 }, 0, now), Sequence::Next, "in the log");
    publishers.end_first_load();
    assert!(
        publishers.has_applied(EventName { replica: 8, number: 5 }) && !publishers.have_lost_events(later)
    );
    assert_eq!(publishers.record(EventName { replica: 8, number: 6 }, 0, now), Sequence::Next);
    assert_eq!(publishers.record(EventName { replica: 2, number: 2 }, 0, now), Sequence::Gap);
}

#[test]
fn unseen_events_that_are_too_many_to_be_recorded_are_applied_when_they_come() {
    let (mut publishers, now, later) = loaded();
    publishers.record(name(1), 0, now);
    publishers.expect(PUBLISHER, 3 * MAX_UNSEEN, (now, 0));
    for number in 2..=3 * MAX_UNSEEN {
        assert_eq!(publishers.record(name(number), 0, now), Sequence::Next, "{number}");
    }
    assert!(
        !publishers.has_applied(name(2)) && publishers.have_lost_events(later),
        "it is not known which came"
    );
    publishers.give_up_lost(later);
    assert!(publishers.has_applied(name(3 * MAX_UNSEEN)));
}

#[test]
fn a_publisher_is_named_for_an_hour_and_forgotten_an_hour_later() {
    let (mut publishers, now, _) = loaded();
    publishers.record(name(1), 1000, now);
    publishers.record(EventName { replica: OWN, number: 1 }, 1000, now);
    let named = |publishers: &Publishers, now_ms| {
        let mut named: Vec<_> = publishers.applied(OWN, now_ms).map(|(publisher, _)| publisher).collect();
        named.sort_unstable();
        named
    };
    assert_eq!(named(&publishers, 1000 + NAMED_FOR_MS - 1), [OWN, PUBLISHER]);
    assert_eq!(named(&publishers, 1000 + NAMED_FOR_MS), [OWN]);
    publishers.retain(&HashSet::from([OWN]), 1000 + 2 * NAMED_FOR_MS - 1);
    assert!(publishers.has_applied(name(1)));
    publishers.retain(&HashSet::from([OWN]), 1000 + 2 * NAMED_FOR_MS);
    assert!(!publishers.has_applied(name(1)));
    assert!(publishers.has_applied(EventName { replica: OWN, number: 1 }), "it is alive");
}

#[test]
fn a_publisher_that_is_only_known_from_acknowledgements_is_not_named() {
    let (mut publishers, now, later) = loaded();
    publishers.expect(PUBLISHER, 1, (now, 0));
    publishers.give_up_lost(later);
    assert!(publishers.has_applied(name(1)) && publishers.applied(OWN, 0).count() == 0);
}

#[test]
fn the_publisher_that_was_silent_for_longest_makes_room() {
    let (mut publishers, now, _) = loaded();
    for replica in 0..=MAX_PUBLISHERS as u64 {
        publishers.record(EventName { replica, number: 1 }, replica, now);
    }
    assert_eq!(publishers.applied(OWN, 0).count(), MAX_PUBLISHERS);
    assert!(!publishers.has_applied(EventName { replica: 0, number: 1 }));
}
