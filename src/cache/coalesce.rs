//! One question to Graph at a time for a key.
//!
//! The first to ask leads; whoever asks the same meanwhile follows and gets the same answer. The duty to
//! answer is a value, the [`Obligation`]: it is settled with an answer, or dropped, and then nobody waits
//! any longer.
//!
//! A flight knows nothing of what it carries. Its key holds the token's fingerprint (promise 3), so
//! nobody can wait on a stranger's question.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, SetOnce};

use super::key::CoalesceKey;
use crate::support::dial::Dial;

/// What flights need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.followers`: requests that may wait on one flight; more go alone.
    pub followers: usize,
    /// `limits.follower_wait`: how long one waits before it goes alone. Longer than `graph.timeout`, so that
    /// those who wait for a leader in vain hear so with it, and do not all ask again.
    pub wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { followers: 10_000, wait: Duration::from_secs(15) }
    }
}

/// The flights under way. Clones share them.
#[derive(Clone, Debug)]
pub struct Coalescer<T> {
    followers: Arc<Dial<usize>>,
    in_flight: Arc<Mutex<Table<T>>>,
}

type Table<T> = HashMap<CoalesceKey, Arc<SharedResult<T>>>;

/// Result of a fetch, or nothing, and the callers that wait for it.
#[derive(Debug)]
struct SharedResult<T> {
    result: SetOnce<Option<T>>,
    callers: Arc<WaitingCallers>,
}

/// Callers that wait for one fetch.
#[derive(Debug, Default)]
pub struct WaitingCallers {
    /// The leader, as long as it waits, and the followers.
    waiting: AtomicUsize,
    followers: AtomicUsize,
    left: Notify,
}

/// One caller that waits for a fetch. Dropped, the caller has left.
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
            if self.waiting.load(SeqCst) == 0 {
                return;
            }
            left.await;
        }
    }

    fn enter(self: &Arc<Self>, is_follower: bool) -> CallerGuard {
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

/// A place in a flight.
#[derive(Debug)]
pub enum Role<T: Clone> {
    /// No fetch is under way. The obligation goes with the fetch, and the caller with the request that waits.
    Leader(Obligation<T>, CallerGuard),
    /// Somebody is asking already.
    Follower(Wait<T>),
    /// Somebody is asking, and as many wait as may.
    Full,
}

impl<T: Clone> Coalescer<T> {
    /// No flight under way.
    pub fn new(config: &Config) -> Self {
        Self { followers: Arc::new(Dial::new(config.followers)), in_flight: Arc::default() }
    }

    /// Changes how many may follow.
    pub fn set_followers(&self, followers: usize) {
        self.followers.set(followers);
    }

    /// Takes a seat in the flight for `key`, starting it if there is none.
    pub fn join(&self, key: CoalesceKey) -> Role<T> {
        match self.table().entry(key) {
            Entry::Vacant(place) => {
                let key = place.key().clone();
                let answer = SharedResult { result: SetOnce::new(), callers: Arc::default() };
                let leader = answer.callers.enter(false);
                let answer = Arc::clone(place.insert(Arc::new(answer)));
                Role::Leader(Obligation { coalescer: self.clone(), key, answer }, leader)
            }
            Entry::Occupied(flight)
                if flight.get().callers.followers.load(SeqCst) >= self.followers.get() =>
            {
                Role::Full
            }
            Entry::Occupied(flight) => {
                let caller = flight.get().callers.enter(true);
                Role::Follower(Wait { answer: Arc::clone(flight.get()), _caller: caller })
            }
        }
    }

    /// How many flights are under way.
    pub fn count(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to answer a flight. Dropping it unsettled (the task ended, or panicked) lets every follower go.
#[derive(Debug)]
pub struct Obligation<T: Clone> {
    coalescer: Coalescer<T>,
    key: CoalesceKey,
    answer: Arc<SharedResult<T>>,
}

impl<T: Clone> Obligation<T> {
    /// Answers everybody who waits. What is to be stored must be stored by now: who comes next looks there.
    pub fn settle(self, answer: T) {
        // Nobody else can have said anything: there is one obligation, and it is gone after this.
        let _ = self.answer.result.set(Some(answer));
    }

    /// Returns the callers that wait for the result.
    pub fn callers(&self) -> Arc<WaitingCallers> {
        Arc::clone(&self.answer.callers)
    }
}

impl<T: Clone> Drop for Obligation<T> {
    fn drop(&mut self) {
        self.coalescer.table().remove(&self.key);
        // An error says that it was settled.
        let _ = self.answer.result.set(None);
    }
}

/// A wait for a flight's answer.
#[derive(Debug)]
pub struct Wait<T> {
    answer: Arc<SharedResult<T>>,
    _caller: CallerGuard,
}

impl<T: Clone> Wait<T> {
    /// The answer, or `None` when whoever led is gone without one.
    pub async fn wait(self) -> Option<T> {
        self.answer.result.wait().await.clone()
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

    fn coalescer(followers: usize) -> Coalescer<&'static str> {
        Coalescer::new(&Config { followers, ..Config::default() })
    }

    #[tokio::test]
    async fn whoever_asks_the_same_meanwhile_gets_the_same_answer() {
        let (coalescer, hash_keys) = (coalescer(8), HashKeys::random().unwrap());
        let Role::Leader(obligation, _leader) = coalescer.join(key("a", &hash_keys)) else {
            panic!("nobody was asking")
        };
        let Role::Follower(wait) = coalescer.join(key("a", &hash_keys)) else {
            panic!("somebody was asking")
        };
        assert_eq!(coalescer.count(), 1);
        obligation.settle("answer");
        assert_eq!(wait.wait().await, Some("answer"));
        assert_eq!(coalescer.count(), 0);
    }

    #[test]
    fn t01_another_token_never_waits_on_this_ones_flight() {
        let (coalescer, hash_keys) = (coalescer(8), HashKeys::random().unwrap());
        let _leads = coalescer.join(key("a", &hash_keys));
        assert!(matches!(coalescer.join(key("b", &hash_keys)), Role::Leader(..)));
    }

    #[tokio::test]
    async fn a_leader_that_vanishes_leaves_nobody_waiting() {
        let (coalescer, hash_keys) = (coalescer(8), HashKeys::random().unwrap());
        let Role::Leader(obligation, _leader) = coalescer.join(key("a", &hash_keys)) else { panic!() };
        let Role::Follower(wait) = coalescer.join(key("a", &hash_keys)) else { panic!() };
        drop(obligation);
        assert_eq!(wait.wait().await, None);
        assert!(matches!(coalescer.join(key("a", &hash_keys)), Role::Leader(..)), "the next one leads");
    }

    #[tokio::test]
    async fn a_fetch_learns_when_its_last_caller_has_left() {
        let (coalescer, hash_keys) = (coalescer(8), HashKeys::random().unwrap());
        let Role::Leader(obligation, leader) = coalescer.join(key("a", &hash_keys)) else { panic!() };
        let Role::Follower(follower) = coalescer.join(key("a", &hash_keys)) else { panic!() };
        let callers = obligation.callers();
        let mut all_left = Box::pin(callers.all_left());
        assert!(futures_util::poll!(&mut all_left).is_pending());
        drop(leader);
        assert!(futures_util::poll!(&mut all_left).is_pending(), "a follower still waits");
        drop(follower);
        assert!(futures_util::poll!(&mut all_left).is_ready());
    }

    #[test]
    fn no_more_than_the_limit_may_follow() {
        let (coalescer, hash_keys) = (coalescer(2), HashKeys::random().unwrap());
        let _leads = coalescer.join(key("a", &hash_keys));
        let _first = coalescer.join(key("a", &hash_keys));
        let second = coalescer.join(key("a", &hash_keys));
        assert!(matches!(coalescer.join(key("a", &hash_keys)), Role::Full));
        drop(second);
        assert!(matches!(coalescer.join(key("a", &hash_keys)), Role::Follower(_)), "a seat was given back");
        coalescer.set_followers(1);
        assert!(matches!(coalescer.join(key("a", &hash_keys)), Role::Full), "there are fewer seats now");
    }
}
