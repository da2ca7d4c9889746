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
use crate::auth::{Claims, HashKeys, Identity, RequestDigest};
use crate::cache::coalesce::Coalescer;
use crate::cache::freshness::{Assessment, ClientDirectives, Decision, ErrorSource, is_usable_on_error};
use crate::cache::grants::Grants;
use crate::cache::outcome::{Bypass, Forward, Outcome, ProofResult};
use crate::cache::thread_cache::CachedLookup;
use crate::cache::vary::SelectingRequest;
use crate::http::cache_control::CacheControl;
use crate::http::cache_status::CacheStatus;
use crate::http::error::{ErrorResponse, Rejection};
use crate::http::ids::Ids;
use crate::http::validate::RequestView;
use crate::proxy::fetch::{CallerFields, FetchRequest, Fetched, Fetcher};
use crate::proxy::handler::{Handler, HandlerResponse};
use crate::proxy::refresh_limit::RefreshLimiter;
use crate::proxy::response::ResponseBuilder;
use crate::proxy::waiting_requests::WaitingRequests;
use crate::resource::{ApiVersion, Resource};
use crate::support::clock::Now;
use crate::support::dial::Dial;
use crate::support::labels::Label;

/// The cache's decisions. Clones decide with the same memory.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<ProxyParts>);

/// What the decisions need.
#[derive(Debug)]
pub struct ProxyParts {
    /// What asks Graph and keeps its answers.
    pub fetcher: Fetcher,
    /// The keys under which tokens are hashed.
    pub secrets: HashKeys,
    /// Questions under way.
    pub coalescer: Coalescer<Fetched>,
    /// Limits of the requests that wait for Graph.
    pub waiting: WaitingRequests,
    /// How often callers may ask for Graph's word.
    pub refresh_limiter: RefreshLimiter,
    /// How long a follower waits.
    pub follower_wait: Dial<Duration>,
    /// The version of paths without one.
    pub default_version: ApiVersion,
    /// Where flights run: they outlive their callers.
    pub tasks: TaskTracker,
}

impl Handler for Proxy {
    fn try_handle_sync(&self, asked: &RequestView<'_>, ids: &Ids) -> Option<HandlerResponse> {
        if asked.has_wish {
            return None;
        }
        let (now, client) = (self.0.fetcher.clock.at(asked.at), self.directives(asked.headers()));
        let spelling = RequestDigest::compute(asked, &self.0.secrets)?;
        let known = self.recall(spelling, client, now).or_else(|| self.look_up(spelling, asked, client, now));
        let (CachedLookup { entry, tag, .. }, assessment) = known?;
        self.0.fetcher.metrics.local().proofs.inc(ProofResult::Live);
        let (headers, is_conditional) = (asked.headers(), asked.is_conditional);
        Some(ResponseBuilder { headers, is_conditional, ids, tag }.hit(&entry, &assessment, None))
    }

    async fn handle(
        &self,
        request: &Parts,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> HandlerResponse {
        self.answer(request, headers, ids, peer).await.unwrap_or_else(|rejection| {
            self.0.fetcher.metrics.rejected.inc(rejection);
            self.error_response(ErrorResponse::Rejected(rejection), ids)
        })
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        response::error_response(error_response, ids, &CacheStatus::default(), self.now())
    }
}

impl Proxy {
    /// Puts the parts together.
    pub fn new(inner: ProxyParts) -> Self {
        Self(Arc::new(inner))
    }

    /// The parts.
    pub fn inner(&self) -> &ProxyParts {
        &self.0
    }

    /// Answers from memory when the rules allow it, from Graph otherwise.
    async fn answer(
        &self,
        request: &Parts,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> Result<HandlerResponse, Rejection> {
        let (uri, now) = (&request.uri, self.now());
        let client = self.directives(&headers);
        let resource = Arc::new(Resource::parse(uri.path(), uri.query(), &headers, self.0.default_version)?);
        let identity = self.identity(&headers)?;
        let fields = CallerFields::new(headers);
        let headers = fields.as_map();
        let response = ResponseBuilder { headers, is_conditional: true, ids, tag: identity.tag };
        let grant = self.0.fetcher.store.grant(&identity.fingerprint);
        let claims = self.claims(&identity, grant.as_deref(), now);
        let is_proven = grant.is_some();
        let (no_store, ids, stored) = (client.no_store, ids.clone(), None);
        let headers = fields.clone();
        let question =
            FetchRequest { resource, identity, claims, peer, is_proven, no_store, headers, stored, ids };
        let headers = fields.as_map();
        let claims = match question.claims {
            Ok(claims) => claims,
            Err(reason) => return self.bypass(&question, reason, &response).await,
        };
        let selecting_request = SelectingRequest { headers, token: question.identity.fingerprint };
        let (proof, found) =
            self.find(grant.as_deref(), &claims, &question.resource, selecting_request, client, now);
        self.0.fetcher.metrics.local().proofs.inc(proof);
        let Some(found) = found else {
            return self.ask(question, Forward::UriMiss, client, &response).await;
        };
        let (verdict, why) =
            self.0.refresh_limiter.check(headers, selecting_request.token, found.assessment.verdict, now);
        match verdict {
            Decision::Fresh => Ok(response.hit(&found.entry, &found.assessment, why)),
            Decision::StaleAccepted => Ok(response.stale(&found.entry, &found.assessment, why)),
            Decision::StaleUsable => {
                // The caller gets its answer now; whoever asks next gets the fresh one.
                self.refresh(question.with_stored(Arc::clone(&found.entry)));
                Ok(response.stale(&found.entry, &found.assessment, why))
            }
            Decision::Forward(forward) => {
                self.ask(question.with_stored(found.entry), forward, client, &response).await
            }
        }
    }

    /// What answered this request a moment ago, if the same entry and proof still do.
    fn recall(
        &self,
        spelling: RequestDigest,
        client: CacheControl,
        now: Now,
    ) -> Option<(CachedLookup, Assessment)> {
        let found = self.0.fetcher.store.recall(spelling, now)?;
        let assessment = self.assess(&found.entry, found.granted, found.end, client, now);
        (assessment.verdict == Decision::Fresh).then_some((found, assessment))
    }

    /// What answers this request from memory, if something fresh does. This thread remembers it from the second time on:
    /// much is asked for again once. Where nothing does, [`Self::answer`] looks again, and counts what is missing.
    // Apart, so that what is remembered has a short way.
    #[inline(never)]
    fn look_up(
        &self,
        spelling: RequestDigest,
        asked: &RequestView<'_>,
        client: CacheControl,
        now: Now,
    ) -> Option<(CachedLookup, Assessment)> {
        let (store, headers, uri) = (&self.0.fetcher.store, asked.headers(), &asked.head.uri);
        let identity = self.identity(headers).ok()?;
        let grant = store.grant(&identity.fingerprint)?;
        // Before a proof is looked up: what is withdrawn meanwhile must not be remembered.
        let generation = store.generation(grant.claims.principal);
        let claims = self.claims(&identity, Some(&grant), now).ok()?;
        let resource = Resource::parse(uri.path(), uri.query(), headers, self.0.default_version).ok()?;
        let selecting_request = SelectingRequest { headers, token: identity.fingerprint };
        let (_, found) =
            self.find(Some(&grant), &claims, &Arc::new(resource), selecting_request, client, now);
        let Found { entry, proof, assessment } =
            found.filter(|it| it.assessment.verdict == Decision::Fresh)?;
        let found = CachedLookup { entry, granted: proof.granted, end: claims.end, tag: identity.tag };
        // What other fields of the request chose is not known by its spelling.
        if found.entry.mark_accessed() && found.entry.secondary_key().is_none() {
            store.remember(spelling, generation, now, &found);
        }
        Some((found, assessment))
    }

    /// Asks Graph in a flight of the token's own, or waits for the one that is under way.
    async fn ask(
        &self,
        question: FetchRequest,
        forward: Forward,
        client: CacheControl,
        response: &ResponseBuilder<'_>,
    ) -> Result<HandlerResponse, Rejection> {
        if client.only_if_cached {
            return Err(Rejection::OnlyIfCached);
        }
        let question = Arc::new(question);
        let (fetched, outcome) = match self.wait_permit(&question) {
            Ok(_waiting) => self.join(&question).await,
            Err(reason) => (Fetched::Failed(ErrorResponse::Rejected(reason)), Outcome::Miss),
        };
        if forward == Forward::Stale
            && let Some(source) = fetched.error_source()
            && let Some(found) = self.fall_back(&question, source)
        {
            return Ok(response.stale_if_error(&found.entry, &found.assessment, &fetched));
        }
        self.deliver(&question, &fetched, outcome, forward, response)
    }

    /// A token that may not use the cache: Graph is asked for this caller alone, and only while it waits.
    async fn bypass(
        &self,
        question: &FetchRequest,
        reason: Bypass,
        response: &ResponseBuilder<'_>,
    ) -> Result<HandlerResponse, Rejection> {
        self.0.fetcher.metrics.bypass.inc(reason);
        let _waiting = self.wait_permit(question)?;
        let (fetched, _) = self.alone(question).await;
        self.deliver(question, &fetched, Outcome::Bypass, Forward::Bypass, response)
    }

    fn deliver(
        &self,
        question: &FetchRequest,
        fetched: &Fetched,
        outcome: Outcome,
        forward: Forward,
        response: &ResponseBuilder<'_>,
    ) -> Result<HandlerResponse, Rejection> {
        let now = self.now();
        match fetched {
            Fetched::Failed(ErrorResponse::Rejected(rejection)) => Err(*rejection),
            Fetched::Failed(error_response @ ErrorResponse::Shut(reason, _)) => {
                self.0.fetcher.metrics.rejected.inc(*reason);
                Ok(self.error_response(*error_response, response.ids))
            }
            Fetched::Failed(error_response) => Ok(response.failed(*error_response, forward, now)),
            Fetched::Refused(refusal) => Ok(response.upstream_error(refusal, outcome, forward, now)),
            Fetched::RecentlyRefused(refusal) => {
                self.0.fetcher.metrics.rejected.inc(Rejection::TokenRefused);
                Ok(response.recently_refused(refusal, now))
            }
            Fetched::Answer(entry, stored) | Fetched::Revalidated(entry, stored) => {
                let left = match (stored, question.claims) {
                    (Ok(()), Ok(claims)) => {
                        Some(self.assess(entry, entry.asked, claims.end, CacheControl::default(), now).left)
                    }
                    _ => None,
                };
                let reason = question.claims.err().map(Label::as_str).or(stored.err().map(Label::as_str));
                let status = fetched.status().unwrap_or_default();
                Ok(response.answered((entry, status), left, outcome, forward, reason))
            }
        }
    }

    /// The caller's directives, where they are obeyed (RFC 9111, section 5.2.1).
    fn directives(&self, headers: &HeaderMap) -> CacheControl {
        match self.0.fetcher.freshness.client_directives.get() {
            ClientDirectives::Ignore => CacheControl::default(),
            ClientDirectives::Honor => CacheControl::from_request(headers),
        }
    }

    /// Claims are read once a token: after Graph's first 200 its grant holds them.
    fn claims(&self, identity: &Identity, grant: Option<&Grants>, now: Now) -> Result<Claims, Bypass> {
        match grant {
            Some(grant) if grant.claims.end.left(now).is_zero() => Err(Bypass::Expiring),
            Some(grant) => Ok(grant.claims),
            None => identity.token.claims(&self.0.secrets, now),
        }
    }

    fn identity(&self, headers: &HeaderMap) -> Result<Identity, Rejection> {
        Identity::from_headers(headers, &self.0.secrets)
    }

    fn now(&self) -> Now {
        self.0.fetcher.clock.now()
    }

    /// Finds an entry that may serve because the request to Graph failed. It is looked up again: while the request was
    /// under way, it may have been purged or withdrawn.
    fn fall_back(&self, question: &FetchRequest, source: ErrorSource) -> Option<Found> {
        let fetcher = &self.0.fetcher;
        let (claims, now) = (question.claims.ok()?, fetcher.clock.now());
        let grant = fetcher.store.grant(&question.identity.fingerprint)?;
        let selecting_request = question.selecting_request();
        let (proof, found) = self.find(
            Some(&grant),
            &claims,
            &question.resource,
            selecting_request,
            CacheControl::default(),
            now,
        );
        fetcher.metrics.local().proofs.inc(proof);
        let found = found?;
        let left = claims.end.left(now);
        let (rules, lifetime) = (fetcher.freshness.now(), found.entry.lifetime());
        let ages = (now.since(found.proof.granted), left);
        is_usable_on_error(&rules, &lifetime, &found.assessment, source, ages).then_some(found)
    }
}
