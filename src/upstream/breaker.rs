//! Circuit breakers and `Retry-After` throttles: whether a request may go to Graph now.
//!
//! A result counts against the scope that it speaks of, and against no other (promise 3):
//!
//! | scope | opens after | refuses |
//! |---|---|---|
//! | throttle of an application in a tenant | a 429 to one of its proven tokens | the application, for as long as `Retry-After` says |
//! | throttle of an unproven token | a 429 to it | that token |
//! | resource of an application | 5 failures in a row | that resource to that application |
//! | proven token of an application | 3 distinct resources in a row, without an answer to the token in between | that token |
//! | application in a tenant | the same without an answer to the application, with at least 2 tokens, and of 2 users unless a single user sends requests | the application |
//! | Graph's host | 5 connection-level failures in a row | everyone |
//!
//! A failure is a 502, 503 or 504, or a request that was sent and not answered. Such failures never open the host's
//! breaker, because a caller can choose a flow that always fails: a refusal would cost callers whose flows work. For the
//! same reason one user does not open the breaker of an application that others use, however many tokens and resources
//! the failures have. When at least 3 tenants fail in a row and no proven token is answered in between, a general outage
//! is likely; then one resource instead of 3 is enough, so that Graph gets one request per second and application.
//!
//! Tokens without a proof change nothing but the throttle of their own. They wait while the application that they claim
//! is refused, and while the host is.

mod application;
mod consecutive;
mod host;
mod parts;
mod state;
mod turns;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use self::application::{Application, BreakerScope};
use self::host::Host;
use self::state::{Breaker, Operations};
use crate::auth::{ClaimHash, TokenHash};
use crate::support::clock::{Clock, Now};

/// The breakers and throttles of this process.
#[derive(Debug)]
pub struct Breakers {
    host: Mutex<Host>,
    /// Applications with failures or throttles.
    applications: Cache<ClaimHash, Arc<Mutex<Application>>>,
    /// Unproven tokens that Graph throttles. Apart from the applications: a flood of tokens evicts none of them.
    tokens: Cache<TokenHash, Arc<Mutex<BreakerToken>>>,
    clock: Clock,
}

/// Throttle of an unproven token.
#[derive(Debug, Default)]
struct BreakerToken {
    operations: Operations,
    throttle: Breaker,
}

/// Scope of a request: the scopes whose breakers it passes, and whether its result changes them.
#[derive(Clone, Copy, Debug)]
pub struct CallerScope {
    /// Digest of the resource.
    pub resource: u64,
    /// The caller.
    pub caller: BreakerCaller,
}

/// Caller of a request, as far as breakers distinguish callers.
#[derive(Clone, Copy, Debug)]
pub enum BreakerCaller {
    /// A token with proofs.
    Proven {
        /// Tenant of the application.
        tenant: ClaimHash,
        /// Application in its tenant.
        application: ClaimHash,
        /// User of the token, or the application itself where it acts for none.
        user: ClaimHash,
        /// The token.
        token: TokenHash,
    },
    /// A token without a proof.
    Unproven {
        /// The token.
        token: TokenHash,
        /// Application in its tenant that the token claims.
        claimed: Option<ClaimHash>,
    },
}

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Graph answered.
    Answered,
    /// Graph answered 429 with this time to wait.
    Throttled(Duration),
    /// Graph or the path to it failed.
    Failed(CallFailure),
}

/// Kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// Graph answered 502, 503 or 504.
    Status,
    /// The request was sent, and no whole answer came.
    Transport,
    /// No connection could be made.
    Connection,
}

/// Scope of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A resource of an application.
    Resource,
    /// A proven token of an application.
    Token,
    /// An application in a tenant.
    Application,
    /// Graph's host.
    Host,
}

/// Cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Graph throttles the application or the token.
    Throttled,
    /// The breaker of this scope is open.
    Breaker(Scope),
}

/// A refusal. It always lies in the scope of the caller itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The cause.
    pub cause: Cause,
    /// Time until the next attempt makes sense.
    pub left: Duration,
}

impl CallerScope {
    fn sender(&self, user: ClaimHash, token: TokenHash) -> BreakerScope {
        BreakerScope { user: user.share_key(), token: token.share_key(), resource: self.resource }
    }
}

impl Refused {
    fn throttled(left: Duration) -> Self {
        Self { cause: Cause::Throttled, left }
    }

    fn breaker(scope: Scope, left: Duration) -> Self {
        Self { cause: Cause::Breaker(scope), left }
    }
}

/// A request on its way to Graph. [`Self::settle`] registers its result; dropped without one, it was cancelled.
#[derive(Debug)]
pub struct InFlight<'a> {
    breakers: &'a Breakers,
    scope: CallerScope,
    /// Numbers of the operations by which the request entered. Zero: there was no state.
    entered: Entered,
    is_settled: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entered {
    /// Of the application, or of the unproven token.
    own: u64,
    host: u64,
}

impl Breakers {
    /// Breakers that are all closed.
    pub fn new(clock: Clock) -> Self {
        Self {
            host: Mutex::default(),
            applications: bounded(MAX_APPLICATIONS),
            tokens: bounded(MAX_TOKENS),
            clock,
        }
    }

    /// Closes all breakers and ends all throttles. Requests in flight count for the new state.
    pub fn reset(&self) {
        *lock(&self.host) = Host::default();
        self.applications.invalidate_all();
        self.tokens.invalidate_all();
    }

    /// Returns the refusal that [`Self::enter`] would return now. To be called before a request queues.
    pub fn look(&self, scope: &CallerScope) -> Result<(), Refused> {
        let (now, resource) = (self.clock.now(), scope.resource);
        match scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                if let Some(own) = self.applications.get(&application) {
                    lock(&own).check(scope.sender(user, token), now)?;
                }
                lock(&self.host).check(tenant, now).map_err(refused_by_host)
            }
            BreakerCaller::Unproven { token, claimed } => {
                self.look_only(claimed, resource, now)?;
                let own = self.tokens.get(&token);
                own.map_or(Ok(()), |own| lock(&own).throttle.check(now)).map_err(Refused::throttled)
            }
        }
    }

    /// Lets a request pass, or returns the refusal. To be called when the request is about to be sent.
    pub fn enter(&self, scope: &CallerScope) -> Result<InFlight<'_>, Refused> {
        let now = self.clock.now();
        let entered = match scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                self.enter_proven(tenant, application, scope.sender(user, token), now)?
            }
            BreakerCaller::Unproven { token, claimed } => {
                self.look_only(claimed, scope.resource, now)?;
                let own = self.tokens.get(&token).map_or(Ok(0), |own| lock(&own).try_enter(now));
                Entered { own: own.map_err(Refused::throttled)?, host: 0 }
            }
        };
        Ok(InFlight { breakers: self, scope: *scope, entered, is_settled: false })
    }

    /// Number of breakers and throttles that refuse requests now. One in its ramp lets some pass, and one whose time is
    /// over lets the next pass: neither counts.
    pub fn count_open(&self) -> usize {
        let now = self.clock.now();
        let applications: usize = self.applications.iter().map(|(_, own)| lock(&own).count_open(now)).sum();
        let is_throttled = |own: &Mutex<BreakerToken>| lock(own).throttle.look(now).is_err();
        let tokens = self.tokens.iter().filter(|(_, own)| is_throttled(own)).count();
        applications + tokens + usize::from(lock(&self.host).look(now).is_err())
    }

    /// Checks all scopes before the request enters any: the state of none changes if another refuses.
    fn enter_proven(
        &self,
        tenant: ClaimHash,
        app: ClaimHash,
        sender: BreakerScope,
        now: Now,
    ) -> Result<Entered, Refused> {
        let own = self.applications.get(&app);
        let mut own = own.as_ref().map(|own| lock(own));
        if let Some(own) = &mut own {
            own.check(sender, now)?;
        }
        let mut host = lock(&self.host);
        host.check(tenant, now).map_err(refused_by_host)?;
        let host = host.enter(tenant, now);
        Ok(Entered { own: own.map_or(0, |mut own| own.enter(sender, now)), host })
    }

    /// The part of an unproven token: no state changes.
    fn look_only(&self, claimed: Option<ClaimHash>, resource: u64, now: Now) -> Result<(), Refused> {
        if let Some(claimed) = claimed.and_then(|claimed| self.applications.get(&claimed)) {
            lock(&claimed).look(resource, now)?;
        }
        lock(&self.host).look(now).map_err(refused_by_host)
    }
}

impl BreakerToken {
    fn try_enter(&mut self, now: Now) -> Result<u64, Duration> {
        self.throttle.check(now)?;
        let at = self.operations.begin(now);
        self.throttle.enter(at);
        Ok(at.number)
    }

    fn settle(&mut self, entered: u64, outcome: CallOutcome, now: Now) {
        let at = self.operations.begin(now);
        match outcome {
            CallOutcome::Answered => self.throttle.answered(entered, at),
            CallOutcome::Throttled(wait) => self.throttle.open(at, wait),
            CallOutcome::Failed(_) => self.throttle.cancelled(entered),
        }
    }
}

impl InFlight<'_> {
    /// Registers the result.
    pub fn settle(mut self, outcome: CallOutcome) {
        self.is_settled = true;
        match self.scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                self.settle_proven(tenant, application, self.scope.sender(user, token), outcome);
            }
            BreakerCaller::Unproven { token, .. } => {
                let tokens = &self.breakers.tokens;
                let own = match outcome {
                    CallOutcome::Throttled(_) => Some(tokens.get_with(token, Arc::default)),
                    CallOutcome::Answered | CallOutcome::Failed(_) => tokens.get(&token),
                };
                if let Some(own) = own {
                    lock(&own).settle(self.entered.own, outcome, self.breakers.clock.now());
                }
            }
        }
    }

    /// An application has state from its first failure or throttle on.
    fn settle_proven(
        &self,
        tenant: ClaimHash,
        application: ClaimHash,
        sender: BreakerScope,
        outcome: CallOutcome,
    ) {
        let Self { breakers, entered, .. } = *self;
        let (now, applications) = (breakers.clock.now(), &breakers.applications);
        let host_is_suspect = {
            let mut host = lock(&breakers.host);
            host.settle(tenant, entered.host, outcome, now);
            host.is_suspect(now)
        };
        let own = match outcome {
            CallOutcome::Answered | CallOutcome::Failed(CallFailure::Connection) => {
                applications.get(&application)
            }
            CallOutcome::Throttled(_) | CallOutcome::Failed(_) => {
                Some(applications.get_with(application, Arc::default))
            }
        };
        let Some(own) = own else { return };
        let mut own = lock(&own);
        match outcome {
            CallOutcome::Answered => own.answered(sender, entered.own, now),
            CallOutcome::Throttled(wait) => own.throttled(sender, entered.own, now, wait),
            CallOutcome::Failed(CallFailure::Connection) => own.cancelled(sender, entered.own),
            CallOutcome::Failed(_) => own.failed(sender, entered.own, now, host_is_suspect),
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        match self.scope.caller {
            BreakerCaller::Proven { application, user, token, .. } => {
                if let Some(own) = self.breakers.applications.get(&application) {
                    lock(&own).cancelled(self.scope.sender(user, token), self.entered.own);
                }
                lock(&self.breakers.host).cancelled(self.entered.host);
            }
            BreakerCaller::Unproven { token, .. } => {
                if let Some(own) = self.breakers.tokens.get(&token) {
                    lock(&own).throttle.cancelled(self.entered.own);
                }
            }
        }
    }
}

fn refused_by_host(left: Duration) -> Refused {
    Refused::breaker(Scope::Host, left)
}

fn bounded<K, V>(most: u64) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let builder = Cache::builder().max_capacity(most).time_to_idle(MAX_IDLE);
    builder.eviction_policy(EvictionPolicy::lru()).build()
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Applications and tokens with state. The least recently used one is forgotten.
const MAX_APPLICATIONS: u64 = 10_000;
const MAX_TOKENS: u64 = 10_000;
/// Longer than any `Retry-After` that is accepted.
const MAX_IDLE: Duration = Duration::from_mins(15);

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
