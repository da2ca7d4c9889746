//! Publisher: adds the events of the outbox to the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd};
use tokio::time::sleep;

use super::event::{EVENT_FIELD, LogId, MAX_LOG_EVENTS};
use super::outbox::Waiting;
use super::seal::seal;
use super::state::{Operation, OperationResult};
use super::store::{Backoff, Fault};
use super::tier::Tier;

/// Adds events to the log, one after the other. Never returns.
pub(super) async fn run(tier: Arc<Tier>) {
    let mut backoff = Backoff::new();
    loop {
        let event = tier.outbox.next().await;
        match tier.add(&event).await {
            Ok(id) => {
                tier.index().resolve(event.name, id);
                tier.outbox.finish(event);
                backoff = Backoff::new();
            }
            Err(Fault::Unavailable) => sleep(UNAVAILABLE_WAIT).await,
            Err(_) => sleep(backoff.next_wait()).await,
        }
    }
}

impl Tier {
    async fn add(&self, waiting: &Waiting) -> Result<LogId, Fault> {
        let event = self.event(waiting.name, waiting.kind.clone());
        let sealed = seal(&self.secrets, &self.log_name, event.encode()).ok_or(Fault::Refused)?;
        let mut command = cmd("XADD");
        command.arg(&self.log_name).arg("NOMKSTREAM").arg("MAXLEN").arg("~").arg(MAX_LOG_EVENTS);
        command.arg("*").arg(EVENT_FIELD).arg(sealed);
        let started = Instant::now();
        let reply = self.store.send(&self.log_name, &command, PUBLISH_TIMEOUT).await;
        if reply == Err(Fault::Unavailable) {
            return Err(Fault::Unavailable);
        }
        self.metrics.observe(Operation::Publish, started.elapsed());
        let added = reply.and_then(|reply| {
            if let Value::BulkString(id) = reply {
                return LogId::parse(&id).ok_or(Fault::Refused);
            }
            // The reader begins a new log.
            self.outbox.log_is_gone.notify_one();
            Err(Fault::Refused)
        });
        let result = added.as_ref().err().map_or(OperationResult::Ok, |fault| self.result_of(*fault));
        self.metrics.count(Operation::Publish, result);
        added
    }
}

const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
const UNAVAILABLE_WAIT: Duration = Duration::from_millis(20);
