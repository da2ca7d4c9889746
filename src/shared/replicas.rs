//! Acknowledgements: which events each replica has applied.
//!
//! Each replica writes a sealed acknowledgement to one hash after each batch of events, and every second. It names the number
//! up to which all events of each publisher are applied: so an event that was removed from the log is not confirmed, unless the
//! replica has emptied its memory since.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;

use super::event::EventName;
use super::publishers::MAX_PUBLISHERS;
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
    /// Key of the hashes in [`Known::fields`].
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Known {
    /// Fields of the last read. Unchanged bytes are not opened again.
    fields: HashMap<Vec<u8>, Field>,
    /// Acknowledgements, and the times at which they last changed, Unix milliseconds.
    acknowledgements: HashMap<u64, (Acknowledgement, u64)>,
    /// Time of the last read, Unix milliseconds. While the store is away, the replicas of that time count.
    read_ms: u64,
}

/// Field of the hash. Its age is measured by the clock of this replica, because the clocks of others may differ.
#[derive(Clone, Copy, Debug)]
struct Field {
    /// Hash of the sealed bytes.
    digest: u64,
    /// Time at which the bytes last changed, Unix milliseconds.
    changed_ms: u64,
    /// The bytes are the acknowledgement of another replica.
    is_replica: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Acknowledgement {
    replica: u64,
    name: String,
    /// Time at which the replica wrote it, which makes each one different.
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
        Self { replica, name, known: Mutex::default(), hasher: RandomState::new() }
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
        (now, has_left, applied): (Now, bool, Vec<(u64, u64)>),
    ) -> Option<Vec<u8>> {
        let (name, at_ms) = (self.name.clone(), now.unix_millis());
        let own = Acknowledgement { replica: self.replica, name, at_ms, has_left, applied };
        seal(secrets, &name_of(hash, &self.field()), own.encode())
    }

    /// Takes over the content of the hash. A replica that is missing in it, as after FLUSHALL, counts for some seconds still: it
    /// must confirm purges. Returns the fields of replicas that are gone for long. Returns `None` if the hash has more fields than
    /// a fleet: then it does not count, because fields of replicas may be lost among the others.
    pub(super) fn record(
        &self,
        (secrets, hash): (&Secrets, &str),
        fields: Vec<(Vec<u8>, Vec<u8>)>,
        now: Now,
    ) -> Option<Vec<Vec<u8>>> {
        if fields.len() > MAX_FIELDS {
            return None;
        }
        let now_ms = now.unix_millis();
        let mut known = self.known();
        let before = std::mem::take(&mut known.fields);
        let mut gone = Vec::new();
        for (name, sealed) in fields {
            let digest = self.hasher.hash_one(&sealed);
            let field = match before.get(&name) {
                Some(field) if field.digest == digest => *field,
                _ => {
                    let found = open_field(secrets, hash, (&name, sealed));
                    let found = found.filter(|found| found.replica != self.replica);
                    let is_replica = found.is_some();
                    if let Some(found) = found {
                        known.acknowledgements.insert(found.replica, (found, now_ms));
                    }
                    Field { digest, changed_ms: now_ms, is_replica }
                }
            };
            if field.is_replica && now_ms.saturating_sub(field.changed_ms) > GONE_AFTER_MS {
                gone.push(name.clone());
            }
            known.fields.insert(name, field);
        }
        known.read_ms = now_ms;
        known
            .acknowledgements
            .retain(|_, (_, changed_ms)| now_ms.saturating_sub(*changed_ms) <= GONE_AFTER_MS);
        drop(known);
        Some(gone)
    }

    /// Returns the number of replicas, with this one.
    pub(super) fn count(&self) -> usize {
        self.known().alive().count() + 1
    }

    /// Returns the other replicas that were alive at the last read.
    pub(super) fn alive(&self) -> HashSet<u64> {
        self.known().alive().map(|one| one.replica).collect()
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

    /// Returns for each publisher the last event that a replica has applied.
    pub(super) fn applied_by_others(&self) -> HashMap<u64, u64> {
        let mut highest = HashMap::new();
        for (publisher, number) in self.known().acknowledgements.values().flat_map(|(one, _)| &one.applied) {
            let known = highest.entry(*publisher).or_insert(0);
            *known = *number.max(known);
        }
        highest
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Returns the replicas that were alive at the last read.
    fn alive(&self) -> impl Iterator<Item = &Acknowledgement> {
        let is_alive = |(one, changed_ms): &&(Acknowledgement, u64)| {
            !one.has_left && Duration::from_millis(self.read_ms.saturating_sub(*changed_ms)) <= ALIVE_FOR
        };
        self.acknowledgements.values().filter(is_alive).map(|(one, _)| one)
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

/// Opens the acknowledgement in a field.
fn open_field(secrets: &Secrets, hash: &str, (field, sealed): (&[u8], Vec<u8>)) -> Option<Acknowledgement> {
    if sealed.len() > MAX_FIELD_BYTES {
        return None;
    }
    let name = name_of(hash, std::str::from_utf8(field).ok()?);
    Acknowledgement::decode(&open(secrets, &name, sealed)?)
}

/// Returns the name under which a field of the hash is sealed.
fn name_of(hash: &str, field: &str) -> String {
    format!("{hash}:{field}")
}

/// Time without an acknowledgement after which a replica counts no longer.
const ALIVE_FOR: Duration = Duration::from_secs(10);
/// Time after which its field is removed.
const GONE_AFTER_MS: u64 = 60_000;
/// Bytes of a sealed acknowledgement: publishers have 16 bytes each, and the name of a host at most 253.
const MAX_FIELD_BYTES: usize = MAX_PUBLISHERS * 16 + 1024;
/// Fields of the hash: the replicas of the last minute.
const MAX_FIELDS: usize = 5000;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::support::clock::Clock;

    fn known(at_ms: u64, applied: Vec<(u64, u64)>) -> Replicas {
        let replicas = Replicas::new(1);
        let other = Acknowledgement { replica: 2, name: "b".to_owned(), at_ms, has_left: false, applied };
        *replicas.known() = Known {
            acknowledgements: HashMap::from([(2, (other, at_ms))]),
            read_ms: 20_000,
            ..Known::default()
        };
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
    fn an_acknowledgement_is_taken_over_once_and_gone_after_a_minute() {
        let secrets = Secrets::parse("01234567".repeat(4).as_bytes()).unwrap();
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1000));
        let (own, other) = (Replicas::new(1), Replicas::new(2));
        let sealed = other.seal(&secrets, "h", (clock.now(), false, vec![])).unwrap();
        let fields = || vec![(other.field().into_bytes(), sealed.clone()), (b"x".to_vec(), b"y".to_vec())];
        let record = |fields| own.record((&secrets, "h"), fields, clock.now());
        assert_eq!((record(fields()), own.count()), (Some(vec![]), 2));
        assert_eq!((record(fields()), own.count()), (Some(vec![]), 2));
        let moved = vec![(b"0000000000000003".to_vec(), sealed.clone())];
        assert_eq!(
            (record(moved), own.count()),
            (Some(vec![]), 2),
            "a field under another name does not open"
        );
        assert_eq!(record(fields()), Some(vec![]));
        clock.advance(Duration::from_secs(61));
        assert_eq!((record(fields()), own.count()), (Some(vec![other.field().into_bytes()]), 1));
    }

    #[test]
    fn a_hash_with_more_fields_than_a_fleet_does_not_count() {
        let secrets = Secrets::parse("01234567".repeat(4).as_bytes()).unwrap();
        let replicas = known(20_000, vec![]);
        let fields = (0..=MAX_FIELDS).map(|number| (number.to_string().into_bytes(), vec![])).collect();
        let now = Clock::manual(UNIX_EPOCH + Duration::from_secs(3600)).now();
        assert_eq!(replicas.record((&secrets, "h"), fields, now), None);
        assert_eq!(
            replicas.unconfirmed(EventName { replica: 1, number: 5 }),
            ["b"],
            "no replica is forgotten"
        );
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
