//! Outbox: events of this process on their way to the log.
//!
//! Events are numbered in the order of the queue and added by one task, so that a missing one is noticed. An event stays in
//! the outbox until the store has it, and is added again after a failover, in which the store may have lost it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Value, cmd};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::event::{EventKind, EventName, LogId};
use super::seal::seal;
use super::state::{Operation, OperationResult};
use super::store::{Backoff, Fault};
use super::tier::Tier;

/// Events that the store does not have yet, and those that it may lose in a failover.
#[derive(Debug)]
pub(super) struct Outbox {
    replica: u64,
    queue: Mutex<Queue>,
    wake: Notify,
    /// The log is missing in the store.
    pub(super) log_is_gone: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    numbered: u64,
    waiting: VecDeque<Waiting>,
    recent: VecDeque<(Waiting, Instant)>,
}

#[derive(Clone, Debug)]
struct Waiting {
    name: EventName,
    kind: EventKind,
}

impl Outbox {
    pub(super) fn new(replica: u64) -> Self {
        Self { replica, queue: Mutex::default(), wake: Notify::new(), log_is_gone: Notify::new() }
    }

    /// Numbers and adds an event. `index` is called with its name before the event can reach the log. If the outbox is full, the
    /// oldest event is dropped and its name returned.
    pub(super) fn push(
        &self,
        kind: EventKind,
        index: impl FnOnce(EventName),
    ) -> (EventName, Option<EventName>) {
        let mut queue = self.queue();
        queue.numbered += 1;
        let name = EventName { replica: self.replica, number: queue.numbered };
        index(name);
        let is_full = queue.waiting.len() >= MAX_WAITING;
        let dropped = if is_full { queue.waiting.pop_front().map(|dropped| dropped.name) } else { None };
        queue.waiting.push_back(Waiting { name, kind });
        drop(queue);
        self.wake.notify_one();
        (name, dropped)
    }

    /// Adds the events of the last seconds again, before all others.
    pub(super) fn repeat_recent(&self) {
        let mut queue = self.queue();
        let recent = std::mem::take(&mut queue.recent);
        for (event, added) in recent.into_iter().rev() {
            if added.elapsed() < REPEAT_FOR {
                queue.waiting.push_front(event);
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Returns whether the store has all events.
    pub(super) fn is_empty(&self) -> bool {
        self.queue().waiting.is_empty()
    }

    async fn next(&self) -> Waiting {
        loop {
            let woken = self.wake.notified();
            if let Some(next) = self.queue().waiting.front().cloned() {
                return next;
            }
            woken.await;
        }
    }

    /// Records that the store has the event.
    fn finish(&self, event: Waiting) {
        let mut queue = self.queue();
        if queue.waiting.front().is_some_and(|waiting| waiting.name == event.name) {
            queue.waiting.pop_front();
        }
        queue.recent.push_back((event, Instant::now()));
        while queue.recent.len() > MAX_RECENT
            || queue.recent.front().is_some_and(|(_, added)| added.elapsed() > REPEAT_FOR)
        {
            queue.recent.pop_front();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        let added = reply.and_then(|reply| match reply {
            Value::BulkString(id) => LogId::parse(&id).ok_or(Fault::Refused),
            _ => {
                // The reader begins a new log.
                self.outbox.log_is_gone.notify_one();
                Err(Fault::Refused)
            }
        });
        let result = added.as_ref().err().map_or(OperationResult::Ok, |fault| self.result_of(*fault));
        self.metrics.count(Operation::Publish, result);
        added
    }
}

/// Field of an entry of the log.
pub(super) const EVENT_FIELD: &str = "e";
/// Events of the log, approximately.
pub(super) const MAX_LOG_EVENTS: usize = 10_000;
const MAX_WAITING: usize = 10_000;
const MAX_RECENT: usize = 10_000;
/// Time for which a failover may lose an event: replicas of the store lag by less.
const REPEAT_FOR: Duration = Duration::from_secs(30);
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
const UNAVAILABLE_WAIT: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_in_order_and_repeated_before_later_ones() {
        let outbox = Outbox::new(7);
        let mut seen = Vec::new();
        for _ in 0..3 {
            outbox.push(EventKind::Begin, |name| seen.push(name.number));
        }
        assert_eq!(seen, [1, 2, 3]);
        let first = outbox.queue().waiting.front().cloned().unwrap();
        outbox.finish(first);
        outbox.repeat_recent();
        let numbers: Vec<_> = outbox.queue().waiting.iter().map(|waiting| waiting.name.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_full_outbox_drops_the_oldest_event_and_names_it() {
        let outbox = Outbox::new(7);
        for _ in 0..MAX_WAITING {
            assert_eq!(outbox.push(EventKind::Begin, |_| ()).1, None);
        }
        assert_eq!(outbox.push(EventKind::Begin, |_| ()).1.map(|name| name.number), Some(1));
    }
}
