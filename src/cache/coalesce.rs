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

use super::key::FlightKey;
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
pub struct Flights<T> {
    followers: Arc<Dial<usize>>,
    under_way: Arc<Mutex<Table<T>>>,
}

type Table<T> = HashMap<FlightKey, Arc<Answer<T>>>;

/// Result of a fetch, or nothing, and the callers that wait for it.
#[derive(Debug)]
struct Answer<T> {
    result: SetOnce<Option<T>>,
    callers: Arc<Callers>,
}

/// Callers that wait for one fetch.
#[derive(Debug, Default)]
pub struct Callers {
    /// The leader, as long as it waits, and the followers.
    waiting: AtomicUsize,
    followers: AtomicUsize,
    left: Notify,
}

/// One caller that waits for a fetch. Dropped, the caller has left.
#[derive(Debug)]
pub struct Caller {
    callers: Arc<Callers>,
    follows: bool,
}

impl Callers {
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

    fn enter(self: &Arc<Self>, follows: bool) -> Caller {
        self.waiting.fetch_add(1, SeqCst);
        self.followers.fetch_add(usize::from(follows), SeqCst);
        Caller { callers: Arc::clone(self), follows }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.callers.followers.fetch_sub(usize::from(self.follows), SeqCst);
        if self.callers.waiting.fetch_sub(1, SeqCst) == 1 {
            self.callers.left.notify_waiters();
        }
    }
}

/// A place in a flight.
#[derive(Debug)]
pub enum Seat<T: Clone> {
    /// No fetch is under way. The obligation goes with the fetch, and the caller with the request that waits.
    Lead(Obligation<T>, Caller),
    /// Somebody is asking already.
    Follow(Landing<T>),
    /// Somebody is asking, and as many wait as may.
    Full,
}

impl<T: Clone> Flights<T> {
    /// No flight under way.
    pub fn new(config: &Config) -> Self {
        Self { followers: Arc::new(Dial::new(config.followers)), under_way: Arc::default() }
    }

    /// Changes how many may follow.
    pub fn set_followers(&self, followers: usize) {
        self.followers.set(followers);
    }

    /// Takes a seat in the flight for `key`, starting it if there is none.
    pub fn join(&self, key: FlightKey) -> Seat<T> {
        match self.table().entry(key) {
            Entry::Vacant(place) => {
                let key = place.key().clone();
                let answer = Answer { result: SetOnce::new(), callers: Arc::default() };
                let leader = answer.callers.enter(false);
                let answer = Arc::clone(place.insert(Arc::new(answer)));
                Seat::Lead(Obligation { flights: self.clone(), key, answer }, leader)
            }
            Entry::Occupied(flight)
                if flight.get().callers.followers.load(SeqCst) >= self.followers.get() =>
            {
                Seat::Full
            }
            Entry::Occupied(flight) => {
                let caller = flight.get().callers.enter(true);
                Seat::Follow(Landing { answer: Arc::clone(flight.get()), _caller: caller })
            }
        }
    }

    /// How many flights are under way.
    pub fn count(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to answer a flight. Dropping it unsettled (the task ended, or panicked) lets every follower go.
#[derive(Debug)]
pub struct Obligation<T: Clone> {
    flights: Flights<T>,
    key: FlightKey,
    answer: Arc<Answer<T>>,
}

impl<T: Clone> Obligation<T> {
    /// Answers everybody who waits. What is to be stored must be stored by now: who comes next looks there.
    pub fn settle(self, answer: T) {
        // Nobody else can have said anything: there is one obligation, and it is gone after this.
        let _ = self.answer.result.set(Some(answer));
    }

    /// Returns the callers that wait for the result.
    pub fn callers(&self) -> Arc<Callers> {
        Arc::clone(&self.answer.callers)
    }
}

impl<T: Clone> Drop for Obligation<T> {
    fn drop(&mut self) {
        self.flights.table().remove(&self.key);
        // An error says that it was settled.
        let _ = self.answer.result.set(None);
    }
}

/// A wait for a flight's answer.
#[derive(Debug)]
pub struct Landing<T> {
    answer: Arc<Answer<T>>,
    _caller: Caller,
}

impl<T: Clone> Landing<T> {
    /// The answer, or `None` when whoever led is gone without one.
    pub async fn wait(self) -> Option<T> {
        self.answer.result.wait().await.clone()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::auth::{Identity, Secrets};
    use crate::resource::{ApiVersion, Resource};

    fn key(token: &str, secrets: &Secrets) -> FlightKey {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        let path = "/beta/identity/b2xUserFlows/x/apiConnectorConfiguration";
        FlightKey {
            fingerprint: Identity::of(&headers, secrets).unwrap().fingerprint,
            resource: Arc::new(Resource::parse(path, None, &headers, ApiVersion::Beta).unwrap()),
            ticket: 1,
        }
    }

    fn flights(followers: usize) -> Flights<&'static str> {
        Flights::new(&Config { followers, ..Config::default() })
    }

    #[tokio::test]
    async fn whoever_asks_the_same_meanwhile_gets_the_same_answer() {
        let (flights, secrets) = (flights(8), Secrets::random().unwrap());
        let Seat::Lead(obligation, _leader) = flights.join(key("a", &secrets)) else {
            panic!("nobody was asking")
        };
        let Seat::Follow(landing) = flights.join(key("a", &secrets)) else { panic!("somebody was asking") };
        assert_eq!(flights.count(), 1);
        obligation.settle("answer");
        assert_eq!(landing.wait().await, Some("answer"));
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn t01_another_token_never_waits_on_this_ones_flight() {
        let (flights, secrets) = (flights(8), Secrets::random().unwrap());
        let _leads = flights.join(key("a", &secrets));
        assert!(matches!(flights.join(key("b", &secrets)), Seat::Lead(..)));
    }

    #[tokio::test]
    async fn a_leader_that_vanishes_leaves_nobody_waiting() {
        let (flights, secrets) = (flights(8), Secrets::random().unwrap());
        let Seat::Lead(obligation, _leader) = flights.join(key("a", &secrets)) else { panic!() };
        let Seat::Follow(landing) = flights.join(key("a", &secrets)) else { panic!() };
        drop(obligation);
        assert_eq!(landing.wait().await, None);
        assert!(matches!(flights.join(key("a", &secrets)), Seat::Lead(..)), "the next one leads");
    }

    #[tokio::test]
    async fn a_fetch_learns_when_its_last_caller_has_left() {
        let (flights, secrets) = (flights(8), Secrets::random().unwrap());
        let Seat::Lead(obligation, leader) = flights.join(key("a", &secrets)) else { panic!() };
        let Seat::Follow(follower) = flights.join(key("a", &secrets)) else { panic!() };
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
        let (flights, secrets) = (flights(2), Secrets::random().unwrap());
        let _leads = flights.join(key("a", &secrets));
        let _first = flights.join(key("a", &secrets));
        let second = flights.join(key("a", &secrets));
        assert!(matches!(flights.join(key("a", &secrets)), Seat::Full));
        drop(second);
        assert!(matches!(flights.join(key("a", &secrets)), Seat::Follow(_)), "a seat was given back");
        flights.set_followers(1);
        assert!(matches!(flights.join(key("a", &secrets)), Seat::Full), "there are fewer seats now");
    }
}
