//! Open connections of a listener that refuses no peer: at a limit a new connection replaces an old one.
//!
//! An address at its limit replaces a connection of its own; at the limit of the listener the address with the most
//! connections loses one. So one address blocks neither the others nor itself, whatever its connections wait for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::{AbortHandle, Id};

use super::Limits;
use super::pulse::{Phase, Pulse};
use crate::network::network;

/// The connections of one listener, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(super) struct ReplacedConnections(Vec<Open>);

#[derive(Debug)]
struct Open {
    address: IpAddr,
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

impl ReplacedConnections {
    /// Ends one connection where `peer` would otherwise exceed a limit.
    pub(super) fn make_room(&mut self, peer: IpAddr, limits: &Limits) {
        let address = network(peer);
        let mut counts = HashMap::<_, usize>::new();
        for open in &self.0 {
            *counts.entry(open.address).or_default() += 1;
        }
        if counts.get(&address).is_some_and(|count| *count >= limits.connections_per_address) {
            self.end_oldest_of(address);
        } else if self.0.len() >= limits.connections
            && let Some((largest, _)) = counts.into_iter().max_by_key(|(_, count)| *count)
        {
            self.end_oldest_of(largest);
        }
    }

    /// Adds a connection that `task` serves.
    pub(super) fn add(&mut self, peer: IpAddr, pulse: Arc<Pulse>, task: AbortHandle) {
        self.0.push(Open { address: network(peer), pulse, task });
    }

    /// Removes a connection whose task has ended.
    pub(super) fn remove(&mut self, task: Id) {
        self.0.retain(|open| open.task.id() != task);
    }

    /// The oldest that is not being answered, or else the oldest.
    fn end_oldest_of(&mut self, address: IpAddr) {
        let of_address = |open: &Open| open.address == address;
        let is_idle = |open: &Open| of_address(open) && open.pulse.phase() != Phase::Busy;
        let oldest = self.0.iter().position(is_idle).or_else(|| self.0.iter().position(of_address));
        if let Some(oldest) = oldest {
            self.0.remove(oldest).task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinSet;

    use super::super::wire::Protocol;
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    struct Listener {
        open: ReplacedConnections,
        tasks: JoinSet<()>,
        limits: Limits,
    }

    impl Listener {
        fn new(connections: usize, connections_per_address: usize) -> Self {
            let limits = Limits { connections, connections_per_address, ..Limits::default() };
            Self { open: ReplacedConnections::default(), tasks: JoinSet::new(), limits }
        }

        /// Admits a connection. Returns its task.
        fn admit(&mut self, peer: IpAddr, pulse: &Arc<Pulse>) -> Id {
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

    #[tokio::test]
    async fn an_address_at_its_limit_replaces_its_own_oldest_connection_that_is_not_busy() {
        let mut listener = Listener::new(10, 2);
        let (idle, busy) = (Arc::new(Pulse::default()), Arc::new(Pulse::default()));
        busy.bytes_came(Protocol::Http1);
        let request = busy.begin();
        listener.admit(B, &idle);
        let oldest = listener.admit(A, &busy);
        let second = listener.admit(A, &idle);
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
        let idle = Arc::new(Pulse::default());
        let lone = listener.admit(B, &idle);
        let first = listener.admit(A, &idle);
        listener.admit(A, &idle);
        listener.admit("10.0.0.3".parse().unwrap(), &idle);
        assert_eq!(listener.ended().await, first);
        listener.open.remove(lone);
        assert_eq!(listener.open.0.len(), 2);
    }
}
