//! One server of the store: connection, circuit breaker, and the task that keeps both.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::Condition;
use super::backoff::{Backoff, random};
use super::breaker::Breaker;
use super::dialer::{Connection, DialError, Dialer};
use super::fault::Fault;
use super::location::Location;
use crate::shared::config::Address;

/// One server.
#[derive(Debug)]
pub(super) struct Node {
    location: Location,
    dialer: Dialer,
    connection: ArcSwapOption<Connection>,
    breaker: Breaker,
    /// Last failure to connect.
    fault: Mutex<Option<Fault>>,
    /// The connection failed, or the server is no master any more.
    is_lost: AtomicBool,
    wake: Notify,
    /// Random number of the connection. The reader of the log follows a change of the master by it.
    epoch: AtomicU64,
    /// Smoothed round trip of the probes, microseconds; 0 before the first one.
    round_trip: AtomicU64,
}

impl Node {
    pub(super) fn new(location: Location, dialer: Dialer) -> Self {
        Self {
            location,
            dialer,
            connection: ArcSwapOption::empty(),
            breaker: Breaker::default(),
            fault: Mutex::default(),
            is_lost: AtomicBool::new(false),
            wake: Notify::new(),
            epoch: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        !self.breaker.is_open() && self.connection.load().is_some()
    }

    /// Returns the number of the connection; 0 before the first one.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// Returns the smoothed round trip of the probes; `None` without a connection.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let micros = self.round_trip.load(Relaxed);
        (micros > 0 && self.connection.load().is_some()).then(|| Duration::from_micros(micros))
    }

    /// Adds a probe to the smoothed round trip, as TCP does (RFC 6298, section 2). Only the task of the node calls it.
    fn record_round_trip(&self, probe: Duration) {
        let micros = u64::try_from(probe.as_micros()).unwrap_or(u64::MAX).max(1);
        let smoothed = match self.round_trip.load(Relaxed) {
            0 => micros,
            before => (before.saturating_mul(7).saturating_add(micros) / 8).max(1),
        };
        self.round_trip.store(smoothed, Relaxed);
    }

    pub(super) fn condition(&self) -> Condition {
        let fault = || *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match self.connection.load().is_some() {
            false => Condition::Disconnected(fault()),
            true if self.breaker.is_open() => Condition::Open,
            true => Condition::Connected,
        }
    }

    /// Sends a command, unless the breaker is open.
    pub(super) async fn send(&self, command: &Cmd, within: Duration) -> Result<Value, Fault> {
        let connection = self.usable_connection()?;
        let result = connection.send(command, within).await;
        self.record(result.as_ref().err().copied());
        result
    }

    /// Sends commands in one write, unless the breaker is open.
    pub(super) async fn send_all(&self, commands: &Pipeline, within: Duration) -> Result<(), Fault> {
        let connection = self.usable_connection()?;
        let result = connection.send_all(commands, within).await;
        let result = result.and_then(|replies| replies.into_iter().try_for_each(|reply| reply.map(drop)));
        self.record(result.err());
        result
    }

    /// Opens a connection of its own.
    pub(super) async fn dial(&self) -> Result<Connection, DialError> {
        self.connect().await.map(|(connection, _)| connection)
    }

    fn usable_connection(&self) -> Result<Arc<Connection>, Fault> {
        let connection = self.connection.load_full().filter(|_| !self.breaker.is_open());
        connection.ok_or(Fault::Unavailable)
    }

    fn record(&self, fault: Option<Fault>) {
        let Some(fault) = fault else { return self.breaker.record_success() };
        if fault.trips_breaker() && self.breaker.record_failure() {
            self.wake.notify_one();
        }
        let is_lost = match fault {
            Fault::Connection => true,
            Fault::ReadOnly => self.location.is_dynamic(),
            _ => false,
        };
        if is_lost && !self.is_lost.swap(true, Relaxed) {
            self.wake.notify_one();
        }
    }

    /// Keeps the connection. Never returns.
    pub(super) async fn run(&self) {
        let mut backoff = Backoff::new();
        loop {
            match self.connect().await {
                Ok((connection, address)) => {
                    let connected_at = Instant::now();
                    self.is_lost.store(false, Relaxed);
                    self.round_trip.store(0, Relaxed);
                    self.set_fault(None);
                    self.breaker.close();
                    self.epoch.store(random(), Relaxed);
                    self.connection.store(Some(Arc::new(connection.clone())));
                    self.watch(&connection, &address).await;
                    self.connection.store(None);
                    if connected_at.elapsed() > STABLE_AFTER {
                        backoff = Backoff::new();
                    }
                }
                Err(DialError { fault, reason }) => {
                    if self.set_fault(Some(fault)) != Some(fault) {
                        tracing::warn!(%reason, "the store of the shared tier cannot be reached");
                    }
                }
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }

    async fn connect(&self) -> Result<(Connection, Address), DialError> {
        let address = self.location.resolve().await?;
        let connection = self.dialer.connect(&address).await?;
        self.location.verify(&connection).await?;
        Ok((connection, address))
    }

    /// Sends probes until the connection must be replaced. A probe in time closes the breaker.
    async fn watch(&self, connection: &Connection, address: &Address) {
        let mut silent_since = Instant::now();
        loop {
            let interval = if self.breaker.is_open() { OPEN_PROBE_INTERVAL } else { PROBE_INTERVAL };
            // A wake-up while the breaker is open means that it has just opened: the first probe follows after its interval.
            let _ = timeout(interval, self.wake.notified()).await;
            if self.is_lost.load(Relaxed) {
                return;
            }
            let sent_at = Instant::now();
            match connection.send(&cmd("PING"), self.dialer.probe_timeout).await {
                Err(Fault::Connection) => return,
                Err(Fault::Timeout) => {
                    self.breaker.record_failure();
                    if silent_since.elapsed() > MAX_SILENCE {
                        return;
                    }
                }
                // LOADING and the like: the server cannot serve yet.
                Err(Fault::Busy) => {
                    self.breaker.record_failure();
                }
                // The user may lack the right to PING, but the server responds.
                Ok(_) | Err(_) => {
                    self.record_round_trip(sent_at.elapsed());
                    silent_since = Instant::now();
                    self.breaker.close();
                }
            }
            // Sentinels may have named another master, of which the old one knows nothing.
            if self.location.is_dynamic()
                && self.location.resolve().await.is_ok_and(|current| current != *address)
            {
                return;
            }
        }
    }

    /// Returns the failure before.
    fn set_fault(&self, fault: Option<Fault>) -> Option<Fault> {
        std::mem::replace(&mut *self.fault.lock().unwrap_or_else(PoisonError::into_inner), fault)
    }
}

const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const OPEN_PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// Time without a reply after which the connection is replaced.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// Time after which a connection counts as stable, so that the next attempt follows at once.
const STABLE_AFTER: Duration = Duration::from_secs(1);
