//! What an entry holds, and what it weighs.

use super::*;
use crate::auth::{HashKeys, Identity, TokenHash};
use crate::cache::vary::{SecondaryKeyHasher, SelectingRequest};
use crate::scrub::Config;
use crate::support::clock::Clock;

/// With its counts of references it fills a place of 128 bytes. The allocator's next ones are of 160 and 192.
#[cfg(target_pointer_width = "64")]
#[test]
fn an_entry_is_no_larger_than_it_has_to_be() {
    assert!(size_of::<Entry>() <= 112, "{}", size_of::<Entry>());
}

struct Stage {
    scrubber: Scrubber,
    asked: Now,
    token: TokenHash,
}

impl Stage {
    fn new() -> Self {
        let bearer = fields(&[("authorization", "Bearer a")]);
        let token = Identity::from_headers(&bearer, &HashKeys::random().unwrap()).unwrap().fingerprint;
        let asked = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_790_000_000)).now();
        Self { scrubber: Scrubber::new(&Config::default(), 1 << 20), asked, token }
    }

    fn body(&self, length: usize) -> ScrubbedBody {
        self.scrubber.scrub(format!("{{\"a\":{}}}", "7".repeat(length - 6)).as_bytes()).unwrap().body
    }

    fn entry(&self, lines: &[(&'static str, &'static str)]) -> Entry {
        Entry::new(self.body(300), &self.scrubber, &fields(lines), Lifetime::NONE, self.asked)
    }

    fn validation(&self, lines: &[(&'static str, &'static str)]) -> Option<Validation> {
        Validation::of(&fields(lines), self.token, self.asked)
    }

    fn secondary_key(&self) -> Option<SecondaryKey> {
        let request = SelectingRequest { headers: &HeaderMap::new(), token: self.token };
        SecondaryKeyHasher::default().secondary_key(&fields(&[("vary", "cookie")]), request).unwrap()
    }
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

#[test]
fn the_usual_fields_are_not_kept_and_others_are() {
    let stage = Stage::new();
    let usual: HeaderMap = headers::common_headers().iter().cloned().collect();
    let entry = Entry::new(stage.body(8), &stage.scrubber, &usual, Lifetime::NONE, stage.asked);
    assert!(entry.unusual().is_none());
    assert_eq!(entry.headers(), headers::common_headers());
    let lines = [("content-type", "application/json;charset=utf-8"), ("sunset", "@10")];
    let (entry, lines) = (stage.entry(&lines), fields(&lines).into_iter());
    let lines: Vec<_> = lines.map(|(name, value)| (name.unwrap(), value)).collect();
    assert_eq!((entry.unusual(), entry.headers()), (Some(&lines[..]), &lines[..]));
}

#[test]
fn its_date_is_graphs_or_that_of_the_question_and_it_changed_when_graph_says() {
    let stage = Stage::new();
    let changed = |entry: &Entry| entry.changed().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let entry = stage.entry(&[]);
    assert_eq!((entry.date(), changed(&entry)), (1_790_000_000, 1_790_000_000));
    let entry = stage.entry(&[("date", "Thu, 01 Jan 2026 00:00:10 GMT")]);
    assert_eq!((entry.date(), changed(&entry)), (1_767_225_610, 1_767_225_610));
    let validation = stage.validation(&[("last-modified", "Thu, 01 Jan 2026 00:00:01 GMT")]);
    let entry = entry.with(validation, None);
    assert_eq!((entry.date(), changed(&entry)), (1_767_225_610, 1_767_225_601));
}

#[test]
fn what_it_is_given_it_has_and_nothing_else() {
    let (stage, bare) = (Stage::new(), |entry: &Entry| {
        entry.validation().is_none() && entry.secondary_key().is_none() && entry.gzip().is_none()
    });
    assert!(bare(&stage.entry(&[])));
    assert!(bare(&stage.entry(&[]).with(None, None).with_gzip(None)));
    let (validation, secondary_key) = (stage.validation(&[("etag", "\"a\"")]), stage.secondary_key());
    let entry = stage.entry(&[]).with(validation.clone(), secondary_key.clone());
    assert_eq!(entry.validation().unwrap().validators, validation.unwrap().validators);
    assert_eq!((entry.secondary_key(), entry.gzip()), (secondary_key.as_ref(), None));
    let gzip = GzippedBody::compress(&entry.body);
    assert!(gzip.is_some());
    assert_eq!(stage.entry(&[]).with_gzip(gzip.clone()).gzip(), gzip.as_ref());
}

#[test]
fn its_tag_is_weak_and_says_which_body_it_is_under_which_rules() {
    let tag = EntityTag(std::array::from_fn(|at| 0xa0 + u8::try_from(at).unwrap()));
    assert_eq!(tag.spelled(), "W/\"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\"");
    let of = EntityTag::of;
    assert_eq!(of(b"body", b"rules"), of(b"body", b"rules"));
    for other in [of(b"bodx", b"rules"), of(b"body", b"rulex"), of(b"sbody", b"rule"), of(b"ody", b"rulesb")]
    {
        assert_ne!(of(b"body", b"rules"), other);
    }
}

#[test]
fn its_digest_is_the_tags_and_covers_unusual_fields_too() {
    let stage = Stage::new();
    let usual: HeaderMap = headers::common_headers().iter().cloned().collect();
    let entry = Entry::new(stage.body(300), &stage.scrubber, &usual, Lifetime::NONE, stage.asked);
    assert_eq!(entry.digest(), ContentDigest(entry.tag.0));
    let of = |lines| stage.entry(lines).digest();
    let (soon, later) = (of(&[("sunset", "@10")]), of(&[("sunset", "@200")]));
    assert_eq!(soon, of(&[("sunset", "@10"), ("date", "Thu, 01 Jan 2026 00:00:10 GMT"), ("etag", "\"a\"")]));
    for other in [later, of(&[]), of(&[("deprecation", "@10")]), entry.digest()] {
        assert_ne!(soon, other);
    }
    let tag = |lines| stage.entry(lines).tag;
    assert_eq!(tag(&[("sunset", "@10")]), entry.tag, "fields are no part of the entity tag");
}

#[test]
fn what_is_superseded_is_kept_no_longer_and_what_has_left_is_not_superseded() {
    let (entry, left) = (Stage::new().entry(&[]), Stage::new().entry(&[]));
    assert!(entry.is_kept() && !entry.is_superseded());
    entry.mark_superseded();
    assert!(!entry.is_kept() && entry.is_superseded() && entry.left_by().is_none());
    left.leaves_by(Eviction::Purge);
    left.mark_superseded();
    assert_eq!((left.is_superseded(), left.left_by()), (false, Some(Eviction::Purge)));
}

#[test]
fn it_weighs_what_it_holds() {
    let stage = Stage::new();
    let usual: HeaderMap = headers::common_headers().iter().cloned().collect();
    let made = |length| Entry::new(stage.body(length), &stage.scrubber, &usual, Lifetime::NONE, stage.asked);
    for length in [8, 300] {
        assert_eq!(made(length).weight(), size_of::<Entry>() + length);
    }
    let bare = size_of::<Entry>() + 300 + size_of::<RareFields>();
    let (validation, secondary_key) = (stage.validation(&[("etag", "\"a\"")]), stage.secondary_key());
    let gzip = GzippedBody::compress(&made(300).body);
    let weights = (
        validation.as_ref().map_or(0, Validation::weight),
        secondary_key.as_ref().map_or(0, SecondaryKey::weight),
        gzip.as_ref().map_or(0, GzippedBody::len),
    );
    assert_eq!(made(300).with(validation.clone(), None).weight(), bare + weights.0);
    assert_eq!(made(300).with(None, secondary_key.clone()).weight(), bare + weights.1);
    assert_eq!(made(300).with_gzip(gzip.clone()).weight(), bare + weights.2);
    let fields =
        2 * size_of::<(HeaderName, HeaderValue)>() + "application/json;charset=utf-8".len() + "@10".len();
    let entry = stage.entry(&[("sunset", "@10")]).with(validation, secondary_key).with_gzip(gzip);
    assert_eq!(entry.weight(), bare + fields + weights.0 + weights.1 + weights.2);
}
