//! Reader of the log.
//!
//! The reader has a connection of its own, because a blocking read delays all commands behind it. It always reads from the last
//! applied event, so it receives the events of the time while it was away, unless the log has lost them. Three things can be wrong
//! with a log: it is empty (a new store, or FLUSHALL), it ends before the last applied event (a store that lost data), or it begins
//! after it (trimmed).

mod apply;
mod heartbeat;
mod reply;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd};
use tokio::time::{sleep, timeout};

use self::apply::apply;
use self::reply::{LogEntry, first_entry, parse_read};
use super::event::{EVENT_FIELD, EventKind, EventName, LogId, MAX_LOG_EVENTS, Position};
use super::handler::EventHandler;
use super::publishers::NAMED_FOR_MS;
use super::seal::seal;
use super::state::{MAX_CLOCK_DIFFERENCE, Operation, OperationResult};
use super::store::{Backoff, Connection, DialError, Fault, random};
use super::tier::{Tier, system_ms};
use crate::support::clock::millis;

/// Reader of the log.
struct LogReader {
    tier: Arc<Tier>,
    handler: Arc<dyn EventHandler>,
    /// Last applied event.
    applied: Option<LogId>,
    /// Unix milliseconds at which the local store was still empty.
    started_ms: u64,
    /// Time at which the log was last read to its end, or of the start.
    live_at: Instant,
    /// Time of the last heartbeat with all its commands.
    beat_at: Option<Instant>,
    /// Generation that is in the log under the first of two secrets.
    announced: Option<u64>,
}

/// Reads and applies the log. Never returns.
pub(super) async fn run(tier: Arc<Tier>, handler: Arc<dyn EventHandler>) {
    let started_ms = system_ms();
    let mut reader = LogReader {
        tier: Arc::clone(&tier),
        handler,
        applied: None,
        started_ms,
        live_at: Instant::now(),
        beat_at: None,
        announced: None,
    };
    let (mut backoff, mut last, mut is_first) = (Backoff::new(), None, true);
    loop {
        let epoch = tier.store.epoch(&tier.log_name);
        let ended = match tier.store.dial(&tier.log_name).await {
            Ok(connection) => {
                let started = Instant::now();
                if !is_first {
                    // The store may have lost events in between.
                    tier.outbox.repeat_recent();
                }
                is_first = false;
                let fault = reader.serve(&connection, epoch).await;
                if started.elapsed() > STABLE_AFTER {
                    backoff = Backoff::new();
                }
                DialError { fault, reason: "the connection for the log ended".to_owned() }
            }
            Err(error) => error,
        };
        tier.facts.record_log_fault(Some(ended.fault));
        if ended.fault != Fault::Unavailable {
            tier.metrics.count(Operation::Log, OperationResult::Error);
        }
        if last.replace(ended.fault) != Some(ended.fault) && ended.fault != Fault::Unavailable {
            tracing::warn!(reason = %ended.reason, fault = ?ended.fault, "the log of the shared tier cannot be read");
        }
        sleep(backoff.next_wait()).await;
    }
}

impl LogReader {
    /// Reads the log on one connection until it fails.
    async fn serve(&mut self, connection: &Connection, epoch: u64) -> Fault {
        let mut backoff = Backoff::new();
        loop {
            let started = Instant::now();
            if let Err(fault) = self.synchronise(connection).await {
                return fault;
            }
            self.tier.facts.record_log_fault(None);
            match self.follow(connection, epoch).await {
                // The log is gone: it is synchronised again, at once unless that happens again and again.
                Ok(()) if started.elapsed() > STABLE_AFTER => backoff = Backoff::new(),
                Ok(()) => sleep(backoff.next_wait()).await,
                Err(fault) => return fault,
            }
        }
    }

    /// Follows the log. Returns when it must be synchronised again.
    async fn follow(&mut self, connection: &Connection, epoch: u64) -> Result<(), Fault> {
        let tier = Arc::clone(&self.tier);
        // Before the first value counts, other replicas know that this one must confirm purges.
        self.beat_at = None;
        if self.beat(connection, false).await? {
            return Ok(());
        }
        let (started, mut is_live) = (Instant::now(), false);
        loop {
            // Events that waited for the store must be in the log first: a response of now would have an earlier position.
            let is_settled = tier.outbox.is_empty() || started.elapsed() > MAX_SETTLE_TIME;
            let current = tier.store.epoch(&tier.log_name);
            if epoch != 0 && current != epoch {
                // The master may be another server now.
                return Err(Fault::Unavailable);
            }
            let mut command = cmd("XREAD");
            command.arg("COUNT").arg(BATCH);
            let block = if is_live { BLOCK } else { Duration::ZERO };
            if is_live {
                command.arg("BLOCK").arg(millis(block));
            }
            command.arg("STREAMS").arg(&tier.log_name).arg(self.applied.unwrap_or_default().to_string());
            let sent = Instant::now();
            let reply = tokio::select! {
                reply = connection.send(&command, block + REPLY_TIMEOUT) => reply?,
                () = tier.outbox.log_is_gone.notified() => return Ok(()),
            };
            let entries = parse_read(reply, self.applied.unwrap_or_default()).ok_or(Fault::Refused)?;
            let count = entries.len();
            // The reply may have waited in a buffer while this process was stopped: only the time that is certain counts.
            let read_at = if count == 0 { sent + block } else { sent };
            let applying = Instant::now();
            self.apply(entries).await;
            let applied_in = applying.elapsed();
            if self.beat(connection, count < BATCH).await? {
                return Ok(());
            }
            if count < BATCH && is_settled {
                tier.facts.record_log_read(read_at.min(Instant::now()));
                self.live_at = Instant::now();
                is_live = true;
            } else if !is_live {
                sleep(SETTLE_INTERVAL).await;
            }
            tier.metrics.count(Operation::Log, OperationResult::Ok);
            // A store that does not wait, or a flood of events, takes at most half of a core.
            let pause = SETTLE_INTERVAL.saturating_sub(sent.elapsed());
            sleep(if count < BATCH { pause } else { pause.max(applied_in) }).await;
        }
    }

    /// Brings the index up to the end of the log, whatever happened to the log.
    async fn synchronise(&mut self, connection: &Connection) -> Result<(), Fault> {
        let (first, last) = self.edges(connection).await?;
        match (first, last, self.applied) {
            (Some(_), Some(last), Some(applied)) if last.id < applied => {
                tracing::warn!("the log of the shared tier lost events: a new log begins");
                if !self.load(connection).await? {
                    self.begin(connection).await?;
                }
            }
            (Some(first), Some(_), Some(applied)) if first.id > applied => {
                if !self.load(connection).await? {
                    tracing::warn!(
                        "the log of the shared tier was trimmed before it was read: the cache is emptied"
                    );
                    self.clear_and_give_up().await;
                }
            }
            (Some(_), Some(_), Some(_)) => {}
            (Some(_), Some(_), None) => {
                self.load(connection).await?;
            }
            _ => {
                // All replicas notice at the same time. One of them begins the log; the others find it.
                sleep(Duration::from_millis(random() % MAX_BEGIN_JITTER_MS)).await;
                match self.edges(connection).await? {
                    (Some(_), Some(_)) => {
                        self.load(connection).await?;
                    }
                    _ => self.begin(connection).await?,
                }
            }
        }
        if self.tier.index().position().is_none() {
            // No event of the log opens under the own secret.
            self.begin(connection).await?;
        }
        self.announce_generation();
        Ok(())
    }

    /// Names the generation of the log under the first of two secrets. In the last step of a rotation a replica knows only this
    /// secret. If no event of the log opened there, the replica would begin a new log, and all earlier values would be lost.
    fn announce_generation(&mut self) {
        let generation = self.tier.index().position().map(|position| position.generation);
        if self.tier.secrets.secondary().is_some() && self.announced != generation {
            self.announced = generation;
            self.tier.publish_with(EventKind::Generation);
        }
    }

    /// Reads and applies the whole log. Returns whether it has a beginning that was not known.
    async fn load(&mut self, connection: &Connection) -> Result<bool, Fault> {
        let loaded = self.load_events(connection).await;
        // Also after a fault: the rest of the log is read as any later event.
        self.tier.index().publishers.end_first_load();
        loaded
    }

    async fn load_events(&mut self, connection: &Connection) -> Result<bool, Fault> {
        let before = self.tier.index().position().map(|position| position.generation);
        let (first, _) = self.edges(connection).await?;
        let first = first.ok_or(Fault::Refused)?;
        // Values of times before the first event cannot be judged. An event at the beginning raises the floor itself.
        self.tier.index().set_floor(first.id);
        if before.is_none() && first.id.ms + millis(MAX_CLOCK_DIFFERENCE) < self.started_ms {
            self.read_acknowledgements(connection).await?;
            let (acknowledged, now_ms) = (self.tier.replicas.applied_by_others(), system_ms());
            self.tier.index().publishers.begin_first_load(acknowledged, now_ms);
        }
        let mut last = LogId::default();
        let (mut begun, mut read) = (None, 0);
        loop {
            let mut command = cmd("XREAD");
            command.arg("COUNT").arg(BATCH).arg("STREAMS").arg(&self.tier.log_name).arg(last.to_string());
            let reply = connection.send(&command, REPLY_TIMEOUT).await?;
            let entries = parse_read(reply, last).ok_or(Fault::Refused)?;
            let count = entries.len();
            read += count;
            last = entries.last().map_or(last, |entry| entry.id);
            begun = self.apply(entries).await.or(begun);
            if count < BATCH {
                let is_new = begun.is_some() && begun != before;
                if is_new && before.is_some() {
                    self.tier.outbox.repeat_recent();
                    if self.live_at.elapsed() > Duration::from_millis(NAMED_FOR_MS / 2) {
                        // Other replicas may no longer name the publishers of lost events.
                        tracing::warn!(
                            "the log of the shared tier was lost while it was not read: the cache is emptied"
                        );
                        self.clear_and_give_up().await;
                    }
                }
                return Ok(is_new);
            }
            if read >= MAX_LOADED_EVENTS {
                // Each addition of the tier trims the log, so these events are of someone else.
                tracing::warn!(
                    "the log of the shared tier is too long: the cache is emptied, and a new log begins"
                );
                self.clear_and_give_up().await;
                self.begin(connection).await?;
                return Ok(true);
            }
        }
    }

    /// Empties the cache, because events are missing.
    async fn clear(&self) {
        let handler = Arc::clone(&self.handler);
        // The panic hook has logged a panic.
        let _ = tokio::task::spawn_blocking(move || handler.clear()).await;
        self.tier.index().raise_floor_to_position();
    }

    /// Empties the cache after the log was read to its end: all events that are missing count as applied.
    async fn clear_and_give_up(&self) {
        self.clear().await;
        self.tier.index().publishers.give_up_missing();
    }

    /// Adds the first event of a new log, and reads it.
    async fn begin(&mut self, connection: &Connection) -> Result<(), Fault> {
        let tier = Arc::clone(&self.tier);
        let mut event = tier.event(EventName { replica: tier.replica, number: 0 }, EventKind::Begin);
        event.generation = random();
        let sealed = seal(&tier.secrets, &tier.log_name, event.encode()).ok_or(Fault::Refused)?;
        let mut command = cmd("XADD");
        command.arg(&tier.log_name).arg("MAXLEN").arg("~").arg(MAX_LOG_EVENTS);
        command.arg("*").arg(EVENT_FIELD).arg(sealed);
        let mut commands = Pipeline::new();
        commands.add_command(command);
        commands.cmd("EXPIRE").arg(&tier.log_name).arg(LOG_LIFE.as_secs());
        let mut replies = connection.send_all(&commands, REPLY_TIMEOUT).await?.into_iter();
        let Some(Ok(Value::BulkString(id))) = replies.next() else { return Err(Fault::Refused) };
        let id = LogId::parse(&id).ok_or(Fault::Refused)?;
        tier.index().begin(Position { generation: event.generation, id });
        self.applied = Some(id);
        // Other replicas may not have read the last events of the lost log.
        tier.outbox.repeat_recent();
        Ok(())
    }

    /// Applies events, outside of the threads that serve. Returns the generation of the last beginning among them.
    async fn apply(&mut self, entries: Vec<LogEntry>) -> Option<u64> {
        let last = entries.last()?.id;
        let (tier, handler) = (Arc::clone(&self.tier), Arc::clone(&self.handler));
        let begun = tokio::task::spawn_blocking(move || apply(&tier, &*handler, entries)).await;
        self.applied = Some(last);
        if begun.is_err() {
            // The panic hook has logged the panic. A repetition would panic again, so no entry may be left that the events concern.
            self.clear().await;
        }
        begun.ok().flatten()
    }

    /// Returns the first and the last event.
    async fn edges(&self, connection: &Connection) -> Result<(Option<LogEntry>, Option<LogEntry>), Fault> {
        let mut commands = Pipeline::new();
        let name = &self.tier.log_name;
        commands.cmd("XRANGE").arg(name).arg("-").arg("+").arg("COUNT").arg(1);
        commands.cmd("XREVRANGE").arg(name).arg("+").arg("-").arg("COUNT").arg(1);
        let replies = timeout(REPLY_TIMEOUT, connection.send_all(&commands, REPLY_TIMEOUT)).await;
        let mut replies = replies.unwrap_or(Err(Fault::Timeout))?.into_iter();
        let mut next = || replies.next().unwrap_or(Err(Fault::Refused)).map(first_entry);
        Ok((next()?, next()?))
    }
}

/// Events of one read.
const BATCH: usize = 500;
/// Events of a log that is read from its beginning. A longer log is not of the tier.
const MAX_LOADED_EVENTS: usize = 2 * MAX_LOG_EVENTS;
/// Time for which a read waits for an event.
const BLOCK: Duration = Duration::from_millis(500);
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_SETTLE_TIME: Duration = Duration::from_secs(2);
const SETTLE_INTERVAL: Duration = Duration::from_millis(5);
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// Longer than the life of any value.
const LOG_LIFE: Duration = Duration::from_hours(2);
pub(super) const REPLICAS_LIFE: Duration = Duration::from_secs(10);
const MAX_BEGIN_JITTER_MS: u64 = 50;
