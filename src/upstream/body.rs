//! Response body: collected whole, decoded, and bounded. [`BodyWorkers`] do the work on a large body.

use std::io::Read;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Buf;
use flate2::bufread::GzDecoder;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::scrub::{GzippedBody, ScrubFailure, Scrubbed, Scrubber};
use crate::support::byte_budget::{ByteBudget, BytePermit};
use crate::upstream::body_workers::{BodyWorkers, INLINE_BODY_BYTES};
use crate::upstream::fair_queue::SharePath;
use crate::upstream::zeroed_bytes::ZeroedBytes;
use crate::upstream::{RequestError, UpstreamFailure};

/// Response body that still contains credentials. It can only be scrubbed, and its bytes are zeroed when it is dropped.
pub struct RawBody {
    bytes: ZeroedBytes,
    /// Accounts for the bytes until they are dropped.
    permit: BytePermit,
    share: SharePath,
    workers: BodyWorkers,
}

/// A scrubbed body, and its compressed form if that was requested.
type ScrubResult = Result<(Scrubbed, Option<GzippedBody>), ScrubFailure>;

impl RawBody {
    /// Removes the credentials, and compresses the result if `compress`. A large body is scrubbed on another thread, because
    /// that takes too long for a thread that serves connections.
    ///
    /// # Errors
    /// [`ScrubFailure`] if the body cannot be scrubbed.
    pub async fn scrub(self, scrubber: Arc<Scrubber>, compress: bool) -> ScrubResult {
        let (share, length, workers) = (self.share, self.bytes.len(), self.workers.clone());
        workers.run(share, length, move || self.scrub_now(&scrubber, compress)).await
    }

    /// Does the same to a small body without a future, which would be copied. Continues with a large body.
    pub fn scrub_small(self, scrubber: &Scrubber, compress: bool) -> ControlFlow<ScrubResult, Self> {
        if self.bytes.len() <= INLINE_BODY_BYTES {
            ControlFlow::Break(self.scrub_now(scrubber, compress))
        } else {
            ControlFlow::Continue(self)
        }
    }

    fn scrub_now(self, scrubber: &Scrubber, compress: bool) -> ScrubResult {
        // The bytes are zeroed and accounted for where the work is done, also if the caller has left.
        let Self { bytes, permit: _permit, .. } = self;
        let clean = scrubber.scrub(&bytes)?;
        drop(bytes);
        let gzip = if compress { GzippedBody::compress(&clean.body) } else { None };
        Ok((clean, gzip))
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
    /// Decode and scrub a large body.
    pub(super) workers: &'a BodyWorkers,
    /// Owner among those whose bodies wait for `workers`.
    pub(super) share: SharePath,
}

/// Body as received, with its content coding.
pub(super) struct EncodedBody {
    bytes: ZeroedBytes,
    permit: BytePermit,
    coding: BodyCoding,
}

/// Reads a body within `limits`. Trailers are discarded.
pub(super) async fn collect(
    body: Incoming,
    headers: &HeaderMap,
    limits: &BodyLimits<'_>,
) -> Result<EncodedBody, RequestError> {
    let limit = limits.max_bytes;
    check_framing(headers)?;
    let coding = BodyCoding::from_headers(headers)?;
    let announced = body.size_hint().upper().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(UpstreamFailure::TooLarge.into());
    }
    let expected = announced.unwrap_or(TYPICAL_BODY_BYTES).min(limit);
    let mut permit = limits.budget.acquire(limits.owner, expected)?;
    let mut bytes = ZeroedBytes::with_capacity(expected);
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
    Ok(EncodedBody { bytes, permit, coding })
}

impl EncodedBody {
    /// Decodes the body within `limits`.
    pub(super) async fn decode(self, limits: &BodyLimits<'_>) -> Result<RawBody, RequestError> {
        let Self { mut bytes, mut permit, coding } = self;
        let BodyLimits { max_bytes: limit, workers, share, .. } = *limits;
        if matches!(coding, BodyCoding::Gzip) {
            // During decoding both forms are in memory, and afterwards only the decoded one.
            permit.grow_to(bytes.len() + decoded_estimate(bytes.len(), limit))?;
            bytes = if let Some(decoded) = gunzip_small(&bytes, limit) {
                decoded?
            } else {
                let work = move || (gunzip(&bytes, limit), permit);
                let (decoded, held) = workers.run(share, usize::MAX, work).await;
                permit = held;
                decoded?
            };
            permit.grow_to(bytes.len())?;
        }
        Ok(RawBody { bytes, permit, share, workers: workers.clone() })
    }
}

/// Decodes a body that is small in both forms. Returns `None` for any other: its size shows only while it is decoded.
fn gunzip_small(bytes: &[u8], limit: usize) -> Option<Result<ZeroedBytes, UpstreamFailure>> {
    if bytes.len() > INLINE_BODY_BYTES {
        return None;
    }
    let decoded = gunzip(bytes, limit.min(INLINE_BODY_BYTES));
    let is_small = limit <= INLINE_BODY_BYTES || !matches!(decoded, Err(UpstreamFailure::TooLarge));
    is_small.then_some(decoded)
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
#[derive(Clone, Copy)]
enum BodyCoding {
    Identity,
    Gzip,
}

impl BodyCoding {
    /// Reads the list of codings. Empty members (RFC 9110, section 5.6.1.2) and `identity` are skipped; of the rest, at most one
    /// coding is accepted.
    fn from_headers(headers: &HeaderMap) -> Result<Self, UpstreamFailure> {
        let mut coding = Self::Identity;
        for line in headers.get_all(header::CONTENT_ENCODING) {
            let members = line.to_str().map_err(|_| UpstreamFailure::Encoding)?.split(',').map(str::trim);
            for member in
                members.filter(|member| !member.is_empty() && !member.eq_ignore_ascii_case("identity"))
            {
                let is_gzip = ["gzip", "x-gzip"].iter().any(|known| known.eq_ignore_ascii_case(member));
                match (is_gzip, coding) {
                    (true, Self::Identity) => coding = Self::Gzip,
                    (true, Self::Gzip) | (false, _) => return Err(UpstreamFailure::Encoding),
                }
            }
        }
        Ok(coding)
    }
}

/// Decodes the members of a gzip file, which must be whole, have the right checksum, and be followed by nothing but zeros
/// (RFC 1952, section 2.2). Padding with zeros is not part of the format, but gzip ignores it as well. `limit` bounds the sum
/// of the members.
fn gunzip(bytes: &[u8], limit: usize) -> Result<ZeroedBytes, UpstreamFailure> {
    // A vector that grows leaves its smaller buffers in memory without zeroing them, so the usual size is reserved at once.
    let mut out = ZeroedBytes::with_capacity(decoded_estimate(bytes.len(), limit));
    let (mut rest, mut members) = (bytes, 0_usize);
    loop {
        members += 1;
        if members > MAX_SMALL_MEMBERS + out.len() / MIN_MEMBER_BYTES {
            return Err(UpstreamFailure::Encoding);
        }
        rest = read_member(rest, &mut out, limit)?;
        let is_padding = rest.first().is_none_or(|first| *first == 0);
        if is_padding {
            return if rest.iter().all(|byte| *byte == 0) { Ok(out) } else { Err(UpstreamFailure::Encoding) };
        }
    }
}

/// Decodes one member to the end of `out`, and returns the bytes after the member.
fn read_member<'b>(bytes: &'b [u8], out: &mut Vec<u8>, limit: usize) -> Result<&'b [u8], UpstreamFailure> {
    let mut decoder = GzDecoder::new(bytes);
    let reserved = out.capacity() - out.len();
    read(&mut decoder, out, reserved)?;
    if out.len() == out.capacity() {
        // One growth to the limit: with gradual growth a gzip bomb would take twice the limit. The decoder has to read once
        // more even if the member ends here, to check its trailer.
        let rest = limit.saturating_add(1).saturating_sub(out.len());
        out.reserve_exact(rest);
        read(&mut decoder, out, rest)?;
    }
    if out.len() > limit { Err(UpstreamFailure::TooLarge) } else { Ok(decoder.into_inner()) }
}

/// Estimates the decoded size of a gzip file.
fn decoded_estimate(bytes: usize, limit: usize) -> usize {
    bytes.saturating_mul(8).min(limit)
}

/// Decodes at most `max_bytes` further bytes.
fn read(decoder: &mut GzDecoder<&[u8]>, out: &mut Vec<u8>, max_bytes: usize) -> Result<(), UpstreamFailure> {
    let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    decoder.take(max_bytes).read_to_end(out).map(drop).map_err(|_| UpstreamFailure::Encoding)
}

/// Members of any size that a gzip file may have, in addition to one per [`MIN_MEMBER_BYTES`] decoded bytes: each starts a
/// decoder of 43 KB.
const MAX_SMALL_MEMBERS: usize = 256;
const MIN_MEMBER_BYTES: usize = 256;
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
    fn members_are_joined_and_padding_is_ignored() {
        let (empty, one) = (gzip(b""), gzip(b"12"));
        let join =
            |parts: &[&Vec<u8>]| parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<_>>();
        for (parts, plain) in [
            (vec![&one, &one, &one], "121212"),
            (vec![&empty, &one, &empty], "12"),
            (vec![&one, &vec![0; 100]], "12"),
            (vec![&empty, &empty], ""),
        ] {
            for limit in [plain.len(), 1 << 20] {
                assert_eq!(**gunzip(&join(&parts), limit).unwrap(), *plain.as_bytes());
            }
        }
        for (parts, limit, failure) in [
            (vec![&one, &one], 3, UpstreamFailure::TooLarge),
            (vec![&one, &vec![0], &one], 99, UpstreamFailure::Encoding),
            (vec![&one, &vec![0, 1]], 99, UpstreamFailure::Encoding),
            (vec![&one, &one[..5].to_vec()], 99, UpstreamFailure::Encoding),
            (vec![&one, &b"junk".to_vec()], 99, UpstreamFailure::Encoding),
        ] {
            assert_eq!(gunzip(&join(&parts), limit).err(), Some(failure), "{parts:?}");
        }
    }

    #[test]
    fn a_file_of_many_empty_members_is_refused() {
        let many = |count: usize| gzip(b"").repeat(count);
        assert!(gunzip(&many(MAX_SMALL_MEMBERS), 1 << 20).unwrap().is_empty());
        assert_eq!(gunzip(&many(MAX_SMALL_MEMBERS + 1), 1 << 20).err(), Some(UpstreamFailure::Encoding));
        let plain = vec![b'x'; 512];
        let large: Vec<u8> = plain.chunks(256).cycle().take(1000).flat_map(gzip).collect();
        assert_eq!(gunzip(&large, 1 << 20).unwrap().len(), 256_000);
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
        for coding in ["GZIP", "gzip,", " , identity, x-gzip", "identity"] {
            assert_eq!(parse(coding), Ok(()), "{coding}");
        }
        for coding in ["br", "br,gzip", "gzip, gzip", "deflate"] {
            assert_eq!(parse(coding), Err(UpstreamFailure::Encoding), "{coding}");
        }
    }
}
