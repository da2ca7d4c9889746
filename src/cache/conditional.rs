//! Conditional requests to Graph: validation of a stored response (RFC 9111, section 4.3).
//!
//! A stale response with a validator is not fetched again but validated, and Graph may respond with 304. A 304 applies to
//! the token of the request and to no other: a server evaluates a condition after all other checks, and only if its
//! response without the condition were a 200 (RFC 9110, sections 13.2.1 and 15.4.5). Graph has checked this token and would
//! have sent the response to it. So a 304 is a proof for exactly that token, as a 200 is.
//!
//! A 304 has no body, so the stored body must be the one that Graph would have sent to this token. Whether an entity tag
//! identifies a representation depends on the server, and two tokens may see different representations of one resource.
//! Therefore a token validates only a body that Graph sent to the same token, with the validator of that response, never a
//! response to another token of its principal. And once an hour a token fetches the full response: if a tag did not change
//! together with the token's representation, the outdated body would be used for an hour at most.

use std::time::Duration;

use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::auth::TokenHash;
use crate::http::date;
use crate::http::headers::{is_hop_by_hop, single_value};
use crate::support::clock::Now;

/// Graph's validators of one response. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Reads the validators of a response that arrived at `received`, if it has any.
    ///
    /// A `Last-Modified` is used only if it is at least a second before the response's `Date`: a resource that changes twice
    /// within a second has one date for two states (RFC 9110, section 8.8.2.2).
    pub fn from_headers(headers: &HeaderMap, received: Now) -> Option<Self> {
        let etag = single_value(headers, &ETAG).filter(|tag| opaque_tag(tag).is_some()).cloned();
        let is_strong = |modified: &&HeaderValue| {
            let parse = |value| date::parse(value, received.wall());
            let date =
                single_value(headers, &header::DATE).and_then(parse).unwrap_or_else(|| received.wall());
            let since = parse(modified).and_then(|modified| date.duration_since(modified).ok());
            since.is_some_and(|since| since >= Duration::from_secs(1))
        };
        let last_modified = single_value(headers, &LAST_MODIFIED).filter(is_strong).cloned();
        (etag.is_some() || last_modified.is_some()).then_some(Self { etag, last_modified })
    }

    /// Makes a request conditional. Sends both validators if both exist (RFC 9110, section 13.1.3).
    pub fn apply_to(&self, request: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            request.insert(IF_NONE_MATCH, etag.clone());
        }
        if let Some(date) = &self.last_modified {
            request.insert(IF_MODIFIED_SINCE, date.clone());
        }
    }

    /// Returns whether a 304 selects the response of these validators (RFC 9111, section 4.3.4): by its entity tag, with
    /// strong comparison if the tag is strong; by its `Last-Modified` if it has no tag.
    ///
    /// A 304 should carry a validator (RFC 9110, section 15.4.5). A 304 without one selects the stored response, because the
    /// request named no other.
    pub fn matches(&self, not_modified: &HeaderMap) -> bool {
        if not_modified.contains_key(ETAG) {
            let (Some(known), Some(received)) = (&self.etag, single_value(not_modified, &ETAG)) else {
                return false;
            };
            let strong = !is_weak(received);
            return opaque_tag(received).is_some()
                && opaque_tag(received) == opaque_tag(known)
                && !(strong && is_weak(known));
        }
        let has_date = not_modified.contains_key(LAST_MODIFIED);
        !has_date
            || (self.last_modified.is_some()
                && self.last_modified.as_ref() == single_value(not_modified, &LAST_MODIFIED))
    }

    /// Returns `Last-Modified`, if it is a validator.
    pub fn last_modified(&self) -> Option<&HeaderValue> {
        self.last_modified.as_ref()
    }

    fn weight(&self) -> usize {
        [&self.etag, &self.last_modified].into_iter().flatten().map(HeaderValue::len).sum()
    }
}

/// Data that is stored with a response for its validation.
#[derive(Clone, Debug)]
pub struct RevalidationState {
    /// Validators for the conditional request.
    pub validators: Validators,
    /// Response fields that a 304 need not repeat and that the freshness rules read again.
    fields: Box<[(HeaderName, HeaderValue)]>,
    /// Token to which Graph sent the response.
    token_hash: TokenHash,
    /// Time of the request that returned the body.
    body_requested_at: Now,
}

impl RevalidationState {
    /// Creates the state of a 200 to a request of `token` at `requested_at`. Returns `None` without a validator, or if the
    /// fields exceed [`MAX_STATE_BYTES`].
    pub fn from_response(headers: &HeaderMap, token: TokenHash, requested_at: Now) -> Option<Self> {
        let validators = Validators::from_headers(headers, requested_at)?;
        let names =
            STORED_FIELD_NAMES.iter().flat_map(|name| headers.get_all(name).iter().map(move |v| (name, v)));
        let fields: Box<_> = names.map(|(name, value)| (name.clone(), value.clone())).collect();
        let known = Self { validators, fields, token_hash: token, body_requested_at: requested_at };
        (known.weight() <= MAX_STATE_BYTES).then_some(known)
    }

    /// Returns the state after a 304, with the merged `headers`. The time of the body stays.
    pub fn renew(&self, headers: &HeaderMap, requested_at: Now) -> Option<Self> {
        Some(Self {
            body_requested_at: self.body_requested_at,
            ..Self::from_response(headers, self.token_hash, requested_at)?
        })
    }

    /// Returns the validators that `token` may use now: those of its own response, if the body is less than an hour old.
    pub fn validators_for(&self, token: TokenHash, now: Now) -> Option<&Validators> {
        let own = token == self.token_hash;
        (own && now.since(self.body_requested_at) < MAX_BODY_AGE).then_some(&self.validators)
    }

    /// Merges the fields of a 304 into the stored fields (RFC 9111, section 3.2). Fields that describe the body keep their
    /// stored values. `stored_headers` are the fields of the entry that callers receive.
    pub fn merge(&self, stored_headers: &[(HeaderName, HeaderValue)], not_modified: &HeaderMap) -> HeaderMap {
        let mut merged = not_modified.clone();
        for name in not_modified.keys() {
            if name.as_str().starts_with("content-") || is_hop_by_hop(not_modified, name) {
                merged.remove(name);
            }
        }
        merged.remove(header::CONNECTION);
        let received: Vec<HeaderName> = merged.keys().cloned().collect();
        for (name, value) in self.fields.iter().chain(stored_headers) {
            if !received.contains(name) {
                merged.append(name.clone(), value.clone());
            }
        }
        merged
    }

    /// Returns the approximate size in memory, bytes.
    pub fn weight(&self) -> usize {
        let fields =
            self.fields.iter().map(|(_, value)| value.len() + size_of::<(HeaderName, HeaderValue)>());
        size_of::<Self>() + self.validators.weight() + fields.sum::<usize>()
    }
}

fn is_weak(tag: &HeaderValue) -> bool {
    tag.as_bytes().starts_with(b"W/")
}

/// Returns the opaque tag, without `W/`, of a valid entity tag within the length limit (RFC 9110, section 8.8.3).
fn opaque_tag(tag: &HeaderValue) -> Option<&[u8]> {
    let bytes = tag.as_bytes();
    let quoted = bytes.strip_prefix(b"W/").unwrap_or(bytes);
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let fits = bytes.len() <= MAX_ETAG_BYTES && inner.iter().all(|byte| matches!(byte, b'!' | b'#'..=b'~'));
    fits.then_some(quoted)
}

/// Names of the response fields that the freshness rules read, except `Date` and `Age`, which the 304 has itself.
static STORED_FIELD_NAMES: [HeaderName; 5] = [CACHE_CONTROL, EXPIRES, VARY, ETAG, LAST_MODIFIED];
/// Limit on the state of one response. Longer fields are not plausible validators.
const MAX_STATE_BYTES: usize = 2 << 10;
const MAX_ETAG_BYTES: usize = 256;
/// Age of a body beyond which the full response is fetched, regardless of 304s. `cache.proof_ttl` has the same limit.
const MAX_BODY_AGE: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests;
