//! Breakers of one application in a tenant: its throttle, its own breaker, and those of its resources and tokens.

use std::time::Duration;

use super::consecutive::ConsecutiveFailures;
use super::parts::FailingParts;
use super::rejection::{BreakerKind, BreakerRejection, RejectionCause};
use super::scope::BreakerScope;
use super::state::{Breaker, Operation, Operations};
use super::turns::ProbeTurns;
use super::users::RecentUsers;
use crate::support::clock::Now;

/// Breakers of an application. Only outcomes of its own proven tokens change them.
#[derive(Debug, Default)]
pub(super) struct ApplicationBreakers {
    operations: Operations,
    throttle: Breaker,
    breaker: Breaker,
    turns: ProbeTurns<3>,
    users: RecentUsers,
    /// Requests that failed since the last response to the application.
    consecutive: ConsecutiveFailures<BreakerScope>,
    /// Resources with failures.
    resources: FailingParts<u64, u32>,
    /// Tokens with failures.
    tokens: FailingParts<u128, TokenFailures>,
}

/// Failures of one token.
#[derive(Debug, Default)]
struct TokenFailures {
    /// Resources that failed since the last response to the token.
    consecutive: ConsecutiveFailures<u64>,
    turns: ProbeTurns<1>,
}

impl ApplicationBreakers {
    /// Returns the rejection of a request for `resource`, without a change of state.
    pub(super) fn peek(&self, resource: u64, now: Now) -> Result<(), BreakerRejection> {
        self.throttle.peek(now).map_err(BreakerRejection::throttled)?;
        self.breaker.peek(now).map_err(|wait| BreakerRejection::breaker(BreakerKind::Application, wait))?;
        let peeked = self.resources.get(resource).map_or(Ok(()), |known| known.breaker.peek(now));
        peeked.map_err(|wait| BreakerRejection::breaker(BreakerKind::Resource, wait))
    }

    /// Returns the rejection of a request that may start, and registers a rejected scope for the next probe.
    pub(super) fn check(&mut self, scope: BreakerScope, now: Now) -> Result<(), BreakerRejection> {
        self.users.record(scope.user, now);
        self.throttle.check(now).map_err(BreakerRejection::throttled)?;
        let checked = self.resources.get(scope.resource).map_or(Ok(()), |known| known.breaker.check(now));
        checked.map_err(|wait| BreakerRejection::breaker(BreakerKind::Resource, wait))?;
        if let Some(known) = self.tokens.get_mut(scope.token) {
            let path = [scope.resource.into()];
            let checked = known.failures.turns.check(&known.breaker, path, now);
            checked.map_err(|wait| BreakerRejection::breaker(BreakerKind::Token, wait))?;
        }
        let checked = self.turns.check(&self.breaker, scope.path(), now);
        checked.map_err(|wait| BreakerRejection::breaker(BreakerKind::Application, wait))
    }

    /// Records the start of a request that [`Self::check`] admits. Returns the number of the operation.
    pub(super) fn record_start(&mut self, scope: BreakerScope, now: Now) -> u64 {
        let at = self.operations.begin(now);
        self.throttle.record_start(at);
        if self.breaker.needs_probe() {
            self.turns.record_probe(scope.path());
        }
        self.breaker.record_start(at);
        if let Some(known) = self.resources.get_mut(scope.resource) {
            known.breaker.record_start(at);
        }
        if let Some(known) = self.tokens.get_mut(scope.token) {
            if known.breaker.needs_probe() {
                known.failures.turns.record_probe([scope.resource.into()]);
            }
            known.breaker.record_start(at);
        }
        at.number
    }

    /// Records a response.
    pub(super) fn record_success(&mut self, scope: BreakerScope, started: u64, now: Now) {
        let at = self.operations.begin(now);
        self.throttle.record_success(started, at);
        self.record_available(scope, started, at);
    }

    /// Records a 429: Graph is available and throttles the application for `wait`. This is an explicit instruction, so it
    /// applies even if the request started before the last transition.
    pub(super) fn record_throttled(&mut self, scope: BreakerScope, started: u64, now: Now, wait: Duration) {
        let at = self.operations.begin(now);
        self.throttle.open(at, wait);
        self.record_available(scope, started, at);
    }

    /// Opens the throttle, because Graph throttles the application on another replica. A longer wait stays.
    pub(super) fn throttle(&mut self, now: Now, wait: Duration) {
        if self.throttle.peek(now).err().is_none_or(|left| left < wait) {
            let at = self.operations.begin(now);
            self.throttle.open(at, wait);
        }
    }

    /// Records a failure. If a general outage is likely, one failed resource is enough to open a breaker.
    pub(super) fn record_failure(
        &mut self,
        scope: BreakerScope,
        started: u64,
        now: Now,
        host_is_suspect: bool,
    ) {
        let at = self.operations.begin(now);
        self.throttle.record_cancelled(started);
        let min_resources = if host_is_suspect { 1 } else { MIN_FAILED_RESOURCES };
        self.record_application_failure(scope, started, at, min_resources);
        let token = self.tokens.get_or_add(scope.token, at);
        if token.breaker.counts_outcome(started) {
            token.failures.consecutive.push(scope.resource, now);
        }
        let trips = token.failures.consecutive.count(now).0 >= min_resources;
        token.breaker.record_failure(started, at, trips);
        let resource = self.resources.get_or_add(scope.resource, at);
        if resource.breaker.counts_outcome(started) {
            resource.failures = resource.failures.saturating_add(1);
        }
        let trips = resource.failures >= MAX_FAILURES || resource.breaker.is_recovering();
        resource.breaker.record_failure(started, at, trips);
    }

    /// Records a request without an outcome that concerns the application.
    pub(super) fn record_cancelled(&mut self, scope: BreakerScope, started: u64) {
        self.throttle.record_cancelled(started);
        self.breaker.record_cancelled(started);
        if let Some(known) = self.resources.get_mut(scope.resource) {
            known.breaker.record_cancelled(started);
        }
        if let Some(known) = self.tokens.get_mut(scope.token) {
            known.breaker.record_cancelled(started);
        }
    }

    /// Returns the breakers that reject all requests, including the throttle, with the time that is left. A token has the key of
    /// its share.
    pub(super) fn open(&self, now: Now) -> impl Iterator<Item = (RejectionCause, Option<u128>, Duration)> {
        use BreakerKind::{Application, Resource, Token};
        let throttle = [(RejectionCause::Throttled, None, &self.throttle)].into_iter();
        let own = [(RejectionCause::Breaker(Application), None, &self.breaker)];
        let resources = self.resources.breakers();
        let resources = resources.map(|(_, breaker)| (RejectionCause::Breaker(Resource), None, breaker));
        let tokens = self.tokens.breakers();
        let tokens = tokens.map(|(key, breaker)| (RejectionCause::Breaker(Token), Some(key), breaker));
        let all = throttle.chain(own).chain(resources).chain(tokens);
        all.filter_map(move |(cause, token, breaker)| Some((cause, token, breaker.peek(now).err()?)))
    }

    /// Returns whether the throttle and the breakers of `scope` are open, in the order of [`Self::CAUSES`]. A breaker stays open
    /// until a probe gets a response.
    pub(super) fn are_open(&self, scope: BreakerScope) -> [bool; 4] {
        self.passed_by(scope).map(|breaker| breaker.is_some_and(Breaker::needs_probe))
    }

    /// Returns the throttle and the breakers of `scope` that have opened since [`Self::are_open`] returned `before`.
    pub(super) fn opened(
        &self,
        scope: BreakerScope,
        before: [bool; 4],
        now: Now,
    ) -> [Option<(RejectionCause, Duration)>; 4] {
        let after = self.passed_by(scope);
        std::array::from_fn(|at| {
            let breaker = after[at].filter(|breaker| breaker.needs_probe() && !before[at])?;
            Some((Self::CAUSES[at], breaker.peek(now).err().unwrap_or_default()))
        })
    }

    /// Returns the throttle and the breakers that a request of `scope` passes, in the order of [`Self::CAUSES`].
    fn passed_by(&self, scope: BreakerScope) -> [Option<&Breaker>; 4] {
        let resource = self.resources.get(scope.resource).map(|known| &known.breaker);
        let token = self.tokens.get(scope.token).map(|known| &known.breaker);
        [Some(&self.throttle), Some(&self.breaker), resource, token]
    }

    const CAUSES: [RejectionCause; 4] = [
        RejectionCause::Throttled,
        RejectionCause::Breaker(BreakerKind::Application),
        RejectionCause::Breaker(BreakerKind::Resource),
        RejectionCause::Breaker(BreakerKind::Token),
    ];

    #[cfg(test)]
    pub(super) fn count_parts(&self) -> [usize; 2] {
        [self.resources.breakers().count(), self.tokens.breakers().count()]
    }

    /// Records a failure in the application's own breaker.
    fn record_application_failure(
        &mut self,
        scope: BreakerScope,
        started: u64,
        at: Operation,
        min_resources: usize,
    ) {
        if self.breaker.counts_outcome(started) {
            self.consecutive.push(scope, at.now);
        }
        let trips = self.is_common_cause(at.now, min_resources);
        if trips && self.breaker.is_half_open() {
            // The next probe is due one second after this probe started, whenever this one fails. So a token whose probes
            // fail does not prolong the time in which the requests of others are rejected.
            return;
        }
        self.breaker.record_failure(started, at, trips);
    }

    /// Returns whether the consecutive failures have the application as their common cause, rather than one of its users.
    fn is_common_cause(&self, now: Now, min_resources: usize) -> bool {
        let count = |key: fn(&BreakerScope) -> u128| self.consecutive.count_distinct(now, key);
        let users = if self.users.is_single(now) { 1 } else { 2 };
        count(|scope| scope.resource.into()) >= min_resources
            && count(|scope| scope.token) >= 2
            && count(|scope| scope.user) >= users
    }

    /// Records that Graph responded, whatever the status.
    fn record_available(&mut self, scope: BreakerScope, started: u64, at: Operation) {
        if self.breaker.counts_outcome(started) {
            self.consecutive.clear();
        }
        self.breaker.record_success(started, at);
        if let Some(known) = self.resources.get_mut(scope.resource) {
            if known.breaker.counts_outcome(started) {
                known.failures = 0;
            }
            known.breaker.record_success(started, at);
            if known.failures == 0 && known.breaker.is_closed() {
                self.resources.remove(scope.resource, at);
            }
        }
        if let Some(known) = self.tokens.get_mut(scope.token) {
            if known.breaker.counts_outcome(started) {
                known.failures.consecutive.clear();
            }
            known.breaker.record_success(started, at);
            if known.failures.consecutive.is_empty() && known.breaker.is_closed() {
                self.tokens.remove(scope.token, at);
            }
        }
    }
}

/// Consecutive failures of a resource that open its breaker.
const MAX_FAILURES: u32 = 5;
/// Distinct resources whose consecutive failures, without a response in between, open the breaker of a token or of the
/// application.
const MIN_FAILED_RESOURCES: usize = 3;
