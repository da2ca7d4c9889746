//! Heartbeat of the reader: acknowledgement, clocks, lost events, and the end of the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd};

use super::reply::{first_entry, parse_time};
use super::{LOG_LIFE, LogReader, REPLICAS_LIFE, REPLY_TIMEOUT};
use crate::shared::config::Topology;
use crate::shared::state::Operation;
use crate::shared::store::{Connection, Fault};
use crate::shared::tier::system_ms;
use crate::support::clock::millis;

impl LogReader {
    /// Writes the acknowledgement, and checks log and clock once a second. `is_at_end`: the log was just read to its end. Returns
    /// true if the log must be synchronised.
    pub(super) async fn beat(&mut self, connection: &Connection, is_at_end: bool) -> Result<bool, Fault> {
        let tier = Arc::clone(&self.tier);
        let is_due = self.beat_at.is_none_or(|at| at.elapsed() >= BEAT_INTERVAL);
        let mut commands = Pipeline::new();
        let own = tier.acknowledgement().ok_or(Fault::Refused)?;
        commands.cmd("HSET").arg(&tier.replicas_name).arg(tier.replicas.field()).arg(own);
        commands.cmd("EXPIRE").arg(&tier.replicas_name).arg(REPLICAS_LIFE.as_secs());
        if is_due {
            commands.cmd("TIME");
            commands.cmd("HGETALL").arg(&tier.replicas_name);
            commands.cmd("EXPIRE").arg(&tier.log_name).arg(LOG_LIFE.as_secs());
            commands.cmd("XREVRANGE").arg(&tier.log_name).arg("+").arg("-").arg("COUNT").arg(1);
        }
        let sent_ms = system_ms();
        let mut replies = connection.send_all(&commands, REPLY_TIMEOUT).await?.into_iter();
        let written = replies.next().unwrap_or(Err(Fault::Refused));
        if let Err(fault) = written {
            tier.metrics.count(Operation::Log, tier.result_of(fault));
            let is_single =
                matches!(tier.config.endpoint.as_ref().map(|it| &it.topology), Some(Topology::Single(_)));
            if fault == Fault::ReadOnly && !is_single {
                return Err(fault);
            }
        }
        if !is_due {
            return Ok(false);
        }
        self.beat_at = Some(Instant::now());
        let mut replies = replies.skip(1);
        let mut next = || replies.next().and_then(Result::ok);
        let time_ms = next().and_then(parse_time).map(millis);
        if let Some(time_ms) = time_ms {
            self.record_clock(time_ms, sent_ms);
        }
        if let Some(reply) = next() {
            let gone = tier.record_acknowledgements(reply).ok_or(Fault::Refused)?;
            if !gone.is_empty() {
                let mut commands = Pipeline::new();
                commands.cmd("HDEL").arg(&tier.replicas_name).arg(gone);
                connection.send_all(&commands, REPLY_TIMEOUT).await?;
            }
        }
        self.clear_after_loss(is_at_end).await;
        let exists = next();
        let last = next().and_then(first_entry);
        if last.as_ref().zip(time_ms).is_some_and(|(last, time_ms)| last.id.ms > time_ms + MAX_AHEAD_MS) {
            // The store adds no event behind an id of the far future.
            tracing::warn!("the log of the shared tier has an event of the future: a new log begins");
            connection.send(cmd("DEL").arg(&tier.log_name), REPLY_TIMEOUT).await?;
            return Ok(true);
        }
        let is_lost = last.is_none_or(|last| self.applied.is_some_and(|applied| last.id < applied));
        Ok(exists == Some(Value::Int(0)) || is_lost)
    }

    /// Empties the cache if the log lost events: between the events of a publisher, or before those that other replicas applied.
    async fn clear_after_loss(&self, is_at_end: bool) {
        let applied = self.tier.replicas.applied_by_others();
        let (alive, now, now_ms) = (self.tier.replicas.alive(), Instant::now(), system_ms());
        let has_loss = {
            let mut index = self.tier.index();
            for (publisher, number) in applied {
                index.publishers.expect(publisher, number, (now, now_ms));
            }
            index.publishers.retain(&alive, now_ms);
            // Before the end of the log the missing events may still come.
            is_at_end && index.publishers.have_lost_events(now)
        };
        if has_loss {
            tracing::warn!("the log of the shared tier lost events: the cache is emptied");
            self.clear().await;
            self.tier.index().publishers.give_up_lost(now);
        }
    }

    /// Reads the acknowledgements of all replicas.
    pub(super) async fn read_acknowledgements(&self, connection: &Connection) -> Result<(), Fault> {
        let tier = &self.tier;
        let reply = connection.send(cmd("HGETALL").arg(&tier.replicas_name), REPLY_TIMEOUT).await?;
        tier.record_acknowledgements(reply).map(drop).ok_or(Fault::Refused)
    }

    /// Compares the store's clock with this machine's. The reply was made between `sent_ms` and now. The clock of the process does
    /// not follow a step back, so it differs as much.
    fn record_clock(&self, time_ms: u64, sent_ms: u64) {
        let difference = sent_ms.saturating_sub(time_ms).max(time_ms.saturating_sub(system_ms()));
        let difference = Duration::from_millis(difference).max(self.tier.clock.stepped_back());
        if self.tier.facts.record_clock(difference) {
            let seconds = difference.as_secs_f64();
            if self.tier.facts.clock_differs() {
                tracing::error!(
                    seconds,
                    "this machine's clock and the store's differ: the shared tier is not used"
                );
            } else {
                tracing::info!(seconds, "this machine's clock and the store's agree again");
            }
        }
    }
}

const BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Largest time by which the last event may be ahead of the store's clock, which an operator or a failover may set back.
const MAX_AHEAD_MS: u64 = 10_000;
