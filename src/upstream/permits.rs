//! Permits for requests to Graph: a fair semaphore.
//!
//! There are `limits.origin_requests` permits. A proven token competes by tenant, application and token, because Graph
//! itself has verified these claims. An unproven token competes by client subnet, connection and token, and all unproven
//! tokens together hold at most `limits.unproven_requests` permits and three quarters of all. Within these bounds the
//! [fair queue](crate::upstream::fair_queue) decides: a caller may use idle permits, and a newcomer finds a free permit or
//! receives the next one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::upstream::fair_queue::{FairQueue, QueueCapacity, QueuePosition, SharePath};

/// All permits of a process. Clones share them.
#[derive(Clone, Debug)]
pub struct UpstreamPermits(Arc<Mutex<PermitTable>>);

#[derive(Debug)]
struct PermitTable {
    capacity: usize,
    unproven_capacity: usize,
    proven: FairQueue<PermitSender>,
    unproven: FairQueue<PermitSender>,
}

/// Channel to a waiting caller.
type PermitSender = oneshot::Sender<PermitGuard>;

/// Right to send one request to Graph. When it is dropped, the next waiting caller gets it.
#[derive(Debug)]
pub struct UpstreamPermit {
    guard: PermitGuard,
    /// Time at which the caller requested the permit.
    pub requested_at: Instant,
}

impl UpstreamPermit {
    /// Returns the owner's path among the owners of its class.
    pub fn share(&self) -> SharePath {
        self.guard.owner.path()
    }
}

/// Accounting of one permit: gives the capacity back on drop.
#[derive(Debug)]
struct PermitGuard {
    permits: UpstreamPermits,
    owner: PermitOwner,
}

/// Owner of a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitOwner {
    /// A proven token: tenant, application, token.
    Proven(SharePath),
    /// An unproven token: client subnet, connection, token.
    Unproven(SharePath),
}

/// No permit became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPermit;

impl UpstreamPermits {
    /// Creates `capacity` permits, at most `unproven_capacity` of them for unproven tokens, and never more than three
    /// quarters.
    pub fn new(capacity: usize, unproven_capacity: usize) -> Self {
        let unproven_capacity = unproven_capacity.min(capacity - capacity / 4);
        let (proven, unproven) = (FairQueue::default(), FairQueue::default());
        Self(Arc::new(Mutex::new(PermitTable { capacity, unproven_capacity, proven, unproven })))
    }

    /// Returns the permits in use and their number, of all callers.
    pub fn usage(&self) -> (usize, usize) {
        let state = self.lock();
        (state.in_use(), state.capacity)
    }

    /// Returns the permits in use and their number, of unproven tokens.
    pub fn unproven_usage(&self) -> (usize, usize) {
        let state = self.lock();
        (state.unproven.in_use(), state.unproven_capacity)
    }

    /// Returns the number of callers that wait for a permit.
    pub fn waiting(&self) -> usize {
        let state = self.lock();
        state.proven.waiting() + state.unproven.waiting()
    }

    /// Takes a permit if one is free for `owner` and no caller of its class (proven or unproven) waits.
    pub fn try_acquire(&self, owner: PermitOwner) -> Option<UpstreamPermit> {
        let mut state = self.lock();
        let (capacity, queue) = state.class(owner);
        if queue.waiting() > 0 || !queue.try_acquire(owner.path(), capacity) {
            return None;
        }
        drop(state);
        Some(UpstreamPermit { guard: self.guard(owner), requested_at: Instant::now() })
    }

    /// Waits for a permit, for at most `wait`.
    ///
    /// # Errors
    /// [`NoPermit`] if no permit became free for `owner` in time.
    pub async fn acquire(&self, owner: PermitOwner, wait: Duration) -> Result<UpstreamPermit, NoPermit> {
        let requested_at = Instant::now();
        let (sender, mut receiver) = oneshot::channel();
        let position = self.lock().class(owner).1.push(owner.path(), sender);
        let _waiting = QueuedCaller { permits: self, owner, position };
        self.dispatch();
        match timeout(wait, &mut receiver).await {
            Ok(Ok(permit)) => Ok(UpstreamPermit { guard: permit, requested_at }),
            _ => Err(NoPermit),
        }
    }

    /// Gives free permits to waiting callers.
    fn dispatch(&self) {
        while let Some((owner, sender)) = { self.lock().next() } {
            // If the caller has left, the send fails and drops the permit, which gives it back.
            let _ = sender.send(self.guard(owner));
        }
    }

    fn guard(&self, owner: PermitOwner) -> PermitGuard {
        PermitGuard { permits: self.clone(), owner }
    }

    fn lock(&self) -> MutexGuard<'_, PermitTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PermitTable {
    fn in_use(&self) -> usize {
        self.proven.in_use() + self.unproven.in_use()
    }

    /// Returns the capacity and the queue of an owner's class.
    fn class(&mut self, owner: PermitOwner) -> (QueueCapacity, &mut FairQueue<PermitSender>) {
        let [proven, unproven] = self.capacities();
        match owner {
            PermitOwner::Proven(_) => (proven, &mut self.proven),
            PermitOwner::Unproven(_) => (unproven, &mut self.unproven),
        }
    }

    /// Returns the capacity for proven and for unproven tokens.
    fn capacities(&self) -> [QueueCapacity; 2] {
        let all = QueueCapacity::remaining(self.capacity, self.in_use());
        [all, QueueCapacity::remaining(self.unproven_capacity, self.unproven.in_use()).at_most(all.free)]
    }

    /// Takes a permit for the caller that is served next. The class with fewer permits in use comes first, so neither class
    /// starves the other.
    fn next(&mut self) -> Option<(PermitOwner, PermitSender)> {
        let [proven_capacity, unproven_capacity] = self.capacities();
        let unproven_first = self.unproven.in_use() < self.proven.in_use();
        let any = &mut |_: &SharePath| true;
        for unproven in [unproven_first, !unproven_first] {
            let next = if unproven {
                self.unproven
                    .pop(unproven_capacity, any)
                    .map(|(path, sender)| (PermitOwner::Unproven(path), sender))
            } else {
                self.proven
                    .pop(proven_capacity, any)
                    .map(|(path, sender)| (PermitOwner::Proven(path), sender))
            };
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl PermitOwner {
    fn path(self) -> SharePath {
        match self {
            Self::Proven(path) | Self::Unproven(path) => path,
        }
    }
}

/// Queue entry of a waiting caller, removed on drop.
struct QueuedCaller<'a> {
    permits: &'a UpstreamPermits,
    owner: PermitOwner,
    position: QueuePosition,
}

impl Drop for QueuedCaller<'_> {
    fn drop(&mut self) {
        self.permits.lock().class(self.owner).1.remove(self.position);
    }
}

impl Drop for PermitGuard {
    fn drop(&mut self) {
        let is_awaited = {
            let mut state = self.permits.lock();
            state.class(self.owner).1.release(self.owner.path());
            state.proven.waiting() + state.unproven.waiting() > 0
        };
        if is_awaited {
            self.permits.dispatch();
        }
    }
}

#[cfg(test)]
mod tests;
