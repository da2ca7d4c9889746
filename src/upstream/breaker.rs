//! Circuit breakers and `Retry-After` throttles: whether a request may go to Graph now.
//!
//! A result counts only against the scope that it gives evidence about (promise 3):
//!
//! | scope | opens after | rejects |
//! |---|---|---|
//! | throttle of an application in a tenant | a 429 to one of its proven tokens | the application, until `Retry-After` is over |
//! | throttle of an unproven token | a 429 to it | that token |
//! | resource of an application | 5 failures in a row | that resource for that application |
//! | proven token of an application | failures of 3 distinct resources in a row, without a response to the token in between | that token |
//! | application in a tenant | the same without a response to the application, with at least 2 tokens, and of 2 users unless only one user sends requests | the application |
//! | Graph's host | 5 connection-level failures in a row | all requests |
//!
//! A failure is a 502, 503 or 504, or a request that was sent and got no response. Such failures never open the host's
//! breaker, because a caller can choose a flow that always fails: callers with working flows would be rejected. For the same
//! reason one user cannot open the breaker of an application that others use, however many tokens and resources the
//! failures have. If at least 3 tenants fail in a row, and no proven token gets a response in between, a general outage is
//! likely. Then one resource instead of 3 is enough, so that Graph gets one request per second and application.
//!
//! A token without a proof changes only its own throttle. Its requests are rejected while the application that it claims,
//! or the host, is rejected.

mod application;
mod consecutive;
mod host;
mod in_flight;
mod open_scopes;
mod outcome;
mod parts;
mod rejection;
mod scope;
mod scope_states;
mod state;
mod token;
mod turns;
mod users;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::application::ApplicationBreakers;
use self::host::HostBreaker;
pub use self::in_flight::InFlight;
use self::in_flight::StartNumbers;
pub use self::open_scopes::{OpenScope, OpenScopes};
pub use self::outcome::{CallFailure, CallOutcome};
pub use self::rejection::{BreakerKind, BreakerRejection, RejectionCause};
use self::scope::BreakerScope;
pub use self::scope::{BreakerCaller, CallerScope};
use self::scope_states::ScopeStates;
use self::token::TokenThrottle;
use crate::auth::{ClaimHash, LogTagKey, TokenHash};
use crate::support::clock::{Clock, Now};

/// Breakers and throttles of this process.
#[derive(Debug)]
pub struct Breakers {
    host: Mutex<HostBreaker>,
    /// Applications with failures or throttles.
    applications: ScopeStates<ClaimHash, ApplicationBreakers>,
    /// Unproven tokens that Graph throttles. In a cache of their own, so that a flood of tokens evicts no application.
    tokens: ScopeStates<TokenHash, TokenThrottle>,
    clock: Clock,
    log_tags: LogTagKey,
}

impl Breakers {
    /// Creates breakers that are all closed.
    pub fn new(clock: Clock) -> Self {
        Self {
            host: Mutex::default(),
            applications: ScopeStates::new(MAX_APPLICATIONS),
            tokens: ScopeStates::new(MAX_TOKENS),
            clock,
            log_tags: LogTagKey::default(),
        }
    }

    /// Sets the key of the tags in the log.
    #[must_use]
    pub fn with_log_tags(self, log_tags: LogTagKey) -> Self {
        Self { log_tags, ..self }
    }

    /// Closes all breakers and ends all throttles. Requests in flight count for the new state.
    pub fn reset(&self) {
        *lock(&self.host) = HostBreaker::default();
        self.applications.clear();
        self.tokens.clear();
    }

    /// Closes the throttle gate of an application for `wait`, because Graph throttles it on another replica.
    pub fn throttle(&self, application: ClaimHash, wait: Duration) {
        let own = self.applications.get_or_default(application);
        lock(&own).throttle(self.clock.now(), wait);
    }

    /// Returns the rejection that [`Self::try_start`] would return now. Called before a request waits in a queue.
    pub fn check(&self, scope: &CallerScope) -> Result<(), BreakerRejection> {
        let (now, resource) = (self.clock.now(), scope.resource);
        match scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                if let Some(own) = self.applications.get(&application) {
                    lock(&own).check(scope.breaker_scope(user, token), now)?;
                }
                lock(&self.host).check(tenant, now).map_err(BreakerRejection::host)
            }
            BreakerCaller::Unproven { token, claimed } => {
                self.peek_unproven(claimed, resource, now)?;
                let own = self.tokens.get(&token);
                own.map_or(Ok(()), |own| lock(&own).check(now)).map_err(BreakerRejection::throttled)
            }
        }
    }

    /// Starts a request, or returns the rejection. Called right before the request is sent.
    pub fn try_start(&self, scope: &CallerScope) -> Result<InFlight<'_>, BreakerRejection> {
        let now = self.clock.now();
        let started = match scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                self.start_proven(tenant, application, scope.breaker_scope(user, token), now)?
            }
            BreakerCaller::Unproven { token, claimed } => {
                self.peek_unproven(claimed, scope.resource, now)?;
                let own = self.tokens.get(&token).map_or(Ok(0), |own| lock(&own).try_start(now));
                StartNumbers { own: own.map_err(BreakerRejection::throttled)?, host: 0 }
            }
        };
        Ok(InFlight { breakers: self, scope: *scope, started, is_recorded: false })
    }

    /// Checks all scopes before the request starts in any of them: a rejection changes no state.
    fn start_proven(
        &self,
        tenant: ClaimHash,
        app: ClaimHash,
        scope: BreakerScope,
        now: Now,
    ) -> Result<StartNumbers, BreakerRejection> {
        let own = self.applications.get(&app);
        let mut own = own.as_ref().map(|own| lock(own));
        if let Some(own) = &mut own {
            own.check(scope, now)?;
        }
        let mut host = lock(&self.host);
        host.check(tenant, now).map_err(BreakerRejection::host)?;
        let host = host.record_start(tenant, now);
        Ok(StartNumbers { own: own.map_or(0, |mut own| own.record_start(scope, now)), host })
    }

    /// Checks the scopes of an unproven token without a change of state.
    fn peek_unproven(
        &self,
        claimed: Option<ClaimHash>,
        resource: u64,
        now: Now,
    ) -> Result<(), BreakerRejection> {
        if let Some(claimed) = claimed.and_then(|claimed| self.applications.get(&claimed)) {
            lock(&claimed).peek(resource, now)?;
        }
        lock(&self.host).peek(now).map_err(BreakerRejection::host)
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Applications, and unproven tokens, with state. The least recently used one is evicted.
const MAX_APPLICATIONS: u64 = 10_000;
const MAX_TOKENS: u64 = 10_000;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
