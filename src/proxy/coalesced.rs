//! Coalesced fetches: which request leads, which follow, and when a fetch is cancelled.

use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;

use super::Proxy;
use crate::auth::TokenHash;
use crate::cache::coalesce::{Obligation, Role, WaitingCallers};
use crate::cache::key::CoalesceKey;
use crate::cache::lease::Lease;
use crate::cache::outcome::Outcome;
use crate::http::rejection::Rejection;
use crate::proxy::fetch::{FetchRequest, Fetched, Fetcher, PreparedFetch};
use crate::proxy::waiting_requests::WaitPermit;
use crate::support::detach_on_drop::DetachOnDrop;

impl Proxy {
    /// Starts a detached fetch that renews a stale entry, unless a fetch is in flight or too many requests wait.
    pub(super) fn refresh(&self, request: Arc<FetchRequest>) {
        let Ok(waiting) = self.wait_permit(&request) else { return };
        let lease = self.lease(&request);
        if let Role::Leader(obligation, caller) = self.join_fetch(&request, &lease) {
            let fetch = self.lead_fetch(request, lease, obligation);
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

    /// Leads a fetch of the token, or waits for the fetch that is in flight.
    pub(super) async fn fetch_shared(&self, request: &Arc<FetchRequest>) -> (Fetched, Outcome) {
        let lease = self.lease(request);
        match self.join_fetch(request, &lease) {
            Role::Leader(obligation, _caller) => {
                // A caller that leaves cancels the fetch only while Graph has received nothing and no other request waits.
                let fetch = self.lead_fetch(Arc::clone(request), lease, obligation);
                match DetachOnDrop::new(fetch, &self.0.tasks).await {
                    Some(fetched) => with_outcome(fetched),
                    None => self.fetch_alone(request).await,
                }
            }
            Role::Follower(wait) => match timeout(request.config.coalesce.wait, wait.wait()).await {
                Ok(Some(fetched)) if self.is_selected_by(&fetched, request) => {
                    self.0.fetcher.metrics.collapsed.inc();
                    (fetched, Outcome::Collapsed)
                }
                // The leader is late or gone, or its response was selected by other request fields.
                Ok(_) | Err(_) => self.fetch_alone(request).await,
            },
            Role::Full => self.fetch_alone(request).await,
        }
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
        with_outcome(Box::pin(self.0.fetcher.fetch(request, &lease)).await)
    }

    /// Returns whether the result for another request of the same token fits this one (RFC 9111, section 4.1).
    fn is_selected_by(&self, fetched: &Fetched, request: &FetchRequest) -> bool {
        match fetched {
            Fetched::Full(entry, _) | Fetched::Revalidated(entry, _) => self
                .0
                .fetcher
                .store
                .secondary_key_hasher()
                .matches(entry.secondary_key(), request.selecting_request()),
            Fetched::NoContent(_)
            | Fetched::UpstreamError(_)
            | Fetched::RecentUnauthorized(_)
            | Fetched::Failed(_) => true,
        }
    }

    /// Fetches, and gives the result to all callers that wait. Returns `None` if the last caller left before Graph received
    /// anything.
    fn lead_fetch(
        &self,
        request: Arc<FetchRequest>,
        lease: Lease,
        obligation: Obligation<Fetched>,
    ) -> impl Future<Output = Option<Fetched>> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            let callers = obligation.callers();
            let prepared = prepare_while_wanted(&inner.fetcher, &request, &callers).await?;
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

/// Waits until a request may go to Graph. Returns `None` once no caller waits any more.
async fn prepare_while_wanted<'a>(
    fetcher: &'a Fetcher,
    request: &FetchRequest,
    callers: &WaitingCallers,
) -> Option<Result<PreparedFetch<'a>, Fetched>> {
    tokio::select! {
        biased;
        () = callers.all_left() => None,
        prepared = fetcher.prepare(request) => Some(prepared),
    }
}

/// Adds the cache outcome of the request that led the fetch.
fn with_outcome(fetched: Fetched) -> (Fetched, Outcome) {
    let revalidated = matches!(fetched, Fetched::Revalidated(..));
    (fetched, if revalidated { Outcome::Revalidated } else { Outcome::Miss })
}

/// Returns the token that leads or joins a fetch. Its claims make no difference (promise 3).
fn coalescing_token(request: &FetchRequest) -> TokenHash {
    request.identity.token_hash
}
