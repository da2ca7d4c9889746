//! The one place that branches on the state of the cache.
//!
//! A request becomes a resource and an identity. A token that Graph has said 200 to has a grant; with a live
//! proof in it, an entry may be used. Everything else is a question to Graph, in a flight of the token's own.
//! The parts that are called here decide nothing about each other.

mod coalesced;
pub mod fetch;
pub mod handler;
mod lookup;
pub mod middleware;
pub mod refresh_limit;
pub mod response;
pub mod waiting_requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use tokio_util::task::TaskTracker;

use self::lookup::Found;
use crate::auth::{Claims, Identity, Secrets, Spelling};
use crate::cache::coalesce::Flights;
use crate::cache::freshness::{ClientDirectives, ErrorSource, Judgement, Verdict, usable_on_error};
use crate::cache::grants::Grant;
use crate::cache::outcome::{Bypass, Forward, Outcome, ProofResult};
use crate::cache::thread_cache::Finding;
use crate::cache::vary::Presented;
use crate::http::cache_control::Control;
use crate::http::cache_status::Report;
use crate::http::error::{Problem, Rejection};
use crate::http::ids::Ids;
use crate::http::validate::Asked;
use crate::proxy::fetch::{CallerFields, Fetched, Fetcher, Question};
use crate::proxy::handler::{Answer, Handler};
use crate::proxy::refresh_limit::Refreshes;
use crate::proxy::response::Delivery;
use crate::proxy::waiting_requests::WaitingRequests;
use crate::resource::{ApiVersion, Resource};
use crate::support::clock::Now;
use crate::support::dial::Dial;
use crate::support::labels::Word;
use crate::support::sabotage::sabotaged;

/// The cache's decisions. Clones decide with the same memory.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Inner>);

/// What the decisions need.
#[derive(Debug)]
pub struct Inner {
    /// What asks Graph and keeps its answers.
    pub fetcher: Fetcher,
    /// The keys under which tokens are hashed.
    pub secrets: Secrets,
    /// Questions under way.
    pub flights: Flights<Fetched>,
    /// Limits of the requests that wait for Graph.
    pub waiting: WaitingRequests,
    /// How often callers may ask for Graph's word.
    pub refreshes: Refreshes,
    /// How long a follower waits.
    pub follower_wait: Dial<Duration>,
    /// The version of paths without one.
    pub default_version: ApiVersion,
    /// Where flights run: they outlive their callers.
    pub tasks: TaskTracker,
}

impl Handler for Proxy {
    fn at_once(&self, asked: &Asked<'_>, ids: &Ids) -> Option<Answer> {
        if asked.has_wish {
            return None;
        }
        let (now, client) = (self.0.fetcher.clock.at(asked.at), self.directives(asked.headers()));
        let spelling = Spelling::of(asked, &self.0.secrets)?;
        let known = self.recall(spelling, client, now).or_else(|| self.look_up(spelling, asked, client, now));
        let (Finding { entry, tag, .. }, judgement) = known?;
        self.0.fetcher.metrics.here().proofs.inc(ProofResult::Live);
        let (headers, is_conditional) = (asked.headers(), asked.is_conditional);
        Some(Delivery { headers, is_conditional, ids, tag }.hit(&entry, &judgement, None))
    }

    async fn handle(&self, request: &Parts, headers: HeaderMap, ids: &Ids, peer: SocketAddr) -> Answer {
        self.answer(request, headers, ids, peer).await.unwrap_or_else(|rejection| {
            self.0.fetcher.metrics.rejected.inc(rejection);
            self.problem(Problem::Rejected(rejection), ids)
        })
    }

    fn problem(&self, problem: Problem, ids: &Ids) -> Answer {
        response::problem(problem, ids, &Report::default(), self.now())
    }
}

impl Proxy {
    /// Puts the parts together.
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The parts.
    pub fn inner(&self) -> &Inner {
        &self.0
    }

    /// Answers from memory when the rules allow it, from Graph otherwise.
    async fn answer(
        &self,
        request: &Parts,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> Result<Answer, Rejection> {
        let (uri, now) = (&request.uri, self.now());
        let client = self.directives(&headers);
        let resource = Arc::new(Resource::parse(uri.path(), uri.query(), &headers, self.0.default_version)?);
        let identity = self.identity(&headers)?;
        let fields = CallerFields::new(headers);
        let headers = fields.as_map();
        let delivery = Delivery { headers, is_conditional: true, ids, tag: identity.tag };
        let grant = self.0.fetcher.store.grant(&identity.fingerprint);
        let claims = self.claims(&identity, grant.as_deref(), now);
        let is_proven = grant.is_some();
        let (no_store, ids, stored) = (client.no_store, ids.clone(), None);
        let headers = fields.clone();
        let question =
            Question { resource, identity, claims, peer, is_proven, no_store, headers, stored, ids };
        let headers = fields.as_map();
        let claims = match question.claims {
            Ok(claims) => claims,
            Err(reason) => return self.bypass(&question, reason, &delivery).await,
        };
        let presented = Presented { headers, token: question.identity.fingerprint };
        let (proof, found) = self.find(grant.as_deref(), &claims, &question.resource, presented, client, now);
        self.0.fetcher.metrics.here().proofs.inc(proof);
        let Some(found) = found else {
            return self.ask(question, Forward::UriMiss, client, &delivery).await;
        };
        let (verdict, why) = self.0.refreshes.heed(headers, presented.token, found.judgement.verdict, now);
        match verdict {
            Verdict::Fresh => Ok(delivery.hit(&found.entry, &found.judgement, why)),
            Verdict::StaleAccepted => Ok(delivery.stale(&found.entry, &found.judgement, why)),
            Verdict::StaleUsable => {
                // The caller gets its answer now; whoever asks next gets the fresh one.
                self.refresh(question.with_stored(Arc::clone(&found.entry)));
                Ok(delivery.stale(&found.entry, &found.judgement, why))
            }
            Verdict::Forward(forward) => {
                self.ask(question.with_stored(found.entry), forward, client, &delivery).await
            }
        }
    }

    /// What answered this request a moment ago, if the same entry and proof still do.
    fn recall(&self, spelling: Spelling, client: Control, now: Now) -> Option<(Finding, Judgement)> {
        let found = self.0.fetcher.store.recall(spelling, now)?;
        let judgement = self.judge(&found.entry, found.granted, found.end, client, now);
        (judgement.verdict == Verdict::Fresh).then_some((found, judgement))
    }

    /// What answers this request from memory, if something fresh does. This thread remembers it from the second time on:
    /// much is asked for again once. Where nothing does, [`Self::answer`] looks again, and counts what is missing.
    // Apart, so that what is remembered has a short way.
    #[inline(never)]
    fn look_up(
        &self,
        spelling: Spelling,
        asked: &Asked<'_>,
        client: Control,
        now: Now,
    ) -> Option<(Finding, Judgement)> {
        let (store, headers, uri) = (&self.0.fetcher.store, asked.headers(), &asked.head.uri);
        let identity = self.identity(headers).ok()?;
        let grant = store.grant(&identity.fingerprint)?;
        // Before a proof is looked up: what is withdrawn meanwhile must not be remembered.
        let epoch = store.epoch(grant.claims.principal);
        let claims = self.claims(&identity, Some(&grant), now).ok()?;
        let resource = Resource::parse(uri.path(), uri.query(), headers, self.0.default_version).ok()?;
        let presented = Presented { headers, token: identity.fingerprint };
        let (_, found) = self.find(Some(&grant), &claims, &Arc::new(resource), presented, client, now);
        let Found { entry, proof, judgement } = found.filter(|it| it.judgement.verdict == Verdict::Fresh)?;
        let found = Finding { entry, granted: proof.granted, end: claims.end, tag: identity.tag };
        // What other fields of the request chose is not known by its spelling.
        if found.entry.look_up() && found.entry.chosen().is_none() {
            store.remember(spelling, epoch, now, &found);
        }
        Some((found, judgement))
    }

    /// Asks Graph in a flight of the token's own, or waits for the one that is under way.
    async fn ask(
        &self,
        question: Question,
        forward: Forward,
        client: Control,
        delivery: &Delivery<'_>,
    ) -> Result<Answer, Rejection> {
        if client.only_if_cached {
            return Err(Rejection::OnlyIfCached);
        }
        let question = Arc::new(question);
        let (fetched, outcome) = match self.wait_permit(&question) {
            Ok(_waiting) => self.join(&question).await,
            Err(reason) => (Fetched::Failed(Problem::Rejected(reason)), Outcome::Miss),
        };
        if forward == Forward::Stale
            && let Some(source) = fetched.error_source()
            && let Some(found) = self.fall_back(&question, source)
        {
            return Ok(delivery.instead(&found.entry, &found.judgement, &fetched));
        }
        self.deliver(&question, &fetched, outcome, forward, delivery)
    }

    /// A token that may not use the cache: Graph is asked for this caller alone, and only while it waits.
    async fn bypass(
        &self,
        question: &Question,
        reason: Bypass,
        delivery: &Delivery<'_>,
    ) -> Result<Answer, Rejection> {
        self.0.fetcher.metrics.bypass.inc(reason);
        let _waiting = self.wait_permit(question)?;
        let (fetched, _) = self.alone(question).await;
        self.deliver(question, &fetched, Outcome::Bypass, Forward::Bypass, delivery)
    }

    fn deliver(
        &self,
        question: &Question,
        fetched: &Fetched,
        outcome: Outcome,
        forward: Forward,
        delivery: &Delivery<'_>,
    ) -> Result<Answer, Rejection> {
        let now = self.now();
        match fetched {
            Fetched::Failed(Problem::Rejected(rejection)) => Err(*rejection),
            Fetched::Failed(problem @ Problem::Shut(reason, _)) => {
                self.0.fetcher.metrics.rejected.inc(*reason);
                Ok(self.problem(*problem, delivery.ids))
            }
            Fetched::Failed(problem) => Ok(delivery.failed(*problem, forward, now)),
            Fetched::Refused(refusal) => Ok(delivery.refused(refusal, outcome, forward, now)),
            Fetched::RecentlyRefused(refusal) => {
                self.0.fetcher.metrics.rejected.inc(Rejection::TokenRefused);
                Ok(delivery.recently_refused(refusal, now))
            }
            Fetched::Answer(entry, stored) | Fetched::Revalidated(entry, stored) => {
                let left = match (stored, question.claims) {
                    (Ok(()), Ok(claims)) => {
                        Some(self.judge(entry, entry.asked, claims.end, Control::default(), now).left)
                    }
                    _ => None,
                };
                let reason = question.claims.err().map(Word::as_str).or(stored.err().map(Word::as_str));
                let status = fetched.status().unwrap_or_default();
                Ok(delivery.answered((entry, status), left, outcome, forward, reason))
            }
        }
    }

    /// The caller's directives, where they are obeyed (RFC 9111, section 5.2.1).
    fn directives(&self, headers: &HeaderMap) -> Control {
        match self.0.fetcher.freshness.client_directives.get() {
            ClientDirectives::Ignore => Control::default(),
            ClientDirectives::Honor => Control::of_request(headers),
        }
    }

    /// Claims are read once a token: after Graph's first 200 its grant holds them.
    fn claims(&self, identity: &Identity, grant: Option<&Grant>, now: Now) -> Result<Claims, Bypass> {
        match grant {
            Some(grant) if grant.claims.end.left(now).is_zero() => Err(Bypass::Expiring),
            Some(grant) => Ok(grant.claims),
            None => identity.token.claims(&self.0.secrets, now),
        }
    }

    fn identity(&self, headers: &HeaderMap) -> Result<Identity, Rejection> {
        let identity = Identity::of(headers, &self.0.secrets);
        sabotaged!(
            ProofOfPrincipal,
            identity.map(|it| it.of_principal(&self.0.secrets, self.now())),
            identity
        )
    }

    fn now(&self) -> Now {
        self.0.fetcher.clock.now()
    }

    /// Finds an entry that may serve because the request to Graph failed. It is looked up again: while the request was
    /// under way, it may have been purged or withdrawn.
    fn fall_back(&self, question: &Question, source: ErrorSource) -> Option<Found> {
        let fetcher = &self.0.fetcher;
        let (claims, now) = (question.claims.ok()?, fetcher.clock.now());
        let grant = fetcher.store.grant(&question.identity.fingerprint)?;
        let presented = question.presented();
        let (proof, found) =
            self.find(Some(&grant), &claims, &question.resource, presented, Control::default(), now);
        fetcher.metrics.here().proofs.inc(proof);
        let found = found?;
        let left = sabotaged!(EndForgotten, Duration::MAX, claims.end.left(now));
        let (rules, lifetime) = (fetcher.freshness.now(), found.entry.lifetime());
        let ages = (now.since(found.proof.granted), left);
        usable_on_error(&rules, &lifetime, &found.judgement, source, ages).then_some(found)
    }
}
