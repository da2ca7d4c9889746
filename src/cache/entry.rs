//! A stored answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ring::digest;

use super::freshness::{Lifetime, Proof};
use super::status::Eviction;
use super::validation::Validation;
use super::vary::Chosen;
use crate::clock::Now;
use crate::headers;
use crate::identity::Claims;
use crate::ids::{REQUEST_ID, guid};
use crate::resource::Resource;
use crate::sabotage::sabotaged;
use crate::scrub::{GzippedBody, ScrubbedBody, Scrubber};
use crate::words::Word;

/// A 200 of Graph: scrubbed, complete, with the few header fields that are passed on.
#[derive(Debug)]
pub struct Entry {
    /// The scrubbed body.
    pub body: ScrubbedBody,
    /// Its length, as `Content-Length` says it.
    pub length: HeaderValue,
    /// The same in gzip, where its caller would have it so.
    gzip: Option<Box<Gzip>>,
    /// A weak validator of the scrubbed body under the scrubber's present rules.
    pub etag: HeaderValue,
    /// Graph's `Date`, or that of the answer's arrival.
    pub date: HeaderValue,
    /// The fields of Graph's answer that are passed on.
    pub headers: Arc<[(HeaderName, HeaderValue)]>,
    /// Graph's own id of the request that brought this answer, a GUID.
    pub origin_request_id: Option<HeaderValue>,
    /// When Graph was asked.
    pub asked: Now,
    /// How long it may be used.
    pub lifetime: Lifetime,
    /// With what Graph can be asked whether it still holds.
    validation: Option<Box<Validation>>,
    /// What of its request chose it, where that can differ within a key.
    chosen: Option<Box<Chosen>>,
    left_by: AtomicU8,
}

/// A body in gzip.
#[derive(Debug)]
pub struct Gzip {
    /// The body.
    pub body: GzippedBody,
    /// Its length, as `Content-Length` says it.
    pub length: HeaderValue,
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
        let date = from.get(header::DATE).filter(|date| is_http_date(date)).cloned();
        let mut entry = Self {
            length: HeaderValue::from(body.len()),
            etag: etag(body.as_bytes(), scrubber.policy()),
            date: date.unwrap_or_else(|| http_date(asked)),
            headers: headers::usual(),
            origin_request_id: from.get(REQUEST_ID).filter(|id| guid(id).is_some()).cloned(),
            body,
            gzip: None,
            asked,
            lifetime,
            validation: None,
            chosen: None,
            left_by: AtomicU8::new(NOT_SAID),
        };
        let mut kept = headers::kept(from);
        let own = [&mut entry.length, &mut entry.etag, &mut entry.date].into_iter();
        let passed_on = kept.iter_mut().map(|(_, value)| value);
        headers::pack(own.chain(passed_on).chain(&mut entry.origin_request_id));
        if *kept != *entry.headers {
            entry.headers = kept.into();
        }
        entry
    }

    /// The same with what later requests are matched by, and with what Graph can be asked.
    #[must_use]
    pub fn with(mut self, validation: Option<Validation>, chosen: Option<Chosen>) -> Self {
        (self.validation, self.chosen) = (validation.map(Box::new), chosen.map(Box::new));
        self
    }

    /// The same with its body in gzip beside it.
    #[must_use]
    pub fn with_gzip(mut self, body: Option<GzippedBody>) -> Self {
        self.gzip = body.map(|body| Box::new(Gzip { length: HeaderValue::from(body.len()), body }));
        self
    }

    /// Its body in gzip.
    pub fn gzip(&self) -> Option<&Gzip> {
        self.gzip.as_deref()
    }

    /// With what Graph can be asked whether it still holds.
    pub fn validation(&self) -> Option<&Validation> {
        self.validation.as_deref()
    }

    /// What of its request chose it.
    pub fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_deref()
    }

    /// The date by which `If-Modified-Since` is judged: when it last changed, else when Graph gave it (RFC 9111,
    /// section 4.3.2).
    pub fn changed(&self) -> &HeaderValue {
        let known = self.validation.as_ref().and_then(|known| known.validators.last_modified());
        known.unwrap_or(&self.date)
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(_, value)| value.len() + size_of::<(HeaderName, HeaderValue)>()).sum();
        let validation = self.validation.as_deref().map_or(0, Validation::weight);
        let chosen = self.chosen.as_deref().map_or(0, Chosen::weight);
        let gzip = self.gzip.as_deref().map_or(0, Gzip::weight);
        let plain = size_of::<Self>() + self.body.len() + self.etag.len() + self.date.len() + headers;
        plain + gzip + validation + chosen
    }

    /// Says why it is about to leave the store.
    pub(super) fn leaves_by(&self, cause: Eviction) {
        self.left_by.store(u8::try_from(cause.index()).unwrap_or(NOT_SAID), Relaxed);
    }

    /// Says that a newer one has taken its place in the store.
    pub(super) fn mark_replaced(&self) {
        self.left_by.store(REPLACED, Relaxed);
    }

    /// Whether the store has neither dropped nor replaced it, as far as that was said.
    pub(super) fn is_kept(&self) -> bool {
        self.left_by.load(Relaxed) == NOT_SAID
    }

    /// Why it left the store, if that was said.
    pub(super) fn left_by(&self) -> Option<Eviction> {
        Eviction::ALL.get(usize::from(self.left_by.load(Relaxed))).copied()
    }
}

impl Gzip {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.body.len() + self.length.len()
    }
}

/// What the store knows of a token: its claims, read once, and its proofs.
#[derive(Debug)]
pub struct Grant {
    /// What the token says.
    pub claims: Claims,
    /// What Graph has granted to it, by resource; the newest last.
    pub proofs: Vec<(Arc<Resource>, Proof)>,
}

impl Grant {
    /// The proof for a resource, live or not.
    pub fn proof(&self, resource: &Resource) -> Option<Proof> {
        sabotaged!(ProofOfAnyResource, return self.proof_where(|_| true));
        sabotaged!(
            ProofWithoutExpand,
            return self.proof_where(|known| known.without_expand() == resource.without_expand())
        );
        self.proof_where(|known| *known == *resource)
    }

    fn proof_where(&self, fits: impl Fn(&Resource) -> bool) -> Option<Proof> {
        self.proofs.iter().find(|(known, _)| fits(known)).map(|(_, proof)| *proof)
    }

    /// Bytes that it takes in memory, about. Resources are counted here too: their entry may be gone.
    pub fn weight(&self) -> usize {
        let proofs: usize =
            self.proofs.iter().map(|(resource, _)| resource.weight() + size_of::<Proof>() + 8).sum();
        size_of::<Self>() + proofs
    }
}

/// Weak: another compact spelling of the same JSON would be the same answer (RFC 9110, section 8.8.1).
/// The scrubber's rules are part of it, so that a change of policy is a change of the representation.
fn etag(body: &[u8], policy: &[u8]) -> HeaderValue {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&policy.len().to_be_bytes());
    context.update(policy);
    context.update(body);
    let hash = context.finish();
    let half = hash.as_ref().iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    HeaderValue::try_from(format!("W/\"{half:032x}\"")).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

fn is_http_date(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| httpdate::parse_http_date(text).is_ok())
}

fn http_date(now: Now) -> HeaderValue {
    HeaderValue::try_from(httpdate::fmt_http_date(now.wall()))
        .unwrap_or_else(|_| HeaderValue::from_static(EPOCH))
}

const NOT_SAID: u8 = u8::MAX;
const REPLACED: u8 = u8::MAX - 1;
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
