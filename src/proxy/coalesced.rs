//! Fetches of the decision: who leads, who follows, and when a fetch ends before Graph has received it.

use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;

use super::Proxy;
use crate::auth::TokenHash;
use crate::cache::coalesce::{Obligation, Role, WaitingCallers};
use crate::cache::key::CoalesceKey;
use crate::cache::lease::Lease;
use crate::cache::outcome::Outcome;
use crate::http::error::Rejection;
use crate::proxy::fetch::{FetchRequest, Fetched, Fetcher, PreparedFetch};
use crate::proxy::waiting_requests::WaitPermit;
use crate::support::detach_on_drop::DetachOnDrop;

impl Proxy {
    /// Starts a detached fetch that renews a stale answer, unless one is under way or too many requests wait. A caller that
    /// stands for nobody keeps the fetch going.
    pub(super) fn refresh(&self, question: FetchRequest) {
        let Ok(waiting) = self.wait_permit(&question) else { return };
        let lease = self.lease(&question);
        if let Role::Leader(obligation, caller) = self.seat(&question, &lease) {
            let fetch = self.flight(Arc::new(question), lease, obligation);
            self.0.tasks.spawn(async move {
                let _held = (waiting, caller);
                fetch.await
            });
        }
    }

    /// Accounts for a request that starts to wait.
    pub(super) fn wait_permit(&self, question: &FetchRequest) -> Result<WaitPermit, Rejection> {
        let (peer, token) = (question.peer.ip(), question.identity.fingerprint);
        let permit = self.0.waiting.acquire(peer, token, question.headers.as_map());
        permit.map_err(|_| Rejection::Overloaded)
    }

    /// Leads a fetch of the token's own, or waits for the fetch that is under way.
    pub(super) async fn join(&self, question: &Arc<FetchRequest>) -> (Fetched, Outcome) {
        let lease = self.lease(question);
        match self.seat(question, &lease) {
            Role::Leader(obligation, _caller) => {
                // A caller that leaves cancels the fetch only while Graph has received nothing and nobody else waits.
                let flight = self.flight(Arc::clone(question), lease, obligation);
                match DetachOnDrop::new(flight, &self.0.tasks).await {
                    Some(fetched) => with_outcome(fetched),
                    None => self.alone(question).await,
                }
            }
            Role::Follower(wait) => match timeout(self.0.follower_wait.get(), wait.wait()).await {
                Ok(Some(fetched)) if self.is_for(&fetched, question) => {
                    self.0.fetcher.metrics.collapsed.inc();
                    (fetched, Outcome::Collapsed)
                }
                // Whoever led is late or gone, or was given what another request chose: alone rather than wait on.
                Ok(_) | Err(_) => self.alone(question).await,
            },
            Role::Full => self.alone(question).await,
        }
    }

    fn lease(&self, question: &FetchRequest) -> Lease {
        self.0.fetcher.store.lease(asker(question), question.claims.as_ref().ok(), &question.resource)
    }

    fn seat(&self, question: &FetchRequest, lease: &Lease) -> Role<Fetched> {
        let (fingerprint, resource) = (asker(question), Arc::clone(&question.resource));
        let lease = lease.number();
        self.0.coalescer.join(CoalesceKey { fingerprint, resource, lease })
    }

    /// Fetches for one caller, and only while the caller waits. On the heap: few requests fetch alone, and all others would
    /// carry the room for it.
    pub(super) async fn alone(&self, question: &FetchRequest) -> (Fetched, Outcome) {
        let lease = self.lease(question);
        with_outcome(Box::pin(self.0.fetcher.fetch(question, &lease)).await)
    }

    /// Whether what another request of the same token brought may be given to this one (RFC 9111, section 4.1).
    fn is_for(&self, fetched: &Fetched, question: &FetchRequest) -> bool {
        match fetched {
            Fetched::Answer(entry, _) | Fetched::Revalidated(entry, _) => self
                .0
                .fetcher
                .store
                .secondary_key_hasher()
                .fits(entry.secondary_key(), question.selecting_request()),
            Fetched::Refused(_) | Fetched::RecentlyRefused(_) | Fetched::Failed(_) => true,
        }
    }

    /// Fetches, and gives the result to all callers that wait. `None`: the last caller left before Graph received anything.
    fn flight(
        &self,
        question: Arc<FetchRequest>,
        lease: Lease,
        obligation: Obligation<Fetched>,
    ) -> impl Future<Output = Option<Fetched>> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            let callers = obligation.callers();
            let prepared = prepare_while_wanted(&inner.fetcher, &question, &callers).await?;
            let fetched = match prepared {
                Ok(prepared) => inner.fetcher.send(&question, prepared, &lease).await,
                Err(fetched) => fetched,
            };
            // Whatever is the question's alone is forgotten before anybody else hears of the answer.
            drop(question);
            obligation.settle(fetched.clone());
            Some(fetched)
        }
    }
}

/// Waits until a question may go to Graph. Returns `None` once no caller waits for the answer any more.
async fn prepare_while_wanted<'a>(
    fetcher: &'a Fetcher,
    question: &FetchRequest,
    callers: &WaitingCallers,
) -> Option<Result<PreparedFetch<'a>, Fetched>> {
    tokio::select! {
        biased;
        () = callers.all_left() => None,
        prepared = fetcher.prepare(question) => Some(prepared),
    }
}

/// What came of asking Graph, with how whoever asked was answered.
fn with_outcome(fetched: Fetched) -> (Fetched, Outcome) {
    let revalidated = matches!(fetched, Fetched::Revalidated(..));
    (fetched, if revalidated { Outcome::Revalidated } else { Outcome::Miss })
}

/// Who leads or joins a flight: the token, whoever it says its bearer is (promise 3).
fn asker(question: &FetchRequest) -> TokenHash {
    question.identity.fingerprint
}
