//! Application of events: first to the index, then to the local store, then the position moves.
//!
//! A fetch takes its lease before it reads the position. So a response of a fetch that began before an event is applied has an
//! earlier position, or a lease that the event revokes.

use std::time::{Duration, Instant};

use super::reply::LogEntry;
use crate::auth::{ClaimHash, Principal};
use crate::http::retry_after::MAX_THROTTLE;
use crate::shared::event::{Event, EventKind, LogId, MAX_EVENT_BYTES, Position};
use crate::shared::handler::EventHandler;
use crate::shared::index::Matcher;
use crate::shared::publishers::Sequence;
use crate::shared::seal::open;
use crate::shared::state::{Operation, OperationResult};
use crate::shared::store::random;
use crate::shared::tier::Tier;
use crate::support::clock::millis;

/// Applies events in their order. Returns the generation of the last beginning among them.
pub(super) fn apply(tier: &Tier, handler: &dyn EventHandler, entries: Vec<LogEntry>) -> Option<u64> {
    let mut begun = None;
    for LogEntry { id, sealed } in entries {
        let sealed = Some(sealed).filter(|sealed| sealed.len() <= MAX_EVENT_BYTES);
        let plain = sealed.and_then(|sealed| open(&tier.secrets, &tier.log_name, sealed));
        let event = plain.and_then(|plain| Event::decode(&plain));
        match event {
            None => {
                tier.metrics.count(Operation::Log, OperationResult::Invalid);
                advance(tier, None, id);
            }
            Some(Event { generation, kind: EventKind::Begin, .. }) => {
                tier.index().begin(Position { generation, id });
                begun = Some(generation);
            }
            Some(event) => {
                apply_event(tier, handler, id, &event);
                advance(tier, Some(event.generation), id);
            }
        }
    }
    begun
}

/// Moves the position. The generation of the first event that opens is that of the log.
fn advance(tier: &Tier, generation: Option<u64>, id: LogId) {
    let mut index = tier.index();
    let known = index.position().map(|position| position.generation);
    if let Some(generation) = known.or(generation.filter(|generation| *generation != 0)) {
        index.advance(Position { generation, id });
    }
}

fn apply_event(tier: &Tier, handler: &dyn EventHandler, id: LogId, event: &Event) {
    let matcher = tier.matcher(&event.kind);
    let is_own = event.name.replica == tier.replica;
    {
        let mut index = tier.index();
        match index.publishers.record(event.name, id.ms, Instant::now()) {
            Sequence::Copy => return,
            Sequence::Next => {}
            // An event is missing: values from before cannot be judged.
            Sequence::Gap => index.raise_floor(id),
        }
        if event.kind == EventKind::Unknown {
            index.raise_floor(id);
        }
        if is_own {
            // The local store has changed already, and may have newer entries since.
            return index.resolve(event.name, id);
        }
        if let Some(matcher) = matcher.clone() {
            index.insert(id, event.name, matcher);
        }
    }
    match (&event.kind, matcher) {
        (EventKind::Purge { .. }, Some(Matcher::Purge(selector))) => handler.purge(&selector),
        (EventKind::Withdraw { principals, resource }, _) => {
            for principal in principals {
                handler.withdraw(Principal::from_bytes(*principal), resource.as_ref());
            }
        }
        (EventKind::Renew { principals, resource }, _) => {
            for principal in principals {
                handler.renew(Principal::from_bytes(*principal), resource);
            }
        }
        (EventKind::Throttle { applications, until_ms }, _) => {
            let left = until_ms.saturating_sub(tier.clock.now().unix_millis()).min(millis(MAX_THROTTLE));
            if left > 0 && !tier.facts.clock_differs() {
                // Replicas open their gates at different times.
                let wait = Duration::from_millis(left + random() % (left / 10).clamp(1, MAX_JITTER_MS));
                for application in applications {
                    handler.throttle(ClaimHash::from_bytes(*application), wait);
                }
            }
        }
        (EventKind::Unknown, _) => handler.clear(),
        (EventKind::Begin | EventKind::Generation | EventKind::Purge { .. }, _) => {}
    }
}

/// Largest jitter of a gate.
const MAX_JITTER_MS: u64 = 2000;
