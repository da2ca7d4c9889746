//! Acknowledgements: which events each replica has applied.
//!
//! Each replica writes a sealed acknowledgement to one hash after each batch of events, and every second. It names the number
//! up to which all events of each publisher are applied: so an event that someone removed from the log is never confirmed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;

use super::event::EventName;
use super::seal::{open, seal};
use super::secret::Secrets;
use super::wire::{Reader, Writer};
use crate::support::clock::Now;

/// Acknowledgements of all replicas, as last read.
#[derive(Debug)]
pub(super) struct Replicas {
    replica: u64,
    /// Name of this replica for operators: the host and a part of the random number.
    name: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    acknowledgements: HashMap<u64, Acknowledgement>,
    /// Time of the last read, Unix milliseconds. While the store is away, the replicas of that time count.
    read_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Acknowledgement {
    replica: u64,
    name: String,
    at_ms: u64,
    /// The replica has stopped: no purge waits for it.
    has_left: bool,
    applied: Vec<(u64, u64)>,
}

impl Replicas {
    pub(super) fn new(replica: u64) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or(host);
        let host = host.trim();
        let host = if host.is_empty() { "replica" } else { host };
        let name = format!("{host}-{:04x}", replica & 0xffff);
        Self { replica, name, known: Mutex::default() }
    }

    /// Returns the field of this replica in the hash.
    pub(super) fn field(&self) -> String {
        format!("{:016x}", self.replica)
    }

    /// Seals the acknowledgement of this replica: its time, whether it stops, and the events of each replica that are applied.
    pub(super) fn seal(
        &self,
        secrets: &Secrets,
        hash: &str,
        (now, has_left, mut applied): (Now, bool, Vec<(u64, u64)>),
    ) -> Option<Vec<u8>> {
        applied.truncate(MAX_PUBLISHERS);
        let (name, at_ms) = (self.name.clone(), now.unix_millis());
        let own = Acknowledgement { replica: self.replica, name, at_ms, has_left, applied };
        seal(secrets, &name_of(hash, &self.field()), own.encode())
    }

    /// Takes over the content of the hash. A replica that is missing in it, as after FLUSHALL, counts for some seconds still: it
    /// must confirm purges. Returns the fields of replicas that are gone for long.
    pub(super) fn record(
        &self,
        (secrets, hash): (&Secrets, &str),
        fields: Vec<(Vec<u8>, Vec<u8>)>,
        now: Now,
    ) -> Vec<Vec<u8>> {
        let (mut known, mut gone) = (self.known(), Vec::new());
        for (field, sealed) in fields {
            let Ok(text) = std::str::from_utf8(&field) else { continue };
            let plain = open(secrets, &name_of(hash, text), sealed);
            let Some(found) = plain.and_then(|plain| Acknowledgement::decode(&plain)) else { continue };
            let age = Duration::from_millis(now.unix_millis().saturating_sub(found.at_ms));
            if age > Duration::from_millis(GONE_AFTER_MS) {
                gone.push(field);
            } else if found.replica != self.replica {
                known.acknowledgements.insert(found.replica, found);
            }
        }
        known.read_at = now.unix_millis();
        let oldest = known.read_at.saturating_sub(GONE_AFTER_MS);
        known.acknowledgements.retain(|_, one| one.at_ms >= oldest);
        drop(known);
        gone
    }

    /// Returns the number of replicas, with this one.
    pub(super) fn count(&self) -> usize {
        self.known().alive().count() + 1
    }

    /// Returns the names of the replicas that have not applied an event.
    pub(super) fn unconfirmed(&self, event: EventName) -> Vec<String> {
        let known = self.known();
        let lacks = |one: &&Acknowledgement| {
            !one.applied.iter().any(|(replica, number)| *replica == event.replica && *number >= event.number)
        };
        let mut names: Vec<_> = known.alive().filter(lacks).map(|one| one.name.clone()).collect();
        names.sort_unstable();
        names
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Returns the replicas that were alive at the last read.
    fn alive(&self) -> impl Iterator<Item = &Acknowledgement> {
        let is_alive = |one: &&Acknowledgement| {
            !one.has_left && Duration::from_millis(self.read_at.saturating_sub(one.at_ms)) <= ALIVE_FOR
        };
        self.acknowledgements.values().filter(is_alive)
    }
}

impl Acknowledgement {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u64(self.replica);
        w.bytes(self.name.as_bytes());
        w.u64(self.at_ms);
        w.u8(u8::from(self.has_left));
        w.list(&self.applied, |w, (replica, number)| {
            w.u64(*replica);
            w.u64(*number);
        });
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (replica, name, at_ms, has_left) = (r.u64()?, r.text()?, r.u64()?, r.u8()? != 0);
        let applied = r.list(|r| Some((r.u64()?, r.u64()?)))?;
        r.finish(Self { replica, name, at_ms, has_left, applied })
    }
}

/// Splits the reply to HGETALL into fields and values.
pub(super) fn fields_of(reply: Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    redis::from_redis_value(reply).unwrap_or_default()
}

/// Returns the name under which a field of the hash is sealed.
fn name_of(hash: &str, field: &str) -> String {
    format!("{hash}:{field}")
}

/// Time without an acknowledgement after which a replica counts no longer.
const ALIVE_FOR: Duration = Duration::from_secs(10);
/// Time after which its field is removed.
const GONE_AFTER_MS: u64 = 60_000;
/// Publishers in one acknowledgement.
const MAX_PUBLISHERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(at_ms: u64, applied: Vec<(u64, u64)>) -> Replicas {
        let replicas = Replicas::new(1);
        let other = Acknowledgement { replica: 2, name: "b".to_owned(), at_ms, has_left: false, applied };
        *replicas.known() = Known { acknowledgements: HashMap::from([(2, other)]), read_at: 20_000 };
        replicas
    }

    #[test]
    fn a_replica_confirms_an_event_by_its_number_and_counts_for_ten_seconds() {
        let event = EventName { replica: 1, number: 5 };
        assert_eq!(known(20_000, vec![(1, 4)]).unconfirmed(event), ["b"]);
        assert_eq!(known(20_000, vec![(9, 9)]).unconfirmed(event), ["b"]);
        assert!(known(20_000, vec![(1, 5)]).unconfirmed(event).is_empty());
        assert!(known(9_000, vec![]).unconfirmed(event).is_empty(), "the replica is gone");
    }

    #[test]
    fn an_acknowledgement_survives_the_round_trip() {
        let own = Acknowledgement {
            replica: 1,
            name: "a".to_owned(),
            at_ms: 3,
            has_left: true,
            applied: vec![(4, 5)],
        };
        assert_eq!(Acknowledgement::decode(&own.encode()), Some(own));
    }
}
