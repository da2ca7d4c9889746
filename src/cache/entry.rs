//! A stored response.

mod backoff;
mod digest;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::NonNilUuid;

use self::backoff::RevalidationBackoff;
pub use self::backoff::RevalidationFailure;
pub use self::digest::{ContentDigest, EntityTag, EntityTagHasher};
use super::conditional::RevalidationState;
use super::freshness::{Lifetime, PackedLifetime};
use super::outcome::Eviction;
use super::vary::SecondaryKey;
use crate::auth::TokenHash;
use crate::http::ids::{REQUEST_ID, parse_guid};
use crate::http::{date, headers};
use crate::scrub::{GzippedBody, ScrubbedBody};
use crate::support::clock::Now;
use crate::support::labels::Label;

/// A complete 200 response of Graph: the scrubbed body and the few header fields that callers receive.
///
/// The number of entries is bounded only by the cache's capacity, so values that can be rendered for each response are not
/// stored in rendered form.
#[derive(Debug)]
pub struct Entry {
    /// The scrubbed body.
    pub body: ScrubbedBody,
    /// Weak validator of the scrubbed body under the scrubber's current rules.
    pub etag: EntityTag,
    date: u32,
    /// Graph's `request-id` of the response.
    pub origin_request_id: Option<NonNilUuid>,
    /// Time at which the request was sent to Graph.
    pub requested_at: Now,
    lifetime: PackedLifetime,
    /// Parts that most entries do not have.
    optional: Option<Box<OptionalParts>>,
    backoff: RevalidationBackoff,
    eviction_cause: AtomicU8,
    accessed: AtomicBool,
}

/// Parts of an entry of another replica.
#[derive(Debug)]
pub struct RestoredEntry {
    /// The scrubbed body.
    pub body: ScrubbedBody,
    /// The body in gzip.
    pub gzip: Option<GzippedBody>,
    /// Header fields that callers receive, if they differ from the default ones.
    pub headers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// Graph's `Date`, seconds since the Unix epoch.
    pub date: u32,
    /// Graph's `request-id` of the response.
    pub origin_request_id: Option<NonNilUuid>,
    /// Time for which the entry may be used.
    pub lifetime: Lifetime,
    /// Time at which the request was sent to Graph.
    pub requested_at: Now,
}

/// Header fields that callers receive.
type StoredFields = Box<[(HeaderName, HeaderValue)]>;

/// Parts that few entries have.
#[derive(Debug, Default)]
struct OptionalParts {
    /// Header fields that differ from the default ones, and the digest that includes them.
    headers: Option<(StoredFields, ContentDigest)>,
    /// Data for conditional requests to Graph.
    revalidation: Option<RevalidationState>,
    /// Secondary key, if selecting fields can differ between requests of one key.
    secondary_key: Option<SecondaryKey>,
    /// The body in gzip, if its caller accepted gzip.
    gzip: Option<GzippedBody>,
}

impl Entry {
    /// Creates an entry from a scrubbed 200 response. `entity_tags` has the rules of the scrubber that made `body`. `requested_at` is the time at which the request was sent, not the
    /// time at which the response arrived: RFC 9111, section 4.2.3 counts the delay as age.
    pub fn new(
        body: ScrubbedBody,
        entity_tags: &EntityTagHasher,
        from: &HeaderMap,
        lifetime: Lifetime,
        requested_at: Now,
    ) -> Self {
        let date = headers::parse_date(from, requested_at.wall()).unwrap_or_else(|| requested_at.wall());
        let mut entry = Self {
            etag: entity_tags.compute(body.as_bytes()),
            date: u32::try_from(date.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
                .unwrap_or(u32::MAX),
            origin_request_id: from.get(REQUEST_ID).and_then(parse_guid).and_then(NonNilUuid::new),
            body,
            requested_at,
            lifetime: lifetime.into(),
            optional: None,
            backoff: RevalidationBackoff::default(),
            eviction_cause: AtomicU8::new(IN_STORE),
            accessed: AtomicBool::new(false),
        };
        if let Some(mut headers) = headers::uncommon_headers(from) {
            headers::compact_values(headers.iter_mut().map(|(_, value)| value));
            let digest = ContentDigest::compute(entry.etag, &headers);
            entry.optional().headers = Some((headers, digest));
        }
        entry
    }

    /// Restores an entry of another replica. Entity tag and digest are computed again.
    pub fn restore(parts: RestoredEntry, entity_tags: &EntityTagHasher) -> Self {
        let RestoredEntry { body, gzip, headers, date, origin_request_id, lifetime, requested_at } = parts;
        let mut entry = Self {
            etag: entity_tags.compute(body.as_bytes()),
            date,
            origin_request_id,
            body,
            requested_at,
            lifetime: lifetime.into(),
            optional: None,
            backoff: RevalidationBackoff::default(),
            eviction_cause: AtomicU8::new(IN_STORE),
            accessed: AtomicBool::new(false),
        };
        if let Some(headers) = headers {
            let digest = ContentDigest::compute(entry.etag, &headers);
            entry.optional().headers = Some((headers.into(), digest));
        }
        entry.with_gzip(gzip)
    }

    /// Adds the data for conditional requests and the secondary key.
    #[must_use]
    pub fn with_optional_parts(
        mut self,
        validation: Option<RevalidationState>,
        secondary_key: Option<SecondaryKey>,
    ) -> Self {
        if validation.is_some() || secondary_key.is_some() {
            let optional = self.optional();
            (optional.revalidation, optional.secondary_key) = (validation, secondary_key);
        }
        self
    }

    /// Adds the body in gzip.
    #[must_use]
    pub fn with_gzip(mut self, body: Option<GzippedBody>) -> Self {
        if body.is_some() {
            self.optional().gzip = body;
        }
        self
    }

    fn optional(&mut self) -> &mut OptionalParts {
        self.optional.get_or_insert_default()
    }

    /// Returns the header fields that callers receive, if they differ from [`headers::common_headers`].
    pub fn non_default_headers(&self) -> Option<&[(HeaderName, HeaderValue)]> {
        self.optional.as_ref()?.headers.as_ref().map(|(headers, _)| &**headers)
    }

    /// Returns the digest of the bytes that a caller receives. A token with a proof of the same digest may receive them.
    pub fn digest(&self) -> ContentDigest {
        let non_default_headers = self.optional.as_ref().and_then(|optional| optional.headers.as_ref());
        non_default_headers.map_or(ContentDigest::from(self.etag), |(_, digest)| *digest)
    }

    /// Returns the header fields that callers receive.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.non_default_headers().unwrap_or(headers::common_headers())
    }

    /// Returns how long the entry may be used.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime.into()
    }

    /// Returns the current age (RFC 9111, section 4.2.3).
    pub fn age(&self, now: Now) -> Duration {
        self.lifetime().age(self.requested_at, now)
    }

    /// Returns the response's `Date`, or the time of the request if there is none: seconds since the Unix epoch, up to the
    /// year 2106.
    pub fn date(&self) -> u64 {
        self.date.into()
    }

    /// Returns the data for conditional requests to Graph.
    pub fn revalidation(&self) -> Option<&RevalidationState> {
        self.optional.as_ref()?.revalidation.as_ref()
    }

    /// Returns the secondary key.
    pub fn secondary_key(&self) -> Option<&SecondaryKey> {
        self.optional.as_ref()?.secondary_key.as_ref()
    }

    /// Returns the body in gzip.
    pub fn gzip(&self) -> Option<&GzippedBody> {
        self.optional.as_ref()?.gzip.as_ref()
    }

    /// Returns the time for the evaluation of `If-Modified-Since`: `Last-Modified`, or else `Date` (RFC 9111, section
    /// 4.3.2).
    pub fn last_modified(&self) -> SystemTime {
        let last_modified = self.revalidation().and_then(|state| state.validators.last_modified());
        let parsed = last_modified.and_then(|date| date::parse(date, self.requested_at.wall()));
        parsed.unwrap_or(UNIX_EPOCH + Duration::from_secs(self.date()))
    }

    /// Returns the approximate size in memory, bytes.
    pub fn weight(&self) -> usize {
        let optional = self.optional.as_deref().map_or(0, |optional| {
            let headers = optional.headers.iter().flat_map(|(headers, _)| headers);
            let headers: usize =
                headers.map(|(_, value)| value.len() + size_of::<(HeaderName, HeaderValue)>()).sum();
            let validation = optional.revalidation.as_ref().map_or(0, RevalidationState::weight);
            let secondary_key = optional.secondary_key.as_ref().map_or(0, SecondaryKey::weight);
            let gzip = optional.gzip.as_ref().map_or(0, GzippedBody::len);
            size_of::<OptionalParts>() + headers + validation + secondary_key + gzip
        });
        size_of::<Self>() + self.body.len() + optional
    }

    /// Marks the entry as accessed. Returns whether it was marked before.
    pub fn mark_accessed(&self) -> bool {
        self.accessed.swap(true, Relaxed)
    }

    /// Records a failed revalidation of the entry by a token.
    pub fn record_failed_revalidation(&self, failure: RevalidationFailure, token: TokenHash, now: Now) {
        self.backoff.record_failure(failure, token, now);
    }

    /// Starts a revalidation of the entry by a token.
    ///
    /// # Errors
    /// The kind of the last failure, if it is too recent.
    pub fn try_start_revalidation(&self, token: TokenHash, now: Now) -> Result<(), RevalidationFailure> {
        self.backoff.try_start(token, now)
    }

    /// Returns whether a revalidation has shown that Graph has no content for the resource any more.
    pub fn has_no_content_upstream(&self) -> bool {
        self.backoff.has_no_content_upstream()
    }

    /// Ends the backoff after a failed revalidation.
    pub(super) fn reset_backoff(&self) {
        self.backoff.reset();
    }

    /// Records why the entry leaves the store.
    pub(super) fn mark_evicted(&self, cause: Eviction) {
        self.eviction_cause.store(u8::try_from(cause.index()).unwrap_or(IN_STORE), Relaxed);
    }

    /// Records that a newer entry has replaced this one in the store.
    pub(super) fn mark_replaced(&self) {
        self.eviction_cause.store(REPLACED, Relaxed);
    }

    /// Records that Graph has since sent other bytes to a token of the same principal. The entry stays in the store; each
    /// token must send one request to Graph before it receives these bytes again.
    pub(super) fn mark_superseded(&self) {
        // An entry that has left the store keeps its cause.
        let _ = self.eviction_cause.compare_exchange(IN_STORE, SUPERSEDED, Relaxed, Relaxed);
    }

    /// Returns whether Graph has since sent other bytes to a token of the same principal.
    pub fn is_superseded(&self) -> bool {
        self.eviction_cause.load(Relaxed) == SUPERSEDED
    }

    /// Returns false if the store has recorded that the entry was evicted, replaced or superseded.
    pub(super) fn is_kept(&self) -> bool {
        self.eviction_cause.load(Relaxed) == IN_STORE
    }

    /// Returns why the entry left the store, if that is recorded.
    pub(super) fn eviction_cause(&self) -> Option<Eviction> {
        Eviction::ALL.get(usize::from(self.eviction_cause.load(Relaxed))).copied()
    }
}

/// Values of `eviction_cause` beside the indexes of [`Eviction`].
const IN_STORE: u8 = u8::MAX;
const REPLACED: u8 = u8::MAX - 1;
const SUPERSEDED: u8 = u8::MAX - 2;

#[cfg(test)]
mod tests;
