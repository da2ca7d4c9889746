//! One question to Graph and what becomes of its answer: scrubbed, judged, kept or not.
//!
//! A fetch knows nothing of who waits for it. Whatever Graph says passes the scrubber before it goes
//! anywhere (promise 4), and only a complete, scrubbed 200 is kept, with the proof for the token that asked.

mod question;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

pub use self::question::{CallerFields, Question};
use crate::budget::Budget;
use crate::cache::entry::Entry;
use crate::cache::freshness::{self, Lifetime};
use crate::cache::status::{NotStored, ProofResult};
use crate::cache::store::Store;
use crate::cache::ticket::Ticket;
use crate::cache::validation::Validation;
use crate::clock::{Clock, Now};
use crate::coding::Coding;
use crate::error::{OriginFault, Problem, Rejection};
use crate::headers::{self, ORIGIN_REQUEST_ID};
use crate::ids::{REQUEST_ID, guid};
use crate::metrics::Metrics;
use crate::origin::{Origin, OriginAnswer, Place, RawBody};
use crate::retry_after;
use crate::sabotage::sabotaged;
use crate::scrub::{GzippedBody, Notice, Scrubbed, ScrubbedBody, Scrubber, UnknownMemberNotices};
use crate::throttle::{Closed, Gates, Outcome, Passage};

/// What came of it. Cheap to clone: everybody who waits gets one.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// Graph said 200. Stored, or why not.
    Answer(Arc<Entry>, Result<(), NotStored>),
    /// Graph said 304: what was stored still holds. Stored again, or why not.
    Revalidated(Arc<Entry>, Result<(), NotStored>),
    /// Graph said no.
    Refused(Arc<Refusal>),
    /// There is no answer of Graph's that could be passed on.
    Failed(Problem),
}

/// Graph's "no".
#[derive(Debug)]
pub struct Refusal {
    /// Graph's status.
    pub status: StatusCode,
    /// What of its header fields is passed on.
    pub headers: HeaderMap,
    /// Its body without credentials, where it could be read.
    pub body: Option<ScrubbedBody>,
}

impl Fetched {
    /// Whether Graph could not answer, rather than would not: what `stale_if_error` is for. A 401, 403 or 404
    /// is an answer.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Answer(..) | Self::Revalidated(..) => false,
            Self::Refused(refusal) => {
                sabotaged!(
                    StaleAfterForbidden,
                    if refusal.status == StatusCode::FORBIDDEN {
                        return true;
                    }
                );
                refusal.status.is_server_error() || refusal.status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Failed(_) => true,
        }
    }

    /// Graph's status, if it said one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answer(..) => Some(StatusCode::OK),
            Self::Revalidated(..) => Some(StatusCode::NOT_MODIFIED),
            Self::Refused(refusal) => Some(refusal.status),
            Self::Failed(_) => None,
        }
    }
}

/// What a fetch needs.
#[derive(Debug)]
pub struct Fetcher {
    /// Graph.
    pub origin: Origin,
    /// What the unproven may spend.
    pub budget: Budget,
    /// Whether Graph may be asked now.
    pub gates: Gates,
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
    /// Asks Graph and sees to the answer, which is kept while `ticket` is good.
    pub async fn fetch(&self, question: &Question, ticket: &Ticket) -> Fetched {
        let pass = match question.unproven {
            Some(peer) => match self.budget.enter(peer).await {
                Ok(pass) => Some(pass),
                Err(reason) => return Fetched::Failed(Problem::Rejected(reason)),
            },
            None => None,
        };
        let (place, passage) = match self.way(question).await {
            Ok(way) => way,
            Err(problem) => return Fetched::Failed(problem),
        };
        let fingerprint = question.identity.fingerprint;
        let asked = self.clock.now();
        let stored = question.stored.as_ref();
        let validation = stored.and_then(|stored| Some((stored, stored.validation()?)));
        let condition = validation.and_then(|(_, known)| known.for_token(fingerprint, asked));
        let (token, ids) = (&question.identity.token, &question.ids);
        let answer = self.origin.ask(place, &question.resource, token, ids, condition).await;
        if let Some(outcome) = self.outcome(&answer) {
            passage.settle(outcome);
        }
        if let Some(date) = answer.as_ref().ok().and_then(|answer| headers::date(&answer.headers)) {
            self.clock.heard(date);
        }
        if let (Some(pass), Ok(OriginAnswer { status: StatusCode::UNAUTHORIZED, .. })) = (&pass, &answer) {
            pass.failed(self.clock.now());
        }
        let fetched = match answer {
            Ok(answer) if answer.status == StatusCode::OK => self.accept(question, &answer, ticket, asked),
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => {
                self.renew(question, validation, &answer, ticket, asked)
            }
            Ok(answer) => self.refuse(question, &answer),
            Err(problem) => Fetched::Failed(problem),
        };
        sabotaged!(ErrorStored, self.keep_no(question, &fetched, ticket, asked));
        match &fetched {
            Fetched::Answer(_, Ok(())) | Fetched::Revalidated(_, Ok(())) => {
                self.metrics.here().proofs.inc(ProofResult::Granted);
            }
            Fetched::Answer(_, Err(reason)) | Fetched::Revalidated(_, Err(reason)) => {
                self.metrics.not_stored.inc(*reason);
            }
            Fetched::Refused(_) => self.metrics.not_stored.inc(NotStored::Status),
            Fetched::Failed(_) => {}
        }
        fetched
    }

    /// A place to ask from, and then the way through the gates. Whoever has to wait for a place goes through them
    /// afterwards: a queue that Graph's outage has met must not ask it all the same.
    async fn way(&self, question: &Question) -> Result<(Place<'_>, Passage<'_>), Problem> {
        let comer = question.comer();
        let place = if let Some(place) = self.origin.place() {
            place
        } else {
            self.gates.look(&comer).map_err(shut)?;
            self.origin.wait_for_place().await.map_err(Problem::Rejected)?
        };
        Ok((place, self.gates.enter(&comer).map_err(shut)?))
    }

    /// What an answer, or the lack of one, tells the gates. `None`: nothing; Graph was not asked.
    fn outcome(&self, answer: &Result<OriginAnswer, Problem>) -> Option<Outcome> {
        use OriginFault as Fault;
        match answer {
            Ok(answer) => match answer.status.as_u16() {
                429 => {
                    let wait = retry_after::of(&answer.headers, answer.status, self.clock.now());
                    Some(Outcome::Throttled(wait.unwrap_or_default()))
                }
                502..=504 => Some(Outcome::Failed),
                _ => Some(Outcome::Answered),
            },
            Err(Problem::Origin(
                Fault::Dns
                | Fault::Connect
                | Fault::ConnectTimeout
                | Fault::Tls
                | Fault::Reset
                | Fault::FirstByte
                | Fault::Timeout,
            )) => Some(Outcome::Failed),
            Err(Problem::Origin(_)) => Some(Outcome::Answered),
            Err(_) => None,
        }
    }

    /// A 200: what is JSON by its media type and passes the scrubber becomes an entry.
    fn accept(&self, question: &Question, answer: &OriginAnswer, ticket: &Ticket, asked: Now) -> Fetched {
        if !answer.headers.get(header::CONTENT_TYPE).is_some_and(headers::is_json) {
            self.metrics.origin_errors.inc(OriginFault::ContentType);
            return Fetched::Failed(Problem::Origin(OriginFault::ContentType));
        }
        let scrubbed = match answer.body.as_ref().map(|body| self.scrub(body)) {
            Ok(Ok(scrubbed)) => scrubbed,
            Ok(Err(problem)) => {
                self.metrics.origin_errors.inc(OriginFault::Unscrubbable);
                return Fetched::Failed(problem);
            }
            Err(problem) => return Fetched::Failed(*problem),
        };
        let token = question.identity.fingerprint;
        let validation = Validation::of(&answer.headers, token, asked);
        let (entry, storable) =
            self.entry(question, (scrubbed.body, None), &answer.headers, validation, asked);
        let stored = storable.and_then(|()| self.admit(question, &entry, None, ticket));
        Fetched::Answer(entry, stored)
    }

    /// A 304: the stored answer holds, with the fields that the 304 brought (RFC 9111, section 4.3.4).
    fn renew(
        &self,
        question: &Question,
        known: Option<(&Arc<Entry>, &Validation)>,
        answer: &OriginAnswer,
        ticket: &Ticket,
        asked: Now,
    ) -> Fetched {
        let Some((old, known)) = known else {
            return Fetched::Failed(Problem::Origin(OriginFault::Status));
        };
        let headers = known.merge(old.headers(), &answer.headers);
        let validation = known.renewed(&headers, asked);
        let body = (old.body.clone(), old.gzip().cloned());
        let (entry, storable) = self.entry(question, body, &headers, validation, asked);
        let stored = storable.and_then(|()| self.admit(question, &entry, Some(old), ticket));
        Fetched::Revalidated(entry, stored)
    }

    /// An entry of a body and the fields of Graph's answer, and whether these and the question let it be stored.
    /// What may be is compressed, once, for a caller that would have it so: the same client asks again.
    fn entry(
        &self,
        question: &Question,
        (body, gzip): (ScrubbedBody, Option<GzippedBody>),
        headers: &HeaderMap,
        validation: Option<Validation>,
        asked: Now,
    ) -> (Arc<Entry>, Result<(), NotStored>) {
        let presented = question.presented();
        let lifetime = Lifetime::of(headers, &self.freshness.now(), self.clock.now());
        let chosen = self.store.chooser().chosen(headers, presented);
        let can_match = chosen.as_ref().map_err(|reason| *reason);
        let storable = lifetime.and(can_match).and(self.is_storable(question));
        let wanted = storable.is_ok() && Coding::preferred(presented.headers) == Coding::Gzip;
        let gzip = gzip.or_else(|| if wanted { GzippedBody::of(&body) } else { None });
        let entry = Entry::new(body, &self.scrubber, headers, lifetime.unwrap_or(Lifetime::NONE), asked);
        let entry = entry.with(validation, chosen.ok().flatten()).with_gzip(gzip);
        (Arc::new(entry), storable)
    }

    /// Whether the answer to this question may be stored, whatever it is.
    fn is_storable(&self, question: &Question) -> Result<(), NotStored> {
        let claims = question.claims.as_ref().map_err(|_| NotStored::Bypass)?;
        if question.no_store {
            return Err(NotStored::NoStore);
        }
        // The answer took its time; the token may have come to its end meanwhile.
        if sabotaged!(EndForgotten, false, claims.end.left(self.clock.now()).is_zero()) {
            return Err(NotStored::Expiring);
        }
        Ok(())
    }

    fn admit(
        &self,
        question: &Question,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        ticket: &Ticket,
    ) -> Result<(), NotStored> {
        let claims = question.claims.as_ref().map_err(|_| NotStored::Bypass)?;
        self.store.admit(question.identity.fingerprint, claims, &question.resource, entry, old, ticket)
    }

    /// Graph's "no": it counts against what the token was granted before, and is passed on, never kept.
    fn refuse(&self, question: &Question, answer: &OriginAnswer) -> Fetched {
        let withdrawn = match answer.status.as_u16() {
            401 if sabotaged!(UnheededUnauthorized, false, true) => {
                sabotaged!(UnprovenEvicts, self.store.drop_claimed(question.claims));
                self.store.withdraw_token(&question.identity.fingerprint)
            }
            403 | 404 | 410
                if sabotaged!(UnheededForbidden, false, sabotaged!(StaleAfterForbidden, false, true)) =>
            {
                self.store.withdraw_resource(&question.identity.fingerprint, &question.resource)
            }
            _ => false,
        };
        if withdrawn {
            self.metrics.here().proofs.inc(ProofResult::Revoked);
        }
        // Where its words cannot be passed on, its meaning can.
        let is_json = answer.headers.get(header::CONTENT_TYPE).is_some_and(headers::is_json);
        let body = answer.body.as_ref().ok().filter(|_| is_json).and_then(|body| self.scrub(body).ok());
        let body = body.map(|scrubbed| scrubbed.body);
        Fetched::Refused(Arc::new(Refusal { status: answer.status, headers: self.passed_on(answer), body }))
    }

    fn passed_on(&self, answer: &OriginAnswer) -> HeaderMap {
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

    fn scrub(&self, body: &RawBody) -> Result<Scrubbed, Problem> {
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
                Err(Problem::Unscrubbable(failure))
            }
        }
    }
}

fn shut(closed: Closed) -> Problem {
    let (reason, left) = match closed {
        Closed::Throttled(left) => (Rejection::ThrottleGate, left),
        Closed::Broken(left) => (Rejection::Breaker, left),
    };
    Problem::Shut(reason, u32::try_from(whole_seconds(left)).unwrap_or(u32::MAX))
}

#[cfg(feature = "sabotage")]
impl Fetcher {
    /// Keeps Graph's "no" as if it were an answer.
    fn keep_no(&self, question: &Question, fetched: &Fetched, ticket: &Ticket, asked: Now) {
        if let Fetched::Refused(refusal) = fetched
            && let (Some(body), Ok(lifetime)) =
                (&refusal.body, Lifetime::of(&refusal.headers, &self.freshness.now(), asked))
        {
            let entry = Entry::new(body.clone(), &self.scrubber, &refusal.headers, lifetime, asked);
            let _ = self.admit(question, &Arc::new(entry), None, ticket);
        }
    }
}

/// Graph's clients read whole seconds alone; rounded up, so that nobody comes back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
