//! State of the limiter: requests in flight, refused tokens and waiting requests by subnet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::failures::{FailureWindow, WINDOW};
use super::{AdmissionSender, Config, MAX_WAITING_REQUESTS, PacingDecision};
use crate::support::clock::Now;
use crate::upstream::fair_queue::{FairQueue, QueueCapacity, QueuePosition, SharePath};

/// State of all subnets.
#[derive(Debug)]
pub(super) struct LimiterState {
    config: Config,
    /// Refused tokens of each subnet. An evicted subnet starts without failures.
    failures: Cache<u128, Arc<Mutex<FailureWindow>>>,
    all_failures: FailureWindow,
    /// Subnets with requests that wait or are in flight.
    subnets: HashMap<u128, Subnet>,
    queue: FairQueue<AdmissionSender>,
    /// True while the pacing task is running.
    is_pacing: bool,
    last_paced: Option<Instant>,
    /// Time between two paced requests of one subnet.
    pace: Duration,
}

/// Requests of one subnet.
#[derive(Debug, Default)]
struct Subnet {
    requests: usize,
    in_flight: HashMap<u64, TokenRequests>,
    /// Waiting requests by token.
    waiting: HashMap<u64, usize>,
    /// Time at which the next paced request of the subnet may start.
    next_paced_at: Option<Instant>,
}

/// Requests of one token in flight from one subnet.
#[derive(Debug, Default)]
struct TokenRequests {
    requests: usize,
    /// Graph has responded with 200.
    is_proven: bool,
}

/// Limits of one subnet at one time.
#[derive(Clone, Copy)]
struct SubnetLimits {
    per_token: usize,
    /// A token without requests in flight may start.
    allows_new: bool,
}

impl LimiterState {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            failures: Cache::builder().max_capacity(MAX_SUBNETS).time_to_idle(WINDOW).build(),
            all_failures: FailureWindow::default(),
            subnets: HashMap::new(),
            queue: FairQueue::default(),
            is_pacing: false,
            last_paced: None,
            pace: interval(config.paced_per_address),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Starts a request at once if no limit is reached. This overtakes no waiting request that could start: each end of a
    /// request starts all waiting requests that may start, so those that still wait are above a limit.
    pub(super) fn try_admit(&mut self, path: SharePath, now: Now) -> bool {
        let limits = self.limits(path, now);
        let may_start = match self.subnets.get(&subnet(path)) {
            Some(known) => known.may_start(
                token_key(path),
                limits.per_token,
                limits.allows_new || self.was_refused(path),
            ),
            None => limits.allows_new || self.was_refused(path),
        };
        let capacity = self.capacity(path);
        let admitted = may_start && self.queue.try_acquire_in(path, capacity);
        if admitted {
            self.start(path);
        }
        admitted
    }

    /// Adds a request to the queue. A full queue drops the newest request of the fullest share.
    pub(super) fn enqueue(&mut self, path: SharePath, sender: AdmissionSender) -> QueuePosition {
        let position = self.queue.push(path, sender);
        *self.subnets.entry(subnet(path)).or_default().waiting.entry(token_key(path)).or_default() += 1;
        if self.queue.waiting() > MAX_WAITING_REQUESTS
            && let Some((dropped, _)) = self.queue.drop_longest()
        {
            self.record_dequeued(dropped);
        }
        position
    }

    /// Removes a request from the queue, unless it was served or dropped before.
    pub(super) fn dequeue(&mut self, position: QueuePosition) {
        if self.queue.remove(position).is_some() {
            self.record_dequeued(position.path());
        }
    }

    /// Starts the next waiting request of a subnet, if its limits allow one.
    pub(super) fn start_next_in(
        &mut self,
        path: SharePath,
        now: Now,
    ) -> Option<(SharePath, AdmissionSender)> {
        let limits = self.limits(path, now);
        let capacity = self.capacity(path);
        let known = self.subnets.get(&subnet(path))?;
        if capacity.free == 0 || !(limits.allows_new || known.has_eligible_token(limits.per_token)) {
            return None;
        }
        let next = self.queue.pop_in(subnet(path), capacity, &mut |path| {
            known.may_start(token_key(*path), limits.per_token, limits.allows_new)
        });
        self.started(next)
    }

    /// Starts the next paced request of all subnets. The subnet with the fewest refused tokens comes first, so a subnet with
    /// one expired token is served among subnets that flood.
    pub(super) fn start_next_paced(&mut self, now: Now) -> PacingDecision {
        let turn = Instant::now();
        self.last_paced = Some(turn);
        let (mut limited, mut free) = (Vec::new(), Vec::new());
        for (subnet, known) in self.subnets.iter().filter(|(_, known)| !known.waiting.is_empty()) {
            match self.failures(*subnet, now) {
                0 => free.push(*subnet),
                failures => limited.push((failures, known.next_paced_at, *subnet)),
            }
        }
        // Once its refused tokens are older than a minute, a subnet is below the limits.
        if let Some(next) = free.into_iter().find_map(|subnet| self.start_next_in([subnet, 0, 0], now)) {
            return PacingDecision::Admit(next.0, next.1);
        }
        if limited.is_empty() {
            self.is_pacing = false;
            return PacingDecision::Stop;
        }
        limited.sort_unstable();
        limited.retain(|(_, next, _)| next.is_none_or(|next| next <= turn));
        for (_, next, subnet) in limited {
            if let Some((path, request)) = self.start_next_paced_in(subnet) {
                if let Some(known) = self.subnets.get_mut(&subnet) {
                    // Counted from the time at which the request was due, so that late ticks do not lower the rate.
                    let due = next.filter(|next| *next + self.pace > turn).unwrap_or(turn);
                    known.next_paced_at = Some(due + self.pace);
                }
                return PacingDecision::Admit(path, request);
            }
        }
        PacingDecision::Wait
    }

    /// Starts the next waiting request of a limited subnet, also of a new token.
    fn start_next_paced_in(&mut self, subnet: u128) -> Option<(SharePath, AdmissionSender)> {
        let (capacity, per_token) = (self.capacity([subnet, 0, 0]), self.config.in_flight_per_token);
        let known = self.subnets.get(&subnet)?;
        let next = self
            .queue
            .pop_in(subnet, capacity, &mut |path| known.may_start(token_key(*path), per_token, true));
        self.started(next)
    }

    /// Returns the time of the first paced request if the pacing task must be started for a subnet.
    pub(super) fn begin_pacing(&mut self, path: SharePath, pace: Duration, now: Now) -> Option<Instant> {
        let waits = self.subnets.get(&subnet(path)).is_some_and(|known| !known.waiting.is_empty());
        if self.is_pacing || !waits || self.failures(subnet(path), now) == 0 {
            return None;
        }
        self.is_pacing = true;
        Some(self.last_paced.map_or_else(Instant::now, |last| last + pace))
    }

    /// Ends a request.
    pub(super) fn record_end(&mut self, path: SharePath) {
        self.queue.release(path);
        let Some(known) = self.subnets.get_mut(&subnet(path)) else { return };
        known.requests = known.requests.saturating_sub(1);
        if let Some(token) = known.in_flight.get_mut(&token_key(path)) {
            token.requests = token.requests.saturating_sub(1);
            if token.requests == 0 {
                known.in_flight.remove(&token_key(path));
            }
        }
        self.remove_if_idle(path);
    }

    /// Counts a 401 of Graph.
    pub(super) fn count_failure(&mut self, path: SharePath, now: Now) {
        let window = self.failures.get_with(subnet(path), Arc::default);
        lock(&window).insert(token_key(path), self.config.failures_per_address, now);
        self.all_failures.insert(token_key(path), self.config.failures, now);
    }

    /// Removes the limit of a token after its first 200.
    pub(super) fn lift_token_limit(&mut self, path: SharePath) {
        if let Some(token) =
            self.subnets.get_mut(&subnet(path)).and_then(|known| known.in_flight.get_mut(&token_key(path)))
        {
            token.is_proven = true;
        }
    }

    /// Returns whether refused tokens, rather than slow requests, delay new tokens of this subnet.
    pub(super) fn is_limited(&mut self, path: SharePath, now: Now) -> bool {
        self.failures(subnet(path), now) > 0 && !self.limits(path, now).allows_new
    }

    /// Computes the limits of a subnet. A token in flight counts as refused until Graph responds with 200.
    fn limits(&mut self, path: SharePath, now: Now) -> SubnetLimits {
        let failures = self.failures(subnet(path), now);
        let known = self.subnets.get(&subnet(path));
        let pending =
            known.map_or(0, |known| known.in_flight.values().filter(|token| !token.is_proven).count());
        let is_below = failures + pending < self.config.failures_per_address;
        let all_reached = self.all_failures.count(now) >= self.config.failures && failures > 0;
        SubnetLimits { per_token: self.config.in_flight_per_token, allows_new: is_below && !all_reached }
    }

    /// Returns whether a token counts as refused already, so that another request adds no failure.
    fn was_refused(&self, path: SharePath) -> bool {
        self.failures.get(&subnet(path)).is_some_and(|window| lock(&window).contains(token_key(path)))
    }

    /// Returns the capacity for more requests of a subnet.
    fn capacity(&self, path: SharePath) -> QueueCapacity {
        let requests = self.subnets.get(&subnet(path)).map_or(0, |known| known.requests);
        QueueCapacity::remaining(self.config.in_flight_per_address, requests)
    }

    /// Returns the number of tokens of a subnet that Graph refused within the last minute.
    fn failures(&self, subnet: u128, now: Now) -> usize {
        self.failures.get(&subnet).map_or(0, |window| lock(&window).count(now))
    }

    fn started(
        &mut self,
        next: Option<(SharePath, AdmissionSender)>,
    ) -> Option<(SharePath, AdmissionSender)> {
        let (path, sender) = next?;
        self.start(path);
        self.record_dequeued(path);
        Some((path, sender))
    }

    fn start(&mut self, path: SharePath) {
        let known = self.subnets.entry(subnet(path)).or_default();
        known.requests += 1;
        known.in_flight.entry(token_key(path)).or_default().requests += 1;
    }

    fn record_dequeued(&mut self, path: SharePath) {
        let Some(known) = self.subnets.get_mut(&subnet(path)) else { return };
        if let Some(waiting) = known.waiting.get_mut(&token_key(path)) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                known.waiting.remove(&token_key(path));
            }
        }
        self.remove_if_idle(path);
    }

    fn remove_if_idle(&mut self, path: SharePath) {
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

    /// Returns whether a request waits whose token is in flight and may have one more request. The search goes through the
    /// tokens in flight, at most as many as the subnet has slots, because thousands of requests may wait.
    fn has_eligible_token(&self, per_token: usize) -> bool {
        self.in_flight
            .iter()
            .any(|(token, state)| state.may_start(per_token) && self.waiting.contains_key(token))
    }
}

impl TokenRequests {
    fn may_start(&self, per_token: usize) -> bool {
        self.is_proven || self.requests < per_token
    }
}

/// Returns the time between two events at a rate of `per_second`.
pub(super) fn interval(per_second: usize) -> Duration {
    Duration::from_secs(1) / u32::try_from(per_second.max(1)).unwrap_or(u32::MAX)
}

fn subnet([subnet, ..]: SharePath) -> u128 {
    subnet
}

/// Returns half of the token's key. The key is a keyed hash, and half of it is enough to distinguish tokens.
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn token_key([.., token]: SharePath) -> u64 {
    token as u64
}

fn lock(window: &Mutex<FailureWindow>) -> std::sync::MutexGuard<'_, FailureWindow> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Subnets whose refused tokens are kept, with at most 16 bytes for each token of each subnet.
const MAX_SUBNETS: u64 = 10_000;
