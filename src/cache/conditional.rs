//! Whether a stored answer still holds, by Graph's word (RFC 9111, section 4.3).
//!
//! Where Graph gave an answer a validator, an answer past its time is not fetched anew but asked about, and
//! Graph may say 304. A 304 is Graph's word for the token that asked, and for no other: a server evaluates a
//! condition only after everything else, and only where its answer without the condition were a 200 (RFC 9110,
//! sections 13.2.1 and 15.4.5). It has looked at this very token and would have answered it. So a 304 is a
//! proof, as a 200 is, for exactly that token.
//!
//! What the 304 does not carry is the body, so that must be the one this token would have got. An entity tag
//! names a representation only as well as the server keeps its tags apart, and a token's view of a resource may
//! differ from another's. Therefore a token asks with a validator that Graph gave to itself, about the body that
//! Graph gave to itself, never about what another token of its principal brought. And once an hour it asks for
//! the whole: were a tag not to change when the token's view does, the older view would end there.

use std::time::Duration;

use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::auth::TokenHash;
use crate::http::date;
use crate::http::headers::{is_for_one_hop, only};
use crate::support::clock::Now;

/// Graph's own validators of one answer. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Those of an answer that came at `received`, if it has any.
    ///
    /// A `Last-Modified` counts where it is at least a second before the answer's own date: what changes twice
    /// in a second has one date for two states (RFC 9110, section 8.8.2.2).
    pub fn of(headers: &HeaderMap, received: Now) -> Option<Self> {
        let etag = only(headers, &ETAG).filter(|tag| opaque(tag).is_some()).cloned();
        let settled = |modified: &&HeaderValue| {
            let date = only(headers, &header::DATE).and_then(date::read).unwrap_or_else(|| received.wall());
            let since = date::read(modified).and_then(|modified| date.duration_since(modified).ok());
            since.is_some_and(|since| since >= Duration::from_secs(1))
        };
        let last_modified = only(headers, &LAST_MODIFIED).filter(settled).cloned();
        (etag.is_some() || last_modified.is_some()).then_some(Self { etag, last_modified })
    }

    /// Makes a request conditional. Both are sent where both are there (RFC 9110, section 13.1.3).
    pub fn apply_to(&self, request: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            request.insert(IF_NONE_MATCH, etag.clone());
        }
        if let Some(date) = &self.last_modified {
            request.insert(IF_MODIFIED_SINCE, date.clone());
        }
    }

    /// Whether a 304 is about the answer that these belong to (RFC 9111, section 4.3.4): by its entity tag,
    /// strongly where it is strong; by its `Last-Modified` where it has no tag. A 304 ought to name what it is about
    /// (RFC 9110, section 15.4.5). One that names nothing is about the one answer that was asked about: no
    /// other was named to whoever said it.
    pub fn matches(&self, not_modified: &HeaderMap) -> bool {
        if not_modified.contains_key(ETAG) {
            let (Some(known), Some(told)) = (&self.etag, only(not_modified, &ETAG)) else { return false };
            let strong = !is_weak(told);
            return opaque(told).is_some() && opaque(told) == opaque(known) && !(strong && is_weak(known));
        }
        let dated = not_modified.contains_key(LAST_MODIFIED);
        !dated
            || (self.last_modified.is_some()
                && self.last_modified.as_ref() == only(not_modified, &LAST_MODIFIED))
    }

    /// When Graph says that the answer last changed, where that is known.
    pub fn last_modified(&self) -> Option<&HeaderValue> {
        self.last_modified.as_ref()
    }

    fn weight(&self) -> usize {
        [&self.etag, &self.last_modified].into_iter().flatten().map(HeaderValue::len).sum()
    }
}

/// What is kept with an answer so that Graph can be asked about it.
#[derive(Clone, Debug)]
pub struct Validation {
    /// What Graph is asked with.
    pub validators: Validators,
    /// The fields of Graph's answer that a 304 need not repeat and the rules need again.
    fields: Box<[(HeaderName, HeaderValue)]>,
    /// To which token the answer was given.
    given_to: TokenHash,
    /// When the body was asked for.
    body_asked: Now,
}

impl Validation {
    /// That of a 200 to a question of `token`'s, asked at `asked`. None where Graph gave no validator, or where
    /// the fields are so long that they are not worth their place.
    pub fn of(headers: &HeaderMap, token: TokenHash, asked: Now) -> Option<Self> {
        let validators = Validators::of(headers, asked)?;
        let names = REMEMBERED.iter().flat_map(|name| headers.get_all(name).iter().map(move |v| (name, v)));
        let fields: Box<_> = names.map(|(name, value)| (name.clone(), value.clone())).collect();
        let known = Self { validators, fields, given_to: token, body_asked: asked };
        (known.weight() <= WEIGHT_MAX).then_some(known)
    }

    /// The same after a 304, with `headers` as they are now. The body is as old as it was.
    pub fn renewed(&self, headers: &HeaderMap, asked: Now) -> Option<Self> {
        Some(Self { body_asked: self.body_asked, ..Self::of(headers, self.given_to, asked)? })
    }

    /// What `token` may ask Graph with now: its own, and not for ever.
    pub fn for_token(&self, token: TokenHash, now: Now) -> Option<&Validators> {
        let own = token == self.given_to;
        (own && now.since(self.body_asked) < WHOLE_AGAIN).then_some(&self.validators)
    }

    /// The fields of the stored answer with those of a 304 in their place (RFC 9111, section 3.2). What
    /// describes a body stays as it is stored; `passed_on` are the stored fields beside the remembered ones.
    pub fn merge(&self, passed_on: &[(HeaderName, HeaderValue)], not_modified: &HeaderMap) -> HeaderMap {
        let mut merged = not_modified.clone();
        for name in not_modified.keys() {
            if name.as_str().starts_with("content-") || is_for_one_hop(not_modified, name) {
                merged.remove(name);
            }
        }
        merged.remove(header::CONNECTION);
        let told: Vec<HeaderName> = merged.keys().cloned().collect();
        for (name, value) in self.fields.iter().chain(passed_on) {
            if !told.contains(name) {
                merged.append(name.clone(), value.clone());
            }
        }
        merged
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let fields =
            self.fields.iter().map(|(_, value)| value.len() + size_of::<(HeaderName, HeaderValue)>());
        size_of::<Self>() + self.validators.weight() + fields.sum::<usize>()
    }
}

fn is_weak(tag: &HeaderValue) -> bool {
    tag.as_bytes().starts_with(b"W/")
}

/// An entity tag without its mark of weakness, if it is one (RFC 9110, section 8.8.3) of a sane length.
fn opaque(tag: &HeaderValue) -> Option<&[u8]> {
    let bytes = tag.as_bytes();
    let quoted = bytes.strip_prefix(b"W/").unwrap_or(bytes);
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let fits = bytes.len() <= TAG_LENGTH && inner.iter().all(|byte| matches!(byte, b'!' | b'#'..=b'~'));
    fits.then_some(quoted)
}

/// What the rules read of an answer, beside its date and age, which are a 304's own.
static REMEMBERED: [HeaderName; 5] = [CACHE_CONTROL, EXPIRES, VARY, ETAG, LAST_MODIFIED];
/// Of one answer: more is no validator that anybody would send.
const WEIGHT_MAX: usize = 2 << 10;
const TAG_LENGTH: usize = 256;
/// However often Graph says 304. `cache.proof_ttl` has the same bound.
const WHOLE_AGAIN: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests;
