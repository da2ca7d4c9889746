//! A scrubbed body in gzip.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::ScrubbedBody;

/// A scrubbed body in gzip. Only a [`ScrubbedBody`] can be compressed into one, so a parameter of this type cannot
/// receive an unscrubbed body.
#[derive(Clone, PartialEq, Eq)]
pub struct GzippedBody(Arc<[u8]>);

impl GzippedBody {
    /// Compresses a body. Returns `None` if the body is small or the result is not shorter. The encoder's state of
    /// some 300 KiB is freed on return.
    pub fn compress(body: &ScrubbedBody) -> Option<Self> {
        if body.len() < MIN_BODY_BYTES {
            return None;
        }
        // The fastest level. For a response with two connectors (927 bytes) it takes 8 us and leaves 487 bytes; the next level
        // takes 15 us and leaves 408.
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
        encoder.write_all(body.as_bytes()).ok()?;
        let bytes = encoder.finish().ok()?;
        (bytes.len() < body.len()).then(|| Self(bytes.into()))
    }

    /// Restores the compressed form of a body that [`ScrubbedBody::restore`] restores.
    pub fn restore(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Returns the gzip member.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Converts the gzip member into `Bytes` without a copy.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }

    /// Returns the length, bytes.
    #[expect(clippy::len_without_is_empty, reason = "a gzip member is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for GzippedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GzippedBody({} bytes)", self.0.len())
    }
}

/// A smaller body fits one packet with its header section, compressed or not.
const MIN_BODY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Scrubber};
    use std::io::Read as _;

    fn scrubbed(name: &str) -> ScrubbedBody {
        let raw = format!("{{\"displayName\":\"{name}\",\"password\":\"hunter2\"}}");
        Scrubber::new(&Config::default(), 1 << 20).scrub(raw.as_bytes()).unwrap().body
    }

    fn plain(gzipped: GzippedBody) -> Vec<u8> {
        let (mut plain, whole) = (Vec::new(), gzipped.into_bytes());
        flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn l54_it_decompresses_to_the_scrubbed_body_and_is_smaller() {
        for name in ["x".repeat(256), "connector ".repeat(10_000)] {
            let body = scrubbed(&name);
            let gzipped = GzippedBody::compress(&body).unwrap();
            let length = gzipped.clone().into_bytes().len();
            assert!(length == gzipped.len() && length < body.len());
            assert_eq!(format!("{gzipped:?}"), format!("GzippedBody({length} bytes)"));
            assert_eq!(plain(gzipped), body.as_bytes());
        }
    }

    #[test]
    fn l54_a_small_body_is_not_compressed() {
        assert_eq!(GzippedBody::compress(&scrubbed(&"x".repeat(200))), None);
    }

    #[test]
    fn a_body_of_256_bytes_is_the_smallest_that_is_compressed() {
        let around = scrubbed("").len();
        let of = |length: usize| GzippedBody::compress(&scrubbed(&"x".repeat(length - around)));
        assert_eq!(of(255), None);
        assert!(of(256).is_some());
    }
}
