//! Connections that share one count of streams: HTTP/1.1 connections, or one HTTP/2 connection.
//!
//! A request without an idle connection makes a new one, and uses a connection that is returned in the meantime; then the
//! new connection is for a later request. A task closes connections that are idle for too long, and ends when there are none.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::idle::{IDLE_TIMEOUT, IdleConnections};
use super::{HttpConnection, PoolConnector};
use crate::upstream::error::SendError;
use crate::upstream::request::Protocol;
use crate::upstream::stream_limit::StreamLimit;

/// Connections with one count of streams.
#[derive(Debug)]
pub(super) struct Connections {
    connector: PoolConnector,
    max_idle: usize,
    /// Stream limit of the HTTP/2 connection.
    pub(super) limit: Arc<StreamLimit>,
    /// Requests that use a connection, or wait for one.
    pub(super) open_streams: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: IdleConnections,
    /// Requests that make a connection.
    waiters: VecDeque<oneshot::Sender<HttpConnection>>,
    /// The task that closes idle connections runs.
    has_timer: bool,
}

impl Connections {
    /// Creates a set without connections that keeps at most `max_idle` idle ones.
    pub(super) fn new(connector: PoolConnector, max_idle: usize, limit: Arc<StreamLimit>) -> Self {
        let (open_streams, state) = Default::default();
        Self { connector, max_idle, limit, open_streams, state }
    }

    /// Takes a connection that can be used at once.
    pub(super) fn take(&self, now: Instant) -> Option<HttpConnection> {
        self.lock().idle.take(now)
    }

    /// Makes a connection, unless another one is returned first.
    pub(super) async fn connect(self: Arc<Self>) -> Result<HttpConnection, SendError> {
        let mut waiter = match self.take_or_wait(Instant::now()) {
            Ok(connection) => return Ok(connection),
            Err(waiter) => waiter,
        };
        let mut connecting = self.connector.connect(Arc::clone(&self.limit));
        tokio::select! {
            biased;
            Some(returned) = waiter.returned() => {
                let home = Arc::clone(&self);
                tokio::spawn(async move {
                    if let Ok(connection) = connecting.await {
                        home.put(connection);
                    }
                });
                Ok(returned)
            }
            made = &mut connecting => {
                let connection = made?;
                if let Some(shared) = connection.share() {
                    self.put(shared);
                }
                Ok(connection)
            }
        }
    }

    /// Takes back a connection after a request. `has_head` means that the head of the response was received. A connection
    /// whose response was not received as a whole is closed.
    pub(super) fn put_back(self: &Arc<Self>, mut connection: HttpConnection, has_head: bool) {
        if connection.protocol() == Protocol::Http2 || connection.state().closes_when_idle() {
            return;
        }
        if connection.is_ready() {
            self.put(connection);
        } else if has_head && let Ok(runtime) = Handle::try_current() {
            // The task of the connection has passed on the end of the body, and has not finished its turn on another thread.
            // If the body was dropped before its end, hyper closes the connection, and this task ends.
            let home = Arc::clone(self);
            runtime.spawn(async move {
                if connection.becomes_ready().await {
                    home.put(connection);
                }
            });
        }
    }

    /// Gives a connection to a request that waits for one, or keeps it as idle.
    fn put(self: &Arc<Self>, connection: HttpConnection) {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(connection) = state.hand_over(connection) else { return };
        state.idle.add(connection, now, self.max_idle);
        if !state.has_timer
            && let Ok(runtime) = Handle::try_current()
        {
            state.has_timer = true;
            runtime.spawn(close_idle(Arc::downgrade(self), now + IDLE_TIMEOUT));
        }
    }

    fn take_or_wait(self: &Arc<Self>, now: Instant) -> Result<HttpConnection, Waiter> {
        let mut state = self.lock();
        if let Some(connection) = state.idle.take(now) {
            return Ok(connection);
        }
        let (sender, receiver) = oneshot::channel();
        state.waiters.push_back(sender);
        Err(Waiter { receiver, home: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives a connection to the request that waits longest, or to all of them if they can share it. Returns the connection
    /// if it is free.
    fn hand_over(&mut self, mut connection: HttpConnection) -> Option<HttpConnection> {
        while let Some(waiter) = self.waiters.pop_front() {
            if let Some(shared) = connection.share() {
                // The waiter may have left.
                let _ = waiter.send(shared);
            } else {
                match waiter.send(connection) {
                    Ok(()) => return None,
                    Err(returned) => connection = returned,
                }
            }
        }
        Some(connection)
    }

    fn close_unusable(&mut self, now: Instant) -> Option<Instant> {
        let next = self.idle.close_unusable(now);
        self.has_timer = next.is_some();
        next
    }
}

/// Closes connections that are idle for too long, until there are none.
async fn close_idle(connections: Weak<Connections>, first: Instant) {
    let mut next = Some(first);
    while let Some(time) = next {
        sleep_until(time).await;
        next = connections.upgrade().and_then(|open| open.lock().close_unusable(Instant::now()));
    }
}

/// Request that waits for a connection.
struct Waiter {
    receiver: oneshot::Receiver<HttpConnection>,
    home: Arc<Connections>,
}

impl Waiter {
    /// Waits for a returned connection. Returns `None` if it has ended since.
    async fn returned(&mut self) -> Option<HttpConnection> {
        (&mut self.receiver).await.ok().filter(HttpConnection::is_ready)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(unused) = self.receiver.try_recv() {
            self.home.put(unused);
        }
        self.home.lock().waiters.retain(|waiter| !waiter.is_closed());
    }
}

#[cfg(test)]
mod tests;
