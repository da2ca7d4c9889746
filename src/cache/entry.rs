//! A stored answer.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest;
use uuid::{NonNilUuid, Uuid};

use super::conditional::Validation;
use super::freshness::{Lifetime, PackedLifetime};
use super::outcome::Eviction;
use super::vary::SecondaryKey;
use crate::http::ids::{GuidText, REQUEST_ID, guid_values, parse_guid};
use crate::http::{date, headers};
use crate::scrub::{GzippedBody, ScrubbedBody, Scrubber};
use crate::support::clock::Now;
use crate::support::labels::Label;

/// A 200 of Graph: scrubbed, complete, with the few header fields that are passed on.
///
/// There are as many of these as the cache has room for, so what can be spelled for an answer is not kept spelled.
#[derive(Debug)]
pub struct Entry {
    /// The scrubbed body.
    pub body: ScrubbedBody,
    /// A weak validator of the scrubbed body under the scrubber's present rules.
    pub tag: EntityTag,
    date: u32,
    /// Graph's own id of the request that brought this answer.
    pub origin_request_id: Option<NonNilUuid>,
    /// When Graph was asked.
    pub asked: Now,
    lifetime: PackedLifetime,
    /// What most entries do not have.
    rare: Option<Box<RareFields>>,
    left_by: AtomicU8,
    looked_up: AtomicBool,
}

/// Header fields that are passed on.
type StoredFields = Box<[(HeaderName, HeaderValue)]>;

/// What few entries have.
#[derive(Debug, Default)]
struct RareFields {
    /// The fields that are passed on, where they are not the usual ones, and the digest that covers them too.
    headers: Option<(StoredFields, ContentDigest)>,
    /// With what Graph can be asked whether it still holds.
    validation: Option<Validation>,
    /// What of its request chose it, where that can differ within a key.
    secondary_key: Option<SecondaryKey>,
    /// The body in gzip, where its caller would have it so.
    gzip: Option<GzippedBody>,
}

/// Half of a SHA-256: an entity tag before it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag([u8; 16]);

/// Digest of all bytes of an answer that a caller is given from memory: of the scrubbed body under the scrubber's rules,
/// which is the entity tag, and of the header fields that are passed on, where these are not the usual ones.
///
/// A proof records the digest of the answer that Graph gave to its token (promise 2). `Date` and `origin-request-id`
/// are not part of it: they describe one message of Graph's, and differ in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest([u8; 16]);

impl ContentDigest {
    /// Computes the digest of an answer with unusual header fields. Every name and value is preceded by its length.
    fn compute(tag: EntityTag, headers: &[(HeaderName, HeaderValue)]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&tag.0);
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                context.update(&part.len().to_be_bytes());
                context.update(part);
            }
        }
        Self(first_half(context))
    }

    /// The digest of answer number `answer`, which is no other's.
    #[cfg(test)]
    pub fn for_tests(answer: u8) -> Self {
        Self([answer; 16])
    }
}

fn first_half(context: digest::Context) -> [u8; 16] {
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

impl EntityTag {
    /// Of a body under a scrubber's rules. Weak: another compact spelling of the same JSON would be the same answer
    /// (RFC 9110, section 8.8.1). The rules are part of it, so that a change of policy is a change of the
    /// representation.
    fn of(body: &[u8], policy: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&policy.len().to_be_bytes());
        context.update(policy);
        context.update(body);
        Self(first_half(context))
    }

    /// As a field has it.
    pub fn spelled(self) -> HeaderValue {
        let [value] = guid_values(|[text]| self.spell(text));
        value
    }

    /// Writes it as a field has it: by chance it is as long as a GUID.
    pub fn spell(self, text: &mut GuidText) {
        *text = *b"W/\"................................\"";
        Uuid::from_bytes(self.0).simple().encode_lower(&mut text[3..]);
    }
}

impl Entry {
    /// Makes an entry of a scrubbed 200. `asked` is when the question left, not when the answer came
    /// (RFC 9111, section 4.2.3 counts the delay as age).
    pub fn new(
        body: ScrubbedBody,
        scrubber: &Scrubber,
        from: &HeaderMap,
        lifetime: Lifetime,
        asked: Now,
    ) -> Self {
        let date = headers::parse_date(from).unwrap_or_else(|| asked.wall());
        let mut headers = headers::stored_headers(from);
        let mut entry = Self {
            tag: EntityTag::of(body.as_bytes(), scrubber.policy_bytes()),
            date: u32::try_from(date.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
                .unwrap_or(u32::MAX),
            origin_request_id: from.get(REQUEST_ID).and_then(parse_guid).and_then(NonNilUuid::new),
            body,
            asked,
            lifetime: lifetime.into(),
            rare: None,
            left_by: AtomicU8::new(NOT_SAID),
            looked_up: AtomicBool::new(false),
        };
        if *headers != *headers::common_headers() {
            headers::compact_values(headers.iter_mut().map(|(_, value)| value));
            let digest = ContentDigest::compute(entry.tag, &headers);
            entry.rare().headers = Some((headers, digest));
        }
        entry
    }

    /// The same with what later requests are matched by, and with what Graph can be asked.
    #[must_use]
    pub fn with(mut self, validation: Option<Validation>, secondary_key: Option<SecondaryKey>) -> Self {
        if validation.is_some() || secondary_key.is_some() {
            let rare = self.rare();
            (rare.validation, rare.secondary_key) = (validation, secondary_key);
        }
        self
    }

    /// The same with its body in gzip beside it.
    #[must_use]
    pub fn with_gzip(mut self, body: Option<GzippedBody>) -> Self {
        if body.is_some() {
            self.rare().gzip = body;
        }
        self
    }

    fn rare(&mut self) -> &mut RareFields {
        self.rare.get_or_insert_default()
    }

    /// The fields of Graph's answer that are passed on, where they are not [`headers::common_headers`].
    pub fn unusual(&self) -> Option<&[(HeaderName, HeaderValue)]> {
        self.rare.as_ref()?.headers.as_ref().map(|(headers, _)| &**headers)
    }

    /// Digest of the bytes that a caller is given: a proof of the same digest lets its token have them.
    pub fn digest(&self) -> ContentDigest {
        let unusual = self.rare.as_ref().and_then(|rare| rare.headers.as_ref());
        unusual.map_or(ContentDigest(self.tag.0), |(_, digest)| *digest)
    }

    /// The fields of Graph's answer that are passed on.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.unusual().unwrap_or(headers::common_headers())
    }

    /// How long it may be used.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime.into()
    }

    /// When Graph answered, by its `Date`, or by our clock: seconds since the Unix epoch, up to the year 2106.
    pub fn date(&self) -> u64 {
        self.date.into()
    }

    /// With what Graph can be asked whether it still holds.
    pub fn validation(&self) -> Option<&Validation> {
        self.rare.as_ref()?.validation.as_ref()
    }

    /// What of its request chose it.
    pub fn secondary_key(&self) -> Option<&SecondaryKey> {
        self.rare.as_ref()?.secondary_key.as_ref()
    }

    /// Its body in gzip.
    pub fn gzip(&self) -> Option<&GzippedBody> {
        self.rare.as_ref()?.gzip.as_ref()
    }

    /// The moment by which `If-Modified-Since` is judged: when it last changed, else when Graph gave it (RFC 9111,
    /// section 4.3.2).
    pub fn changed(&self) -> SystemTime {
        let known = self.validation().and_then(|known| known.validators.last_modified());
        known.and_then(date::parse).unwrap_or(UNIX_EPOCH + Duration::from_secs(self.date()))
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let rare = self.rare.as_deref().map_or(0, |rare| {
            let headers = rare.headers.iter().flat_map(|(headers, _)| headers);
            let headers: usize =
                headers.map(|(_, value)| value.len() + size_of::<(HeaderName, HeaderValue)>()).sum();
            let validation = rare.validation.as_ref().map_or(0, Validation::weight);
            let secondary_key = rare.secondary_key.as_ref().map_or(0, SecondaryKey::weight);
            let gzip = rare.gzip.as_ref().map_or(0, GzippedBody::len);
            size_of::<RareFields>() + headers + validation + secondary_key + gzip
        });
        size_of::<Self>() + self.body.len() + rare
    }

    /// Says that it was looked up. Returns whether it had been before.
    pub fn mark_accessed(&self) -> bool {
        self.looked_up.swap(true, Relaxed)
    }

    /// Says why it is about to leave the store.
    pub(super) fn leaves_by(&self, cause: Eviction) {
        self.left_by.store(u8::try_from(cause.index()).unwrap_or(NOT_SAID), Relaxed);
    }

    /// Says that a newer one has taken its place in the store.
    pub(super) fn mark_replaced(&self) {
        self.left_by.store(REPLACED, Relaxed);
    }

    /// Records that Graph has since given other bytes to a token of the same principal. The entry stays in the store;
    /// each token must ask Graph once before it is given these bytes again.
    pub(super) fn mark_superseded(&self) {
        // An entry that has left the store stays gone.
        let _ = self.left_by.compare_exchange(NOT_SAID, SUPERSEDED, Relaxed, Relaxed);
    }

    /// Whether Graph has since given other bytes to a token of the same principal.
    pub fn is_superseded(&self) -> bool {
        self.left_by.load(Relaxed) == SUPERSEDED
    }

    /// Whether the store has neither dropped, replaced nor superseded it, as far as that was said.
    pub(super) fn is_kept(&self) -> bool {
        self.left_by.load(Relaxed) == NOT_SAID
    }

    /// Why it left the store, if that was said.
    pub(super) fn left_by(&self) -> Option<Eviction> {
        Eviction::ALL.get(usize::from(self.left_by.load(Relaxed))).copied()
    }
}

const NOT_SAID: u8 = u8::MAX;
const REPLACED: u8 = u8::MAX - 1;
const SUPERSEDED: u8 = u8::MAX - 2;

#[cfg(test)]
mod tests;
