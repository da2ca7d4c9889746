//! State of one application in a tenant: its throttle, its breaker, and the breakers of its resources and tokens.

use std::time::Duration;

use super::consecutive::FailureRow;
use super::parts::Parts;
use super::state::{Breaker, Operation, Operations};
use super::turns::ProbeTurns;
use super::users::RecentUsers;
use super::{Refused, Scope};
use crate::support::clock::Now;

/// State of an application. Only results of its own proven tokens change it.
#[derive(Debug, Default)]
pub(super) struct Application {
    operations: Operations,
    throttle: Breaker,
    breaker: Breaker,
    turns: ProbeTurns<3>,
    users: RecentUsers,
    /// Requests that failed since the last answer to the application.
    row: FailureRow<BreakerScope>,
    /// Resources with failures.
    resources: Parts<u64, u32>,
    /// Tokens with failures.
    tokens: Parts<u128, TokenFailures>,
}

/// Failures of one token.
#[derive(Debug, Default)]
struct TokenFailures {
    /// Resources that failed since the last answer to the token.
    row: FailureRow<u64>,
    turns: ProbeTurns<1>,
}

/// A proven token of the application and the resource that it requests. The keys are keyed hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BreakerScope {
    pub(super) user: u128,
    pub(super) token: u128,
    pub(super) resource: u64,
}

impl BreakerScope {
    /// One user may have many tokens, and each of them requests many resources.
    fn path(self) -> [u128; 3] {
        [self.user, self.token, self.resource.into()]
    }
}

impl Application {
    /// Returns the refusal of a request for `resource`. For callers that may not change the state.
    pub(super) fn look(&self, resource: u64, now: Now) -> Result<(), Refused> {
        self.throttle.look(now).map_err(Refused::throttled)?;
        self.breaker.look(now).map_err(|left| Refused::breaker(Scope::Application, left))?;
        let looked = self.resources.get(resource).map_or(Ok(()), |known| known.breaker.look(now));
        looked.map_err(|left| Refused::breaker(Scope::Resource, left))
    }

    /// The same for callers whose requests may enter.
    pub(super) fn check(&mut self, sender: BreakerScope, now: Now) -> Result<(), Refused> {
        self.users.add(sender.user, now);
        self.throttle.check(now).map_err(Refused::throttled)?;
        let checked = self.resources.get(sender.resource).map_or(Ok(()), |known| known.breaker.check(now));
        checked.map_err(|left| Refused::breaker(Scope::Resource, left))?;
        if let Some(known) = self.tokens.get_mut(sender.token) {
            let path = [sender.resource.into()];
            let checked = known.failures.turns.pass(&known.breaker, path, now);
            checked.map_err(|left| Refused::breaker(Scope::Token, left))?;
        }
        let checked = self.turns.pass(&self.breaker, sender.path(), now);
        checked.map_err(|left| Refused::breaker(Scope::Application, left))
    }

    /// Registers a request that [`Self::check`] lets pass. Returns the number of the operation.
    pub(super) fn enter(&mut self, sender: BreakerScope, now: Now) -> u64 {
        let at = self.operations.begin(now);
        self.throttle.enter(at);
        if self.breaker.needs_probe() {
            self.turns.probed(sender.path());
        }
        self.breaker.enter(at);
        if let Some(known) = self.resources.get_mut(sender.resource) {
            known.breaker.enter(at);
        }
        if let Some(known) = self.tokens.get_mut(sender.token) {
            if known.breaker.needs_probe() {
                known.failures.turns.probed([sender.resource.into()]);
            }
            known.breaker.enter(at);
        }
        at.number
    }

    /// Registers an answer.
    pub(super) fn answered(&mut self, sender: BreakerScope, entered: u64, now: Now) {
        let at = self.operations.begin(now);
        self.throttle.answered(entered, at);
        self.available(sender, entered, at);
    }

    /// Registers a 429: Graph is available, and throttles the application for `wait`. That is an instruction and no
    /// guess, so it holds whenever the request was sent.
    pub(super) fn throttled(&mut self, sender: BreakerScope, entered: u64, now: Now, wait: Duration) {
        let at = self.operations.begin(now);
        self.throttle.open(at, wait);
        self.available(sender, entered, at);
    }

    /// Registers a failure. If a general outage is likely, one resource is enough for a breaker to open.
    pub(super) fn failed(&mut self, sender: BreakerScope, entered: u64, now: Now, host_is_suspect: bool) {
        let at = self.operations.begin(now);
        self.throttle.cancelled(entered);
        let min_resources = if host_is_suspect { 1 } else { MAX_RESOURCES_IN_ROW };
        self.application_failed(sender, entered, at, min_resources);
        let token = self.tokens.get_or_add(sender.token, at);
        if token.breaker.counts(entered) {
            token.failures.row.push(sender.resource, now);
        }
        let trips = token.failures.row.count(now).0 >= min_resources;
        token.breaker.failed(entered, at, trips);
        let resource = self.resources.get_or_add(sender.resource, at);
        if resource.breaker.counts(entered) {
            resource.failures = resource.failures.saturating_add(1);
        }
        let trips = resource.failures >= MAX_FAILURES || resource.breaker.is_recovering();
        resource.breaker.failed(entered, at, trips);
    }

    /// Registers a request without a result that concerns the application.
    pub(super) fn cancelled(&mut self, sender: BreakerScope, entered: u64) {
        self.throttle.cancelled(entered);
        self.breaker.cancelled(entered);
        if let Some(known) = self.resources.get_mut(sender.resource) {
            known.breaker.cancelled(entered);
        }
        if let Some(known) = self.tokens.get_mut(sender.token) {
            known.breaker.cancelled(entered);
        }
    }

    /// Number of breakers that refuse requests, the throttle included.
    pub(super) fn count_open(&self, now: Now) -> usize {
        let own = [&self.throttle, &self.breaker].into_iter();
        let all = own.chain(self.resources.breakers()).chain(self.tokens.breakers());
        all.filter(|breaker| breaker.look(now).is_err()).count()
    }

    #[cfg(test)]
    pub(super) fn count_parts(&self) -> [usize; 2] {
        [self.resources.breakers().count(), self.tokens.breakers().count()]
    }

    /// The part of the application's own breaker.
    fn application_failed(
        &mut self,
        sender: BreakerScope,
        entered: u64,
        at: Operation,
        min_resources: usize,
    ) {
        if self.breaker.counts(entered) {
            self.row.push(sender, at.now);
        }
        let trips = self.is_at_fault(at.now, min_resources);
        if trips && self.breaker.is_half_open() {
            // The next probe is due a second after this one began, whenever this one fails. So a token whose probes
            // fail does not prolong the time in which others are refused.
            return;
        }
        self.breaker.failed(entered, at, trips);
    }

    /// Whether the failures in a row have the application as their common cause, and not one of its users.
    fn is_at_fault(&self, now: Now, min_resources: usize) -> bool {
        let count = |key: fn(&BreakerScope) -> u128| self.row.count_distinct(now, key);
        let users = if self.users.is_single(now) { 1 } else { 2 };
        count(|sender| sender.resource.into()) >= min_resources
            && count(|sender| sender.token) >= 2
            && count(|sender| sender.user) >= users
    }

    fn available(&mut self, sender: BreakerScope, entered: u64, at: Operation) {
        if self.breaker.counts(entered) {
            self.row.clear();
        }
        self.breaker.answered(entered, at);
        if let Some(known) = self.resources.get_mut(sender.resource) {
            if known.breaker.counts(entered) {
                known.failures = 0;
            }
            known.breaker.answered(entered, at);
            if known.failures == 0 && known.breaker.is_closed() {
                self.resources.remove(sender.resource, at);
            }
        }
        if let Some(known) = self.tokens.get_mut(sender.token) {
            if known.breaker.counts(entered) {
                known.failures.row.clear();
            }
            known.breaker.answered(entered, at);
            if known.failures.row.is_empty() && known.breaker.is_closed() {
                self.tokens.remove(sender.token, at);
            }
        }
    }
}

/// Failures of a resource in a row that open its breaker.
const MAX_FAILURES: u32 = 5;
/// Distinct resources that fail in a row, without an answer in between, that open the breaker of a token or of the
/// application.
const MAX_RESOURCES_IN_ROW: usize = 3;
