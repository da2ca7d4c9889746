//! Request coalescing: one request to Graph at a time for a key.
//!
//! The first request for a key is the leader. Equal requests that arrive before its result are followers and receive the
//! same result. The duty to provide a result is a value, the [`Obligation`]: it is settled with a result, or dropped, and
//! either ends the wait of every follower.
//!
//! This module knows nothing about the result. The key contains the token hash (promise 3), so no token waits for another
//! token's request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, SetOnce};

use super::key::{CoalesceKey, KeyHasher};

/// Limits of coalescing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.followers`: requests that may wait for one request to Graph. Further requests are sent separately.
    pub followers: usize,
    /// `limits.follower_wait`: how long a follower waits before its own request is sent. Longer than `graph.timeout`, so that
    /// followers receive the leader's timeout, and do not all send requests again.
    pub wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { followers: 10_000, wait: Duration::from_secs(15) }
    }
}

/// Coalesced requests in flight. Clones share one table.
#[derive(Clone, Debug)]
pub struct Coalescer<T> {
    in_flight: Arc<Mutex<Table<T>>>,
}

type Table<T> = HashMap<CoalesceKey, Arc<SharedResult<T>>, KeyHasher>;

/// Result of a fetch, `None` if the leader ended without one, and the callers that wait for it.
#[derive(Debug)]
struct SharedResult<T> {
    result: SetOnce<Option<T>>,
    callers: Arc<WaitingCallers>,
}

/// Callers that wait for one fetch.
#[derive(Debug, Default)]
pub struct WaitingCallers {
    /// Number of followers, plus one while the leader waits.
    waiting: AtomicUsize,
    followers: AtomicUsize,
    left: Notify,
}

/// One caller that waits for a fetch. Dropping the guard means that the caller has left.
#[derive(Debug)]
pub struct CallerGuard {
    callers: Arc<WaitingCallers>,
    is_follower: bool,
}

impl WaitingCallers {
    /// Returns when the last caller has left.
    pub async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            if self.have_left() {
                return;
            }
            left.await;
        }
    }

    /// Returns whether no caller waits any more.
    pub fn have_left(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    fn register(self: &Arc<Self>, is_follower: bool) -> CallerGuard {
        self.waiting.fetch_add(1, SeqCst);
        self.followers.fetch_add(usize::from(is_follower), SeqCst);
        CallerGuard { callers: Arc::clone(self), is_follower }
    }
}

impl Drop for CallerGuard {
    fn drop(&mut self) {
        self.callers.followers.fetch_sub(usize::from(self.is_follower), SeqCst);
        if self.callers.waiting.fetch_sub(1, SeqCst) == 1 {
            self.callers.left.notify_waiters();
        }
    }
}

/// Role of a request in coalescing.
#[derive(Debug)]
pub enum Role<T: Clone> {
    /// No fetch was in flight. The obligation belongs to the fetch, the guard to the waiting request.
    Leader(Obligation<T>, CallerGuard),
    /// A fetch is in flight.
    Follower(Wait<T>),
    /// A fetch is in flight, and the limit on followers is reached.
    Full,
}

impl<T> Default for Coalescer<T> {
    /// Creates a coalescer without requests in flight.
    fn default() -> Self {
        Self { in_flight: Arc::default() }
    }
}

impl<T: Clone> Coalescer<T> {
    /// Joins the fetch for `key`, or becomes the leader of a new one. A fetch has at most `max_followers`
    /// (`limits.followers`).
    pub fn join(&self, key: CoalesceKey, max_followers: usize) -> Role<T> {
        match self.table().entry(key) {
            Entry::Vacant(vacant) => {
                let key = vacant.key().clone();
                let result = SharedResult { result: SetOnce::new(), callers: Arc::default() };
                let leader = result.callers.register(false);
                let shared = Arc::clone(vacant.insert(Arc::new(result)));
                Role::Leader(Obligation { coalescer: self.clone(), key, shared }, leader)
            }
            Entry::Occupied(shared) if shared.get().callers.followers.load(SeqCst) >= max_followers => {
                Role::Full
            }
            Entry::Occupied(shared) => {
                let caller = shared.get().callers.register(true);
                Role::Follower(Wait { shared: Arc::clone(shared.get()), _caller: caller })
            }
        }
    }

    /// Returns the number of fetches in flight.
    pub fn count(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Duty to provide the result of a fetch. If it is dropped unsettled (the task ended, or panicked), every wait ends with
/// `None`.
#[derive(Debug)]
pub struct Obligation<T: Clone> {
    coalescer: Coalescer<T>,
    key: CoalesceKey,
    shared: Arc<SharedResult<T>>,
}

impl<T: Clone> Obligation<T> {
    /// Delivers the result to the leader's caller and to every follower. A response must be stored before this call, because
    /// the next request looks in the store.
    pub fn settle(self, result: T) {
        // The result cannot be set yet: there is one obligation, and `settle` consumes it.
        let _ = self.shared.result.set(Some(result));
    }

    /// Returns the callers that wait for the result.
    pub fn callers(&self) -> Arc<WaitingCallers> {
        Arc::clone(&self.shared.callers)
    }
}

impl<T: Clone> Drop for Obligation<T> {
    fn drop(&mut self) {
        self.coalescer.table().remove(&self.key);
        // An error means that the obligation was settled.
        let _ = self.shared.result.set(None);
    }
}

/// Wait for the result of another request's fetch.
#[derive(Debug)]
pub struct Wait<T> {
    shared: Arc<SharedResult<T>>,
    _caller: CallerGuard,
}

impl<T: Clone> Wait<T> {
    /// Waits for the result. Returns `None` if the leader ended without one.
    pub async fn wait(self) -> Option<T> {
        self.shared.result.wait().await.clone()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::auth::{HashKeys, Identity};
    use crate::resource::{ApiVersion, Resource};

    fn key(token: &str, hash_keys: &HashKeys) -> CoalesceKey {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        let path = "/beta/identity/b2xUserFlows/x/apiConnectorConfiguration";
        CoalesceKey {
            token_hash: Identity::from_headers(&headers, hash_keys).unwrap().token_hash,
            resource: Arc::new(Resource::parse(path, None, &headers, ApiVersion::Beta).unwrap()),
            lease: 1,
        }
    }

    /// Limit on followers.
    const MAX: usize = 2;

    #[tokio::test]
    async fn equal_requests_in_flight_receive_the_same_result() {
        let (coalescer, hash_keys) = (Coalescer::<&str>::default(), HashKeys::random().unwrap());
        let Role::Leader(obligation, _leader) = coalescer.join(key("a", &hash_keys), MAX) else {
            panic!("no request was in flight")
        };
        let Role::Follower(wait) = coalescer.join(key("a", &hash_keys), MAX) else {
            panic!("a request was in flight")
        };
        assert_eq!(coalescer.count(), 1);
        obligation.settle("result");
        assert_eq!(wait.wait().await, Some("result"));
        assert_eq!(coalescer.count(), 0);
    }

    #[test]
    fn t01_a_token_never_waits_for_another_tokens_fetch() {
        let (coalescer, hash_keys) = (Coalescer::<&str>::default(), HashKeys::random().unwrap());
        let _leads = coalescer.join(key("a", &hash_keys), MAX);
        assert!(matches!(coalescer.join(key("b", &hash_keys), MAX), Role::Leader(..)));
    }

    #[tokio::test]
    async fn a_dropped_leader_ends_every_wait() {
        let (coalescer, hash_keys) = (Coalescer::<&str>::default(), HashKeys::random().unwrap());
        let Role::Leader(obligation, _leader) = coalescer.join(key("a", &hash_keys), MAX) else { panic!() };
        let Role::Follower(wait) = coalescer.join(key("a", &hash_keys), MAX) else { panic!() };
        drop(obligation);
        assert_eq!(wait.wait().await, None);
        assert!(
            matches!(coalescer.join(key("a", &hash_keys), MAX), Role::Leader(..)),
            "the next request is the leader"
        );
    }

    #[tokio::test]
    async fn a_fetch_is_notified_when_its_last_caller_has_left() {
        let (coalescer, hash_keys) = (Coalescer::<&str>::default(), HashKeys::random().unwrap());
        let Role::Leader(obligation, leader) = coalescer.join(key("a", &hash_keys), MAX) else { panic!() };
        let Role::Follower(follower) = coalescer.join(key("a", &hash_keys), MAX) else { panic!() };
        let callers = obligation.callers();
        let mut all_left = Box::pin(callers.all_left());
        assert!(futures_util::poll!(&mut all_left).is_pending());
        drop(leader);
        assert!(futures_util::poll!(&mut all_left).is_pending(), "a follower still waits");
        drop(follower);
        assert!(futures_util::poll!(&mut all_left).is_ready());
    }

    #[test]
    fn the_number_of_followers_is_limited() {
        let (coalescer, hash_keys) = (Coalescer::<&str>::default(), HashKeys::random().unwrap());
        let _leads = coalescer.join(key("a", &hash_keys), MAX);
        let _first = coalescer.join(key("a", &hash_keys), MAX);
        let second = coalescer.join(key("a", &hash_keys), MAX);
        assert!(matches!(coalescer.join(key("a", &hash_keys), MAX), Role::Full));
        drop(second);
        assert!(
            matches!(coalescer.join(key("a", &hash_keys), MAX), Role::Follower(_)),
            "a dropped follower makes room"
        );
        let lower = coalescer.join(key("a", &hash_keys), 1);
        assert!(matches!(lower, Role::Full), "the limit of this request is lower");
    }
}
