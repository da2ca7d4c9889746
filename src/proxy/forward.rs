//! Requests that go to Graph: coalesced fetch or bypass, and the response to the result.

use std::sync::Arc;

use super::Proxy;
use super::lookup::{Found, RequestRules};
use crate::auth::Bypass;
use crate::cache::freshness::ErrorSource;
use crate::cache::outcome::{HitReason, Outcome};
use crate::http::cache_control::CacheControl;
use crate::http::cache_status::Forward;
use crate::http::rejection::Rejection;
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::fetch::{FetchRequest, Fetched};
use crate::proxy::handler::{Handler, HandlerResponse};
use crate::proxy::refresh_limit::RefreshDemand;
use crate::proxy::response::ResponseBuilder;
use crate::support::labels::Label;

impl Proxy {
    /// Calls Graph in a fetch of the token's own, or waits for the fetch that is in flight.
    pub(super) async fn fetch(
        &self,
        request: Arc<FetchRequest>,
        (forward, demand): (Forward, RefreshDemand),
        client: CacheControl,
        response: &ResponseBuilder<'_>,
    ) -> Result<HandlerResponse, Rejection> {
        if client.only_if_cached {
            return Err(Rejection::OnlyIfCached);
        }
        let (fetched, outcome, limited) = match self.wait_permit(&request) {
            Ok(_waiting) => self.fetch_shared(&request, demand, client).await,
            Err(reason) => (Fetched::Failed(ErrorResponse::Rejected(reason)), Outcome::Miss, None),
        };
        if forward == Forward::Stale
            && let Some(source) = fetched.error_source()
            && let Some(found) = self.find_on_error(&request, source)
        {
            return Ok(response.stale_if_error(&found.entry, &found.assessment, &fetched));
        }
        self.deliver(&request, &fetched, (outcome, limited), forward, response)
    }

    /// Calls Graph for this caller alone, and only while the caller waits: the token may not use the cache.
    pub(super) async fn bypass(
        &self,
        request: &FetchRequest,
        reason: Bypass,
        response: &ResponseBuilder<'_>,
    ) -> Result<HandlerResponse, Rejection> {
        self.0.fetcher.metrics.bypass.inc(reason);
        let _waiting = self.wait_permit(request)?;
        let (fetched, _) = self.fetch_alone(request).await;
        self.deliver(request, &fetched, (Outcome::Bypass, None), Forward::Bypass, response)
    }

    /// Builds the response to the result of a fetch. `limited`: why a demand for a later response was not met.
    fn deliver(
        &self,
        request: &FetchRequest,
        fetched: &Fetched,
        (outcome, limited): (Outcome, Option<HitReason>),
        forward: Forward,
        response: &ResponseBuilder<'_>,
    ) -> Result<HandlerResponse, Rejection> {
        let now = self.now();
        let bypass = request.claims.as_ref().err().copied().map(Label::as_str);
        match fetched {
            Fetched::Failed(ErrorResponse::Rejected(rejection)) => Err(*rejection),
            Fetched::Failed(error_response @ ErrorResponse::Shut(reason, _)) => {
                self.0.fetcher.metrics.rejected.inc(*reason);
                Ok(self.error_response(*error_response, response.ids))
            }
            Fetched::Failed(error_response) => Ok(response.failed(*error_response, forward, now)),
            Fetched::NoContent(headers) => Ok(response.no_content(headers, (outcome, bypass), forward)),
            Fetched::UpstreamError(error) => {
                Ok(response.upstream_error(error, (outcome, bypass), forward, now))
            }
            Fetched::RecentUnauthorized(error) => {
                self.0.fetcher.metrics.rejected.inc(Rejection::TokenRefused);
                Ok(response.recent_unauthorized(error, now))
            }
            Fetched::Shared(entry, granted_at) => {
                let Ok(claims) = &request.claims else { return Err(Rejection::Overloaded) };
                let rules = RequestRules { config: &request.config, client: CacheControl::default(), now };
                let assessment = rules.assess(entry, *granted_at, claims.expiry);
                Ok(response.hit(entry, &assessment, Some(HitReason::Shared)))
            }
            Fetched::Full(entry, stored) | Fetched::Revalidated(entry, stored) => {
                let left = match (stored, &request.claims) {
                    (Ok(()), Ok(claims)) => {
                        let rules =
                            RequestRules { config: &request.config, client: CacheControl::default(), now };
                        Some(rules.assess(entry, entry.requested_at, claims.expiry).remaining)
                    }
                    _ => None,
                };
                let reason = bypass.or(stored.err().map(Label::as_str));
                let reason = reason.or(limited.map(Label::as_str));
                let status = fetched.status().unwrap_or_default();
                Ok(response.fetched((entry, status), (left, entry.age(now)), outcome, forward, reason))
            }
        }
    }

    /// Finds an entry that may be used because the request to Graph failed. The store is consulted again: while the request
    /// was in flight, the entry may have been purged or its proof revoked.
    fn find_on_error(&self, request: &FetchRequest, source: ErrorSource) -> Option<Found> {
        let fetcher = &self.0.fetcher;
        let (claims, now) = (request.claims.as_ref().ok()?, fetcher.clock.now());
        let grants = fetcher.store.grants(&request.identity.token_hash)?;
        let rules = RequestRules { config: &request.config, client: CacheControl::default(), now };
        let selecting_request = request.selecting_request();
        let (proof, found) = self.find(Some(&grants), claims, &request.resource, selecting_request, &rules);
        fetcher.metrics.local().proof_lookups.inc(proof);
        found.filter(|found| found.is_usable_on_error(source, claims.expiry, &rules))
    }
}
