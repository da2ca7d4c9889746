//! Contents and weight of an entry.

use super::*;
use crate::auth::{HashKeys, Identity, TokenHash};
use crate::cache::vary::{SecondaryKeyHasher, SelectingRequest};
use crate::scrub::{Config, Scrubber};
use crate::support::clock::Clock;

/// With its reference counts an entry fills an allocation of 128 bytes. The allocator's next sizes are 160 and 192.
#[cfg(target_pointer_width = "64")]
#[test]
fn an_entry_has_at_most_112_bytes() {
    assert!(size_of::<Entry>() <= 112, "{}", size_of::<Entry>());
}

struct Stage {
    scrubber: Scrubber,
    entity_tags: EntityTagHasher,
    requested_at: Now,
    token: TokenHash,
}

impl Stage {
    fn new() -> Self {
        let bearer = fields(&[("authorization", "Bearer a")]);
        let token = Identity::from_headers(&bearer, &HashKeys::random().unwrap()).unwrap().token_hash;
        let requested_at = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_790_000_000)).now();
        let scrubber = Scrubber::new(&Config::default(), 1 << 20);
        let entity_tags = EntityTagHasher::new(scrubber.policy_bytes());
        Self { scrubber, entity_tags, requested_at, token }
    }

    fn body(&self, length: usize) -> ScrubbedBody {
        self.scrubber.scrub(format!("{{\"a\":{}}}", "7".repeat(length - 6)).as_bytes()).unwrap().body
    }

    fn entry(&self, lines: &[(&'static str, &'static str)]) -> Entry {
        Entry::new(self.body(300), &self.entity_tags, &fields(lines), Lifetime::NONE, self.requested_at)
    }

    fn revalidation(&self, lines: &[(&'static str, &'static str)]) -> Option<RevalidationState> {
        RevalidationState::from_response(&fields(lines), self.token, self.requested_at)
    }

    fn secondary_key(&self) -> Option<SecondaryKey> {
        let request = SelectingRequest { headers: &HeaderMap::new(), token: self.token };
        SecondaryKeyHasher::default().compute(&fields(&[("vary", "cookie")]), request).unwrap()
    }
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

#[test]
fn default_fields_are_not_stored_and_others_are() {
    let stage = Stage::new();
    let usual: HeaderMap = headers::common_headers().iter().cloned().collect();
    let entry = Entry::new(stage.body(8), &stage.entity_tags, &usual, Lifetime::NONE, stage.requested_at);
    assert!(entry.non_default_headers().is_none());
    assert_eq!(entry.headers(), headers::common_headers());
    let lines = [("content-type", "application/json;charset=utf-8"), ("sunset", "@10")];
    let (entry, lines) = (stage.entry(&lines), fields(&lines).into_iter());
    let lines: Vec<_> = lines.map(|(name, value)| (name.unwrap(), value)).collect();
    assert_eq!((entry.non_default_headers(), entry.headers()), (Some(&lines[..]), &lines[..]));
}

#[test]
fn the_date_is_graphs_or_that_of_the_request_and_last_modified_is_graphs_or_the_date() {
    let stage = Stage::new();
    let modified = |entry: &Entry| entry.last_modified().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let entry = stage.entry(&[]);
    assert_eq!((entry.date(), modified(&entry)), (1_790_000_000, 1_790_000_000));
    let entry = stage.entry(&[("date", "Thu, 01 Jan 2026 00:00:10 GMT")]);
    assert_eq!((entry.date(), modified(&entry)), (1_767_225_610, 1_767_225_610));
    let validation = stage.revalidation(&[("last-modified", "Thu, 01 Jan 2026 00:00:01 GMT")]);
    let entry = entry.with_optional_parts(validation, None);
    assert_eq!((entry.date(), modified(&entry)), (1_767_225_610, 1_767_225_601));
}

#[test]
fn an_entry_has_only_the_optional_parts_that_were_added() {
    let (stage, bare) = (Stage::new(), |entry: &Entry| {
        entry.revalidation().is_none() && entry.secondary_key().is_none() && entry.gzip().is_none()
    });
    assert!(bare(&stage.entry(&[])));
    assert!(bare(&stage.entry(&[]).with_optional_parts(None, None).with_gzip(None)));
    let (validation, secondary_key) = (stage.revalidation(&[("etag", "\"a\"")]), stage.secondary_key());
    let entry = stage.entry(&[]).with_optional_parts(validation.clone(), secondary_key.clone());
    assert_eq!(entry.revalidation().unwrap().validators, validation.unwrap().validators);
    assert_eq!((entry.secondary_key(), entry.gzip()), (secondary_key.as_ref(), None));
    let gzip = GzippedBody::compress(&entry.body);
    assert!(gzip.is_some());
    assert_eq!(stage.entry(&[]).with_gzip(gzip.clone()).gzip(), gzip.as_ref());
}

#[test]
fn the_entity_tag_is_weak_and_depends_on_body_and_rules() {
    let tag = EntityTag(std::array::from_fn(|at| 0xa0 + u8::try_from(at).unwrap()));
    assert_eq!(tag.to_header_value(), "W/\"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\"");
    let of = |body: &[u8], rules: &[u8]| EntityTagHasher::new(rules).compute(body);
    assert_eq!(of(b"body", b"rules"), of(b"body", b"rules"));
    for other in [of(b"bodx", b"rules"), of(b"body", b"rulex"), of(b"sbody", b"rule"), of(b"ody", b"rulesb")]
    {
        assert_ne!(of(b"body", b"rules"), other);
    }
}

#[test]
fn the_digest_is_that_of_the_tag_and_covers_non_default_fields() {
    let stage = Stage::new();
    let usual: HeaderMap = headers::common_headers().iter().cloned().collect();
    let entry = Entry::new(stage.body(300), &stage.entity_tags, &usual, Lifetime::NONE, stage.requested_at);
    assert_eq!(entry.digest(), ContentDigest(entry.etag.0));
    let of = |lines| stage.entry(lines).digest();
    let (soon, later) = (of(&[("sunset", "@10")]), of(&[("sunset", "@200")]));
    assert_eq!(soon, of(&[("sunset", "@10"), ("date", "Thu, 01 Jan 2026 00:00:10 GMT"), ("etag", "\"a\"")]));
    for other in [later, of(&[]), of(&[("deprecation", "@10")]), entry.digest()] {
        assert_ne!(soon, other);
    }
    let tag = |lines| stage.entry(lines).etag;
    assert_eq!(tag(&[("sunset", "@10")]), entry.etag, "the entity tag does not cover fields");
}

#[test]
fn a_superseded_entry_is_not_kept_and_an_evicted_one_is_not_superseded() {
    let (entry, left) = (Stage::new().entry(&[]), Stage::new().entry(&[]));
    assert!(entry.is_kept() && !entry.is_superseded());
    entry.mark_superseded();
    assert!(!entry.is_kept() && entry.is_superseded() && entry.eviction_cause().is_none());
    left.mark_evicted(Eviction::Purge);
    left.mark_superseded();
    assert_eq!((left.is_superseded(), left.eviction_cause()), (false, Some(Eviction::Purge)));
}

#[test]
fn the_weight_is_the_sum_of_the_parts() {
    let stage = Stage::new();
    let usual: HeaderMap = headers::common_headers().iter().cloned().collect();
    let made = |length| {
        Entry::new(stage.body(length), &stage.entity_tags, &usual, Lifetime::NONE, stage.requested_at)
    };
    for length in [8, 300] {
        assert_eq!(made(length).weight(), size_of::<Entry>() + length);
    }
    let bare = size_of::<Entry>() + 300 + size_of::<OptionalParts>();
    let (validation, secondary_key) = (stage.revalidation(&[("etag", "\"a\"")]), stage.secondary_key());
    let gzip = GzippedBody::compress(&made(300).body);
    let weights = (
        validation.as_ref().map_or(0, RevalidationState::weight),
        secondary_key.as_ref().map_or(0, SecondaryKey::weight),
        gzip.as_ref().map_or(0, GzippedBody::len),
    );
    assert_eq!(made(300).with_optional_parts(validation.clone(), None).weight(), bare + weights.0);
    assert_eq!(made(300).with_optional_parts(None, secondary_key.clone()).weight(), bare + weights.1);
    assert_eq!(made(300).with_gzip(gzip.clone()).weight(), bare + weights.2);
    let fields =
        2 * size_of::<(HeaderName, HeaderValue)>() + "application/json;charset=utf-8".len() + "@10".len();
    let entry =
        stage.entry(&[("sunset", "@10")]).with_optional_parts(validation, secondary_key).with_gzip(gzip);
    assert_eq!(entry.weight(), bare + fields + weights.0 + weights.1 + weights.2);
}
