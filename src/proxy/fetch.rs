//! One request to Graph: limits, breakers, the call, and the response scrubbed and stored.
//!
//! A fetch does not know the requests that wait for it. Each response of Graph passes the scrubber before it goes anywhere
//! (promise 4). Only a complete, scrubbed 200 is stored, together with the proof for the token that was sent.

mod entry;
mod fetched;
mod outcome;
mod request;
mod shared;
mod upstream_error;

use std::sync::Arc;

use http::StatusCode;

pub use self::fetched::Fetched;
use self::outcome::{breaker_response, call_outcome};
pub use self::request::{CallerFields, FetchRequest};
pub use self::shared::SharedUse;
pub use self::upstream_error::UpstreamErrorResponse;
use crate::cache::entry::EntityTagHasher;
use crate::cache::lease::Lease;
use crate::cache::outcome::{NotStored, ProofChange};
use crate::cache::store::Store;
use crate::http::headers;
use crate::http::rejection::Rejection;
use crate::observability::metrics::Metrics;
use crate::proxy::error_response::ErrorResponse;
use crate::scrub::{Scrubber, UnknownMemberNotices};
use crate::shared::{SharedFetch, SharedTier};
use crate::support::clock::Clock;
use crate::upstream::breaker::{Breakers, InFlight};
use crate::upstream::permits::UpstreamPermit;
use crate::upstream::unauthorized_tokens::UnauthorizedTokens;
use crate::upstream::unproven_limit::{Admission, UnprovenLimiter};
use crate::upstream::{GraphCall, GraphClient};

/// Permits and admissions that a request needs before it goes to Graph. Released when dropped.
#[derive(Debug)]
pub struct PreparedFetch<'a> {
    admission: Option<Admission>,
    permit: UpstreamPermit,
    in_flight: InFlight<'a>,
    /// Part of the shared tier, if it is on and can be used.
    shared: Option<Box<SharedFetch>>,
    /// The caller demanded a newer response.
    is_renewal: bool,
}

/// Calls Graph and stores its responses.
#[derive(Debug)]
pub struct Fetcher {
    /// Client for Graph.
    pub graph_client: GraphClient,
    /// Limits for tokens without a proof.
    pub unproven: UnprovenLimiter,
    /// Tokens to which Graph responded 401 a few seconds ago, with the response.
    pub refused: UnauthorizedTokens<Arc<UpstreamErrorResponse>>,
    /// Circuit breakers and throttles.
    pub breakers: Breakers,
    /// The shared tier.
    pub shared: SharedTier,
    /// Entries and proofs.
    pub store: Arc<Store>,
    /// Removes credentials from each response.
    pub scrubber: Arc<Scrubber>,
    /// Computes entity tags under the rules of `scrubber`.
    pub entity_tags: EntityTagHasher,
    /// Limits the log lines about JSON members that the scrubber does not know.
    pub unknown_members: UnknownMemberNotices,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

impl Fetcher {
    /// Sends a request to Graph and stores the response while `lease` is valid.
    pub async fn fetch(&self, request: &FetchRequest, lease: &Lease) -> Fetched {
        let shared = self.begin_shared(request, false);
        match self.prepare(request).await {
            Ok(prepared) => self.send(request, PreparedFetch { shared, ..prepared }, lease).await,
            Err(fetched) => fetched,
        }
    }

    /// Waits until the request may go to Graph, or returns the result if it may not. Safe to cancel: Graph has not received
    /// anything yet.
    pub async fn prepare(&self, request: &FetchRequest) -> Result<PreparedFetch<'_>, Fetched> {
        self.recently_refused(request)?;
        let reject = |reason| Fetched::Failed(ErrorResponse::Rejected(reason));
        let limited = !request.is_proven && !self.refused.was_proven(&request.identity.token_hash);
        let wait = request.config.timeouts.permit();
        let admission = if limited {
            let admission = self.unproven.admit(request.token_source(), wait).await.map_err(reject)?;
            // Another request of the same token may have been refused in the meantime.
            self.recently_refused(request)?;
            Some(admission)
        } else {
            None
        };
        let (permit, in_flight) = self.acquire_permits(request).await.map_err(Fetched::Failed)?;
        self.recently_refused(request)?;
        Ok(PreparedFetch { admission, permit, in_flight, shared: None, is_renewal: false })
    }

    /// Returns Graph's 401 to this token as an error, if it is a few seconds old.
    fn recently_refused(&self, request: &FetchRequest) -> Result<(), Fetched> {
        match self.refused.recent(&request.identity.token_hash) {
            Some(upstream_error) => Err(Fetched::RecentUnauthorized(upstream_error)),
            None => Ok(()),
        }
    }

    /// Sends a prepared request to Graph and stores the response while `lease` is valid.
    pub async fn send(&self, request: &FetchRequest, prepared: PreparedFetch<'_>, lease: &Lease) -> Fetched {
        let PreparedFetch { admission, permit, in_flight, mut shared, is_renewal } = prepared;
        let token_hash = request.identity.token_hash;
        let requested_at = self.clock.now();
        let stored = request.stored.as_ref();
        let validation = stored.and_then(|stored| Some((stored, stored.revalidation()?)));
        // Graph gave the stored bytes to this token, and the token's proof has the same digest: a 304 renews both.
        let validation =
            validation.filter(|(_, known)| known.validators_for(token_hash, requested_at).is_some());
        let condition = validation.map(|(_, known)| &known.validators);
        let call = GraphCall {
            resource: &request.resource,
            token: &request.identity.token,
            ids: &request.ids,
            condition,
            owner: request.peer.ip(),
            timeouts: request.config.timeouts,
        };
        let response = self.graph_client.send(permit, &call).await;
        let received_at = self.clock.now();
        if let Some(outcome) = call_outcome(&response, received_at) {
            in_flight.record_outcome(outcome, received_at);
            self.publish_throttle(request, outcome);
        }
        let date = |headers| headers::parse_date(headers, received_at.wall());
        if let Some(date) = response.as_ref().ok().and_then(|response| date(&response.headers)) {
            self.clock.record_graph_date(date, received_at);
        }
        match (&admission, response.as_ref().map(|response| response.status)) {
            (Some(admission), Ok(StatusCode::UNAUTHORIZED)) => admission.record_unauthorized(),
            (Some(admission), Ok(StatusCode::OK | StatusCode::NO_CONTENT)) => admission.record_success(),
            _ => {}
        }
        let fetched = match response {
            Ok(response) if response.status == StatusCode::OK => {
                self.handle_ok(request, response, lease, (requested_at, received_at)).await
            }
            Ok(response) if response.status == StatusCode::NOT_MODIFIED => {
                self.handle_not_modified(request, validation, &response, lease, (requested_at, received_at))
            }
            Ok(response) if response.status == StatusCode::NO_CONTENT => {
                self.handle_no_content(request, &response, shared.as_deref_mut()).await
            }
            Ok(response) => self.handle_error(request, response, shared.as_deref_mut()).await,
            Err(error) => Fetched::Failed(error.into()),
        };
        if let (Some(stored), Some(failure)) = (stored, fetched.revalidation_failure()) {
            stored.record_failed_revalidation(failure, token_hash, self.clock.now());
        }
        match &fetched {
            Fetched::Full(_, Ok(())) | Fetched::Revalidated(_, Ok(())) => {
                self.metrics.local().proof_changes.inc(ProofChange::Granted);
            }
            Fetched::Full(_, Err(reason)) | Fetched::Revalidated(_, Err(reason)) => {
                self.metrics.not_stored.inc(*reason);
            }
            Fetched::NoContent(_) | Fetched::UpstreamError(_) => {
                self.metrics.not_stored.inc(NotStored::Status);
            }
            Fetched::Shared(..) | Fetched::RecentUnauthorized(_) | Fetched::Failed(_) => {}
        }
        match (shared, fetched.stored_entry()) {
            (Some(shared), Some(entry)) => shared.write(entry, &request.config.freshness, self.clock.now()),
            // The store could not be used when the fetch began. The event waits for it.
            (None, Some(_)) if is_renewal => self.publish_supersession(request),
            _ => {}
        }
        fetched
    }

    /// Acquires a permit and enters the breakers. The breakers are checked before and after the queue: a request that an
    /// open breaker refuses must not wait, and requests that waited through an outage must not be sent.
    async fn acquire_permits(
        &self,
        request: &FetchRequest,
    ) -> Result<(UpstreamPermit, InFlight<'_>), ErrorResponse> {
        let (scope, owner) = (request.breaker_scope(), request.permit_owner());
        let permit = if let Some(permit) = self.graph_client.permits().try_acquire(owner) {
            permit
        } else {
            self.breakers.check(&scope).map_err(breaker_response)?;
            let permit = self.graph_client.permits().acquire(owner, request.config.timeouts.permit()).await;
            permit.map_err(|_| ErrorResponse::Rejected(Rejection::Overloaded))?
        };
        Ok((permit, self.breakers.try_start(&scope).map_err(breaker_response)?))
    }
}

#[cfg(test)]
mod tests;
