//! Clients of one runtime, and the streams that are open on each.

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::{HttpClient, PoolConnector, build_client};
use crate::upstream::stream_limit::{LastStreamLimit, StreamLimit};

/// Clients of one runtime. Each has at most one HTTP/2 connection; the first has all HTTP/1.1 connections.
///
/// A request uses the first client whose connection has a free stream, and a new client if there is none. Requests to Graph
/// hold a permit, so that there are no more connections than permits.
#[derive(Debug)]
pub(in crate::upstream) struct LocalPool {
    connector: PoolConnector,
    max_idle: usize,
    last_limit: Arc<LastStreamLimit>,
    clients: Mutex<Vec<Arc<PooledClient>>>,
    /// Notified when a stream ends and when a limit changes.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct PooledClient {
    client: HttpClient,
    limit: Arc<StreamLimit>,
    open_streams: AtomicUsize,
}

/// Right to one stream on a client. Its drop frees the stream.
#[derive(Debug)]
pub(in crate::upstream) struct StreamSlot {
    client: Arc<PooledClient>,
    /// The client had no open stream before.
    is_first: bool,
    changed: Arc<Notify>,
}

impl LocalPool {
    /// Creates a pool without connections.
    pub(super) fn new(connector: PoolConnector, max_idle: usize, last_limit: Arc<LastStreamLimit>) -> Self {
        let (clients, changed) = Default::default();
        Self { connector, max_idle, last_limit, clients, changed }
    }

    /// Returns a slot. While a client makes a connection, only its first request goes on at once, and the others wait for
    /// `max_wait` at most: otherwise each of them would open a connection.
    pub(in crate::upstream) async fn acquire(&self, max_wait: Duration) -> StreamSlot {
        // Outside of the future, so that a slot is kept at the end of the time.
        let mut slot = self.try_acquire();
        if let Some(usable) = slot.take_if(|held| !held.exceeds_limit() && held.is_usable()) {
            return usable;
        }
        let is_in_time = timeout(max_wait, self.wait_for_stream(&mut slot)).await.is_ok();
        if !is_in_time {
            self.lock().iter().for_each(|client| client.limit.settle());
        }
        slot.or_else(|| self.try_acquire()).unwrap_or_else(|| self.slot(&self.new_client()))
    }

    /// Waits for a slot on a client that has a connection, or makes the first request on a client without one.
    async fn wait_for_stream(&self, slot: &mut Option<StreamSlot>) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let held = match slot.take() {
                Some(held) => Some(held),
                None => self.try_acquire(),
            };
            if let Some(held) = held {
                if held.exceeds_limit() {
                    drop(held);
                    continue;
                }
                let is_usable = held.is_usable();
                *slot = Some(held);
                if is_usable {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Returns a slot, or `None` if the limit of the first connection is not known yet.
    fn try_acquire(&self) -> Option<StreamSlot> {
        let mut clients = self.lock();
        for client in &*clients {
            let open = client.open_streams.load(Relaxed);
            match client.limit.get() {
                Some(max) if open >= max => {}
                None if open > 0 => return None,
                Some(_) | None => return Some(self.slot(client)),
            }
        }
        if clients.len() >= self.max_idle.max(1)
            && let Some(client) = clients.iter().min_by_key(|client| client.open_streams.load(Relaxed))
        {
            return Some(self.slot(client));
        }
        let client = self.new_client();
        clients.push(Arc::clone(&client));
        Some(self.slot(&client))
    }

    fn new_client(&self) -> Arc<PooledClient> {
        let limit = Arc::new(StreamLimit::new(&self.last_limit, &self.changed));
        let connector = self.connector.clone().with_limit(Arc::clone(&limit));
        let client = build_client(connector, self.max_idle);
        Arc::new(PooledClient { client, limit, open_streams: AtomicUsize::new(0) })
    }

    fn slot(&self, client: &Arc<PooledClient>) -> StreamSlot {
        let is_first = client.open_streams.fetch_add(1, Relaxed) == 0;
        StreamSlot { client: Arc::clone(client), is_first, changed: Arc::clone(&self.changed) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<PooledClient>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSlot {
    /// Returns whether the client has more open streams than its new connection allows, which are fewer than on the last one.
    fn exceeds_limit(&self) -> bool {
        let limit = &self.client.limit;
        limit.is_settled() && self.client.open_streams.load(Relaxed) > limit.get().unwrap_or(usize::MAX)
    }

    /// Returns whether a request may use the slot at once.
    fn is_usable(&self) -> bool {
        self.is_first || self.client.limit.is_settled()
    }
}

impl Deref for StreamSlot {
    type Target = HttpClient;

    fn deref(&self) -> &HttpClient {
        &self.client.client
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.client.open_streams.fetch_sub(1, Relaxed);
        if self.is_first {
            // If the request failed before its connection announced a limit, the others do not wait any longer.
            self.client.limit.settle();
        }
        self.changed.notify_waiters();
    }
}
