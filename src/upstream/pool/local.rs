//! Connections of one runtime, and the streams that are open on each.

use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::PoolConnector;
use super::connections::Connections;
use crate::upstream::stream_limit::{LastStreamLimit, StreamLimit};

/// Connections of one runtime, in sets that each have at most one HTTP/2 connection. The first has all HTTP/1.1 connections.
///
/// A request uses the first set whose connection has a free stream, and a new set if there is none. Requests to Graph hold a
/// permit, so that there are no more connections than permits.
#[derive(Debug)]
pub(in crate::upstream) struct LocalPool {
    connector: PoolConnector,
    max_idle: usize,
    last_limit: Arc<LastStreamLimit>,
    sets: Mutex<Vec<Arc<Connections>>>,
    /// Notified when a stream of a limited number ends, and when a limit changes.
    changed: Arc<Notify>,
}

/// Right to one stream on a set of connections. Its drop frees the stream.
#[derive(Debug)]
pub(in crate::upstream) struct StreamSlot {
    connections: Arc<Connections>,
    /// The set had no open stream before.
    is_first: bool,
}

impl LocalPool {
    /// Creates a pool without connections.
    pub(super) fn new(connector: PoolConnector, max_idle: usize, last_limit: Arc<LastStreamLimit>) -> Self {
        let (sets, changed) = Default::default();
        Self { connector, max_idle, last_limit, sets, changed }
    }

    /// Returns a slot. While a set makes its first connection, only the first request goes on at once, and the others wait
    /// for `max_wait` at most: otherwise each of them would open a connection.
    pub(in crate::upstream) async fn acquire(&self, max_wait: Duration) -> StreamSlot {
        // Outside of the future, so that a slot is kept at the end of the time.
        let mut slot = self.try_acquire();
        if let Some(usable) = slot.take_if(|held| !held.exceeds_limit() && held.is_usable()) {
            return usable;
        }
        let is_in_time = timeout(max_wait, self.wait_for_stream(&mut slot)).await.is_ok();
        if !is_in_time {
            self.lock().iter().for_each(|set| set.limit.settle());
        }
        slot.or_else(|| self.try_acquire()).unwrap_or_else(|| StreamSlot::new(&self.new_set()))
    }

    /// Waits for a slot on a set that has a connection, or makes the first request on a set without one.
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
        let mut sets = self.lock();
        for set in &*sets {
            let open = set.open_streams.load(Relaxed);
            match set.limit.get() {
                Some(max) if open >= max => {}
                None if open > 0 => return None,
                Some(_) | None => return Some(StreamSlot::new(set)),
            }
        }
        if sets.len() >= self.max_idle.max(1)
            && let Some(set) = sets.iter().min_by_key(|set| set.open_streams.load(Relaxed))
        {
            return Some(StreamSlot::new(set));
        }
        let set = self.new_set();
        sets.push(Arc::clone(&set));
        Some(StreamSlot::new(&set))
    }

    fn new_set(&self) -> Arc<Connections> {
        let limit = Arc::new(StreamLimit::new(&self.last_limit, &self.changed));
        Arc::new(Connections::new(self.connector.clone(), self.max_idle, limit))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connections>>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamSlot {
    fn new(connections: &Arc<Connections>) -> Self {
        let is_first = connections.open_streams.fetch_add(1, Relaxed) == 0;
        Self { connections: Arc::clone(connections), is_first }
    }

    /// Returns the connections that have the stream.
    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Returns whether the set has more open streams than its new connection allows, which are fewer than on the last one.
    fn exceeds_limit(&self) -> bool {
        let limit = &self.connections.limit;
        limit.is_settled() && self.connections.open_streams.load(Relaxed) > limit.get().unwrap_or(usize::MAX)
    }

    /// Returns whether a request may use the slot at once.
    fn is_usable(&self) -> bool {
        self.is_first || self.connections.limit.is_settled()
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.connections.open_streams.fetch_sub(1, Relaxed);
        self.connections.limit.record_stream_end(self.is_first);
    }
}
