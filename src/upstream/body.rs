//! A body from Graph: collected whole, decoded, bounded.

use std::io::Read;
use std::net::IpAddr;

use bytes::Buf;
use flate2::bufread::GzDecoder;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use zeroize::Zeroizing;

use crate::cache::outcome::ScrubFailure;
use crate::http::error::{ErrorResponse, UpstreamFailure};
use crate::scrub::{Scrubbed, Scrubber};
use crate::support::byte_budget::{ByteBudget, BytePermit};

/// Bytes of Graph's that nobody has scrubbed. All that can be done with them is to scrub them; they are
/// wiped when they are dropped.
pub struct RawBody {
    bytes: Zeroizing<Vec<u8>>,
    /// Until they are gone.
    _permit: BytePermit,
}

impl RawBody {
    /// Takes the credentials out.
    pub fn scrub(&self, scrubber: &Scrubber) -> Result<Scrubbed, ScrubFailure> {
        scrubber.scrub(&self.bytes)
    }
}

impl std::fmt::Debug for RawBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawBody({} bytes)", self.bytes.len())
    }
}

/// Reads a body of at most `limit` bytes, on the wire and decoded, and charges it to `owner`. Trailers are discarded.
pub(super) async fn collect(
    body: Incoming,
    headers: &HeaderMap,
    limit: usize,
    (budget, owner): (&ByteBudget, IpAddr),
) -> Result<RawBody, ErrorResponse> {
    check_framing(headers)?;
    let coding = BodyCoding::of(headers)?;
    let announced = body.size_hint().upper().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(UpstreamFailure::TooLarge.into());
    }
    let expected = announced.unwrap_or(TYPICAL).min(limit);
    let mut permit = budget.acquire(owner, expected)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
    let mut body = std::pin::pin!(body);
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        pieces += 1;
        if pieces > PIECES + bytes.len() / PIECE_BYTES {
            return Err(UpstreamFailure::Protocol.into());
        }
        let frame = frame.map_err(|error| super::error::of_body(&error))?;
        let Ok(mut data) = frame.into_data() else { continue };
        let length = bytes.len() + data.remaining();
        if length > limit {
            return Err(UpstreamFailure::TooLarge.into());
        }
        permit.grow_to(length)?;
        bytes.extend_from_slice(&data);
        data.advance(data.remaining());
    }
    if matches!(coding, BodyCoding::Gzip) {
        // Both are there while it is decoded, and only the larger one after.
        permit.grow_to(bytes.len() + expansion(bytes.len(), limit))?;
        bytes = gunzip(&bytes, limit)?;
        permit.grow_to(bytes.len())?;
    }
    Ok(RawBody { bytes, _permit: permit })
}

/// An answer says in one way where it ends. No transfer coding but `chunked` was offered a home here, and a
/// length beside one is how answers are smuggled (RFC 9112, section 6.1).
fn check_framing(headers: &HeaderMap) -> Result<(), UpstreamFailure> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None)
            if coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && !headers.contains_key(header::CONTENT_LENGTH) =>
        {
            Ok(())
        }
        _ => Err(UpstreamFailure::Protocol),
    }
}

/// The codings that were asked for. Anything else was not, and is not guessed at (RFC 9110, section 8.4).
enum BodyCoding {
    Identity,
    Gzip,
}

impl BodyCoding {
    fn of(headers: &HeaderMap) -> Result<Self, UpstreamFailure> {
        let mut lines = headers.get_all(header::CONTENT_ENCODING).iter();
        let coding = match (lines.next(), lines.next()) {
            (None, _) => return Ok(Self::Identity),
            (Some(line), None) => {
                line.to_str().map_err(|_| UpstreamFailure::Encoding)?.trim().to_ascii_lowercase()
            }
            (Some(_), Some(_)) => return Err(UpstreamFailure::Encoding),
        };
        match coding.as_str() {
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "identity" | "" => Ok(Self::Identity),
            _ => Err(UpstreamFailure::Encoding),
        }
    }
}

/// One gzip member, whole, with a right checksum and nothing behind it (RFC 1952).
fn gunzip(bytes: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, UpstreamFailure> {
    let mut decoder = GzDecoder::new(bytes);
    // A vector that grew would leave its smaller selves behind, unwiped: room for the usual ratio at once.
    let mut out = Zeroizing::new(Vec::with_capacity(expansion(bytes.len(), limit)));
    let usual = out.capacity();
    read(&mut decoder, &mut out, usual)?;
    if out.len() == usual {
        // It grows once, to all that it may have, and not by and by: a bomb costs twice its limit otherwise.
        let rest = limit.saturating_add(1).saturating_sub(usual);
        out.reserve_exact(rest);
        read(&mut decoder, &mut out, rest)?;
    }
    if out.len() > limit {
        return Err(UpstreamFailure::TooLarge);
    }
    if decoder.into_inner().has_remaining() { Err(UpstreamFailure::Encoding) } else { Ok(out) }
}

/// What a member of so many bytes becomes, as a rule.
fn expansion(bytes: usize, limit: usize) -> usize {
    bytes.saturating_mul(8).min(limit)
}

/// At most so many bytes more.
fn read(decoder: &mut GzDecoder<&[u8]>, out: &mut Vec<u8>, most: usize) -> Result<(), UpstreamFailure> {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    decoder.take(most).read_to_end(out).map(drop).map_err(|_| UpstreamFailure::Encoding)
}

/// Two connectors with their contexts.
const TYPICAL: usize = 4 << 10;
/// A body may come in so many pieces of any size, and in one more for every [`PIECE_BYTES`]: each costs about
/// the same, and a network cuts them no smaller.
const PIECES: usize = 4096;
const PIECE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_whole_member_decodes() {
        assert_eq!(**gunzip(&gzip(b"{\"a\":1}"), 7).unwrap(), *b"{\"a\":1}");
    }

    #[test]
    fn f05_a_broken_member_does_not_decode() {
        let whole = gzip(b"{\"a\":1}");
        let mut bad_sum = whole.clone();
        let sum = bad_sum.len() - 8;
        bad_sum[sum] ^= 1;
        for broken in
            [&whole[..whole.len() - 1], &whole[..12], &[][..], &bad_sum, &[&whole[..], b"junk"].concat()]
        {
            assert_eq!(gunzip(broken, 1 << 20).err(), Some(UpstreamFailure::Encoding));
        }
    }

    #[test]
    fn f06_a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 11 << 10);
        assert_eq!(gunzip(&bomb, 1 << 20).err(), Some(UpstreamFailure::TooLarge));
    }

    #[test]
    fn f09_a_coding_that_was_not_asked_for_is_refused() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
            BodyCoding::of(&headers).map(|_| ())
        };
        assert_eq!(of("GZIP"), Ok(()));
        for coding in ["br", "br,gzip", "gzip, gzip", "deflate"] {
            assert_eq!(of(coding), Err(UpstreamFailure::Encoding), "{coding}");
        }
    }
}
