//! Outbox: events of this process on their way to the log.
//!
//! Events are numbered in the order of the queue and added by one task, so that a missing one is noticed. An event stays in
//! the outbox until the store has it, and is added again after a failover, in which the store may have lost it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::event::{EventKind, EventName};

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
    recent: VecDeque<Waiting>,
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) name: EventName,
    pub(super) kind: EventKind,
    /// Time at which the store had the event for the first time.
    added: Option<Instant>,
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
        queue.waiting.push_back(Waiting { name, kind, added: None });
        drop(queue);
        self.wake.notify_one();
        (name, dropped)
    }

    /// Returns the name of the last event that was added.
    pub(super) fn last(&self) -> EventName {
        EventName { replica: self.replica, number: self.queue().numbered }
    }

    /// Adds the events of the last seconds again, before all others.
    pub(super) fn repeat_recent(&self) {
        let mut queue = self.queue();
        let recent = std::mem::take(&mut queue.recent);
        for event in recent.into_iter().rev().filter(Waiting::is_recent) {
            queue.waiting.push_front(event);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Returns whether the store has all events.
    pub(super) fn is_empty(&self) -> bool {
        self.queue().waiting.is_empty()
    }

    /// Waits for the next event.
    pub(super) async fn next(&self) -> Waiting {
        loop {
            let woken = self.wake.notified();
            if let Some(next) = self.queue().waiting.front().cloned() {
                return next;
            }
            woken.await;
        }
    }

    /// Records that the store has the event.
    pub(super) fn finish(&self, event: Waiting) {
        let mut queue = self.queue();
        if queue.waiting.front().is_some_and(|waiting| waiting.name == event.name) {
            queue.waiting.pop_front();
        }
        let added = event.added.or_else(|| Some(Instant::now()));
        queue.recent.push_back(Waiting { added, ..event });
        while queue.recent.len() > MAX_RECENT || queue.recent.front().is_some_and(|event| !event.is_recent())
        {
            queue.recent.pop_front();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Returns whether the store may still lose the event in a failover.
    fn is_recent(&self) -> bool {
        self.added.is_some_and(|added| added.elapsed() < REPEAT_FOR)
    }
}

const MAX_WAITING: usize = 10_000;
const MAX_RECENT: usize = 10_000;
/// Time for which a failover may lose an event: replicas of the store lag by less.
const REPEAT_FOR: Duration = Duration::from_secs(30);

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
