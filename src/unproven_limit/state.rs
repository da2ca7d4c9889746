//! Accounts behind the limiter: requests under way, refused tokens, waiting requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::failures::{FailureWindow, WINDOW};
use super::{Config, MAX_WAITING, Paced, Turn};
use crate::clock::Now;
use crate::fair_queue::{FairQueue, Path, Position};

/// Accounts of all subnets.
#[derive(Debug)]
pub(super) struct State {
    config: Config,
    /// Refused tokens of each subnet. A forgotten subnet starts without failures.
    failures: Cache<u128, Arc<Mutex<FailureWindow>>>,
    all_failures: FailureWindow,
    /// Subnets with requests that wait or are under way.
    subnets: HashMap<u128, Subnet>,
    queue: FairQueue<Turn>,
    /// The pacing task runs.
    is_pacing: bool,
    last_paced: Option<Instant>,
}

/// Requests of one subnet.
#[derive(Debug, Default)]
struct Subnet {
    requests: usize,
    in_flight: HashMap<u64, InFlight>,
    /// Requests that wait, by token.
    waiting: HashMap<u64, usize>,
}

/// Requests of one token under way from one subnet.
#[derive(Debug, Default)]
struct InFlight {
    requests: usize,
    /// Graph has answered with 200.
    is_proven: bool,
}

/// State of the limits of one subnet at one time.
#[derive(Clone, Copy)]
struct Limits {
    per_token: usize,
    /// A token that is not under way may start.
    allows_new: bool,
}

impl State {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            failures: Cache::builder().max_capacity(MAX_SUBNETS).time_to_idle(WINDOW).build(),
            all_failures: FailureWindow::default(),
            subnets: HashMap::new(),
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
        let limits = self.limits(path, now);
        let may_start = match self.subnets.get(&subnet(path)) {
            Some(known) => {
                known.may_start(tag(path), limits.per_token, limits.allows_new || self.was_refused(path))
            }
            None => limits.allows_new || self.was_refused(path),
        };
        let free = self.free_slots(path);
        let admitted = may_start && self.queue.try_take_in(path, free);
        if admitted {
            self.start(path);
        }
        admitted
    }

    /// Adds a request to the queue. A full queue drops the newest request of the fullest share.
    pub(super) fn wait(&mut self, path: Path, turn: Turn) -> Position {
        let position = self.queue.push(path, turn);
        *self.subnets.entry(subnet(path)).or_default().waiting.entry(tag(path)).or_default() += 1;
        if self.queue.waiting() > MAX_WAITING
            && let Some((dropped, _)) = self.queue.drop_longest()
        {
            self.waits_no_longer(dropped);
        }
        position
    }

    pub(super) fn leave(&mut self, position: Position) {
        if self.queue.remove(position).is_some() {
            self.waits_no_longer(position.path());
        }
    }

    /// Starts the next waiting request of a subnet, if its limits allow one.
    pub(super) fn next_in(&mut self, path: Path, now: Now) -> Option<(Path, Turn)> {
        let limits = self.limits(path, now);
        let free = self.free_slots(path);
        let known = self.subnets.get(&subnet(path))?;
        if free == 0 || !(limits.allows_new || known.has_eligible_token(limits.per_token)) {
            return None;
        }
        let next = self.queue.pop_in(subnet(path), free, &mut |path| {
            known.may_start(tag(*path), limits.per_token, limits.allows_new)
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
        let (subnets, slots) = (&self.subnets, self.config.in_flight_per_address);
        let per_token = self.config.in_flight_per_token;
        let next = self.queue.pop(usize::MAX, &mut |path| {
            let known = subnets.get(&subnet(*path));
            known.is_none_or(|known| known.requests < slots && known.may_start(tag(*path), per_token, true))
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
        let Some(known) = self.subnets.get_mut(&subnet(path)) else { return };
        known.requests = known.requests.saturating_sub(1);
        if let Some(token) = known.in_flight.get_mut(&tag(path)) {
            token.requests = token.requests.saturating_sub(1);
            if token.requests == 0 {
                known.in_flight.remove(&tag(path));
            }
        }
        self.forget_if_idle(path);
    }

    pub(super) fn count_failure(&mut self, path: Path, now: Now) {
        let window = self.failures.get_with(subnet(path), Arc::default);
        lock(&window).insert(tag(path), self.config.failures_per_address, now);
        self.all_failures.insert(tag(path), self.config.failures, now);
    }

    pub(super) fn lift_token_limit(&mut self, path: Path) {
        if let Some(token) =
            self.subnets.get_mut(&subnet(path)).and_then(|known| known.in_flight.get_mut(&tag(path)))
        {
            token.is_proven = true;
        }
    }

    /// Returns whether refused tokens hold up new tokens of this subnet, rather than slow requests.
    pub(super) fn is_limited(&mut self, path: Path, now: Now) -> bool {
        let window = self.failures.get(&subnet(path));
        window.is_some_and(|window| lock(&window).count(now) > 0) && !self.limits(path, now).allows_new
    }

    /// Computes the limits of a subnet. A token under way counts as refused until Graph has answered.
    fn limits(&mut self, path: Path, now: Now) -> Limits {
        let window = self.failures.get(&subnet(path));
        let failures = window.as_ref().map_or(0, |window| lock(window).count(now));
        let known = self.subnets.get(&subnet(path));
        let pending =
            known.map_or(0, |known| known.in_flight.values().filter(|token| !token.is_proven).count());
        let is_below = failures + pending < self.config.failures_per_address;
        let all_reached = self.all_failures.count(now) >= self.config.failures && failures > 0;
        Limits { per_token: self.config.in_flight_per_token, allows_new: is_below && !all_reached }
    }

    /// Returns whether a token counts as refused already, so that another request adds nothing.
    fn was_refused(&self, path: Path) -> bool {
        self.failures.get(&subnet(path)).is_some_and(|window| lock(&window).contains(tag(path)))
    }

    /// Returns how many more requests of a subnet may be under way.
    fn free_slots(&self, path: Path) -> usize {
        let requests = self.subnets.get(&subnet(path)).map_or(0, |known| known.requests);
        self.config.in_flight_per_address.saturating_sub(requests)
    }

    fn started(&mut self, next: Option<(Path, Turn)>) -> Option<(Path, Turn)> {
        let (path, turn) = next?;
        self.start(path);
        self.waits_no_longer(path);
        Some((path, turn))
    }

    fn start(&mut self, path: Path) {
        let known = self.subnets.entry(subnet(path)).or_default();
        known.requests += 1;
        known.in_flight.entry(tag(path)).or_default().requests += 1;
    }

    fn waits_no_longer(&mut self, path: Path) {
        let Some(known) = self.subnets.get_mut(&subnet(path)) else { return };
        if let Some(waiting) = known.waiting.get_mut(&tag(path)) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                known.waiting.remove(&tag(path));
            }
        }
        self.forget_if_idle(path);
    }

    fn forget_if_idle(&mut self, path: Path) {
        let idle = |known: &Subnet| known.in_flight.is_empty() && known.waiting.is_empty();
        if self.subnets.get(&subnet(path)).is_some_and(idle) {
            self.subnets.remove(&subnet(path));
        }
    }
}

impl Subnet {
    /// Returns whether one more request of a token may start.
    fn may_start(&self, token: u64, per_token: usize, allows_new: bool) -> bool {
        self.in_flight.get(&token).map_or(allows_new, |token| token.may_start(per_token))
    }

    /// Returns whether a request waits whose token is under way and may have one more. At most as many tokens are under way
    /// as the subnet has slots, while thousands of requests may wait.
    fn has_eligible_token(&self, per_token: usize) -> bool {
        self.in_flight
            .iter()
            .any(|(token, state)| state.may_start(per_token) && self.waiting.contains_key(token))
    }
}

impl InFlight {
    fn may_start(&self, per_token: usize) -> bool {
        self.is_proven || self.requests < per_token
    }
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
