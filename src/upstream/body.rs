//! Response body: collected whole, decoded, and bounded.

use std::io::Read;
use std::net::IpAddr;

use bytes::Buf;
use flate2::bufread::GzDecoder;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use zeroize::Zeroizing;

use crate::scrub::ScrubFailure;
use crate::scrub::{Scrubbed, Scrubber};
use crate::support::byte_budget::{ByteBudget, BytePermit};
use crate::upstream::RequestError;
use crate::upstream::UpstreamFailure;

/// Response body that still contains credentials. It can only be scrubbed, and its bytes are zeroed when it is dropped.
pub struct RawBody {
    bytes: Zeroizing<Vec<u8>>,
    /// Accounts for the bytes until they are dropped.
    _permit: BytePermit,
}

impl RawBody {
    /// Removes the credentials.
    ///
    /// # Errors
    /// [`ScrubFailure`] if the body cannot be scrubbed.
    pub fn scrub(&self, scrubber: &Scrubber) -> Result<Scrubbed, ScrubFailure> {
        scrubber.scrub(&self.bytes)
    }
}

impl std::fmt::Debug for RawBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawBody({} bytes)", self.bytes.len())
    }
}

/// Limits of one response body.
pub(super) struct BodyLimits<'a> {
    /// Size, as received and decoded.
    pub(super) max_bytes: usize,
    /// Budget that the body is charged to.
    pub(super) budget: &'a ByteBudget,
    /// Owner within the budget.
    pub(super) owner: IpAddr,
}

/// Reads and decodes a body within `limits`. Trailers are discarded.
pub(super) async fn collect(
    body: Incoming,
    headers: &HeaderMap,
    limits: &BodyLimits<'_>,
) -> Result<RawBody, RequestError> {
    let limit = limits.max_bytes;
    check_framing(headers)?;
    let coding = BodyCoding::from_headers(headers)?;
    let announced = body.size_hint().upper().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(UpstreamFailure::TooLarge.into());
    }
    let expected = announced.unwrap_or(TYPICAL_BODY_BYTES).min(limit);
    let mut permit = limits.budget.acquire(limits.owner, expected)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
    let mut body = std::pin::pin!(body);
    let mut frames = 0_usize;
    while let Some(frame) = body.frame().await {
        frames += 1;
        if frames > MAX_SMALL_FRAMES + bytes.len() / MIN_FRAME_BYTES {
            return Err(UpstreamFailure::Protocol.into());
        }
        let frame = frame.map_err(|error| super::error::classify_body_error(&error))?;
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
        // During decoding both forms are in memory, and afterwards only the decoded one.
        permit.grow_to(bytes.len() + decoded_estimate(bytes.len(), limit))?;
        bytes = gunzip(&bytes, limit)?;
        permit.grow_to(bytes.len())?;
    }
    Ok(RawBody { bytes, _permit: permit })
}

/// Checks that the end of the body is unambiguous. `chunked` is the only transfer coding that this client accepts, and a
/// `Content-Length` beside a transfer coding is a sign of response smuggling (RFC 9112, section 6.1).
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

/// Content codings that a request accepts. A response with any other coding fails (RFC 9110, section 8.4).
enum BodyCoding {
    Identity,
    Gzip,
}

impl BodyCoding {
    fn from_headers(headers: &HeaderMap) -> Result<Self, UpstreamFailure> {
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

/// Decodes one gzip member, which must be whole, have the right checksum, and be followed by nothing (RFC 1952).
fn gunzip(bytes: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, UpstreamFailure> {
    let mut decoder = GzDecoder::new(bytes);
    // A vector that grows leaves its smaller buffers in memory without zeroing them, so the usual size is reserved at once.
    let mut out = Zeroizing::new(Vec::with_capacity(decoded_estimate(bytes.len(), limit)));
    let reserved = out.capacity();
    read(&mut decoder, &mut out, reserved)?;
    if out.len() == reserved {
        // One growth to the limit: with gradual growth a gzip bomb would take twice the limit.
        let rest = limit.saturating_add(1).saturating_sub(reserved);
        out.reserve_exact(rest);
        read(&mut decoder, &mut out, rest)?;
    }
    if out.len() > limit {
        return Err(UpstreamFailure::TooLarge);
    }
    if decoder.into_inner().has_remaining() { Err(UpstreamFailure::Encoding) } else { Ok(out) }
}

/// Estimates the decoded size of a gzip member.
fn decoded_estimate(bytes: usize, limit: usize) -> usize {
    bytes.saturating_mul(8).min(limit)
}

/// Decodes at most `max_bytes` further bytes.
fn read(decoder: &mut GzDecoder<&[u8]>, out: &mut Vec<u8>, max_bytes: usize) -> Result<(), UpstreamFailure> {
    let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    decoder.take(max_bytes).read_to_end(out).map(drop).map_err(|_| UpstreamFailure::Encoding)
}

/// Size of two connectors with their contexts.
const TYPICAL_BODY_BYTES: usize = 4 << 10;
/// Frames of any size that a body may have, in addition to one frame per [`MIN_FRAME_BYTES`]. Each frame costs about the
/// same CPU time, and networks do not fragment a body further.
const MAX_SMALL_FRAMES: usize = 4096;
const MIN_FRAME_BYTES: usize = 64;

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
    fn f09_a_coding_that_the_request_does_not_accept_is_an_error() {
        let parse = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
            BodyCoding::from_headers(&headers).map(|_| ())
        };
        assert_eq!(parse("GZIP"), Ok(()));
        for coding in ["br", "br,gzip", "gzip, gzip", "deflate"] {
            assert_eq!(parse(coding), Err(UpstreamFailure::Encoding), "{coding}");
        }
    }
}
