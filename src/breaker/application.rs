//! State of one application in a tenant: its throttle, its breaker, and the breakers of its resources.

use std::time::Duration;

use super::row::FailureRow;
use super::state::{Breaker, Operation, Operations};
use super::turns::ProbeTurns;
use super::{Refused, Scope};
use crate::clock::Now;

/// State of an application. Only results of its own proven tokens change it.
#[derive(Debug, Default)]
pub(super) struct Application {
    operations: Operations,
    throttle: Breaker,
    breaker: Breaker,
    turns: ProbeTurns<u64>,
    /// Resources that failed since the last answer to the application.
    row: FailureRow<u64>,
    /// Resources with failures, the least recently used first.
    resources: Vec<Resource>,
    /// Operation that last removed a resource. Results of requests that entered before do not count for one that is
    /// added again.
    removed: u64,
}

#[derive(Debug)]
struct Resource {
    digest: u64,
    breaker: Breaker,
    /// In a row.
    failures: u32,
}

impl Application {
    /// Returns the refusal of a request for `resource`. For callers that may not change the state.
    pub(super) fn look(&self, resource: u64, now: Now) -> Result<(), Refused> {
        self.throttle.look(now).map_err(Refused::throttled)?;
        self.breaker.look(now).map_err(|left| Refused::breaker(Scope::Application, left))?;
        let known = self.resources.iter().find(|known| known.digest == resource);
        let looked = known.map_or(Ok(()), |known| known.breaker.look(now));
        looked.map_err(|left| Refused::breaker(Scope::Resource, left))
    }

    /// The same for callers whose requests may enter.
    pub(super) fn check(&mut self, resource: u64, now: Now) -> Result<(), Refused> {
        self.throttle.check(now).map_err(Refused::throttled)?;
        let known = self.resources.iter().find(|known| known.digest == resource);
        let checked = known.map_or(Ok(()), |known| known.breaker.check(now));
        checked.map_err(|left| Refused::breaker(Scope::Resource, left))?;
        let mut checked = self.breaker.check(now);
        if self.breaker.needs_probe() {
            checked = checked.and_then(|()| self.turns.check(resource, now));
        }
        let checked = checked.inspect_err(|_| self.turns.refused(resource, now));
        checked.map_err(|left| Refused::breaker(Scope::Application, left))
    }

    /// Registers a request that [`Self::check`] lets pass. Returns the number of the operation.
    pub(super) fn enter(&mut self, resource: u64, now: Now) -> u64 {
        let at = self.operations.begin(now);
        self.throttle.enter(at);
        if self.breaker.needs_probe() {
            self.turns.probed(resource);
        }
        self.breaker.enter(at);
        if let Some(known) = self.used(resource) {
            known.breaker.enter(at);
        }
        at.number
    }

    /// Registers an answer.
    pub(super) fn answered(&mut self, resource: u64, entered: u64, now: Now) {
        let at = self.operations.begin(now);
        self.throttle.answered(entered, at);
        self.available(resource, entered, at);
    }

    /// Registers a 429: Graph is available, and throttles the application for `wait`. That is an instruction and no
    /// guess, so it holds whenever the request was sent.
    pub(super) fn throttled(&mut self, resource: u64, entered: u64, now: Now, wait: Duration) {
        let at = self.operations.begin(now);
        self.throttle.open(at, wait);
        self.available(resource, entered, at);
    }

    /// Registers a failure of `resource`. If a general outage is likely, one failure opens the breaker.
    pub(super) fn failed(&mut self, resource: u64, entered: u64, now: Now, host_is_suspect: bool) {
        let at = self.operations.begin(now);
        self.throttle.cancelled(entered);
        if self.breaker.counts(entered) {
            self.row.push(resource, now);
        }
        let (in_row, _) = self.row.count(now);
        self.breaker.failed(entered, at, in_row >= if host_is_suspect { 1 } else { MAX_RESOURCES_IN_ROW });
        let failed = self.add(resource, at);
        if failed.breaker.counts(entered) {
            failed.failures = failed.failures.saturating_add(1);
        }
        let trips = failed.failures >= MAX_FAILURES || failed.breaker.is_recovering();
        failed.breaker.failed(entered, at, trips);
    }

    /// Registers a request without a result that concerns the application.
    pub(super) fn cancelled(&mut self, resource: u64, entered: u64) {
        self.throttle.cancelled(entered);
        self.breaker.cancelled(entered);
        if let Some(known) = self.used(resource) {
            known.breaker.cancelled(entered);
        }
    }

    /// Number of breakers that refuse requests, the throttle included.
    pub(super) fn count_open(&self, now: Now) -> usize {
        let own = [&self.throttle, &self.breaker].into_iter();
        let all = own.chain(self.resources.iter().map(|known| &known.breaker));
        all.filter(|breaker| breaker.look(now).is_err()).count()
    }

    #[cfg(test)]
    pub(super) fn count_resources(&self) -> usize {
        self.resources.len()
    }

    fn available(&mut self, resource: u64, entered: u64, at: Operation) {
        if self.breaker.counts(entered) {
            self.row.clear();
        }
        self.breaker.answered(entered, at);
        let Some(known) = self.used(resource) else { return };
        if known.breaker.counts(entered) {
            known.failures = 0;
        }
        known.breaker.answered(entered, at);
        if known.failures == 0 && known.breaker.is_closed() {
            self.resources.pop();
            self.removed = at.number;
        }
    }

    /// Finds a resource with failures, and makes it the most recently used one.
    fn used(&mut self, digest: u64) -> Option<&mut Resource> {
        let position = self.resources.iter().position(|known| known.digest == digest)?;
        let known = self.resources.remove(position);
        self.resources.push(known);
        self.resources.last_mut()
    }

    /// The same, added if it is new. The least recently used one makes room.
    fn add(&mut self, digest: u64, at: Operation) -> &mut Resource {
        let position = self.resources.iter().position(|known| known.digest == digest);
        let resource = match position {
            Some(position) => self.resources.remove(position),
            None => Resource { digest, breaker: Breaker::new(self.removed), failures: 0 },
        };
        if self.resources.len() >= MAX_RESOURCES {
            self.resources.remove(0);
            self.removed = at.number;
        }
        self.resources.push_mut(resource)
    }
}

/// Failures of a resource in a row that open its breaker.
const MAX_FAILURES: u32 = 5;
/// Distinct resources that fail in a row, without an answer to the application, that open its breaker.
const MAX_RESOURCES_IN_ROW: usize = 3;
/// Resources with failures that are remembered per application.
pub(super) const MAX_RESOURCES: usize = 32;
