//! Eviction of connections for a listener that refuses no peer: at a limit a new connection replaces an open one.
//!
//! At the limit of an address the new connection replaces one of the same address. At the limit of the listener it
//! replaces one of the address with the most connections. So one address blocks neither other addresses nor itself,
//! whatever event its connections wait for. A new connection has a short time to send its request and to receive the response
//! before it may be evicted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

use super::ServerLimits;
use super::connection::state::{ConnState, WaitingFor};
use crate::support::client_subnet::ClientSubnet;

/// The open connections of one listener, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(super) struct ConnEvictor(Vec<TrackedConnection>);

#[derive(Debug)]
struct TrackedConnection {
    address: ClientSubnet,
    conn_state: Arc<ConnState>,
    task: AbortHandle,
    accepted: Instant,
    /// The value at the last observation, and the time of its first observation.
    waiting_for: WaitingFor,
    since: Instant,
}

/// Priority of a connection for eviction. The oldest connection of the first priority is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EvictionPriority {
    /// The peer takes no bytes of a response.
    Stalled,
    /// The connection has no open request.
    Idle,
    /// A response is being written.
    Writing,
    /// The service processes a request.
    Busy,
    /// The connection was accepted within [`EVICTION_GRACE`]. Its request may not have been read yet.
    New,
}

impl TrackedConnection {
    /// Updates the observed state. Two equal values mean that the connection made no progress in between.
    fn observe(&mut self, now: Instant) {
        let waiting_for = self.conn_state.waiting_for();
        if waiting_for != self.waiting_for {
            (self.waiting_for, self.since) = (waiting_for, now);
        }
    }

    fn priority(&self, now: Instant) -> EvictionPriority {
        if now - self.accepted < EVICTION_GRACE {
            return EvictionPriority::New;
        }
        match self.waiting_for {
            WaitingFor::Socket(_) | WaitingFor::ResponseWrite(..) if now - self.since >= EVICTION_GRACE => {
                EvictionPriority::Stalled
            }
            WaitingFor::Socket(_) | WaitingFor::ResponseWrite(..) => EvictionPriority::Writing,
            WaitingFor::Service => EvictionPriority::Busy,
            WaitingFor::FirstRequest | WaitingFor::RequestHead(_) | WaitingFor::NextRequest(_) => {
                EvictionPriority::Idle
            }
        }
    }
}

impl ConnEvictor {
    /// Evicts one connection if a new connection of `peer` would exceed a limit.
    pub(super) fn make_room(&mut self, peer: IpAddr, limits: &ServerLimits) {
        let (address, now) = (ClientSubnet::of(peer), Instant::now());
        self.0.iter_mut().for_each(|connection| connection.observe(now));
        let mut counts = HashMap::<_, usize>::new();
        for connection in &self.0 {
            *counts.entry(connection.address).or_default() += 1;
        }
        if counts.get(&address).is_some_and(|count| *count >= limits.connections_per_address) {
            self.evict_one_of(address, now);
        } else if self.0.len() >= limits.connections
            && let Some((largest, _)) = counts.into_iter().max_by_key(|(_, count)| *count)
        {
            self.evict_one_of(largest, now);
        }
    }

    /// Adds a connection that `task` serves.
    pub(super) fn add(&mut self, peer: IpAddr, conn_state: Arc<ConnState>, task: AbortHandle) {
        let (waiting_for, now) = (conn_state.waiting_for(), Instant::now());
        let address = ClientSubnet::of(peer);
        self.0.push(TrackedConnection { address, conn_state, task, accepted: now, waiting_for, since: now });
    }

    /// Removes a connection whose task has ended.
    pub(super) fn remove(&mut self, task: Id) {
        self.0.retain(|connection| connection.task.id() != task);
    }

    /// Evicts the oldest connection of the first priority.
    fn evict_one_of(&mut self, address: ClientSubnet, now: Instant) {
        let candidates = self.0.iter().enumerate().filter(|(_, connection)| connection.address == address);
        if let Some((position, _)) = candidates.min_by_key(|(_, connection)| connection.priority(now)) {
            self.0.remove(position).task.abort();
        }
    }
}

/// Time in which a probe is answered, with a reserve; and time without progress after which a write counts as stalled.
const EVICTION_GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinSet;

    use super::*;
    use crate::server::connection::preflight::Protocol;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    struct Listener {
        evictor: ConnEvictor,
        tasks: JoinSet<()>,
        limits: ServerLimits,
    }

    impl Listener {
        fn new(connections: usize, connections_per_address: usize) -> Self {
            let limits = ServerLimits { connections, connections_per_address, ..ServerLimits::default() };
            Self { evictor: ConnEvictor::default(), tasks: JoinSet::new(), limits }
        }

        /// Admits a connection. Returns its task.
        fn admit(&mut self, peer: IpAddr, conn_state: &Arc<ConnState>) -> Id {
            self.evictor.make_room(peer, &self.limits);
            let task = self.tasks.spawn(pending());
            let id = task.id();
            self.evictor.add(peer, Arc::clone(conn_state), task);
            id
        }

        /// Returns the task of the connection that was evicted.
        async fn evicted(&mut self) -> Id {
            self.tasks.join_next().await.unwrap().unwrap_err().id()
        }
    }

    async fn advance(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_not_evicted_before_its_request_is_read() {
        let mut listener = Listener::new(10, 3);
        let (idle, busy) = (Arc::new(ConnState::default()), Arc::new(ConnState::default()));
        let request = busy.begin_request();
        let oldest = listener.admit(A, &busy);
        let second = listener.admit(A, &busy);
        advance(EVICTION_GRACE).await;
        let probe = listener.admit(A, &idle);
        listener.admit(A, &busy);
        assert_eq!(listener.evicted().await, oldest, "the probe is new");
        listener.admit(A, &busy);
        assert_eq!(listener.evicted().await, second);
        listener.admit(A, &busy);
        assert_eq!(listener.evicted().await, probe, "all are new");
        drop(request);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_write_makes_no_progress_is_evicted_first() {
        let mut listener = Listener::new(10, 3);
        let [idle, stalled, slow] = std::array::from_fn(|_| Arc::new(ConnState::default()));
        stalled.set_blocked(true);
        slow.set_blocked(true);
        let first = listener.admit(A, &idle);
        let second = listener.admit(A, &slow);
        let third = listener.admit(A, &stalled);
        advance(EVICTION_GRACE).await;
        slow.record_sent(1 << 20);
        listener.admit(A, &idle);
        assert_eq!(listener.evicted().await, third, "the stalled one has made no progress");
        advance(EVICTION_GRACE / 2).await;
        listener.admit(A, &idle);
        assert_eq!(listener.evicted().await, first, "the slow one has made progress");
        advance(EVICTION_GRACE / 2).await;
        listener.admit(A, &idle);
        assert_eq!(listener.evicted().await, second, "the slow one makes no progress any more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_at_its_limit_evicts_its_own_oldest_connection_that_is_not_busy() {
        let mut listener = Listener::new(10, 2);
        let (idle, busy) = (Arc::new(ConnState::default()), Arc::new(ConnState::default()));
        busy.record_received(Protocol::Http1);
        let request = busy.begin_request();
        listener.admit(B, &idle);
        let oldest = listener.admit(A, &busy);
        let second = listener.admit(A, &idle);
        advance(EVICTION_GRACE).await;
        listener.admit(A, &busy);
        assert_eq!(listener.evicted().await, second, "the first is busy");
        listener.admit(A, &busy);
        assert_eq!(listener.evicted().await, oldest, "all are busy");
        assert_eq!(listener.evictor.0.len(), 3);
        drop(request);
    }

    #[tokio::test]
    async fn at_the_limit_of_the_listener_the_address_with_the_most_connections_loses_one() {
        let mut listener = Listener::new(3, 3);
        let idle = Arc::new(ConnState::default());
        let lone = listener.admit(B, &idle);
        let first = listener.admit(A, &idle);
        listener.admit(A, &idle);
        listener.admit("10.0.0.3".parse().unwrap(), &idle);
        assert_eq!(listener.evicted().await, first);
        listener.evictor.remove(lone);
        assert_eq!(listener.evictor.0.len(), 2);
    }
}
