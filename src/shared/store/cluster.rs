//! Nodes of a cluster and their slots.
//!
//! Each master is a [`Node`] with a breaker of its own, so a lost node costs only its slots. The slots are read every few
//! seconds, and at once after an error that says they moved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::cmd;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::dialer::{DialError, Dialer};
use super::fault::Fault;
use super::location::Location;
use super::node::Node;
use super::slots::{SlotRange, parse_slots};
use crate::shared::config::Address;

/// Nodes of a cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    seeds: Vec<Address>,
    dialer: Dialer,
    slots: ArcSwap<Vec<(SlotRange, Arc<Node>)>>,
    refresh: Notify,
    fault: Mutex<Option<Fault>>,
}

/// Nodes with their tasks.
type Nodes = HashMap<Address, (Arc<Node>, AbortOnDropHandle<()>)>;

impl Cluster {
    pub(super) fn new(seeds: Vec<Address>, dialer: Dialer) -> Self {
        let slots = ArcSwap::from_pointee(Vec::new());
        Self { seeds, dialer, slots, refresh: Notify::new(), fault: Mutex::default() }
    }

    /// Returns the master of a slot.
    pub(super) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        let slots = self.slots.load();
        let found = slots.iter().find(|(range, _)| (range.first..=range.last).contains(&slot));
        found.map(|(_, node)| Arc::clone(node))
    }

    /// Returns the last failure to read the slots.
    pub(super) fn last_fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the slots read again soon.
    pub(super) fn request_refresh(&self) {
        self.refresh.notify_one();
    }

    /// Reads the slots, and keeps a connection to each master. Never returns.
    pub(super) async fn run(&self) {
        let mut nodes = Nodes::new();
        loop {
            match self.read_slots(&nodes).await {
                Ok(ranges) => {
                    self.set_fault(None);
                    self.apply(ranges, &mut nodes);
                }
                Err(DialError { fault, reason }) => {
                    if self.set_fault(Some(fault)) != Some(fault) {
                        tracing::warn!(%reason, "the slots of the shared tier's cluster cannot be read");
                    }
                }
            }
            let interval = if nodes.is_empty() { RETRY_INTERVAL } else { REFRESH_INTERVAL };
            let _ = timeout(interval, self.refresh.notified()).await;
            tokio::time::sleep(MIN_INTERVAL).await;
        }
    }

    /// Asks the known nodes and the seeds in turn.
    async fn read_slots(&self, nodes: &Nodes) -> Result<Vec<SlotRange>, DialError> {
        let mut last = DialError { fault: Fault::Connect, reason: "no node is configured".to_owned() };
        let usable = nodes.iter().filter(|(_, (node, _))| node.is_usable()).map(|(address, _)| address);
        for address in usable.chain(&self.seeds) {
            match self.ask(address).await {
                Ok(ranges) => return Ok(ranges),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask(&self, address: &Address) -> Result<Vec<SlotRange>, DialError> {
        let connection = self.dialer.connect(address).await?;
        let failed = |fault, reason| DialError { fault, reason: format!("{address}: {reason}") };
        let mut command = cmd("CLUSTER");
        command.arg("SLOTS");
        let reply = connection.send(&command, QUERY_TIMEOUT).await;
        let reply = reply.map_err(|fault| failed(fault, format!("CLUSTER SLOTS failed: {fault:?}")))?;
        let ranges = parse_slots(reply, address).filter(|ranges| !ranges.is_empty());
        ranges.ok_or_else(|| failed(Fault::Busy, "the node has no slots".to_owned()))
    }

    /// Starts nodes that are new, and drops those without slots.
    fn apply(&self, ranges: Vec<SlotRange>, nodes: &mut Nodes) {
        nodes.retain(|address, _| ranges.iter().any(|range| range.master == *address));
        let slots = ranges.into_iter().map(|range| {
            let (node, _task) = nodes.entry(range.master.clone()).or_insert_with(|| {
                let location = Location::Fixed(range.master.clone());
                let node = Arc::new(Node::new(location, self.dialer.clone()));
                let own = Arc::clone(&node);
                let task = tokio::spawn(async move { own.run().await });
                (node, AbortOnDropHandle::new(task))
            });
            let node = Arc::clone(node);
            (range, node)
        });
        self.slots.store(Arc::new(slots.collect()));
    }

    fn set_fault(&self, fault: Option<Fault>) -> Option<Fault> {
        std::mem::replace(&mut *self.fault.lock().unwrap_or_else(PoisonError::into_inner), fault)
    }
}

const QUERY_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two reads of the slots without a request for it.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two reads while no node is known.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two reads: during a failover many operations request them.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
