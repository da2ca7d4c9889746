use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;

use super::table::{REVISIT, WAYS};
use super::*;
use crate::auth::{HashKeys, Identity};
use crate::cache::freshness::Lifetime;
use crate::http::validate::RequestView;
use crate::scrub::{Config, Scrubber};
use crate::support::clock::Clock;

/// 32,768 places.
const ROOM: Capacity = Capacity { tables: 64, sets: 64 };
/// One table.
const SMALL: Capacity = Capacity { tables: 1, sets: 64 };

/// Requests of one principal that differ in their targets alone, and one answer.
struct Stage {
    secrets: HashKeys,
    principal: Principal,
    clock: Clock,
    generations: Generations,
    entry: Arc<Entry>,
}

impl Stage {
    fn new() -> Self {
        let clock = Clock::manual(SystemTime::now());
        let (secrets, entry) = (HashKeys::random().unwrap(), Arc::new(entry(clock.now())));
        let principal = principal(&secrets, &clock, "ada");
        Self { secrets, principal, clock, generations: Generations::default(), entry }
    }

    fn generation(&self) -> Generation {
        self.generations.now(self.principal)
    }

    fn end_epoch(&self) {
        self.generations.end(self.principal);
    }

    fn spelling(&self, number: usize) -> RequestDigest {
        let request = Request::get(format!("/{number}")).header("authorization", "Bearer a.b.c");
        RequestDigest::compute(&RequestView::new(&request.body(()).unwrap().into_parts().0), &self.secrets)
            .unwrap()
    }

    fn remember(&self, number: usize, generation: Generation) {
        self.remember_in(ROOM, number, generation);
    }

    fn remember_in(&self, room: Capacity, number: usize, generation: Generation) {
        remember(
            self.spelling(number),
            room,
            (&self.generations, generation),
            self.clock.now(),
            &self.finding(),
        );
    }

    fn finding(&self) -> CachedLookup {
        let now = self.clock.now();
        let request = Request::get("/").header("authorization", "Bearer a.e30.c").body(()).unwrap();
        let identity = Identity::from_headers(request.headers(), &self.secrets).unwrap();
        CachedLookup {
            entry: Arc::clone(&self.entry),
            granted: now,
            end: TokenExpiry::after(now),
            tag: identity.tag,
        }
    }

    fn recalls(&self, number: usize) -> bool {
        recall(self.spelling(number), ROOM, &self.generations, self.clock.now()).is_some()
    }
}

fn principal(secrets: &HashKeys, clock: &Clock, name: &str) -> Principal {
    let end = clock.now().unix_seconds() + 3600;
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"tid":"t","oid":"{name}","exp":{end}}}"#));
    let request =
        Request::get("/").header("authorization", format!("Bearer a.{payload}.c")).body(()).unwrap();
    let identity = Identity::from_headers(request.headers(), secrets).unwrap();
    identity.token.claims(secrets, clock.now()).unwrap().principal
}

fn entry(asked: Now) -> Entry {
    let scrubber = Scrubber::new(&Config::default(), 1 << 20);
    let body = scrubber.scrub(b"{}").unwrap().body;
    Entry::new(body, &scrubber, &http::HeaderMap::new(), Lifetime::NONE, asked)
}

#[test]
fn the_same_request_is_known_again_and_no_other() {
    let stage = Stage::new();
    stage.remember(1, stage.generation());
    assert!(stage.recalls(1));
    assert!(!stage.recalls(2));
    assert!(!Stage::new().recalls(1), "another process has another key");
}

#[test]
fn what_was_looked_up_before_a_withdrawal_is_worth_nothing_after_it() {
    let stage = Stage::new();
    let before = stage.generation();
    stage.remember(1, before);
    stage.end_epoch();
    assert!(!stage.recalls(1));
    stage.remember(1, before);
    assert!(!stage.recalls(1), "the look-up began before, and what it found may be gone");
    stage.remember(1, stage.generation());
    assert!(stage.recalls(1));
}

#[test]
fn after_ten_seconds_the_store_is_asked_again() {
    let stage = Stage::new();
    stage.remember(1, stage.generation());
    stage.clock.advance(Duration::from_millis(9_999));
    assert!(stage.recalls(1));
    stage.clock.advance(Duration::from_millis(1));
    assert!(!stage.recalls(1));
}

#[test]
fn what_the_store_lets_go_is_gone() {
    let stage = Stage::new();
    stage.remember(1, stage.generation());
    let entry = Arc::downgrade(&stage.entry);
    drop(stage.entry);
    assert!(entry.upgrade().is_none());
}

/// Sets and taken places of the first table.
fn first_table() -> (usize, usize) {
    THREAD_CACHE.with_borrow(|front| (front.tables[0].sets(), front.tables[0].taken()))
}

#[test]
fn what_is_worth_nothing_gives_its_place_before_the_table_grows() {
    let mut stage = Stage::new();
    let remember = |stage: &Stage, number| stage.remember_in(SMALL, number, stage.generation());
    for number in 0..300 {
        remember(&stage, number);
        stage.end_epoch();
    }
    assert_eq!(first_table().0, 1, "withdrawn");
    for number in 300..600 {
        remember(&stage, number);
        stage.clock.advance(Duration::from_millis(REVISIT.into()));
    }
    assert_eq!(first_table().0, 1, "too old");
    for number in 600..900 {
        remember(&stage, number);
        stage.entry = Arc::new(entry(stage.clock.now()));
    }
    assert_eq!(first_table().0, 1, "gone");
    let held: Vec<_> = (900..1200)
        .map(|number| {
            remember(&stage, number);
            std::mem::replace(&mut stage.entry, Arc::new(entry(stage.clock.now())))
        })
        .collect();
    assert!(first_table().0 > 1, "{} are worth something", held.len());
}

#[test]
fn what_is_worth_nothing_does_not_wait_until_its_place_is_wanted() {
    let stage = Stage::new();
    (0..300).for_each(|number| stage.remember_in(SMALL, number, stage.generation()));
    let (sets, taken) = first_table();
    assert!(sets > 16 && taken > 200, "{taken} in {sets} sets");
    stage.end_epoch();
    // The same request again: it takes one place.
    (0..sets).for_each(|_| stage.remember_in(SMALL, 0, stage.generation()));
    assert_eq!(first_table(), (sets, 1));
}

#[test]
fn a_finding_is_spent_from_the_moment_in_which_nobody_is_given_it() {
    let stage = Stage::new();
    let (generation, now) = (stage.generation(), stage.clock.now());
    let slot = Slot::new(stage.spelling(1), generation, now, &stage.finding());
    let (last, fresh) = (now.monotonic_millis_u32().wrapping_add(REVISIT - 1), Generations::default());
    assert!(!slot.is_spent(&stage.generations, last));
    assert!(slot.is_spent(&stage.generations, last.wrapping_add(1)));
    stage.end_epoch();
    assert!(slot.is_spent(&stage.generations, last) && !slot.is_spent(&fresh, last));
    drop(stage);
    assert!(slot.is_spent(&fresh, last));
}

#[test]
fn what_one_principal_loses_is_remembered_of_all_others_but_a_few_and_a_purge_ends_all() {
    let (stage, clock) = (Stage::new(), Clock::manual(SystemTime::now()));
    let others: Vec<_> =
        (0..500).map(|name| principal(&stage.secrets, &clock, &format!("user {name}"))).collect();
    let generations: Vec<_> = others.iter().map(|other| stage.generations.now(*other)).collect();
    let last = || generations.iter().filter(|generation| stage.generations.is_now(**generation)).count();
    for _ in 0..1_000 {
        stage.end_epoch();
    }
    assert!(last() >= 490, "{} of 500", last());
    stage.generations.end_all();
    assert_eq!(last(), 0);
}

#[test]
fn nearly_all_of_ten_thousand_requests_are_known_in_little_room_and_there_is_an_end() {
    let stage = Stage::new();
    let known = |count: usize| (0..count).filter(|number| stage.recalls(*number)).count();
    // What lost its place while there was little room is looked up again.
    for _ in 0..3 {
        let unknown = (0..10_000).filter(|number| !stage.recalls(*number));
        unknown.for_each(|number| stage.remember(number, stage.generation()));
    }
    assert!(known(10_000) > 9_500, "{}", known(10_000));
    let places: usize =
        THREAD_CACHE.with_borrow(|front| front.tables.iter().map(|table| table.sets() * WAYS).sum());
    assert!(places <= 2 * 10_000, "{places}");
    (0..50_000).for_each(|number| stage.remember(number, stage.generation()));
    let most = ROOM.tables * ROOM.sets * WAYS;
    assert!((most * 9 / 10..=most).contains(&known(50_000)), "{}", known(50_000));
    assert!(stage.recalls(49_999), "the newest has its place");
    THREAD_CACHE.with_borrow(|front| assert!(front.tables.iter().all(|table| table.sets() == ROOM.sets)));
}

#[test]
fn there_is_room_for_as_much_as_the_bytes_hold_and_for_one_set_at_least() {
    assert_eq!(Capacity::within(4 << 20), ROOM, "of `cache.max_bytes` as it is by default");
    for bytes in [0, 1, 576, 1_000, 100_000, 37 << 20, u64::MAX] {
        let Capacity { tables, sets } = Capacity::within(bytes);
        assert!(tables.is_power_of_two() && sets.is_power_of_two() && tables <= TABLES);
        let taken = (tables * sets) as u128 * SET_BYTES as u128;
        assert!(taken <= u128::from(bytes.max(576)) && taken * 2 > u128::from(bytes), "{bytes}: {taken}");
    }
}

#[test]
fn a_place_is_one_line_of_memory() {
    assert_eq!((size_of::<Option<Slot>>(), SET_BYTES), (64, (64 + 8) * WAYS));
}
