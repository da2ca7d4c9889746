//! Open connections of a listener that refuses no peer: at a limit a new connection replaces an old one.
//!
//! An address at its limit replaces a connection of its own; at the limit of the listener the address with the most
//! connections loses one. So one address blocks neither the others nor itself, whatever its connections wait for.
//! A new connection has a short time to send its request and to receive the response before it may be replaced.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

use super::ServerLimits;
use super::connection::state::{ConnState, WaitingFor};
use crate::support::client_subnet::client_subnet;

/// The connections of one listener, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(super) struct ReplacedConnections(Vec<Open>);

#[derive(Debug)]
struct Open {
    address: IpAddr,
    pulse: Arc<ConnState>,
    task: AbortHandle,
    accepted: Instant,
    /// Last phase that was seen, and when it was seen first.
    phase: WaitingFor,
    since: Instant,
}

/// Classes of connections. The first class with a connection loses its oldest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// The peer takes no bytes of a response.
    Stalled,
    /// No request is under way.
    Idle,
    /// A response is being written.
    Writing,
    /// A request is being answered.
    Busy,
    /// Accepted a moment ago. What the connection is for may not have been read yet.
    New,
}

impl Open {
    /// Registers the phase. Two equal phases mean that nothing moved in between.
    fn observe(&mut self, now: Instant) {
        let phase = self.pulse.phase();
        if phase != self.phase {
            (self.phase, self.since) = (phase, now);
        }
    }

    fn class(&self, now: Instant) -> Class {
        if now - self.accepted < GRACE {
            return Class::New;
        }
        match self.phase {
            WaitingFor::Blocked(_) | WaitingFor::Unsent(..) if now - self.since >= GRACE => Class::Stalled,
            WaitingFor::Blocked(_) | WaitingFor::Unsent(..) => Class::Writing,
            WaitingFor::Busy => Class::Busy,
            WaitingFor::Opening | WaitingFor::Head(_) | WaitingFor::Idle(_) => Class::Idle,
        }
    }
}

impl ReplacedConnections {
    /// Ends one connection where `peer` would otherwise exceed a limit.
    pub(super) fn make_room(&mut self, peer: IpAddr, limits: &ServerLimits) {
        let (address, now) = (client_subnet(peer), Instant::now());
        self.0.iter_mut().for_each(|open| open.observe(now));
        let mut counts = HashMap::<_, usize>::new();
        for open in &self.0 {
            *counts.entry(open.address).or_default() += 1;
        }
        if counts.get(&address).is_some_and(|count| *count >= limits.connections_per_address) {
            self.end_one_of(address, now);
        } else if self.0.len() >= limits.connections
            && let Some((largest, _)) = counts.into_iter().max_by_key(|(_, count)| *count)
        {
            self.end_one_of(largest, now);
        }
    }

    /// Adds a connection that `task` serves.
    pub(super) fn add(&mut self, peer: IpAddr, pulse: Arc<ConnState>, task: AbortHandle) {
        let (phase, now) = (pulse.phase(), Instant::now());
        self.0.push(Open { address: client_subnet(peer), pulse, task, accepted: now, phase, since: now });
    }

    /// Removes a connection whose task has ended.
    pub(super) fn remove(&mut self, task: Id) {
        self.0.retain(|open| open.task.id() != task);
    }

    /// Ends the oldest connection of the first class.
    fn end_one_of(&mut self, address: IpAddr, now: Instant) {
        let of_address = self.0.iter().enumerate().filter(|(_, open)| open.address == address);
        if let Some((position, _)) = of_address.min_by_key(|(_, open)| open.class(now)) {
            self.0.remove(position).task.abort();
        }
    }
}

/// Time that a probe needs to be answered, with a reserve; and time without progress after which a write is stalled.
const GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinSet;

    use super::super::connection::preflight::Protocol;
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    struct Listener {
        open: ReplacedConnections,
        tasks: JoinSet<()>,
        limits: ServerLimits,
    }

    impl Listener {
        fn new(connections: usize, connections_per_address: usize) -> Self {
            let limits = ServerLimits { connections, connections_per_address, ..ServerLimits::default() };
            Self { open: ReplacedConnections::default(), tasks: JoinSet::new(), limits }
        }

        /// Admits a connection. Returns its task.
        fn admit(&mut self, peer: IpAddr, pulse: &Arc<ConnState>) -> Id {
            self.open.make_room(peer, &self.limits);
            let task = self.tasks.spawn(pending());
            let id = task.id();
            self.open.add(peer, Arc::clone(pulse), task);
            id
        }

        /// The connection that was ended.
        async fn ended(&mut self) -> Id {
            self.tasks.join_next().await.unwrap().unwrap_err().id()
        }
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_not_replaced_before_its_request_is_read() {
        let mut listener = Listener::new(10, 3);
        let (idle, busy) = (Arc::new(ConnState::default()), Arc::new(ConnState::default()));
        let request = busy.begin();
        let oldest = listener.admit(A, &busy);
        let second = listener.admit(A, &busy);
        pass(GRACE).await;
        let probe = listener.admit(A, &idle);
        listener.admit(A, &busy);
        assert_eq!(listener.ended().await, oldest, "the probe is new");
        listener.admit(A, &busy);
        assert_eq!(listener.ended().await, second);
        listener.admit(A, &busy);
        assert_eq!(listener.ended().await, probe, "all are new");
        drop(request);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_write_makes_no_progress_is_replaced_first() {
        let mut listener = Listener::new(10, 3);
        let [idle, stalled, slow] = std::array::from_fn(|_| Arc::new(ConnState::default()));
        stalled.set_blocked(true);
        slow.set_blocked(true);
        let first = listener.admit(A, &idle);
        let second = listener.admit(A, &slow);
        let third = listener.admit(A, &stalled);
        pass(GRACE).await;
        slow.record_sent(1 << 20);
        listener.admit(A, &idle);
        assert_eq!(listener.ended().await, third, "it has made no progress");
        pass(GRACE / 2).await;
        listener.admit(A, &idle);
        assert_eq!(listener.ended().await, first, "the slow one has made progress");
        pass(GRACE / 2).await;
        listener.admit(A, &idle);
        assert_eq!(listener.ended().await, second, "it has stopped");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_at_its_limit_replaces_its_own_oldest_connection_that_is_not_busy() {
        let mut listener = Listener::new(10, 2);
        let (idle, busy) = (Arc::new(ConnState::default()), Arc::new(ConnState::default()));
        busy.record_received(Protocol::Http1);
        let request = busy.begin();
        listener.admit(B, &idle);
        let oldest = listener.admit(A, &busy);
        let second = listener.admit(A, &idle);
        pass(GRACE).await;
        listener.admit(A, &busy);
        assert_eq!(listener.ended().await, second, "the first is busy");
        listener.admit(A, &busy);
        assert_eq!(listener.ended().await, oldest, "all are busy");
        assert_eq!(listener.open.0.len(), 3);
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
        assert_eq!(listener.ended().await, first);
        listener.open.remove(lone);
        assert_eq!(listener.open.0.len(), 2);
    }
}
