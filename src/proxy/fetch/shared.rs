//! Shared tier in a fetch: the value of another replica in place of a request to Graph, and the events that other replicas
//! need.

use std::sync::Arc;

use super::{FetchRequest, Fetched, Fetcher, PreparedFetch};
use crate::cache::freshness::{Decision, assess};
use crate::cache::lease::Lease;
use crate::http::cache_control::CacheControl;
use crate::shared::{FillResult, ResourceForm, SharedFetch, SharedHit};
use crate::upstream::breaker::CallOutcome;

/// Use of the shared tier in a fetch.
#[derive(Clone, Copy, Debug)]
pub enum SharedUse {
    /// A value of another replica may replace the request to Graph, if it fits the directives of the caller.
    Read(CacheControl),
    /// The caller demanded a newer response: nothing is read, and other replicas drop theirs.
    Renew,
}

impl Fetcher {
    /// Finds the response in the shared tier, or waits until the request may go to Graph. Safe to cancel: Graph has not received
    /// anything yet.
    pub async fn find_or_prepare(
        &self,
        request: &FetchRequest,
        lease: &Lease,
        shared_use: SharedUse,
    ) -> Result<PreparedFetch<'_>, Fetched> {
        let is_renewal = matches!(shared_use, SharedUse::Renew);
        let shared = self.begin_shared(request, is_renewal);
        let SharedUse::Read(client) = shared_use else {
            let prepared = self.prepare(request).await?;
            return Ok(PreparedFetch { shared, is_renewal, ..prepared });
        };
        let Some(mut shared) = shared else { return self.prepare(request).await };
        self.recently_refused(request)?;
        let is_fresh = |hit: &SharedHit| self.is_fresh(request, hit, client);
        if let Some(fetched) =
            shared.read(is_fresh).await.and_then(|hit| self.admit_shared(request, hit, lease))
        {
            return Err(fetched);
        }
        let mut prepared = self.prepare(request).await?;
        if shared.take_fill_lease().await == FillResult::Taken {
            // Another replica calls Graph for this token. The permits are for others meanwhile.
            drop(prepared);
            let found = shared.await_value(is_fresh).await;
            if let Some(fetched) = found.and_then(|hit| self.admit_shared(request, hit, lease)) {
                return Err(fetched);
            }
            prepared = self.prepare(request).await?;
        }
        Ok(PreparedFetch { shared: Some(shared), ..prepared })
    }

    /// Begins the use of the shared tier, after the lease was taken. Boxed: the future of each fetch has a place for it, and is
    /// copied.
    pub(super) fn begin_shared(&self, request: &FetchRequest, is_renewal: bool) -> Option<Box<SharedFetch>> {
        if !self.shared.is_on() || request.no_store {
            return None;
        }
        let claims = request.claims.as_ref().ok()?;
        self.shared.begin(claims, &request.resource, &request.identity.token, is_renewal).map(Box::new)
    }

    /// Judges a value by the rules of local entries.
    fn is_fresh(&self, request: &FetchRequest, hit: &SharedHit, client: CacheControl) -> bool {
        let (now, Ok(claims)) = (self.clock.now(), &request.claims) else { return false };
        let (rules, lifetime) = (&request.config.freshness, hit.entry.lifetime());
        let (entry, token_left) = ((&lifetime, hit.entry.requested_at), claims.expiry.remaining(now));
        assess(rules, entry, hit.granted_at, token_left, client, now).decision == Decision::Fresh
    }

    /// Stores a value under the lease that was taken before it was read.
    fn admit_shared(&self, request: &FetchRequest, hit: SharedHit, lease: &Lease) -> Option<Fetched> {
        let SharedHit { entry, granted_at } = hit;
        let (claims, entry) = (request.claims.as_ref().ok()?, Arc::new(entry));
        let (token, resource) = (request.identity.token_hash, &request.resource);
        let is_admitted = self.store.admit_shared(token, claims, resource, (&entry, granted_at), lease);
        is_admitted.then_some(Fetched::Shared(entry, granted_at))
    }

    /// Tells other replicas that Graph refuses a token, before the local store changes: a value that is read in between would
    /// restore what is removed. `is_total`: a 401 concerns all resources. A token without a proof, here or in the shared tier, changes
    /// nothing (promise 3).
    pub(super) async fn publish_withdrawal(
        &self,
        request: &FetchRequest,
        shared: Option<&mut SharedFetch>,
        is_total: bool,
    ) {
        if self.shared.is_on()
            && let Ok(claims) = &request.claims
            && (self.has_local_proof(request) || has_shared_proof(shared).await)
        {
            let resource = (!is_total).then(|| ResourceForm::new(&request.resource));
            self.shared.publish_withdrawal(claims, &request.identity.token, resource);
        }
    }

    /// Tells other replicas that a newer response exists, which may not be stored.
    pub(super) fn publish_supersession(&self, request: &FetchRequest) {
        if self.shared.is_on()
            && let Ok(claims) = &request.claims
            && self.has_local_proof(request)
        {
            let resource = ResourceForm::new(&request.resource);
            self.shared.publish_supersession(claims, &request.identity.token, resource);
        }
    }

    /// Tells other replicas that Graph throttles the application of a proven token.
    pub(super) fn publish_throttle(&self, request: &FetchRequest, outcome: CallOutcome) {
        if let CallOutcome::Throttled(wait) = outcome
            && self.shared.is_on()
            && request.is_proven
            && !wait.is_zero()
            && let Ok(claims) = &request.claims
        {
            self.shared.publish_throttle(claims, &request.identity.token, wait);
        }
    }

    fn has_local_proof(&self, request: &FetchRequest) -> bool {
        self.store.grants(&request.identity.token_hash).is_some()
    }
}

async fn has_shared_proof(shared: Option<&mut SharedFetch>) -> bool {
    match shared {
        Some(shared) => shared.find_proof().await,
        None => false,
    }
}
