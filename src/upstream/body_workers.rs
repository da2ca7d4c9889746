//! Work on large bodies, outside of the threads that serve connections.
//!
//! Decoding and scrubbing take time in proportion to the body, and a thread that serves connections answers no other request
//! meanwhile. So the work on a large body moves to the blocking pool of the runtime. At most half of the CPUs do such work at
//! one time. The next body is that of the owner with the fewest bodies in work (see [`crate::upstream::fair_queue`]). The
//! bytes of the bodies that wait are charged to the byte budget, which bounds their number.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::upstream::fair_queue::{FairQueue, QueueCapacity, QueuePosition, SharePath};

/// Fair semaphore for work on large bodies. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyWorkers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity: usize,
    queue: Mutex<FairQueue<oneshot::Sender<WorkPermit>>>,
}

/// Right to work on one large body. When it is dropped, the next owner gets it.
#[derive(Debug)]
pub struct WorkPermit {
    workers: BodyWorkers,
    owner: SharePath,
}

impl Default for BodyWorkers {
    /// Creates a semaphore for half of the CPUs, so that the threads that serve connections always have the other half.
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::new(cpus.div_ceil(2))
    }
}

impl BodyWorkers {
    /// Creates a semaphore with `capacity` permits.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared { capacity, queue: Mutex::default() }))
    }

    /// Returns the number of permits.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Returns the number of bodies that wait for a permit.
    pub fn waiting(&self) -> usize {
        self.queue().waiting()
    }

    /// Does the work on a body of `bytes` bytes: at once if the body is small, otherwise on another thread, when the turn of
    /// `owner` comes. A caller that leaves does not end work that has begun.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        owner: SharePath,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if bytes <= INLINE_BODY_BYTES {
            return work();
        }
        let permit = self.acquire(owner).await;
        let working = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match working.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(result) => result,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime is shutting down, and drops this future as well.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Waits for a permit.
    pub async fn acquire(&self, owner: SharePath) -> WorkPermit {
        let (sender, receiver) = oneshot::channel();
        let position = self.queue().push(owner, sender);
        let _waiting = QueuedWork { workers: self, position };
        self.dispatch();
        match receiver.await {
            Ok(permit) => permit,
            // Nothing else removes the sender from the queue while this future waits.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free permits to waiting owners.
    fn dispatch(&self) {
        while let Some((owner, sender)) = { self.next() } {
            // If the receiver is gone, the permit is dropped, which gives it back.
            let _ = sender.send(WorkPermit { workers: self.clone(), owner });
        }
    }

    fn next(&self) -> Option<(SharePath, oneshot::Sender<WorkPermit>)> {
        let mut queue = self.queue();
        let capacity = QueueCapacity::remaining(self.0.capacity, queue.in_use());
        queue.pop(capacity, &mut |_| true)
    }

    fn queue(&self) -> MutexGuard<'_, FairQueue<oneshot::Sender<WorkPermit>>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WorkPermit {
    fn drop(&mut self) {
        self.workers.queue().release(self.owner);
        self.workers.dispatch();
    }
}

/// Queue entry of a waiting body, removed on drop.
struct QueuedWork<'a> {
    workers: &'a BodyWorkers,
    position: QueuePosition,
}

impl Drop for QueuedWork<'_> {
    fn drop(&mut self) {
        self.workers.queue().remove(self.position);
    }
}

/// Largest body that the thread of its connection works on itself. Scrubbing takes about 4 us for 1 KiB (253 MB/s, see
/// docs/performance.md), so 32 KiB take 0.13 ms, about as long as 16 hits. A documented response has 1 KB.
pub(super) const INLINE_BODY_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests;
