//! One question to Graph and what becomes of its answer: scrubbed, judged, kept or not.
//!
//! A fetch knows nothing of who waits for it. Whatever Graph says passes the scrubber before it goes
//! anywhere (promise 4), and only a complete, scrubbed 200 is kept, with the proof for the token that asked.

mod outcome;
mod request;
mod upstream_error;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use self::outcome::{outcome, shut};
pub use self::request::{CallerFields, FetchRequest};
pub use self::upstream_error::UpstreamErrorResponse;
use crate::cache::conditional::Validation;
use crate::cache::entry::Entry;
use crate::cache::freshness::{self, Lifetime};
use crate::cache::lease::Lease;
use crate::cache::outcome::{NotStored, ProofResult};
use crate::cache::store::Store;
use crate::http::error::{ErrorResponse, Rejection, UpstreamFailure};
use crate::http::headers;
use crate::http::headers::ORIGIN_REQUEST_ID;
use crate::http::ids::{REQUEST_ID, guid};
use crate::http::negotiation::ContentCoding;
use crate::http::retry_after;
use crate::observability::metrics::Metrics;
use crate::scrub::{GzippedBody, Notice, Scrubbed, ScrubbedBody, Scrubber, UnknownMemberNotices};
use crate::support::clock::{Clock, Now};
use crate::upstream::breaker::{Breakers, InFlight};
use crate::upstream::permits::UpstreamPermit;
use crate::upstream::refused_tokens::RefusedTokens;
use crate::upstream::unproven_limit::{Admission, UnprovenLimiter};
use crate::upstream::{GraphClient, RawBody, UpstreamResponse};

/// What came of it. Cheap to clone: everybody who waits gets one.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// Graph said 200. Stored, or why not.
    Answer(Arc<Entry>, Result<(), NotStored>),
    /// Graph said 304: what was stored still holds. Stored again, or why not.
    Revalidated(Arc<Entry>, Result<(), NotStored>),
    /// Graph said no.
    Refused(Arc<UpstreamErrorResponse>),
    /// Graph refused this very token with 401 a few seconds ago: the same answer, without another request.
    RecentlyRefused(Arc<UpstreamErrorResponse>),
    /// There is no answer of Graph's that could be passed on.
    Failed(ErrorResponse),
}

impl Fetched {
    /// Graph's status, if it said one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answer(..) => Some(StatusCode::OK),
            Self::Revalidated(..) => Some(StatusCode::NOT_MODIFIED),
            Self::Refused(refusal) | Self::RecentlyRefused(refusal) => Some(refusal.status),
            Self::Failed(_) => None,
        }
    }
}

/// Everything that a question needs before it goes to Graph. Dropped, all of it is given back.
#[derive(Debug)]
pub struct PreparedFetch<'a> {
    admission: Option<Admission>,
    permit: UpstreamPermit,
    in_flight: InFlight<'a>,
}

/// What a fetch needs.
#[derive(Debug)]
pub struct Fetcher {
    /// Graph.
    pub origin: GraphClient,
    /// Limits for tokens without a proof.
    pub unproven: UnprovenLimiter,
    /// Tokens that Graph refused.
    pub refused: RefusedTokens<Arc<UpstreamErrorResponse>>,
    /// Circuit breakers and throttles.
    pub breakers: Breakers,
    /// Where answers are kept.
    pub store: Arc<Store>,
    /// What every answer passes.
    pub scrubber: Scrubber,
    /// Limits the log lines about members that the scrubber does not know.
    pub unknown_members: UnknownMemberNotices,
    /// How long answers are kept.
    pub freshness: freshness::Dials,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Fetcher {
    /// Sends a question to Graph and stores the answer while `lease` is valid.
    pub async fn fetch(&self, question: &FetchRequest, lease: &Lease) -> Fetched {
        match self.prepare(question).await {
            Ok(prepared) => self.send(question, prepared, lease).await,
            Err(fetched) => fetched,
        }
    }

    /// Waits until the question may go to Graph, or returns the result where it may not. Cancelled, it leaves nothing
    /// behind: Graph has not received anything yet.
    pub async fn prepare(&self, question: &FetchRequest) -> Result<PreparedFetch<'_>, Fetched> {
        self.recently_refused(question)?;
        let refuse = |reason| Fetched::Failed(ErrorResponse::Rejected(reason));
        let limited = !question.is_proven && !self.refused.was_proven(&question.identity.fingerprint);
        let wait = self.origin.queue_time();
        let admission = if limited {
            let admission = self.unproven.admit(question.sender(), wait).await.map_err(refuse)?;
            // Another request of the same token may have been refused in the meantime.
            self.recently_refused(question)?;
            Some(admission)
        } else {
            None
        };
        let (permit, in_flight) = self.acquire_permits(question).await.map_err(Fetched::Failed)?;
        self.recently_refused(question)?;
        Ok(PreparedFetch { admission, permit, in_flight })
    }

    /// Returns Graph's 401 to this token as an error, if it is a few seconds old.
    fn recently_refused(&self, question: &FetchRequest) -> Result<(), Fetched> {
        match self.refused.recent(&question.identity.fingerprint) {
            Some(refusal) => Err(Fetched::RecentlyRefused(refusal)),
            None => Ok(()),
        }
    }

    /// Sends a prepared question to Graph and stores the answer while `lease` is valid.
    pub async fn send(&self, question: &FetchRequest, prepared: PreparedFetch<'_>, lease: &Lease) -> Fetched {
        let PreparedFetch { admission, permit, in_flight } = prepared;
        let fingerprint = question.identity.fingerprint;
        let asked = self.clock.now();
        let stored = question.stored.as_ref();
        let validation = stored.and_then(|stored| Some((stored, stored.validation()?)));
        // What is asked about was given to this very token, and was found by its proof of the same digest: a 304
        // renews both together.
        let validation = validation.filter(|(_, known)| known.for_token(fingerprint, asked).is_some());
        let condition = validation.map(|(_, known)| &known.validators);
        let (token, ids) = (&question.identity.token, &question.ids);
        let answer =
            self.origin.ask(permit, &question.resource, token, ids, condition, question.peer.ip()).await;
        if let Some(outcome) = outcome(&answer, self.clock.now()) {
            in_flight.settle(outcome);
        }
        if let Some(date) = answer.as_ref().ok().and_then(|answer| headers::date(&answer.headers)) {
            self.clock.heard(date);
        }
        match (&admission, answer.as_ref().map(|answer| answer.status)) {
            (Some(admission), Ok(StatusCode::UNAUTHORIZED)) => admission.refused(),
            (Some(admission), Ok(StatusCode::OK)) => admission.proven(),
            _ => {}
        }
        let fetched = match answer {
            Ok(answer) if answer.status == StatusCode::OK => self.accept(question, &answer, lease, asked),
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => {
                self.renew(question, validation, &answer, lease, asked)
            }
            Ok(answer) => self.refuse(question, &answer),
            Err(error_response) => Fetched::Failed(error_response),
        };
        match &fetched {
            Fetched::Answer(_, Ok(())) | Fetched::Revalidated(_, Ok(())) => {
                self.metrics.local().proofs.inc(ProofResult::Granted);
            }
            Fetched::Answer(_, Err(reason)) | Fetched::Revalidated(_, Err(reason)) => {
                self.metrics.not_stored.inc(*reason);
            }
            Fetched::Refused(_) => self.metrics.not_stored.inc(NotStored::Status),
            Fetched::RecentlyRefused(_) | Fetched::Failed(_) => {}
        }
        fetched
    }

    /// Takes a permit, and then passes the breakers. They are checked before and after the queue: a request that an open
    /// breaker refuses must not wait, and a queue that an outage has met must not send its requests all the same.
    async fn acquire_permits(
        &self,
        question: &FetchRequest,
    ) -> Result<(UpstreamPermit, InFlight<'_>), ErrorResponse> {
        let (scope, owner) = (question.breaker_scope(), question.owner());
        let permit = if let Some(permit) = self.origin.permits().try_acquire(owner) {
            permit
        } else {
            self.breakers.look(&scope).map_err(shut)?;
            let permit = self.origin.permits().acquire(owner, self.origin.queue_time()).await;
            permit.map_err(|_| ErrorResponse::Rejected(Rejection::Overloaded))?
        };
        Ok((permit, self.breakers.enter(&scope).map_err(shut)?))
    }

    /// A 200: what is JSON by its media type and passes the scrubber becomes an entry.
    fn accept(
        &self,
        question: &FetchRequest,
        answer: &UpstreamResponse,
        lease: &Lease,
        asked: Now,
    ) -> Fetched {
        if !answer.headers.get(header::CONTENT_TYPE).is_some_and(headers::is_json) {
            self.metrics.origin_errors.inc(UpstreamFailure::ContentType);
            return Fetched::Failed(ErrorResponse::GraphClient(UpstreamFailure::ContentType));
        }
        let scrubbed = match answer.body.as_ref().map(|body| self.scrub(body)) {
            Ok(Ok(scrubbed)) => scrubbed,
            Ok(Err(error_response)) => {
                self.metrics.origin_errors.inc(UpstreamFailure::Unscrubbable);
                return Fetched::Failed(error_response);
            }
            Err(error_response) => return Fetched::Failed(*error_response),
        };
        let token = question.identity.fingerprint;
        let validation = Validation::of(&answer.headers, token, asked);
        let (entry, storable) =
            self.entry(question, (scrubbed.body, None), &answer.headers, validation, asked);
        let stored = storable.and_then(|()| self.admit(question, &entry, None, lease));
        Fetched::Answer(entry, stored)
    }

    /// A 304: the stored answer holds, with the fields that the 304 brought (RFC 9111, section 4.3.4).
    fn renew(
        &self,
        question: &FetchRequest,
        known: Option<(&Arc<Entry>, &Validation)>,
        answer: &UpstreamResponse,
        lease: &Lease,
        asked: Now,
    ) -> Fetched {
        let Some((old, known)) = known else {
            return Fetched::Failed(ErrorResponse::GraphClient(UpstreamFailure::Status));
        };
        let headers = known.merge(old.headers(), &answer.headers);
        let validation = known.renewed(&headers, asked);
        let body = (old.body.clone(), old.gzip().cloned());
        let (entry, storable) = self.entry(question, body, &headers, validation, asked);
        let stored = storable.and_then(|()| self.admit(question, &entry, Some(old), lease));
        Fetched::Revalidated(entry, stored)
    }

    /// An entry of a body and the fields of Graph's answer, and whether these and the question let it be stored.
    /// What may be is compressed, once, for a caller that would have it so: the same client asks again.
    fn entry(
        &self,
        question: &FetchRequest,
        (body, gzip): (ScrubbedBody, Option<GzippedBody>),
        headers: &HeaderMap,
        validation: Option<Validation>,
        asked: Now,
    ) -> (Arc<Entry>, Result<(), NotStored>) {
        let selecting_request = question.selecting_request();
        let lifetime = Lifetime::of(headers, &self.freshness.now(), self.clock.now());
        let secondary_key = self.store.secondary_key_hasher().secondary_key(headers, selecting_request);
        let can_match = secondary_key.as_ref().map_err(|reason| *reason);
        let storable = lifetime.and(can_match).and(self.is_storable(question));
        let wanted =
            storable.is_ok() && ContentCoding::preferred(selecting_request.headers) == ContentCoding::Gzip;
        let gzip = gzip.or_else(|| if wanted { GzippedBody::of(&body) } else { None });
        let entry = Entry::new(body, &self.scrubber, headers, lifetime.unwrap_or(Lifetime::NONE), asked);
        let entry = entry.with(validation, secondary_key.ok().flatten()).with_gzip(gzip);
        (Arc::new(entry), storable)
    }

    /// Whether the answer to this question may be stored, whatever it is.
    fn is_storable(&self, question: &FetchRequest) -> Result<(), NotStored> {
        let claims = question.claims.as_ref().map_err(|_| NotStored::Bypass)?;
        if question.no_store {
            return Err(NotStored::NoStore);
        }
        // The answer took its time; the token may have come to its end meanwhile.
        if claims.end.left(self.clock.now()).is_zero() {
            return Err(NotStored::Expiring);
        }
        Ok(())
    }

    fn admit(
        &self,
        question: &FetchRequest,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        lease: &Lease,
    ) -> Result<(), NotStored> {
        let claims = question.claims.as_ref().map_err(|_| NotStored::Bypass)?;
        self.store.admit(question.identity.fingerprint, claims, &question.resource, entry, old, lease)
    }

    /// Handles an error response of Graph: it counts against what the token was granted before, and is passed on. Only a 401
    /// is kept, for a few seconds and for the token that received it.
    fn refuse(&self, question: &FetchRequest, answer: &UpstreamResponse) -> Fetched {
        let token = &question.identity.fingerprint;
        let withdrawn = match answer.status.as_u16() {
            401 => self.store.withdraw_token(token),
            403 | 404 | 410 => self.store.withdraw_resource(token, &question.resource),
            _ => false,
        };
        if withdrawn {
            self.metrics.local().proofs.inc(ProofResult::Revoked);
        }
        // Where its words cannot be passed on, its meaning can.
        let is_json = answer.headers.get(header::CONTENT_TYPE).is_some_and(headers::is_json);
        let body = answer.body.as_ref().ok().filter(|_| is_json).and_then(|body| self.scrub(body).ok());
        let body = body.map(|scrubbed| scrubbed.body);
        let refusal =
            Arc::new(UpstreamErrorResponse { status: answer.status, headers: self.passed_on(answer), body });
        if answer.status == StatusCode::UNAUTHORIZED {
            self.refused.insert(
                *token,
                Arc::clone(&refusal),
                refusal.weight(),
                withdrawn || question.is_proven,
            );
        }
        Fetched::Refused(refusal)
    }

    fn passed_on(&self, answer: &UpstreamResponse) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for challenge in headers::challenges(&answer.headers) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = retry_after::of(&answer.headers, answer.status, self.clock.now()) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        let id = answer.headers.get(REQUEST_ID).and_then(guid);
        if let Some(id) = id.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
            headers.insert(ORIGIN_REQUEST_ID, id);
        }
        headers
    }

    /// Logs the name of a member that the schema does not know: Graph may have changed.
    fn notice(&self, scrubbed: &Scrubbed) {
        if let Some(Notice { member, suppressed }) =
            self.unknown_members.next(&scrubbed.unknown, self.clock.now())
        {
            tracing::warn!(
                %member,
                suppressed,
                "Graph sent a member that its schema does not have: its text is masked; \
                 if it is harmless, add it to scrub.allow_fields"
            );
        }
    }

    fn scrub(&self, body: &RawBody) -> Result<Scrubbed, ErrorResponse> {
        match body.scrub(&self.scrubber) {
            Ok(scrubbed) => {
                for (field, count) in scrubbed.removed.iter() {
                    self.metrics.scrubbed.add(field, count);
                }
                self.notice(&scrubbed);
                Ok(scrubbed)
            }
            Err(failure) => {
                self.metrics.scrub_failures.inc(failure);
                Err(ErrorResponse::Unscrubbable(failure))
            }
        }
    }
}

/// Graph's clients read whole seconds alone; rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
