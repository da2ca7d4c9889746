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

use self::application::{ApplicationBreakers, BreakerScope};
use self::host::HostBreaker;
use self::state::{Breaker, Operations};
use crate::auth::{ClaimHash, TokenHash};
use crate::support::clock::{Clock, Now};

/// The breakers and throttles of this process.
#[derive(Debug)]
pub struct Breakers {
    host: Mutex<HostBreaker>,
    /// Applications with failures or throttles.
    applications: Cache<ClaimHash, Arc<Mutex<ApplicationBreakers>>>,
    /// Unproven tokens that Graph throttles. Apart from the applications: a flood of tokens evicts none of them.
    tokens: Cache<TokenHash, Arc<Mutex<TokenThrottle>>>,
    clock: Clock,
    #[cfg(feature = "sabotage")]
    disabled: std::sync::atomic::AtomicBool,
}

/// Throttle of an unproven token.
#[derive(Debug, Default)]
struct TokenThrottle {
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

/// Kind of a breaker, by its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerKind {
    /// A resource of an application.
    Resource,
    /// A proven token of an application.
    Token,
    /// An application in a tenant.
    Application,
    /// Graph's host.
    Host,
}

/// Cause of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionCause {
    /// Graph throttles the application or the token.
    Throttled,
    /// The breaker of this scope is open.
    Breaker(BreakerKind),
}

/// A refusal. It always lies in the scope of the caller itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRejection {
    /// The cause.
    pub cause: RejectionCause,
    /// Time until the next attempt makes sense.
    pub retry_after: Duration,
}

impl CallerScope {
    fn breaker_scope(&self, user: ClaimHash, token: TokenHash) -> BreakerScope {
        BreakerScope { user: user.share_key(), token: token.share_key(), resource: self.resource }
    }
}

impl BreakerRejection {
    fn throttled(retry_after: Duration) -> Self {
        Self { cause: RejectionCause::Throttled, retry_after }
    }

    fn breaker(kind: BreakerKind, retry_after: Duration) -> Self {
        Self { cause: RejectionCause::Breaker(kind), retry_after }
    }
}

/// A request on its way to Graph. [`Self::record_outcome`] registers its result; dropped without one, it was cancelled.
#[derive(Debug)]
pub struct InFlight<'a> {
    breakers: &'a Breakers,
    scope: CallerScope,
    /// Numbers of the operations by which the request started. Zero: there was no state.
    started: StartNumbers,
    is_recorded: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct StartNumbers {
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
            #[cfg(feature = "sabotage")]
            disabled: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Ignores results from now on, for tests of what lies behind the breakers.
    #[cfg(feature = "sabotage")]
    pub fn disable(&self) {
        self.disabled.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Returns the refusal that [`Self::try_start`] would return now. To be called before a request queues.
    pub fn check(&self, scope: &CallerScope) -> Result<(), BreakerRejection> {
        let (now, resource) = (self.clock.now(), scope.resource);
        match scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                if let Some(own) = self.applications.get(&application) {
                    lock(&own).check(scope.breaker_scope(user, token), now)?;
                }
                lock(&self.host).check(tenant, now).map_err(refused_by_host)
            }
            BreakerCaller::Unproven { token, claimed } => {
                self.peek_unproven(claimed, resource, now)?;
                let own = self.tokens.get(&token);
                own.map_or(Ok(()), |own| lock(&own).throttle.check(now)).map_err(BreakerRejection::throttled)
            }
        }
    }

    /// Lets a request pass, or returns the refusal. To be called when the request is about to be sent.
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

    /// Number of breakers and throttles that refuse requests now. One in its ramp lets some pass, and one whose time is
    /// over lets the next pass: neither counts.
    pub fn count_open(&self) -> usize {
        let now = self.clock.now();
        let applications: usize = self.applications.iter().map(|(_, own)| lock(&own).count_open(now)).sum();
        let is_throttled = |own: &Mutex<TokenThrottle>| lock(own).throttle.peek(now).is_err();
        let tokens = self.tokens.iter().filter(|(_, own)| is_throttled(own)).count();
        applications + tokens + usize::from(lock(&self.host).peek(now).is_err())
    }

    /// Checks all scopes before the request enters any: the state of none changes if another refuses.
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
        host.check(tenant, now).map_err(refused_by_host)?;
        let host = host.record_start(tenant, now);
        Ok(StartNumbers { own: own.map_or(0, |mut own| own.record_start(scope, now)), host })
    }

    /// The part of an unproven token: no state changes.
    fn peek_unproven(
        &self,
        claimed: Option<ClaimHash>,
        resource: u64,
        now: Now,
    ) -> Result<(), BreakerRejection> {
        if let Some(claimed) = claimed.and_then(|claimed| self.applications.get(&claimed)) {
            lock(&claimed).peek(resource, now)?;
        }
        lock(&self.host).peek(now).map_err(refused_by_host)
    }
}

impl TokenThrottle {
    fn try_start(&mut self, now: Now) -> Result<u64, Duration> {
        self.throttle.check(now)?;
        let at = self.operations.begin(now);
        self.throttle.record_start(at);
        Ok(at.number)
    }

    fn record_outcome(&mut self, started: u64, outcome: CallOutcome, now: Now) {
        let at = self.operations.begin(now);
        match outcome {
            CallOutcome::Answered => self.throttle.record_success(started, at),
            CallOutcome::Throttled(wait) => self.throttle.open(at, wait),
            CallOutcome::Failed(_) => self.throttle.record_cancelled(started),
        }
    }
}

impl InFlight<'_> {
    /// Registers the result.
    pub fn record_outcome(mut self, outcome: CallOutcome) {
        #[cfg(feature = "sabotage")]
        if self.breakers.disabled.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        self.is_recorded = true;
        match self.scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                self.record_proven_outcome(
                    tenant,
                    application,
                    self.scope.breaker_scope(user, token),
                    outcome,
                );
            }
            BreakerCaller::Unproven { token, .. } => {
                let tokens = &self.breakers.tokens;
                let own = match outcome {
                    CallOutcome::Throttled(_) => Some(tokens.get_with(token, Arc::default)),
                    CallOutcome::Answered | CallOutcome::Failed(_) => tokens.get(&token),
                };
                if let Some(own) = own {
                    lock(&own).record_outcome(self.started.own, outcome, self.breakers.clock.now());
                }
            }
        }
    }

    /// An application has state from its first failure or throttle on.
    fn record_proven_outcome(
        &self,
        tenant: ClaimHash,
        application: ClaimHash,
        scope: BreakerScope,
        outcome: CallOutcome,
    ) {
        let Self { breakers, started, .. } = *self;
        let (now, applications) = (breakers.clock.now(), &breakers.applications);
        let host_is_suspect = {
            let mut host = lock(&breakers.host);
            host.record_outcome(tenant, started.host, outcome, now);
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
            CallOutcome::Answered => own.record_success(scope, started.own, now),
            CallOutcome::Throttled(wait) => own.record_throttled(scope, started.own, now, wait),
            CallOutcome::Failed(CallFailure::Connection) => own.record_cancelled(scope, started.own),
            CallOutcome::Failed(_) => own.record_failure(scope, started.own, now, host_is_suspect),
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.is_recorded {
            return;
        }
        match self.scope.caller {
            BreakerCaller::Proven { application, user, token, .. } => {
                if let Some(own) = self.breakers.applications.get(&application) {
                    lock(&own).record_cancelled(self.scope.breaker_scope(user, token), self.started.own);
                }
                lock(&self.breakers.host).record_cancelled(self.started.host);
            }
            BreakerCaller::Unproven { token, .. } => {
                if let Some(own) = self.breakers.tokens.get(&token) {
                    lock(&own).throttle.record_cancelled(self.started.own);
                }
            }
        }
    }
}

fn refused_by_host(retry_after: Duration) -> BreakerRejection {
    BreakerRejection::breaker(BreakerKind::Host, retry_after)
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
