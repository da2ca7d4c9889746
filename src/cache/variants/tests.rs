//! Which responses of one key are stored together, and in what order.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::auth::{HashKeys, Identity, TokenHash};
use crate::cache::entry::EntityTagHasher;
use crate::cache::freshness::Lifetime;
use crate::scrub::{Config, Scrubber};
use crate::support::clock::{Clock, Now};

/// Source of responses of one key that differ in their time and in their selecting fields.
struct Stage {
    hasher: SecondaryKeyHasher,
    token: TokenHash,
    start: Now,
}

impl Stage {
    fn new() -> Self {
        let bearer = fields("authorization", "Bearer a");
        let token = Identity::from_headers(&bearer, &HashKeys::random().unwrap()).unwrap().token_hash;
        Self { hasher: SecondaryKeyHasher::default(), token, start: Clock::manual(SystemTime::now()).now() }
    }

    /// Creates the response to a request at `second` that `value` of `field` selected.
    fn secondary_key(&self, second: u64, field: &str, value: &str) -> Arc<Entry> {
        let request = fields(field, value);
        let request = SelectingRequest { headers: &request, token: self.token };
        self.entry(second, self.hasher.compute(&fields("vary", field), request).unwrap())
    }

    fn entry(&self, second: u64, secondary_key: Option<crate::cache::vary::SecondaryKey>) -> Arc<Entry> {
        self.given(second, 0, secondary_key)
    }

    /// Creates the response to a request at `second`, with distinct bytes for each `view`.
    fn given(
        &self,
        second: u64,
        view: u8,
        secondary_key: Option<crate::cache::vary::SecondaryKey>,
    ) -> Arc<Entry> {
        let scrubber = Scrubber::new(&Config::default(), 1 << 20);
        let body = scrubber.scrub(format!("{{\"view\":{view}}}").as_bytes()).unwrap().body;
        let requested_at = self.start.plus(Duration::from_secs(second));
        let entity_tags = EntityTagHasher::new(scrubber.policy_bytes());
        let entry = Entry::new(body, &entity_tags, &HeaderMap::new(), Lifetime::NONE, requested_at);
        Arc::new(entry.with_optional_parts(None, secondary_key))
    }
}

fn fields(name: &str, value: &str) -> HeaderMap {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

/// Returns whether exactly these entries are stored, in this order.
fn are(variants: &Variants, wanted: &[&Arc<Entry>]) -> bool {
    variants.entries().len() == wanted.len()
        && variants.entries().zip(wanted).all(|(one, other)| Arc::ptr_eq(one, other))
}

#[test]
fn l33_a_response_selected_by_other_values_stays_and_one_by_the_same_is_replaced() {
    let stage = Stage::new();
    let (de, en, newer) = (
        stage.secondary_key(0, "accept-language", "de"),
        stage.secondary_key(1, "accept-language", "en"),
        stage.secondary_key(2, "accept-language", "de"),
    );
    let both = Variants::single(Arc::clone(&de)).with_entry(&en, None, None, HOUR).unwrap();
    assert!(are(&both, &[&en, &de]));
    assert!(are(&both.with_entry(&newer, None, None, HOUR).unwrap(), &[&newer, &en]));
}

#[test]
fn l33_a_response_with_other_selecting_fields_is_removed() {
    let stage = Stage::new();
    let (de, cookie, alike) = (
        stage.secondary_key(0, "accept-language", "de"),
        stage.secondary_key(1, "cookie", "a"),
        stage.entry(2, None),
    );
    let variants = Variants::single(de).with_entry(&cookie, None, None, HOUR).unwrap();
    assert!(are(&variants, &[&cookie]));
    let variants = variants.with_entry(&alike, None, None, HOUR).unwrap();
    assert!(are(&variants, &[&alike]), "no selecting fields");
    let again = stage.secondary_key(3, "cookie", "a");
    assert!(are(&variants.with_entry(&again, None, None, HOUR).unwrap(), &[&again]));
}

#[test]
fn l34_the_newest_is_first_although_the_response_to_an_older_request_arrives_later() {
    let stage = Stage::new();
    let [de, en, fr] = ["de", "en", "fr"].map(|value| move |second| (second, value));
    let [de, en, fr] =
        [de(3), en(1), fr(2)].map(|(second, value)| stage.secondary_key(second, "accept-language", value));
    let variants = Variants::single(Arc::clone(&de))
        .with_entry(&en, None, None, HOUR)
        .unwrap()
        .with_entry(&fr, None, None, HOUR)
        .unwrap();
    assert!(are(&variants, &[&de, &fr, &en]));
    assert!(
        variants.with_entry(&stage.secondary_key(2, "accept-language", "de"), None, None, HOUR).is_none(),
        "a newer one is stored"
    );
}

#[test]
fn a_renewed_response_is_removed_regardless_of_its_selecting_fields() {
    let stage = Stage::new();
    let (old, other) = (stage.secondary_key(0, "cookie", "a"), stage.secondary_key(1, "cookie", "b"));
    let renewed = stage.secondary_key(2, "cookie", "c");
    let variants = Variants::single(Arc::clone(&old)).with_entry(&other, None, None, HOUR).unwrap();
    assert!(are(&variants.with_entry(&renewed, Some(&old), None, HOUR).unwrap(), &[&renewed, &other]));
}

#[test]
fn of_more_than_eight_responses_the_oldest_is_removed() {
    let stage = Stage::new();
    let entries: Vec<_> = (0..9).map(|n| stage.secondary_key(n, "cookie", &n.to_string())).collect();
    let first = Variants::single(Arc::clone(&entries[0]));
    let variants =
        entries[1..].iter().fold(first, |known, entry| known.with_entry(entry, None, None, HOUR).unwrap());
    assert_eq!(variants.entries().len(), 8);
    assert!(!variants.contains(&entries[0]) && entries[1..].iter().all(|entry| variants.contains(entry)));
    assert!(variants.weight() > entries[1..].iter().map(|entry| entry.weight()).sum());
}

/// Returns the proof of a token that received `entry`.
fn proof_of(entry: &Entry) -> Proof {
    Proof { granted_at: entry.requested_at, digest: entry.digest() }
}

fn superseded(entries: &[&Arc<Entry>]) -> Vec<bool> {
    entries.iter().map(|entry| entry.is_superseded()).collect()
}

#[test]
fn other_bytes_are_stored_too_and_supersede_older_ones() {
    let stage = Stage::new();
    let (one, other) = (stage.given(0, 1, None), stage.given(1, 2, None));
    let variants = Variants::single(Arc::clone(&one)).with_entry(&other, None, None, HOUR).unwrap();
    assert!(are(&variants, &[&other, &one]));
    assert_eq!(superseded(&[&one, &other]), [true, false]);
    let find = |view: &Entry| {
        let request = SelectingRequest { headers: &HeaderMap::new(), token: stage.token };
        let proven = |entry: &Entry| (entry.digest() == view.digest()).then_some(());
        variants.find(&stage.hasher, request, proven).map(|(entry, ())| Arc::clone(entry))
    };
    assert!(find(&one).is_some_and(|found| Arc::ptr_eq(&found, &one)), "each by its own digest");
    assert!(find(&stage.given(0, 3, None)).is_none());
}

/// Two tokens of one principal that permanently receive different representations.
#[test]
fn a_token_that_receives_the_same_bytes_as_before_supersedes_nothing() {
    let stage = Stage::new();
    let (one, other) = (stage.given(0, 1, None), stage.given(1, 2, None));
    let variants = Variants::single(Arc::clone(&one)).with_entry(&other, None, None, HOUR).unwrap();
    let again = stage.given(2, 1, None);
    let variants = variants.with_entry(&again, None, Some(&proof_of(&one)), HOUR).unwrap();
    assert!(are(&variants, &[&again, &other]));
    assert_eq!(superseded(&[&again, &other]), [false, false]);
    let other_again = stage.given(3, 2, None);
    let variants = variants.with_entry(&other_again, None, Some(&proof_of(&other)), HOUR).unwrap();
    assert_eq!(superseded(&[&again, &other_again]), [false, false]);
    let unknown = Variants::single(Arc::clone(&again)).with_entry(
        &stage.given(4, 3, None),
        None,
        Some(&proof_of(&stage.given(0, 3, None))),
        HOUR,
    );
    assert!(unknown.is_some() && !again.is_superseded(), "although its own response was evicted");
    let newcomer = stage.given(5, 1, None);
    let variants = variants.with_entry(&newcomer, None, None, HOUR).unwrap();
    assert_eq!(superseded(&[&newcomer, &other_again]), [false, false], "another token with a known view");
    assert_eq!(variants.entries().len(), 2);
}

#[test]
fn earlier_bytes_are_new_to_a_token_that_received_others_meanwhile() {
    let stage = Stage::new();
    let (one, other) = (stage.given(0, 1, None), stage.given(1, 2, None));
    let variants =
        Variants::single(Arc::clone(&one)).with_entry(&other, None, Some(&proof_of(&one)), HOUR).unwrap();
    let back = stage.given(2, 1, None);
    let variants = variants.with_entry(&back, None, Some(&proof_of(&other)), HOUR).unwrap();
    assert!(are(&variants, &[&back, &other]));
    assert_eq!(superseded(&[&back, &other]), [false, true]);
}

#[test]
fn a_response_to_an_older_request_supersedes_nothing_and_is_superseded() {
    let stage = Stage::new();
    let (late, newer) = (stage.given(0, 1, None), stage.given(1, 2, None));
    let variants = Variants::single(Arc::clone(&newer)).with_entry(&late, None, None, HOUR).unwrap();
    assert!(are(&variants, &[&newer, &late]));
    assert_eq!(superseded(&[&newer, &late]), [false, true]);
}

#[test]
fn a_response_selected_by_other_values_is_not_superseded() {
    let stage = Stage::new();
    let secondary_key = |value| stage.secondary_key(0, "cookie", value).secondary_key().cloned();
    let (one, other) = (stage.given(0, 1, secondary_key("a")), stage.given(1, 2, secondary_key("b")));
    let variants = Variants::single(Arc::clone(&one)).with_entry(&other, None, None, HOUR).unwrap();
    assert!(are(&variants, &[&other, &one]));
    assert_eq!(superseded(&[&one, &other]), [false, false]);
}

#[test]
fn other_bytes_are_removed_after_the_retention_time() {
    let stage = Stage::new();
    let (one, later) = (stage.given(0, 1, None), stage.given(3_600, 2, None));
    let variants = Variants::single(one).with_entry(&later, None, None, HOUR).unwrap();
    assert!(are(&variants, &[&later]));
}

#[test]
fn of_more_than_eight_representations_the_oldest_is_removed() {
    let stage = Stage::new();
    let views: Vec<_> = (0..9).map(|view| stage.given(view.into(), view, None)).collect();
    let first = Variants::single(Arc::clone(&views[0]));
    let variants =
        views[1..].iter().fold(first, |known, entry| known.with_entry(entry, None, None, HOUR).unwrap());
    assert!(variants.entries().len() == 8 && !variants.contains(&views[0]));
}

const HOUR: Duration = Duration::from_hours(1);
