//! The store: connections to one server, to the master that Sentinels name, or to the nodes of a cluster.
//!
//! Each node has one multiplexed connection, one circuit breaker and one task. The task connects, sends probes and connects
//! again with backoff and jitter. A request uses what is there, within its deadline; a failure is a miss. The tier does not use
//! the cluster client of the library: that client has no breaker for each node, and builds TLS anew for each connection.

mod backoff;
mod bounded_stream;
mod breaker;
mod cluster;
mod dialer;
mod fault;
mod frames;
mod location;
mod node;
mod slots;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

pub(super) use self::backoff::{Backoff, random};
use self::cluster::Cluster;
pub(super) use self::dialer::{Connection, DialError, Dialer};
pub(super) use self::fault::Fault;
use self::location::Location;
use self::node::Node;
use self::slots::slot_of;
pub(super) use self::tls::TlsError;
use super::config::{Endpoint, Topology};

/// Connections of the process. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Store(Arc<Servers>);

#[derive(Debug)]
enum Servers {
    One(Arc<Node>),
    Cluster(Cluster),
}

/// Condition of the connections, for the state of the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Connected,
    Open,
    /// No connection, with the last failure.
    Disconnected(Option<Fault>),
}

/// Opens a connection to the server, to the master that a Sentinel names, or to the first node of a cluster that responds.
pub(super) async fn probe_connection(endpoint: &Endpoint, dialer: &Dialer) -> Result<Connection, DialError> {
    let addresses = endpoint.addresses.clone();
    let locations = match &endpoint.topology {
        Topology::Single(_) => vec![Location::fixed(addresses)],
        Topology::Sentinel(master) => vec![Location::sentinels(addresses, master.clone(), dialer)],
        Topology::Cluster => addresses.into_iter().map(Location::Fixed).collect(),
    };
    let mut last = DialError { fault: Fault::Connect, reason: "no address is configured".to_owned() };
    for location in locations {
        match Node::new(location, dialer.clone()).dial().await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Store {
    /// Creates the store without a connection. [`Self::run`] connects.
    pub(super) fn new(endpoint: &Endpoint, dialer: &Dialer) -> Self {
        let addresses = endpoint.addresses.clone();
        let one = |location| Servers::One(Arc::new(Node::new(location, dialer.clone())));
        Self(Arc::new(match &endpoint.topology {
            Topology::Single(_) => one(Location::fixed(addresses)),
            Topology::Sentinel(master) => one(Location::sentinels(addresses, master.clone(), dialer)),
            Topology::Cluster => Servers::Cluster(Cluster::new(addresses, dialer.clone())),
        }))
    }

    /// Keeps the connections. Never returns.
    pub(super) async fn run(&self) {
        match &*self.0 {
            Servers::One(node) => node.run().await,
            Servers::Cluster(cluster) => cluster.run().await,
        }
    }

    /// Opens a connection of its own to the server that has a key.
    pub(super) async fn dial(&self, key: &str) -> Result<Connection, DialError> {
        let unknown =
            || DialError { fault: Fault::Unavailable, reason: "no node has the slot of the log".to_owned() };
        self.node(key).ok_or_else(unknown)?.dial().await
    }

    /// Returns the number of the connection for a key; 0 before the first one.
    pub(super) fn epoch(&self, key: &str) -> u64 {
        self.node(key).map_or(0, |node| node.epoch())
    }

    /// Returns the smoothed round trip to the server that has a key; `None` without a connection.
    pub(super) fn round_trip(&self, key: &str) -> Option<Duration> {
        self.node(key)?.round_trip()
    }

    /// Returns whether an operation on a key would be tried.
    pub(super) fn is_usable(&self, key: &str) -> bool {
        self.node(key).is_some_and(|node| node.is_usable())
    }

    /// Sends a command for a key.
    pub(super) async fn send(&self, key: &str, command: &Cmd, within: Duration) -> Result<Value, Fault> {
        let node = self.node(key).ok_or(Fault::Unavailable)?;
        let result = node.send(command, within).await;
        self.record(result.as_ref().err().copied());
        result
    }

    /// Sends commands for keys of one slot in one write. Fails with the first failure.
    pub(super) async fn send_all(
        &self,
        key: &str,
        commands: &Pipeline,
        within: Duration,
    ) -> Result<(), Fault> {
        let node = self.node(key).ok_or(Fault::Unavailable)?;
        let result = node.send_all(commands, within).await;
        self.record(result.err());
        result
    }

    /// Returns the condition of the connection for a key.
    pub(super) fn condition(&self, key: &str) -> Condition {
        match (self.node(key), &*self.0) {
            (Some(node), _) => node.condition(),
            (None, Servers::Cluster(cluster)) => Condition::Disconnected(cluster.last_fault()),
            (None, Servers::One(_)) => Condition::Disconnected(None),
        }
    }

    fn node(&self, key: &str) -> Option<Arc<Node>> {
        match &*self.0 {
            Servers::One(node) => Some(Arc::clone(node)),
            Servers::Cluster(cluster) => cluster.node(slot_of(key.as_bytes())),
        }
    }

    /// Asks for the slots of the cluster again if a failure says that they moved.
    fn record(&self, fault: Option<Fault>) {
        if let (Servers::Cluster(cluster), Some(Fault::Busy | Fault::ReadOnly | Fault::Connection)) =
            (&*self.0, fault)
        {
            cluster.request_refresh();
        }
    }
}
