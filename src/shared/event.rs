//! Events of the log.

use super::handler::ResourceForm;
use super::wire::{Reader, Writer};

/// Id of an entry of the log: milliseconds of the store's clock, and a sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LogId {
    pub(super) ms: u64,
    pub(super) seq: u64,
}

/// A place in one log: the last event that a replica had applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Random number of the log. A log that is lost gets a new one.
    pub(super) generation: u64,
    pub(super) id: LogId,
}

/// Name of an event: the replica that added it, and the number of the event there. Two copies of an event in the log have one
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EventName {
    pub(super) replica: u64,
    pub(super) number: u64,
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Generation of the log, as known to the replica that added the event.
    pub(super) generation: u64,
    pub(super) name: EventName,
    pub(super) kind: EventKind,
}

/// Principals and applications are hashes under the key of a secret. An event has a hash for each secret of its replica, so that
/// a replica with the other secret in the first line knows one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    /// A log without events begins: values with an earlier position are invalid.
    Begin,
    /// A replica with two secrets names the generation of the log under its first secret, for replicas that know only this
    /// one. Without effect otherwise.
    Generation,
    /// An operator purged.
    Purge { flow: Option<String>, tenant: Option<String>, subject: Option<String> },
    /// Graph refused a proven token: 401 for all resources, 403, 404 or 410 for one.
    Withdraw { principals: Vec<[u8; 16]>, resource: Option<ResourceForm> },
    /// A forced refresh brought a newer response.
    Renew { principals: Vec<[u8; 16]>, resource: ResourceForm },
    /// Graph throttles an application until a time, Unix milliseconds.
    Throttle { applications: Vec<[u8; 8]>, until_ms: u64 },
    /// An event of a later version. It may concern any entry.
    Unknown,
}

impl LogId {
    /// Parses `milliseconds-sequence`.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (ms, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }

    pub(super) fn write(self, writer: &mut Writer) {
        writer.u64(self.ms);
        writer.u64(self.seq);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { ms: reader.u64()?, seq: reader.u64()? })
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl Position {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.u64(self.generation);
        self.id.write(writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { generation: reader.u64()?, id: LogId::read(reader)? })
    }
}

impl EventName {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.u64(self.replica);
        writer.u64(self.number);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { replica: reader.u64()?, number: reader.u64()? })
    }
}

impl Event {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u64(self.generation);
        self.name.write(&mut w);
        match &self.kind {
            EventKind::Begin => w.u8(0),
            EventKind::Generation => w.u8(5),
            EventKind::Unknown => w.u8(u8::MAX),
            EventKind::Purge { flow, tenant, subject } => {
                w.u8(1);
                for name in [flow, tenant, subject] {
                    w.option(name.as_ref(), |w, name| w.bytes(name.as_bytes()));
                }
            }
            EventKind::Withdraw { principals, resource } => {
                w.u8(2);
                w.list(principals, |w, principal| w.u128(u128::from_be_bytes(*principal)));
                w.option(resource.as_ref(), write_resource);
            }
            EventKind::Renew { principals, resource } => {
                w.u8(3);
                w.list(principals, |w, principal| w.u128(u128::from_be_bytes(*principal)));
                write_resource(&mut w, resource);
            }
            EventKind::Throttle { applications, until_ms } => {
                w.u8(4);
                w.list(applications, |w, application| w.u64(u64::from_be_bytes(*application)));
                w.u64(*until_ms);
            }
        }
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (generation, name) = (r.u64()?, EventName::read(&mut r)?);
        let kind = match r.u8()? {
            0 => EventKind::Begin,
            1 => EventKind::Purge {
                flow: r.option(Reader::text)?,
                tenant: r.option(Reader::text)?,
                subject: r.option(Reader::text)?,
            },
            2 => {
                EventKind::Withdraw { principals: r.list(Reader::array)?, resource: r.option(read_resource)? }
            }
            3 => EventKind::Renew { principals: r.list(Reader::array)?, resource: read_resource(&mut r)? },
            4 => EventKind::Throttle { applications: r.list(Reader::array)?, until_ms: r.u64()? },
            5 => EventKind::Generation,
            _ => return Some(Self { generation, name, kind: EventKind::Unknown }),
        };
        r.finish(Self { generation, name, kind })
    }
}

fn write_resource(w: &mut Writer, resource: &ResourceForm) {
    w.bytes(resource.target.as_bytes());
    w.bytes(resource.accept.as_bytes());
}

fn read_resource(r: &mut Reader<'_>) -> Option<ResourceForm> {
    Some(ResourceForm { target: r.text()?, accept: r.text()? })
}

/// Field of an entry of the log.
pub(super) const EVENT_FIELD: &str = "e";
/// Events of the log, approximately.
pub(super) const MAX_LOG_EVENTS: usize = 10_000;
/// Bytes of a sealed event. Events about a resource have less than 1 KiB; the names of a purge have the most.
pub(super) const MAX_EVENT_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_survives_the_round_trip_and_no_shortened_one_is_read() {
        let resource = ResourceForm { target: "/beta/x".to_owned(), accept: "a/b".to_owned() };
        let name = EventName { replica: 7, number: 9 };
        for kind in [
            EventKind::Begin,
            EventKind::Generation,
            EventKind::Purge { flow: Some("f".to_owned()), tenant: None, subject: Some(String::new()) },
            EventKind::Withdraw { principals: vec![[1; 16], [2; 16]], resource: None },
            EventKind::Withdraw { principals: vec![[1; 16]], resource: Some(resource.clone()) },
            EventKind::Renew { principals: vec![], resource },
            EventKind::Throttle { applications: vec![[3; 8]], until_ms: 5 },
        ] {
            let event = Event { generation: 3, name, kind };
            let bytes = event.encode();
            assert_eq!(Event::decode(&bytes), Some(event));
            for length in 0..bytes.len() {
                assert_eq!(Event::decode(&bytes[..length]), None);
            }
            assert_eq!(Event::decode(&[&bytes[..], &[0]].concat()), None);
        }
        let later = Event { generation: 3, name, kind: EventKind::Unknown };
        assert_eq!(Event::decode(&[&later.encode()[..], b"members"].concat()), Some(later));
    }

    #[test]
    fn an_id_is_read_as_the_store_writes_it_and_ordered_by_time_first() {
        let id = LogId { ms: 1_700_000_000_000, seq: 3 };
        assert_eq!(LogId::parse(id.to_string().as_bytes()), Some(id));
        assert!(LogId { ms: 2, seq: 0 } > LogId { ms: 1, seq: 9 });
        for bad in ["", "1", "1-", "-1", "a-b", "1-2-3"] {
            assert_eq!(LogId::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
