//! Which answers to one question stay beside each other, and in what order.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::cache::freshness::Lifetime;
use crate::clock::{Clock, Now};
use crate::identity::{Fingerprint, Identity, Secrets};
use crate::scrub::{Config, Scrubber};

/// Answers of one key that differ in when they were asked for and in what chose them.
struct Stage {
    chooser: Chooser,
    token: Fingerprint,
    start: Now,
}

impl Stage {
    fn new() -> Self {
        let bearer = fields("authorization", "Bearer a");
        let token = Identity::of(&bearer, &Secrets::random().unwrap()).unwrap().fingerprint;
        Self { chooser: Chooser::default(), token, start: Clock::manual(SystemTime::now()).now() }
    }

    /// The answer to a question of the `second`, chosen by what `field` held.
    fn chosen(&self, second: u64, field: &str, value: &str) -> Arc<Entry> {
        let request = fields(field, value);
        let request = Presented { headers: &request, token: self.token };
        self.entry(second, self.chooser.chosen(&fields("vary", field), request).unwrap())
    }

    fn entry(&self, second: u64, chosen: Option<crate::cache::vary::Chosen>) -> Arc<Entry> {
        let scrubber = Scrubber::new(&Config::default(), 1 << 20);
        let body = scrubber.scrub(b"{}").unwrap().body;
        let asked = self.start.plus(Duration::from_secs(second));
        let entry = Entry::new(body, &scrubber, &HeaderMap::new(), Lifetime::NONE, asked);
        Arc::new(entry.with(None, chosen))
    }
}

fn fields(name: &str, value: &str) -> HeaderMap {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

/// Whether these are there, in this order, and no other.
fn are(variants: &Variants, wanted: &[&Arc<Entry>]) -> bool {
    variants.each().len() == wanted.len()
        && variants.each().zip(wanted).all(|(one, other)| Arc::ptr_eq(one, other))
}

#[test]
fn l33_what_other_values_chose_stays_and_what_the_same_chose_is_replaced() {
    let stage = Stage::new();
    let (de, en, newer) = (
        stage.chosen(0, "accept-language", "de"),
        stage.chosen(1, "accept-language", "en"),
        stage.chosen(2, "accept-language", "de"),
    );
    let both = Variants::of(Arc::clone(&de)).with(&en, None).unwrap();
    assert!(are(&both, &[&en, &de]));
    assert!(are(&both.with(&newer, None).unwrap(), &[&newer, &en]));
}

#[test]
fn l33_what_other_fields_chose_cannot_be_told_apart_any_more_and_goes() {
    let stage = Stage::new();
    let (de, cookie, alike) =
        (stage.chosen(0, "accept-language", "de"), stage.chosen(1, "cookie", "a"), stage.entry(2, None));
    let variants = Variants::of(de).with(&cookie, None).unwrap();
    assert!(are(&variants, &[&cookie]));
    let variants = variants.with(&alike, None).unwrap();
    assert!(are(&variants, &[&alike]), "nothing chooses");
    let again = stage.chosen(3, "cookie", "a");
    assert!(are(&variants.with(&again, None).unwrap(), &[&again]));
}

#[test]
fn l34_the_newest_is_first_though_an_older_question_is_answered_later() {
    let stage = Stage::new();
    let [de, en, fr] = ["de", "en", "fr"].map(|value| move |second| (second, value));
    let [de, en, fr] =
        [de(3), en(1), fr(2)].map(|(second, value)| stage.chosen(second, "accept-language", value));
    let variants = Variants::of(Arc::clone(&de)).with(&en, None).unwrap().with(&fr, None).unwrap();
    assert!(are(&variants, &[&de, &fr, &en]));
    assert!(variants.with(&stage.chosen(2, "accept-language", "de"), None).is_none(), "a newer one is there");
}

#[test]
fn what_is_renewed_goes_whatever_chose_it() {
    let stage = Stage::new();
    let (old, other) = (stage.chosen(0, "cookie", "a"), stage.chosen(1, "cookie", "b"));
    let renewed = stage.chosen(2, "cookie", "c");
    let variants = Variants::of(Arc::clone(&old)).with(&other, None).unwrap();
    assert!(are(&variants.with(&renewed, Some(&old)).unwrap(), &[&renewed, &other]));
}

#[test]
fn of_more_than_eight_the_one_longest_unasked_for_goes() {
    let stage = Stage::new();
    let entries: Vec<_> = (0..9).map(|n| stage.chosen(n, "cookie", &n.to_string())).collect();
    let first = Variants::of(Arc::clone(&entries[0]));
    let variants = entries[1..].iter().fold(first, |known, entry| known.with(entry, None).unwrap());
    assert_eq!(variants.each().len(), 8);
    assert!(!variants.have(&entries[0]) && entries[1..].iter().all(|entry| variants.have(entry)));
    assert!(variants.weight() > entries[1..].iter().map(|entry| entry.weight()).sum());
}
