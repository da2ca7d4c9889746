use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;

use super::max_age::{WITH_EVICTIONS_MS, WITH_SPACE_MS};
use super::table::SLOTS_PER_SET;
use super::*;
use crate::auth::{HashKeys, Identity};
use crate::cache::entry::EntityTagHasher;
use crate::cache::freshness::Lifetime;
use crate::http::validate::RequestView;
use crate::scrub::{Config, Scrubber};
use crate::support::clock::Clock;

/// 32,768 slots.
const CAPACITY: Capacity = Capacity { tables: 64, sets: 64 };
/// One table.
const SMALL: Capacity = Capacity { tables: 1, sets: 64 };

/// Requests of one principal that differ only in their targets, and one entry.
struct Stage {
    hash_keys: HashKeys,
    principal: Principal,
    clock: Clock,
    generations: Generations,
    max_age: MaxAge,
    entry: Arc<Entry>,
}

impl Stage {
    fn new() -> Self {
        let clock = Clock::manual(SystemTime::now());
        let (hash_keys, entry) = (HashKeys::random().unwrap(), Arc::new(entry(clock.now())));
        let principal = principal(&hash_keys, &clock, "ada");
        let (generations, max_age) = (Generations::default(), MaxAge::default());
        Self { hash_keys, principal, clock, generations, max_age, entry }
    }

    fn validity(&self) -> Validity<'_> {
        Validity::new(&self.generations, &self.max_age, self.clock.now())
    }

    fn generation(&self) -> Generation {
        self.generations.current(self.principal)
    }

    fn advance_generation(&self) {
        self.generations.advance(self.principal);
    }

    fn digest(&self, number: usize) -> RequestDigest {
        let request = Request::get(format!("/{number}")).header("authorization", "Bearer a.b.c");
        let head = request.body(()).unwrap().into_parts().0;
        let view = RequestView::new(&head);
        RequestDigest::compute(&view, &self.hash_keys).unwrap().0
    }

    fn insert(&self, number: usize, generation: Generation) {
        self.insert_in(CAPACITY, number, generation);
    }

    fn insert_in(&self, capacity: Capacity, number: usize, generation: Generation) {
        insert(self.digest(number), capacity, generation, self.validity(), &self.lookup());
    }

    fn lookup(&self) -> CachedLookup {
        let now = self.clock.now();
        let request = Request::get("/").header("authorization", "Bearer a.e30.c").body(()).unwrap();
        let identity = Identity::from_headers(request.headers(), &self.hash_keys).unwrap();
        CachedLookup {
            entry: Arc::clone(&self.entry),
            granted_at: now,
            expiry: TokenExpiry::after(now),
            log_tag: identity.log_tag,
        }
    }

    fn has_lookup(&self, number: usize) -> bool {
        get(self.digest(number), CAPACITY, self.validity()).is_some()
    }
}

fn principal(hash_keys: &HashKeys, clock: &Clock, name: &str) -> Principal {
    let end = clock.now().unix_seconds() + 3600;
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"tid":"t","oid":"{name}","exp":{end}}}"#));
    let request =
        Request::get("/").header("authorization", format!("Bearer a.{payload}.c")).body(()).unwrap();
    let identity = Identity::from_headers(request.headers(), hash_keys).unwrap();
    identity.token.claims(hash_keys, clock.now()).unwrap().principal
}

fn entry(requested_at: Now) -> Entry {
    let scrubber = Scrubber::new(&Config::default(), 1 << 20);
    let body = scrubber.scrub(b"{}").unwrap().body;
    let entity_tags = EntityTagHasher::new(scrubber.policy_bytes());
    Entry::new(body, &entity_tags, &http::HeaderMap::new(), Lifetime::NONE, requested_at)
}

#[test]
fn only_an_identical_request_is_found() {
    let stage = Stage::new();
    stage.insert(1, stage.generation());
    assert!(stage.has_lookup(1));
    assert!(!stage.has_lookup(2));
    assert!(!Stage::new().has_lookup(1), "another process has another key");
}

#[test]
fn a_lookup_from_before_a_revocation_is_invalid_after_it() {
    let stage = Stage::new();
    let before = stage.generation();
    stage.insert(1, before);
    stage.advance_generation();
    assert!(!stage.has_lookup(1));
    stage.insert(1, before);
    assert!(!stage.has_lookup(1), "the lookup began before the revocation, so its proof may be revoked");
    stage.insert(1, stage.generation());
    assert!(stage.has_lookup(1));
}

#[test]
fn a_lookup_is_repeated_after_five_minutes_and_after_ten_seconds_once_the_store_evicts() {
    let stage = Stage::new();
    for (max_age_ms, is_space_scarce) in
        [(WITH_SPACE_MS, false), (WITH_EVICTIONS_MS, true), (WITH_SPACE_MS, false)]
    {
        stage.max_age.record_scarcity(is_space_scarce);
        stage.insert(1, stage.generation());
        stage.clock.advance(Duration::from_millis(u64::from(max_age_ms) - 1));
        assert!(stage.has_lookup(1), "{max_age_ms}");
        stage.clock.advance(Duration::from_millis(1));
        assert!(!stage.has_lookup(1), "{max_age_ms}");
    }
}

#[test]
fn the_thread_cache_does_not_keep_evicted_entries() {
    let stage = Stage::new();
    stage.insert(1, stage.generation());
    let entry = Arc::downgrade(&stage.entry);
    drop(stage.entry);
    assert!(entry.upgrade().is_none());
}

/// Numbers of sets and of occupied slots of the first table.
fn first_table() -> (usize, usize) {
    THREAD_CACHE.with_borrow(|cache| (cache.tables[0].sets(), cache.tables[0].taken()))
}

#[test]
fn an_invalid_slot_is_replaced_before_the_table_grows() {
    let mut stage = Stage::new();
    let insert_lookup = |stage: &Stage, number| stage.insert_in(SMALL, number, stage.generation());
    for number in 0..300 {
        insert_lookup(&stage, number);
        stage.advance_generation();
    }
    assert_eq!(first_table().0, 1, "revoked");
    for number in 300..600 {
        insert_lookup(&stage, number);
        stage.clock.advance(Duration::from_millis(WITH_SPACE_MS.into()));
    }
    assert_eq!(first_table().0, 1, "too old");
    for number in 600..900 {
        insert_lookup(&stage, number);
        stage.entry = Arc::new(entry(stage.clock.now()));
    }
    assert_eq!(first_table().0, 1, "gone");
    let held: Vec<_> = (900..1200)
        .map(|number| {
            insert_lookup(&stage, number);
            std::mem::replace(&mut stage.entry, Arc::new(entry(stage.clock.now())))
        })
        .collect();
    assert!(first_table().0 > 1, "{} are valid", held.len());
}

#[test]
fn invalid_slots_are_cleared_before_their_slot_is_needed() {
    let stage = Stage::new();
    (0..300).for_each(|number| stage.insert_in(SMALL, number, stage.generation()));
    let (sets, taken) = first_table();
    assert!(sets > 16 && taken > 200, "{taken} in {sets} sets");
    stage.advance_generation();
    // The same request each time occupies one slot.
    (0..sets).for_each(|_| stage.insert_in(SMALL, 0, stage.generation()));
    assert_eq!(first_table(), (sets, 1));
}

#[test]
fn a_lookup_is_invalid_from_the_moment_in_which_it_is_not_returned() {
    let stage = Stage::new();
    let (generation, now) = (stage.generation(), stage.clock.now());
    let slot = Slot::new(stage.digest(1), generation, now.monotonic_millis_u32(), &stage.lookup());
    let fresh = Generations::default();
    let at = |generations, millis: u32| {
        let now = now.plus(Duration::from_millis(millis.into()));
        slot.is_invalid(Validity::new(generations, &MaxAge::default(), now))
    };
    let last = WITH_SPACE_MS - 1;
    assert!(!at(&stage.generations, last));
    assert!(at(&stage.generations, last + 1));
    stage.advance_generation();
    assert!(at(&stage.generations, last) && !at(&fresh, last));
    drop(stage.entry);
    assert!(at(&fresh, last));
}

#[test]
fn a_revocation_advances_the_generations_of_few_other_principals_and_a_purge_advances_all() {
    let (stage, clock) = (Stage::new(), Clock::manual(SystemTime::now()));
    let others: Vec<_> =
        (0..500).map(|name| principal(&stage.hash_keys, &clock, &format!("user {name}"))).collect();
    let generations: Vec<_> = others.iter().map(|other| stage.generations.current(*other)).collect();
    let current =
        || generations.iter().filter(|generation| stage.generations.is_current(**generation)).count();
    for _ in 0..1_000 {
        stage.advance_generation();
    }
    assert!(current() >= 490, "{} of 500", current());
    stage.generations.advance_all();
    assert_eq!(current(), 0);
}

#[test]
fn nearly_all_of_ten_thousand_requests_are_found_and_the_size_is_limited() {
    let stage = Stage::new();
    let known = |count: usize| (0..count).filter(|number| stage.has_lookup(*number)).count();
    // Lookups that were replaced while the tables were small are inserted again.
    for _ in 0..3 {
        let unknown = (0..10_000).filter(|number| !stage.has_lookup(*number));
        unknown.for_each(|number| stage.insert(number, stage.generation()));
    }
    assert!(known(10_000) > 9_500, "{}", known(10_000));
    let places: usize =
        THREAD_CACHE.with_borrow(|cache| cache.tables.iter().map(|table| table.sets() * SLOTS_PER_SET).sum());
    assert!(places <= 2 * 10_000, "{places}");
    (0..50_000).for_each(|number| stage.insert(number, stage.generation()));
    let most = CAPACITY.tables * CAPACITY.sets * SLOTS_PER_SET;
    assert!((most * 9 / 10..=most).contains(&known(50_000)), "{}", known(50_000));
    assert!(stage.has_lookup(49_999), "the newest is present");
    THREAD_CACHE.with_borrow(|cache| assert!(cache.tables.iter().all(|table| table.sets() == CAPACITY.sets)));
}

#[test]
fn the_capacity_fits_the_bytes_and_is_at_least_one_set() {
    assert_eq!(Capacity::from_bytes(4 << 20), CAPACITY, "a part of the default `cache.max_bytes`");
    for bytes in [0, 1, 576, 1_000, 100_000, 37 << 20, u64::MAX] {
        let Capacity { tables, sets } = Capacity::from_bytes(bytes);
        assert!(tables.is_power_of_two() && sets.is_power_of_two() && tables <= TABLES_PER_THREAD);
        let taken = (tables * sets) as u128 * SET_BYTES as u128;
        assert!(taken <= u128::from(bytes.max(576)) && taken * 2 > u128::from(bytes), "{bytes}: {taken}");
    }
}

#[test]
fn a_slot_is_one_cache_line() {
    assert_eq!((size_of::<Option<Slot>>(), SET_BYTES), (64, (64 + 8) * SLOTS_PER_SET));
}
