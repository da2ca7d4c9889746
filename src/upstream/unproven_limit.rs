//! Limits for requests whose token has no proof.
//!
//! Anybody can invent tokens, and each invented token costs a request to Graph. An honest token has no proof before its
//! first answer either, so the limiter separates floods from honest first requests by the count of *distinct* tokens that
//! Graph refused with 401:
//!
//! * **Below the limits** (`limits.unproven_failures_per_address` for a client subnet, `limits.unproven_failures` for all
//!   subnets together, tokens a minute) a request passes at once. A token whose answer is not here yet counts as refused,
//!   so a burst does not exceed the limit.
//! * **Above a limit** new tokens of the subnet wait for a paced turn: `limits.unproven_paced_per_address` a second for each
//!   such subnet, and `limits.unproven_paced` for all of them together. The subnet with the fewest refused tokens comes
//!   first, of equals the subnet that waited longest; within a subnet the order is fair by connection, then by token.
//!   Nobody is locked out.
//! * A subnet has at most `limits.unproven_per_address` requests under way, and a token at most `limits.unproven_per_token`
//!   until its first 200. Where requests wait, the same fair order holds.
//!
//! The queue is bounded by [`MAX_WAITING`]. A full queue drops the newest request of the connection that fills it.
//! Claims play no part here: nobody has verified them.

mod failures;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use self::state::{LimiterState, interval};
use crate::auth::TokenHash;
use crate::http::error::Rejection;
use crate::support::client_subnet::client_subnet;
use crate::support::clock::Clock;
use crate::upstream::fair_queue::{QueuePosition, SharePath};

/// Configuration of the limiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.unproven_requests`: requests to Graph under way at one time.
    pub in_flight: usize,
    /// `limits.unproven_per_address`: requests of one client subnet under way at one time.
    pub in_flight_per_address: usize,
    /// `limits.unproven_per_token`: requests of one token under way at one time, until its first 200.
    pub in_flight_per_token: usize,
    /// `limits.unproven_failures`: distinct refused tokens a minute, of all subnets together.
    pub failures: usize,
    /// `limits.unproven_failures_per_address`: distinct refused tokens a minute, of one subnet.
    pub failures_per_address: usize,
    /// `limits.unproven_paced`: requests a second of all subnets above a limit together.
    pub paced: usize,
    /// `limits.unproven_paced_per_address`: requests a second of one subnet above a limit.
    pub paced_per_address: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight: 128,
            in_flight_per_address: 64,
            in_flight_per_token: 8,
            failures: 300,
            failures_per_address: 60,
            paced: 120,
            paced_per_address: 40,
        }
    }
}

/// Limits of all unproven tokens. Clones share them.
#[derive(Clone, Debug)]
pub struct UnprovenLimiter(Arc<SharedState>);

#[derive(Debug)]
struct SharedState {
    state: Mutex<LimiterState>,
    pace: Duration,
    clock: Clock,
}

/// Sender of a request: its subnet and connection, and its token.
#[derive(Clone, Copy, Debug)]
pub struct TokenSource {
    path: SharePath,
}

impl TokenSource {
    /// Describes the sender of a request that carried `token` from `peer`.
    pub fn new(peer: SocketAddr, token: TokenHash) -> Self {
        let subnet = client_subnet(peer.ip());
        let address = match subnet {
            std::net::IpAddr::V4(address) => u128::from(address.to_bits()),
            std::net::IpAddr::V6(address) => address.to_bits(),
        };
        // A port distinguishes the connections of a subnet; within an IPv6 subnet two hosts may use the same port.
        Self { path: [address, u128::from(peer.port()), token.share_key()] }
    }

    /// Returns the owner of shares: subnet, connection, token.
    pub fn path(self) -> SharePath {
        self.path
    }
}

/// Admission of one request. Dropped, it ends the request.
#[derive(Debug)]
pub struct Admission {
    limiter: UnprovenLimiter,
    path: SharePath,
}

impl UnprovenLimiter {
    /// Creates a limiter without failures.
    pub fn new(config: &Config, clock: Clock) -> Self {
        Self(Arc::new(SharedState {
            state: Mutex::new(LimiterState::new(config)),
            pace: interval(config.paced),
            clock,
        }))
    }

    /// Waits until a request of `sender` may go to Graph, for at most `wait`.
    ///
    /// # Errors
    /// [`Rejection::UnprovenBudget`] where the subnet is above a limit and no paced turn came in time,
    /// [`Rejection::Overloaded`] where its requests under way took too long.
    pub async fn admit(&self, source: TokenSource, wait: Duration) -> Result<Admission, Rejection> {
        let path = source.path();
        let (admitted, position) = {
            let mut state = self.lock();
            if state.try_admit(path, self.now()) {
                return Ok(Admission { limiter: self.clone(), path });
            }
            let (sender, admitted) = oneshot::channel();
            let position = state.enqueue(path, sender);
            (admitted, position)
        };
        let _waiting = QueuedRequest { limiter: self, position };
        self.start_pacing(path);
        match timeout(wait, admitted).await {
            Ok(Ok(admission)) => Ok(admission),
            _ if self.lock().is_limited(path, self.now()) => Err(Rejection::UnprovenBudget),
            _ => Err(Rejection::Overloaded),
        }
    }

    /// Returns the number of requests that wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// Admits waiting requests of one subnet, as far as its limits allow.
    fn admit_waiting(&self, path: SharePath) {
        while let Some((path, sender)) = { self.lock().start_next_in(path, self.now()) } {
            // A caller that left in this moment ends the admission by dropping it.
            let _ = sender.send(Admission { limiter: self.clone(), path });
        }
    }

    /// Starts the task that gives paced turns, unless the task runs or no limit holds up the subnet.
    fn start_pacing(&self, path: SharePath) {
        let pace = self.0.pace;
        let Some(mut next) = self.lock().begin_pacing(path, pace, self.now()) else { return };
        let limiter = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                sleep_until(next).await;
                let Some(limiter) = Weak::upgrade(&limiter).map(Self) else { return };
                let granted = match limiter.lock().start_next_paced(limiter.now()) {
                    PacingDecision::Stop => return,
                    PacingDecision::Wait => None,
                    PacingDecision::Admit(path, sender) => Some((path, sender)),
                };
                if let Some((path, sender)) = granted {
                    let _ = sender.send(Admission { limiter: limiter.clone(), path });
                }
                next = Instant::now() + pace;
            }
        });
    }

    fn now(&self) -> crate::support::clock::Now {
        self.0.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Result of a look for the next paced request.
enum PacingDecision {
    /// No request of a limited subnet waits; the pacing task ends.
    Stop,
    /// No waiting request may start now.
    Wait,
    /// The request of this owner starts.
    Admit(SharePath, AdmissionSender),
}

/// Receiver of an admission.
type AdmissionSender = oneshot::Sender<Admission>;

impl Admission {
    /// Counts a 401 of Graph against the subnet of the request, once a minute for a token.
    pub fn record_unauthorized(&self) {
        let now = self.limiter.now();
        self.limiter.lock().count_failure(self.path, now);
    }

    /// Lifts the limit of a token: Graph answered its request with 200.
    pub fn record_success(&self) {
        self.limiter.lock().lift_token_limit(self.path);
        self.limiter.admit_waiting(self.path);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.limiter.lock().record_end(self.path);
        self.limiter.admit_waiting(self.path);
        // The end may be a refusal that brought the subnet above a limit while others of its requests wait.
        self.limiter.start_pacing(self.path);
    }
}

/// Place of a request in the queue.
struct QueuedRequest<'a> {
    limiter: &'a UnprovenLimiter,
    position: QueuePosition,
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        self.limiter.lock().dequeue(self.position);
    }
}

/// Requests that wait for a turn. Each holds a few KiB.
pub const MAX_WAITING: usize = 2_048;

#[cfg(test)]
mod tests;
