//! Worker threads that serve connections, each with a current-thread runtime of its own.
//!
//! A connection stays on its worker. All tasks that it wakes are on the same thread, per-thread caches hold data of the
//! thread's own connections, and no thread spends time on work stealing. The listener assigns a new connection to the
//! worker with the fewest connections. The listener and the admin port run on another thread, so that a probe is
//! answered however busy the workers are.
//!
//! One listener assigns all connections; the workers have no listeners of their own with `SO_REUSEPORT`. With
//! `SO_REUSEPORT` the kernel would choose the worker by a hash, which is even only for many connections; would reset the
//! connections that wait at a listener that is being closed; and would let another process of the same user listen on
//! the same port.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Handles of the workers. The default has none: connections are then served on the runtime that accepts them.
#[derive(Clone, Debug, Default)]
pub struct Workers(Arc<[Worker]>);

#[derive(Clone, Debug)]
struct Worker {
    runtime: Handle,
    /// Number of connections on this worker.
    connections: Arc<AtomicUsize>,
}

/// Threads of the workers. A drop stops and joins them; tasks that still run have [`RUNTIME_SHUTDOWN_TIMEOUT`] to end.
#[derive(Debug, Default)]
pub struct WorkerThreads {
    stop: CancellationToken,
    handles: Vec<thread::JoinHandle<()>>,
}

/// Counts one connection of a worker until dropped.
#[derive(Debug)]
pub(super) struct WorkerSlot(Worker);

impl Workers {
    /// Starts `count` threads. For a count of one no thread starts: accepting, serving and all else then share the
    /// calling thread.
    pub fn start(count: usize) -> io::Result<(Self, WorkerThreads)> {
        let (mut workers, mut threads) = (Vec::new(), WorkerThreads::default());
        let count = if count > 1 { count } else { 0 };
        for _ in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.push(Worker { runtime: runtime.handle().clone(), connections: Arc::default() });
            let stop = threads.stop.clone();
            threads.handles.push(thread::Builder::new().name("worker".to_owned()).spawn(move || {
                runtime.block_on(stop.cancelled());
                runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
            })?);
        }
        Ok((Self(workers.into()), threads))
    }

    /// Returns the number of threads that serve connections.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }

    /// Acquires a slot of the worker with the fewest connections, if there are workers.
    pub(super) fn acquire(&self) -> Option<WorkerSlot> {
        let worker = self.0.iter().min_by_key(|worker| worker.connections.load(Relaxed))?;
        worker.connections.fetch_add(1, Relaxed);
        Some(WorkerSlot(worker.clone()))
    }

    /// Returns the runtime of the first worker, or the current runtime if there are no workers. For tasks that create
    /// resources for many connections.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn first_runtime(&self) -> Handle {
        self.0.first().map_or_else(Handle::current, |worker| worker.runtime.clone())
    }
}

impl WorkerSlot {
    /// Returns the runtime of the worker.
    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl WorkerThreads {
    /// Starts the stop of all threads, without waiting for their end.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        self.stop();
        for thread in self.handles.drain(..) {
            // The panic hook has logged the panic of a thread.
            let _ = thread.join();
        }
    }
}

/// Time for tasks that outlive the drain. The callers that they worked for have disconnected.
pub const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime_id(slot: &WorkerSlot) -> tokio::runtime::Id {
        slot.runtime().id()
    }

    #[test]
    fn the_worker_with_the_fewest_connections_receives_the_next() {
        let (workers, _threads) = Workers::start(2).unwrap();
        let acquire = || workers.acquire().unwrap();
        let (first, second, third) = (acquire(), acquire(), acquire());
        assert_ne!(runtime_id(&first), runtime_id(&second));
        let busy = runtime_id(&third);
        let slots = [first, second].into_iter().filter(|slot| runtime_id(slot) == busy).collect::<Vec<_>>();
        assert_eq!(slots.len(), 1, "one of the two connections that end was on the worker with two");
        drop((slots, third));
        let next = [acquire(), acquire(), acquire()];
        assert_eq!(
            next.iter().filter(|slot| runtime_id(slot) == busy).count(),
            2,
            "the worker has two of four connections"
        );
    }

    #[test]
    fn with_one_thread_connections_stay_where_they_are_accepted() {
        for count in [0, 1] {
            let (workers, threads) = Workers::start(count).unwrap();
            assert!(workers.acquire().is_none() && threads.handles.is_empty());
            assert_eq!(workers.count(), 1);
        }
    }

    #[test]
    fn a_drop_of_the_threads_ends_them_and_their_tasks() {
        let (workers, threads) = Workers::start(3).unwrap();
        let held = workers.acquire().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        // Never ends by itself.
        held.runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        drop(threads);
        assert!(receiver.try_recv().is_err_and(|error| error == std::sync::mpsc::TryRecvError::Disconnected));
    }
}
