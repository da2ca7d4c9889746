//! Accounts behind the limiter: requests under way, refused tokens, waiting requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::failures::{FailureWindow, WINDOW};
use super::{Config, MAX_WAITING, PER_TOKEN, Paced, Turn};
use crate::clock::Now;
use crate::fair_queue::{FairQueue, Path, Position};

/// Accounts of all subnets.
#[derive(Debug)]
pub(super) struct State {
    config: Config,
    /// Refused tokens of each subnet. A forgotten subnet starts without failures.
    failures: Cache<u128, Arc<Mutex<FailureWindow>>>,
    all_failures: FailureWindow,
    /// Tokens with requests under way, by subnet.
    in_flight: HashMap<u128, HashMap<u64, TokenState>>,
    queue: FairQueue<Turn>,
    /// The pacing task runs.
    is_pacing: bool,
    last_paced: Option<Instant>,
}

/// Requests of one token under way from one subnet.
#[derive(Debug, Default)]
struct TokenState {
    requests: usize,
    /// Graph has answered with 200.
    is_proven: bool,
}

impl State {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            failures: Cache::builder().max_capacity(MAX_SUBNETS).time_to_idle(WINDOW).build(),
            all_failures: FailureWindow::default(),
            in_flight: HashMap::new(),
            queue: FairQueue::default(),
            is_pacing: false,
            last_paced: None,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Starts a request at once, where no limit is reached. Requests of the subnet that wait are above a limit, since each
    /// end of a request starts all that may start: so none is overtaken that could go.
    pub(super) fn try_admit(&mut self, path: Path, now: Now) -> bool {
        let free = self.free_slots(path);
        let admitted = is_below_token_limit(&self.in_flight, path)
            && !self.is_limited(path, now)
            && self.queue.try_take_in(path, free);
        if admitted {
            self.start(path);
        }
        admitted
    }

    /// Adds a request to the queue. A full queue drops the newest request of the fullest share.
    pub(super) fn wait(&mut self, path: Path, turn: Turn) -> Position {
        let position = self.queue.push(path, turn);
        if self.queue.waiting() > MAX_WAITING {
            self.queue.drop_longest();
        }
        position
    }

    pub(super) fn leave(&mut self, position: Position) {
        self.queue.remove(position);
    }

    /// Starts the next waiting request of a subnet, if its limits allow one.
    pub(super) fn next_in(&mut self, path: Path, now: Now) -> Option<(Path, Turn)> {
        if self.queue.waiting_in(subnet(path)) == 0 {
            return None;
        }
        let free = self.free_slots(path);
        let limits = self.limits(path, now);
        let in_flight = &self.in_flight;
        let next = self.queue.pop_in(subnet(path), free, &mut |path| {
            is_below_token_limit(in_flight, *path) && !limits.is_reached(in_flight, *path)
        });
        self.started(next)
    }

    /// Starts the waiting request of all subnets whose paced turn it is.
    pub(super) fn next_paced(&mut self) -> Paced {
        self.last_paced = Some(Instant::now());
        if self.queue.waiting() == 0 {
            self.is_pacing = false;
            return Paced::Nobody;
        }
        let (in_flight, slots) = (&self.in_flight, self.config.in_flight_per_address);
        let next = self.queue.pop(usize::MAX, &mut |path| {
            is_below_token_limit(in_flight, *path) && requests(in_flight, *path) < slots
        });
        self.started(next).map_or(Paced::NotYet, |(path, turn)| Paced::Turn(path, turn))
    }

    /// Returns the time of the first paced turn, if the pacing task has to be started.
    pub(super) fn begin_pacing(&mut self, pace: Duration) -> Option<Instant> {
        if self.is_pacing || self.queue.waiting() == 0 {
            return None;
        }
        self.is_pacing = true;
        Some(self.last_paced.map_or_else(Instant::now, |last| last + pace))
    }

    /// Ends a request.
    pub(super) fn end(&mut self, path: Path) {
        self.queue.give_back(path);
        let Some(tokens) = self.in_flight.get_mut(&subnet(path)) else { return };
        if let Some(token) = tokens.get_mut(&tag(path)) {
            token.requests = token.requests.saturating_sub(1);
            if token.requests == 0 {
                tokens.remove(&tag(path));
            }
        }
        if tokens.is_empty() {
            self.in_flight.remove(&subnet(path));
        }
    }

    pub(super) fn count_failure(&mut self, path: Path, now: Now) {
        let window = self.failures.get_with(subnet(path), Arc::default);
        lock(&window).insert(tag(path), self.config.failures_per_address, now);
        self.all_failures.insert(tag(path), self.config.failures, now);
    }

    pub(super) fn lift_token_limit(&mut self, path: Path) {
        if let Some(token) =
            self.in_flight.get_mut(&subnet(path)).and_then(|tokens| tokens.get_mut(&tag(path)))
        {
            token.is_proven = true;
        }
    }

    /// Returns whether one more token of this subnet would be above a limit.
    pub(super) fn is_limited(&mut self, path: Path, now: Now) -> bool {
        let limits = self.limits(path, now);
        limits.is_reached(&self.in_flight, path)
    }

    /// Reads the refused tokens of a subnet.
    fn limits(&mut self, path: Path, now: Now) -> SubnetLimits {
        let window = self.failures.get(&subnet(path));
        let failures = window.as_ref().map_or(0, |window| lock(window).count(now));
        let all_reached = self.all_failures.count(now) >= self.config.failures;
        let refused = |token| window.as_ref().is_some_and(|window| lock(window).contains(token));
        let pending = self.in_flight.get(&subnet(path)).map_or(0, |tokens| {
            tokens.iter().filter(|(token, state)| !state.is_proven && !refused(**token)).count()
        });
        let (distinct, limit) = (failures + pending, self.config.failures_per_address);
        SubnetLimits { window, has_failures: failures > 0, distinct, limit, all_reached }
    }

    /// Returns how many more requests of a subnet may be under way.
    fn free_slots(&self, path: Path) -> usize {
        self.config.in_flight_per_address.saturating_sub(self.queue.in_use_by(subnet(path)))
    }

    fn started(&mut self, next: Option<(Path, Turn)>) -> Option<(Path, Turn)> {
        let (path, turn) = next?;
        self.start(path);
        Some((path, turn))
    }

    fn start(&mut self, path: Path) {
        self.in_flight.entry(subnet(path)).or_default().entry(tag(path)).or_default().requests += 1;
    }
}

/// Refused tokens of one subnet at one time.
struct SubnetLimits {
    window: Option<Arc<Mutex<FailureWindow>>>,
    has_failures: bool,
    /// Tokens that were refused, or are under way without an answer.
    distinct: usize,
    limit: usize,
    /// All subnets together have reached their limit.
    all_reached: bool,
}

impl SubnetLimits {
    /// Returns whether the subnet is above a limit once the token of `path` is under way. A token that is under way, or
    /// was refused within the last minute, adds nothing.
    fn is_reached(&self, in_flight: &InFlight, path: Path) -> bool {
        let token = in_flight.get(&subnet(path)).and_then(|tokens| tokens.get(&tag(path)));
        if token.is_some_and(|token| token.is_proven) {
            return false;
        }
        let is_refused = || self.window.as_ref().is_some_and(|window| lock(window).contains(tag(path)));
        let is_new = token.is_none() && !is_refused();
        self.distinct + usize::from(is_new) > self.limit || (self.all_reached && self.has_failures)
    }
}

type InFlight = HashMap<u128, HashMap<u64, TokenState>>;

fn is_below_token_limit(in_flight: &InFlight, path: Path) -> bool {
    let token = in_flight.get(&subnet(path)).and_then(|tokens| tokens.get(&tag(path)));
    token.is_none_or(|token| token.is_proven || token.requests < PER_TOKEN)
}

fn requests(in_flight: &InFlight, path: Path) -> usize {
    let tokens = in_flight.get(&subnet(path));
    tokens.map_or(0, |tokens| tokens.values().map(|token| token.requests).sum())
}

fn subnet([subnet, ..]: Path) -> u128 {
    subnet
}

/// Returns half of the token's key, which is a keyed hash: enough to tell tokens apart.
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn tag([.., token]: Path) -> u64 {
    token as u64
}

fn lock(window: &Mutex<FailureWindow>) -> std::sync::MutexGuard<'_, FailureWindow> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Subnets with refused tokens that are remembered: at most 16 bytes for each token of each subnet.
const MAX_SUBNETS: u64 = 10_000;
