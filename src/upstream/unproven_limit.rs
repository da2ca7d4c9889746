//! Limits for requests whose token has no proof.
//!
//! An attacker can invent tokens, and each invented token costs a request to Graph. A valid token has no proof before its
//! first response either, so the limiter separates floods from valid first requests by the number of *distinct* tokens to
//! which Graph responded with 401 (refused tokens):
//!
//! * **Below the limits** (`limits.unproven_failures_per_address` for a client subnet, `limits.unproven_failures` for all
//!   subnets together, tokens a minute) a request is admitted at once. A token without a response yet counts as refused, so
//!   a burst does not exceed the limit.
//! * **Above a limit** new tokens of the subnet are paced: `limits.unproven_paced_per_address` requests a second for each
//!   such subnet, and `limits.unproven_paced` for all of them together. The subnet with the fewest refused tokens comes
//!   first; among equal subnets the subnet that waited longest. Within a subnet the order is fair by connection, then by
//!   token. No subnet is blocked completely.
//! * A subnet has at most `limits.unproven_per_address` requests in flight, and a token at most `limits.unproven_per_token`
//!   until its first 200. Waiting requests are served in the same fair order.
//!
//! [`MAX_WAITING_REQUESTS`] bounds the queue. A full queue drops the newest request of the connection that fills the queue.
//! The limiter does not use the claims of a token, because they are not verified.

mod failures;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use self::state::{LimiterState, interval};
use crate::auth::TokenHash;
use crate::http::rejection::Rejection;
use crate::support::client_subnet::ClientSubnet;
use crate::support::clock::Clock;
use crate::upstream::fair_queue::{QueuePosition, SharePath};

/// Configuration of the limiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.unproven_requests`: requests to Graph in flight.
    pub in_flight: usize,
    /// `limits.unproven_per_address`: requests of one client subnet in flight.
    pub in_flight_per_address: usize,
    /// `limits.unproven_per_token`: requests of one token in flight, until its first 200.
    pub in_flight_per_token: usize,
    /// `limits.unproven_failures`: distinct refused tokens a minute, all subnets together.
    pub failures: usize,
    /// `limits.unproven_failures_per_address`: distinct refused tokens a minute, one subnet.
    pub failures_per_address: usize,
    /// `limits.unproven_paced`: requests a second, all subnets above a limit together.
    pub paced: usize,
    /// `limits.unproven_paced_per_address`: requests a second, one subnet above a limit.
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

/// Limiter of all unproven tokens. Clones share its state.
#[derive(Clone, Debug)]
pub struct UnprovenLimiter(Arc<SharedState>);

#[derive(Debug)]
struct SharedState {
    state: Mutex<LimiterState>,
    pace: Duration,
    clock: Clock,
}

/// Source of a request: client subnet, connection and token.
#[derive(Clone, Copy, Debug)]
pub struct TokenSource {
    path: SharePath,
}

impl TokenSource {
    /// Creates the source of a request with `token` from `peer`.
    pub fn new(peer: SocketAddr, token: TokenHash) -> Self {
        let subnet = ClientSubnet::of(peer.ip()).share_key();
        // A port distinguishes the connections of a subnet; within an IPv6 subnet two hosts may use the same port.
        Self { path: [subnet, u128::from(peer.port()), token.share_key()] }
    }

    /// Returns the owner in the fair queue: subnet, connection, token.
    pub fn path(self) -> SharePath {
        self.path
    }
}

/// Admission of one request. Dropping it ends the request.
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

    /// Waits until a request of `source` may be sent to Graph, for at most `wait`.
    ///
    /// # Errors
    /// [`Rejection::UnprovenBudget`] if the subnet is above a limit and its pace admitted no request in time,
    /// [`Rejection::Overloaded`] if its requests in flight took too long.
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

    /// Returns the number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// Admits waiting requests of one subnet, as many as its limits allow.
    fn admit_waiting(&self, path: SharePath) {
        while let Some((path, sender)) = { self.lock().start_next_in(path, self.now()) } {
            // If the caller has left, the send fails and drops the admission, which ends it.
            let _ = sender.send(Admission { limiter: self.clone(), path });
        }
    }

    /// Starts the pacing task, unless the task is running or the subnet is below the limits.
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

/// Decision of the pacing task at one tick.
enum PacingDecision {
    /// No request of a limited subnet waits: the pacing task ends.
    Stop,
    /// No waiting request may start now.
    Wait,
    /// The request of this owner starts.
    Admit(SharePath, AdmissionSender),
}

/// Channel to a waiting request.
type AdmissionSender = oneshot::Sender<Admission>;

impl Admission {
    /// Records a 401 of Graph as a failure of the subnet, once a minute for a token.
    pub fn record_unauthorized(&self) {
        let now = self.limiter.now();
        self.limiter.lock().count_failure(self.path, now);
    }

    /// Records a 200 of Graph, which removes the limit of the token.
    pub fn record_success(&self) {
        self.limiter.lock().lift_token_limit(self.path);
        self.limiter.admit_waiting(self.path);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.limiter.lock().record_end(self.path);
        self.limiter.admit_waiting(self.path);
        // The ended request may have got a 401 that brought the subnet above a limit while other requests of the subnet wait.
        self.limiter.start_pacing(self.path);
    }
}

/// Queue entry of a waiting request, removed on drop.
struct QueuedRequest<'a> {
    limiter: &'a UnprovenLimiter,
    position: QueuePosition,
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        self.limiter.lock().dequeue(self.position);
    }
}

/// Waiting requests. Each has a few KiB.
pub const MAX_WAITING_REQUESTS: usize = 2_048;

#[cfg(test)]
mod tests;
