//! The cache decision: the one place that branches on the state of the cache.
//!
//! A request is a resource and an identity. A token to which Graph has responded 200 has grants; with a live proof for the
//! resource, an entry may be used. All other requests go to Graph, in a fetch of the token's own.
//!
//! [`Handler::lookup`] makes all decisions that need no waiting. A hit ends there. Otherwise the lookup's results go on to
//! [`Handler::respond`] as a [`PreparedRequest`], so that nothing is parsed, hashed or looked up twice. The decision is
//! made only here: the called parts do not know each other.

mod coalesced;
pub mod error_response;
pub mod fetch;
mod forward;
pub mod handler;
mod lookup;
pub mod middleware;
mod prepared;
pub mod refresh_limit;
pub mod response;
pub mod runtime_config;
mod shared_events;
pub mod waiting_requests;

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use tokio_util::task::TaskTracker;

use self::lookup::{Found, RequestRules, reason_without_entry};
use self::prepared::NextStep;
pub use self::prepared::PreparedRequest;
use crate::auth::{Claims, HashKeys, Identity, LogTag, RawTokenHash, RequestDigest, TokenHash};
use crate::cache::coalesce::Coalescer;
use crate::cache::entry::RevalidationFailure;
use crate::cache::freshness::{Decision, ErrorSource};
use crate::cache::grants::Grants;
use crate::cache::outcome::{HitReason, ProofLookup};
use crate::cache::vary::SelectingRequest;
use crate::http::cache_status::CacheStatus;
use crate::http::cache_status::Forward;
use crate::http::ids::Ids;
use crate::http::rejection::Rejection;
use crate::http::validate::RequestView;
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::fetch::{CallerFields, FetchRequest, Fetched, Fetcher};
use crate::proxy::handler::{Handler, HandlerResponse, Lookup};
use crate::proxy::refresh_limit::{RefreshDemand, RefreshLimiter};
use crate::proxy::response::ResponseBuilder;
use crate::proxy::runtime_config::RuntimeConfig;
use crate::proxy::waiting_requests::WaitingRequests;
use crate::resource::{ApiVersion, Resource};
use crate::support::boxed::boxed;
use crate::support::clock::Now;

/// The cache decision. Clones share all state.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<ProxyParts>);

/// Parts that the decision uses.
#[derive(Debug)]
pub struct ProxyParts {
    /// Calls Graph and stores its responses.
    pub fetcher: Fetcher,
    /// Keys under which tokens are hashed.
    pub hash_keys: HashKeys,
    /// Fetches in flight.
    pub coalescer: Coalescer<Fetched>,
    /// Limits for the requests that wait for Graph.
    pub waiting: WaitingRequests,
    /// Rate limit for forced refreshes.
    pub refresh_limiter: RefreshLimiter,
    /// API version of paths without one, `graph.default_version`.
    pub default_version: ApiVersion,
    /// Runs the fetches that outlive their callers.
    pub tasks: TaskTracker,
}

impl Handler for Proxy {
    type Prepared = Box<PreparedRequest>;

    fn lookup(
        &self,
        request: &RequestView<'_>,
        ids: &Ids,
        config: &Arc<RuntimeConfig>,
    ) -> Lookup<Self::Prepared> {
        let now = self.0.fetcher.clock.now_at(request.created_at);
        let rules = RequestRules { config, client: config.directives(request.headers()), now };
        // The digest does not cover `Connector-Cache`, which forces a refresh.
        let (digest, token) = RequestDigest::compute(request, &self.0.hash_keys).unzip();
        let digest = digest.filter(|_| !request.has_refresh_field);
        if let Some((found, assessment)) =
            digest.and_then(|digest| self.lookup_in_thread_cache(digest, &rules))
        {
            self.0.fetcher.metrics.local().proof_lookups.inc(ProofLookup::Live);
            let (headers, is_conditional) = (request.headers(), request.is_conditional);
            let response = ResponseBuilder { headers, is_conditional, ids, tag: found.log_tag };
            return Lookup::Ready(response.hit(&found.entry, &assessment, None));
        }
        let context = LookupContext { request, ids, token, digest, rules: &rules };
        self.decide(&context).unwrap_or_else(|rejection| Lookup::Ready(self.reject(rejection, ids)))
    }

    fn application_tag(&self, prepared: &Box<PreparedRequest>) -> Option<LogTag> {
        let claims = prepared.claims.as_ref().ok().filter(|_| prepared.next.waits_for_graph())?;
        Some(self.0.hash_keys.log_tags().application(claims.application))
    }

    // Runs in the task of the lookup, right after it. A request that has waited for Graph and then needs an entry looks the
    // entry up again: see `find_on_error`.
    async fn respond(
        &self,
        prepared: Box<PreparedRequest>,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> HandlerResponse {
        let PreparedRequest { config, resource, identity, claims, is_proven, client, is_conditional, next } =
            *prepared;
        let fields = CallerFields::new(headers);
        let response =
            ResponseBuilder { headers: fields.as_map(), is_conditional, ids, tag: identity.log_tag };
        let (no_store, headers, own_ids) = (client.no_store, fields.clone(), ids.clone());
        let is_background = matches!(next, NextStep::Refresh(..));
        let request = |stored| {
            Arc::new(FetchRequest {
                config,
                resource,
                identity,
                claims,
                peer,
                is_proven,
                no_store,
                headers,
                stored,
                is_background,
                ids: own_ids,
            })
        };
        let result = match next {
            NextStep::Bypass(reason) => self.bypass(&request(None), reason, &response).await,
            NextStep::Refresh(found, reason) => {
                // The caller gets the stale entry now. Later requests get the fresh one.
                self.refresh(request(Some(Arc::clone(&found.entry))));
                Ok(response.stale(&found.entry, &found.assessment, reason))
            }
            NextStep::Fetch(forward, demand, stored) => {
                self.fetch(request(stored), (forward, demand), client, &response).await
            }
        };
        result.unwrap_or_else(|rejection| self.reject(rejection, ids))
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        response::error_response(error_response, ids, &CacheStatus::default(), self.now())
    }
}

impl Proxy {
    /// Builds the decision from its parts.
    pub fn new(inner: ProxyParts) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns the parts.
    pub fn inner(&self) -> &ProxyParts {
        &self.0
    }

    /// Decides how to respond to a request that the thread cache does not answer. Steps 1 to 3 of a request: its resource, its
    /// identity, and the entry that it may use.
    // Not inlined, so that a hit of the thread cache has a short path.
    #[inline(never)]
    fn decide(&self, context: &LookupContext<'_>) -> Result<Lookup<Box<PreparedRequest>>, Rejection> {
        let LookupContext { request, rules, .. } = *context;
        let (headers, uri) = (request.headers(), &request.head.uri);
        let resource = match Resource::parse(uri.path(), uri.query(), headers, self.0.default_version) {
            Ok(resource) => Arc::new(resource),
            Err(invalid) => {
                self.0.fetcher.metrics.rejected.inc(invalid.rejection());
                return Ok(Lookup::Ready(self.error_response(ErrorResponse::Invalid(invalid), context.ids)));
            }
        };
        let store = &self.0.fetcher.store;
        let (identity, grants) =
            Identity::from_headers_with(headers, context.token, &self.0.hash_keys, |token| {
                store.grants(token)
            })?;
        let claims = self.claims(&identity, grants.as_deref(), rules.now);
        let next = match &claims {
            Ok(claims) => self.judge(context, &resource, &identity, (grants.as_deref(), claims)),
            Err(reason) => Lookup::Continue(NextStep::Bypass(*reason)),
        };
        Ok(next.map(|next| {
            boxed(|| PreparedRequest {
                config: Arc::clone(rules.config),
                resource,
                identity,
                claims,
                is_proven: grants.is_some(),
                client: rules.client,
                is_conditional: request.is_conditional,
                next,
            })
        }))
    }

    /// Responds from the store if the freshness of the entry and of the proof allows it, or names the next step.
    fn judge(
        &self,
        context: &LookupContext<'_>,
        resource: &Arc<Resource>,
        identity: &Identity,
        (grants, claims): (Option<&Grants>, &Claims),
    ) -> Lookup<NextStep> {
        let LookupContext { request, ids, digest, rules, .. } = *context;
        let (headers, is_conditional) = (request.headers(), request.is_conditional);
        let (token, tag) = (identity.token_hash, identity.log_tag);
        // Read before the proof is looked up: a lookup whose proof is revoked after this must not be cached.
        let generation = self.0.fetcher.store.generation(claims.principal);
        let selecting_request = SelectingRequest { headers, token };
        let (proof, found) = self.find(grants, claims, resource, selecting_request, rules);
        self.0.fetcher.metrics.local().proof_lookups.inc(proof);
        let demand = || RefreshDemand::from_request(headers, rules.client, grants.is_some());
        let forwarded = &self.0.fetcher.metrics.forwarded;
        let Some(found) = found else {
            forwarded.inc(reason_without_entry(proof));
            return Lookup::Continue(NextStep::Fetch(Forward::UriMiss, demand(), None));
        };
        let was_forwarded = matches!(found.assessment.decision, Decision::Forward(_));
        let (decision, reason) =
            self.0.refresh_limiter.check(headers, token, found.assessment.decision, rules.now);
        let response = ResponseBuilder { headers, is_conditional, ids, tag };
        match decision {
            Decision::Fresh => {
                let response = response.hit(&found.entry, &found.assessment, reason);
                if let Some(digest) = digest {
                    self.insert_into_thread_cache(digest, generation, rules.now, (found, claims.expiry, tag));
                }
                Lookup::Ready(response)
            }
            Decision::StaleAccepted => Lookup::Ready(response.stale(&found.entry, &found.assessment, reason)),
            Decision::StaleUsable => match found.entry.try_start_revalidation(token, rules.now) {
                Ok(()) => Lookup::Continue(NextStep::Refresh(found, reason)),
                Err(_) => Lookup::Ready(response.stale(&found.entry, &found.assessment, reason)),
            },
            Decision::Forward(Forward::Stale) if is_backing_off(&found, token, claims, rules) => {
                let reason = match demand() {
                    RefreshDemand::None => HitReason::IfError,
                    _ if !self.0.refresh_limiter.allow(token, rules.now) => HitReason::RefreshLimit,
                    _ => {
                        forwarded.inc(found.forward_reason(Forward::Stale, rules));
                        let demand = RefreshDemand::Permitted;
                        return Lookup::Continue(NextStep::Fetch(Forward::Stale, demand, Some(found.entry)));
                    }
                };
                Lookup::Ready(response.stale(&found.entry, &found.assessment, Some(reason)))
            }
            Decision::Forward(forward) => {
                forwarded.inc(found.forward_reason(forward, rules));
                let demand = if was_forwarded { demand() } else { RefreshDemand::Permitted };
                Lookup::Continue(NextStep::Fetch(forward, demand, Some(found.entry)))
            }
        }
    }

    fn reject(&self, rejection: Rejection, ids: &Ids) -> HandlerResponse {
        self.0.fetcher.metrics.rejected.inc(rejection);
        self.error_response(ErrorResponse::Rejected(rejection), ids)
    }

    fn now(&self) -> Now {
        self.0.fetcher.clock.now()
    }
}

/// Returns whether a stale entry is used without a request to Graph, because Graph has just failed.
fn is_backing_off(found: &Found, token: TokenHash, claims: &Claims, rules: &RequestRules<'_>) -> bool {
    found.is_usable_on_error(ErrorSource::Upstream, claims.expiry, rules)
        && found.entry.try_start_revalidation(token, rules.now) == Err(RevalidationFailure::Outage)
}

/// Inputs of a decision.
#[derive(Clone, Copy)]
struct LookupContext<'a> {
    request: &'a RequestView<'a>,
    ids: &'a Ids,
    /// Hash of the token, if the request has a digest.
    token: Option<RawTokenHash>,
    /// Digest of the request, if its lookup may be cached by the thread.
    digest: Option<RequestDigest>,
    rules: &'a RequestRules<'a>,
}
