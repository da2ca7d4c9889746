//! The threads that connections are served on, each with a runtime of its own.
//!
//! A connection stays where it is put. What it wakes is on its own thread, what that thread remembers is of its
//! connections, and nobody spends time on looking for work that another has too much of. The thread with the fewest
//! connections is given the next. Whoever accepts them, and the admin port, are on a thread of their own: a probe is
//! answered however busy these are.
//!
//! One listener and a choice, not a listener each with `SO_REUSEPORT`: the kernel would deal connections out by a hash,
//! which is even only among many; would reset those that wait at a listener that is being closed; and would let
//! another process of the same user listen to the same port.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Threads to serve connections on. By default there are none, and connections are served where they are accepted.
#[derive(Clone, Debug, Default)]
pub struct Workers(Arc<[Worker]>);

#[derive(Clone, Debug)]
struct Worker {
    runtime: Handle,
    /// Connections that it has.
    open: Arc<AtomicUsize>,
}

/// The threads themselves. Dropped, they end; what still runs there has [`LEFTOVERS`].
#[derive(Debug, Default)]
pub struct Threads {
    stop: CancellationToken,
    running: Vec<thread::JoinHandle<()>>,
}

/// A connection's place on a thread. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct WorkerSlot(Worker);

impl Workers {
    /// Starts so many threads. With one there is nothing to choose, so it starts none: then accepting, serving and
    /// the rest share the thread that calls.
    pub fn start(count: usize) -> io::Result<(Self, Threads)> {
        let (mut workers, mut threads) = (Vec::new(), Threads::default());
        let count = if count > 1 { count } else { 0 };
        for _ in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.push(Worker { runtime: runtime.handle().clone(), open: Arc::default() });
            let stop = threads.stop.clone();
            threads.running.push(thread::Builder::new().name("worker".to_owned()).spawn(move || {
                runtime.block_on(stop.cancelled());
                runtime.shutdown_timeout(LEFTOVERS);
            })?);
        }
        Ok((Self(workers.into()), threads))
    }

    /// Threads that serve.
    pub fn count(&self) -> usize {
        self.0.len().max(1)
    }

    /// A place on the thread with the fewest connections, if there are threads.
    pub(super) fn enter(&self) -> Option<WorkerSlot> {
        let lane = self.0.iter().min_by_key(|lane| lane.open.load(Relaxed))?;
        lane.open.fetch_add(1, Relaxed);
        Some(WorkerSlot(lane.clone()))
    }

    /// Where what many connections will use is best waited for: with one of the threads, or else where this is called.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn any(&self) -> Handle {
        self.0.first().map_or_else(Handle::current, |lane| lane.runtime.clone())
    }
}

impl WorkerSlot {
    /// The runtime of its thread.
    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Threads {
    /// Has them begin to end.
    pub fn end(&self) {
        self.stop.cancel();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
        for thread in self.running.drain(..) {
            // One that panicked has been logged by the hook.
            let _ = thread.join();
        }
    }
}

/// For tasks that outlive the drain. Whoever they worked for is gone.
pub const LEFTOVERS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn on(stay: &WorkerSlot) -> tokio::runtime::Id {
        stay.runtime().id()
    }

    #[test]
    fn the_thread_with_the_fewest_connections_is_given_the_next() {
        let (workers, _threads) = Workers::start(2).unwrap();
        let enter = || workers.enter().unwrap();
        let (first, second, third) = (enter(), enter(), enter());
        assert_ne!(on(&first), on(&second));
        let busy = on(&third);
        let stays = [first, second].into_iter().filter(|stay| on(stay) == busy).collect::<Vec<_>>();
        assert_eq!(stays.len(), 1, "the other connection has hung up");
        drop((stays, third));
        let next = [enter(), enter(), enter()];
        assert_eq!(next.iter().filter(|stay| on(stay) == busy).count(), 2, "of four places it has two now");
    }

    #[test]
    fn with_one_thread_connections_stay_where_they_are_accepted() {
        for count in [0, 1] {
            let (workers, threads) = Workers::start(count).unwrap();
            assert!(workers.enter().is_none() && threads.running.is_empty());
            assert_eq!(workers.count(), 1);
        }
    }

    #[test]
    fn threads_end_with_whoever_started_them() {
        let (workers, threads) = Workers::start(3).unwrap();
        let held = workers.enter().unwrap();
        let (tell, told) = std::sync::mpsc::channel::<()>();
        // Never ends by itself.
        held.runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(tell);
        });
        drop(threads);
        assert!(told.try_recv().is_err_and(|error| error == std::sync::mpsc::TryRecvError::Disconnected));
    }
}
