//! Coalesced fetches: which request leads, which follow, and when a fetch is cancelled.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::timeout;

use super::Proxy;
use super::lookup::RequestRules;
use crate::auth::TokenHash;
use crate::cache::coalesce::{Obligation, Role, WaitingCallers};
use crate::cache::entry::Entry;
use crate::cache::freshness::Decision;
use crate::cache::key::CoalesceKey;
use crate::cache::lease::Lease;
use crate::cache::outcome::{HitReason, NotStored, Outcome};
use crate::http::cache_control::CacheControl;
use crate::http::rejection::Rejection;
use crate::proxy::fetch::{FetchRequest, Fetched, Fetcher, PreparedFetch, SharedUse};
use crate::proxy::refresh_limit::RefreshDemand;
use crate::proxy::waiting_requests::WaitPermit;
use crate::support::boxed::boxed_pin;
use crate::support::clock::Now;
use crate::support::detach_on_drop::DetachOnDrop;
use crate::support::poll_once::poll_once;

impl Proxy {
    /// Starts a detached fetch that renews a stale entry, unless a fetch is in flight or too many requests wait.
    pub(super) fn refresh(&self, request: Arc<FetchRequest>) {
        let Ok(waiting) = self.wait_permit(&request) else { return };
        let lease = self.lease(&request);
        if let Role::Leader(obligation, caller) = self.join_fetch(&request, &lease) {
            let shared_use = SharedUse::Read(CacheControl::default());
            let fetch = self.lead_fetch(request, lease, obligation, shared_use);
            self.0.tasks.spawn(async move {
                // The caller's guard keeps the fetch going, although no request waits for it.
                let _held = (waiting, caller);
                fetch.await
            });
        }
    }

    /// Accounts for a request that starts to wait.
    pub(super) fn wait_permit(&self, request: &FetchRequest) -> Result<WaitPermit, Rejection> {
        let (peer, token) = (request.peer.ip(), request.identity.token_hash);
        let permit = self.0.waiting.acquire(peer, token, request.headers.as_map());
        permit.map_err(|_| Rejection::Overloaded)
    }

    /// Leads a fetch of the token, or waits for the fetch that is in flight. Returns also the reason if the caller demanded a
    /// fetch that begins after its request, and did not get it.
    pub(super) async fn fetch_shared(
        &self,
        request: &Arc<FetchRequest>,
        demand: RefreshDemand,
        client: CacheControl,
    ) -> (Fetched, Outcome, Option<HitReason>) {
        let (lease, role, limited) = self.join_or_begin(request, demand);
        let (fetched, outcome) = match role {
            Role::Leader(obligation, _caller) => {
                // A caller that leaves cancels the fetch only while Graph has received nothing and no other request waits.
                let shared_use = match demand {
                    RefreshDemand::None => SharedUse::Read(client),
                    RefreshDemand::Limited | RefreshDemand::Permitted => SharedUse::Renew,
                };
                let fetch = || self.lead_fetch(Arc::clone(request), lease, obligation, shared_use);
                match DetachOnDrop::new(fetch, &self.0.tasks).await {
                    Some(fetched) => with_outcome(fetched),
                    None => self.fetch_alone(request).await,
                }
            }
            Role::Follower(wait) => match timeout(request.config.coalesce.wait, wait.wait()).await {
                Ok(Some(fetched)) if self.may_share(&fetched, request, client) => {
                    self.0.fetcher.metrics.collapsed.inc();
                    (fetched, Outcome::Collapsed)
                }
                // The leader is late or gone, or its response is for no other request.
                Ok(_) | Err(_) => self.fetch_alone(request).await,
            },
            Role::Full => self.fetch_alone(request).await,
        };
        (fetched, outcome, limited)
    }

    /// Joins the fetch in flight, or begins one. A fetch in flight began before this request: a caller that demands a later
    /// response, after a change of its own for example, must not receive its result.
    fn join_or_begin(
        &self,
        request: &FetchRequest,
        demand: RefreshDemand,
    ) -> (Lease, Role<Fetched>, Option<HitReason>) {
        if demand != RefreshDemand::Permitted {
            let lease = self.lease(request);
            let role = self.join_fetch(request, &lease);
            if demand == RefreshDemand::None || matches!(role, Role::Leader(..)) {
                return (lease, role, None);
            }
            if !self.0.refresh_limiter.allow(request.identity.token_hash, self.0.fetcher.clock.now()) {
                return (lease, role, Some(HitReason::RefreshLimit));
            }
        }
        let lease = self.0.fetcher.store.acquire_new_lease(
            coalescing_token(request),
            request.claims.as_ref().ok(),
            &request.resource,
        );
        let role = self.join_fetch(request, &lease);
        (lease, role, None)
    }

    /// Takes the right to store the response. Taken before the request to Graph.
    fn lease(&self, request: &FetchRequest) -> Lease {
        self.0.fetcher.store.acquire_lease(
            coalescing_token(request),
            request.claims.as_ref().ok(),
            &request.resource,
        )
    }

    /// Joins the fetch for the same token and resource, or becomes its leader.
    fn join_fetch(&self, request: &FetchRequest, lease: &Lease) -> Role<Fetched> {
        let (token_hash, resource) = (coalescing_token(request), Arc::clone(&request.resource));
        let lease = lease.number();
        let key = CoalesceKey { token_hash, resource, lease };
        self.0.coalescer.join(key, request.config.coalesce.followers)
    }

    /// Fetches for one caller, and only while the caller waits. Boxed: few requests fetch alone, and the futures of all
    /// others would be larger.
    pub(super) async fn fetch_alone(&self, request: &FetchRequest) -> (Fetched, Outcome) {
        let lease = self.lease(request);
        with_outcome(boxed_pin(|| self.0.fetcher.fetch(request, &lease)).await)
    }

    /// Returns whether the result for another request of the same token may be used for this one: an error response to the
    /// token, or a response that may be stored, that is fresh, and that the fields of this request select (RFC 9111, section
    /// 4). Any other response is for its own request only.
    fn may_share(&self, fetched: &Fetched, request: &FetchRequest, client: CacheControl) -> bool {
        match fetched {
            Fetched::Full(entry, stored) | Fetched::Revalidated(entry, stored) => {
                may_be_stored(*stored) && self.is_usable_for(entry, request, client)
            }
            Fetched::Shared(entry, granted_at) => self.is_usable_at(entry, *granted_at, request, client),
            // A 204 is never stored.
            Fetched::NoContent(_) => false,
            Fetched::UpstreamError(_) | Fetched::RecentUnauthorized(_) | Fetched::Failed(_) => true,
        }
    }

    /// Returns whether a fresh response fits a request that waited for it.
    fn is_usable_for(&self, entry: &Entry, request: &FetchRequest, client: CacheControl) -> bool {
        self.is_usable_at(entry, entry.requested_at, request, client)
    }

    /// Returns the same for a response with a proof of time `granted_at`.
    fn is_usable_at(
        &self,
        entry: &Entry,
        granted_at: Now,
        request: &FetchRequest,
        client: CacheControl,
    ) -> bool {
        let fetcher = &self.0.fetcher;
        let Ok(claims) = &request.claims else { return false };
        let rules = RequestRules { config: &request.config, client, now: fetcher.clock.now() };
        let assessed = rules.assess(entry, granted_at, claims.expiry);
        let hasher = fetcher.store.secondary_key_hasher();
        assessed.decision == Decision::Fresh
            && !entry.is_superseded()
            && hasher.matches(entry.secondary_key(), request.selecting_request())
    }

    /// Fetches, and gives the result to all callers that wait. Returns `None` if the last caller left before Graph received
    /// anything.
    fn lead_fetch(
        &self,
        request: Arc<FetchRequest>,
        lease: Lease,
        obligation: Obligation<Fetched>,
        shared_use: SharedUse,
    ) -> impl Future<Output = Option<Fetched>> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            let callers = obligation.callers();
            let prepared =
                prepare_while_wanted(&inner.fetcher, (&request, &lease, shared_use), &callers).await?;
            let fetched = match prepared {
                Ok(prepared) => inner.fetcher.send(&request, prepared, &lease).await,
                Err(fetched) => fetched,
            };
            // The token is dropped before the followers get the result.
            drop(request);
            obligation.settle(fetched.clone());
            Some(fetched)
        }
    }
}

/// Finds the response in the shared tier, or waits until a request may go to Graph. Returns `None` once no caller waits any more.
async fn prepare_while_wanted<'a>(
    fetcher: &'a Fetcher,
    (request, lease, shared_use): (&FetchRequest, &Lease, SharedUse),
    callers: &WaitingCallers,
) -> Option<Result<PreparedFetch<'a>, Fetched>> {
    if callers.have_left() {
        return None;
    }
    let mut prepared = pin!(fetcher.find_or_prepare(request, lease, shared_use));
    // Most requests wait for nothing here.
    if let Poll::Ready(prepared) = poll_once(prepared.as_mut()).await {
        return Some(prepared);
    }
    tokio::select! {
        biased;
        () = callers.all_left() => None,
        prepared = prepared => Some(prepared),
    }
}

/// Returns whether a response may be stored, although it was not if it is too large, or if a purge came in between.
fn may_be_stored(stored: Result<(), NotStored>) -> bool {
    match stored {
        Ok(()) | Err(NotStored::TooLarge | NotStored::Invalidated) => true,
        Err(
            NotStored::Status
            | NotStored::Bypass
            | NotStored::NoStore
            | NotStored::Vary
            | NotStored::NoLifetime
            | NotStored::Expiring,
        ) => false,
    }
}

/// Adds the cache outcome of the request that led the fetch.
fn with_outcome(fetched: Fetched) -> (Fetched, Outcome) {
    let outcome = match fetched {
        Fetched::Revalidated(..) => Outcome::Revalidated,
        Fetched::Shared(..) => Outcome::Hit,
        _ => Outcome::Miss,
    };
    (fetched, outcome)
}

/// Returns the token that leads or joins a fetch. Its claims make no difference (promise 3).
fn coalescing_token(request: &FetchRequest) -> TokenHash {
    request.identity.token_hash
}
