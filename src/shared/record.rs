//! Records of the store: an entry, or the proof that Graph gave its bytes to one token.
//!
//! Times are wall-clock times: monotonic readings mean nothing in another process. Validators of Graph are not part of a
//! record, because a token may send only a validator that Graph gave to it.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use uuid::{NonNilUuid, Uuid};

use super::event::{EventName, Position};
use super::wire::{Reader, Writer};
use crate::cache::entry::{ContentDigest, EntityTagHasher, Entry, RestoredEntry};
use crate::cache::freshness::Lifetime;
use crate::scrub::{GzippedBody, ScrubbedBody};
use crate::support::clock::Now;

/// Time and place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The last event that the writer had applied when the fetch took its lease.
    pub(super) position: Position,
    /// The forced refresh that brought the response: this event does not make the record invalid.
    pub(super) renewal: Option<EventName>,
    /// Time at which the request was sent to Graph, Unix milliseconds.
    pub(super) asked_ms: u64,
}

/// Proof of one token for one resource. The token and the resource are in the name of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProofRecord {
    pub(super) stamp: Stamp,
    pub(super) digest: ContentDigest,
}

impl Stamp {
    fn write(self, w: &mut Writer) {
        self.position.write(w);
        w.option(self.renewal, |w, name| name.write(w));
        w.u64(self.asked_ms);
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self { position: Position::read(r)?, renewal: r.option(EventName::read)?, asked_ms: r.u64()? })
    }
}

impl ProofRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(PROOF);
        self.stamp.write(&mut w);
        w.u128(u128::from_be_bytes(self.digest.to_bytes()));
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        if r.u8()? != PROOF {
            return None;
        }
        let record = Self { stamp: Stamp::read(&mut r)?, digest: ContentDigest::from_bytes(r.array()?) };
        r.finish(record)
    }
}

/// Encodes an entry.
pub(super) fn encode_entry(stamp: Stamp, entry: &Entry) -> Vec<u8> {
    let mut w = Writer::with_capacity(entry.weight());
    w.u8(ENTRY);
    stamp.write(&mut w);
    let Lifetime { fresh_for, initial_age, must_revalidate, grace_ends, error_grace_ends } = entry.lifetime();
    for span in [fresh_for, initial_age, grace_ends, error_grace_ends] {
        w.u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    }
    w.u8(u8::from(must_revalidate));
    w.u64(entry.date());
    w.option(entry.origin_request_id, |w, id| w.u128(id.get().as_u128()));
    w.option(entry.non_default_headers(), |w, headers| {
        w.list(headers, |w, (name, value)| {
            w.bytes(name.as_str().as_bytes());
            w.bytes(value.as_bytes());
        });
    });
    w.bytes(entry.body.as_bytes());
    w.option(entry.gzip(), |w, gzip| w.bytes(gzip.as_bytes()));
    w.finish()
}

/// Decodes an entry, and computes its entity tag again. `requested_at` of the entry is the reading of the own clock at the time
/// in the record.
pub(super) fn decode_entry(bytes: &[u8], entity_tags: &EntityTagHasher, now: Now) -> Option<(Stamp, Entry)> {
    let mut r = Reader::new(bytes);
    if r.u8()? != ENTRY {
        return None;
    }
    let stamp = Stamp::read(&mut r)?;
    let mut span = || {
        Some(match r.u64()? {
            u64::MAX => Duration::MAX,
            ms => Duration::from_millis(ms),
        })
    };
    let (fresh_for, initial_age, grace_ends, error_grace_ends) = (span()?, span()?, span()?, span()?);
    let must_revalidate = r.u8()? != 0;
    let lifetime = Lifetime { fresh_for, initial_age, must_revalidate, grace_ends, error_grace_ends };
    let date = u32::try_from(r.u64()?).ok()?;
    let origin_request_id = r.option(Reader::u128)?.and_then(|id| NonNilUuid::new(Uuid::from_u128(id)));
    let headers = r.option(|r| r.list(read_header))?;
    let body = ScrubbedBody::restore(r.bytes()?);
    let gzip = r.option(Reader::bytes)?.map(GzippedBody::restore);
    let requested_at = now.at_unix_millis(stamp.asked_ms);
    let restored = RestoredEntry { body, gzip, headers, date, origin_request_id, lifetime, requested_at };
    r.finish((stamp, Entry::restore(restored, entity_tags)))
}

fn read_header(r: &mut Reader<'_>) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(r.bytes()?).ok()?, HeaderValue::from_bytes(r.bytes()?).ok()?))
}

const ENTRY: u8 = b'e';
const PROOF: u8 = b'p';

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use http::HeaderMap;

    use super::*;
    use crate::scrub::{Config, Scrubber};
    use crate::shared::event::LogId;
    use crate::support::clock::Clock;

    fn stamp(now: Now) -> Stamp {
        let position = Position { generation: 3, id: LogId { ms: 5, seq: 1 } };
        let renewal = Some(EventName { replica: 1, number: 2 });
        Stamp { position, renewal, asked_ms: now.unix_millis() }
    }

    fn entry(now: Now, fields: &[(&'static str, &'static str)]) -> Entry {
        let scrubber = Scrubber::new(&Config::default(), 1 << 20);
        let body = scrubber.scrub(format!("{{\"id\":\"{}\"}}", "x".repeat(500)).as_bytes()).unwrap().body;
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let lifetime = Lifetime {
            fresh_for: Duration::from_secs(300),
            initial_age: Duration::from_secs(2),
            must_revalidate: true,
            grace_ends: Duration::MAX,
            error_grace_ends: Duration::from_secs(900),
        };
        let gzip = GzippedBody::compress(&body);
        Entry::new(body, &EntityTagHasher::new(b"p"), &headers, lifetime, now).with_gzip(gzip)
    }

    #[test]
    fn an_entry_survives_the_round_trip_with_its_own_age() {
        let clock = Clock::manual(SystemTime::now());
        for fields in
            [&[][..], &[("content-type", "application/json;odata.metadata=full"), ("content-language", "de")]]
        {
            let old = entry(clock.now(), fields);
            let bytes = encode_entry(stamp(clock.now()), &old);
            let other = Clock::manual(clock.now().wall() + Duration::from_secs(40));
            let (stamp_again, new) = decode_entry(&bytes, &EntityTagHasher::new(b"p"), other.now()).unwrap();
            assert_eq!(stamp_again, stamp(clock.now()));
            assert_eq!((new.digest(), new.etag, new.date()), (old.digest(), old.etag, old.date()));
            assert_eq!((new.headers(), new.lifetime()), (old.headers(), old.lifetime()));
            assert_eq!(new.body.as_bytes(), old.body.as_bytes());
            assert_eq!(new.gzip().map(GzippedBody::as_bytes), old.gzip().map(GzippedBody::as_bytes));
            assert_eq!(new.age(other.now()), old.age(clock.now()) + Duration::from_secs(40));
            for length in [0, 1, 20, bytes.len() - 1] {
                assert!(decode_entry(&bytes[..length], &EntityTagHasher::new(b"p"), other.now()).is_none());
            }
        }
    }

    #[test]
    fn a_proof_is_not_an_entry() {
        let now = Clock::manual(UNIX_EPOCH + Duration::from_secs(1)).now();
        let proof = ProofRecord { stamp: stamp(now), digest: ContentDigest::numbered(4) };
        assert_eq!(ProofRecord::decode(&proof.encode()), Some(proof));
        assert!(decode_entry(&proof.encode(), &EntityTagHasher::new(b""), now).is_none());
    }
}
