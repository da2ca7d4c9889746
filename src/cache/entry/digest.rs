//! Entity tag and content digest of an entry.

use http::{HeaderName, HeaderValue};
use ring::digest;
use uuid::Uuid;

use crate::http::ids::{GuidText, guid_values};

/// Entity tag in binary form: half of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag(pub(super) [u8; 16]);

/// Digest of all bytes that a caller receives from memory: of the scrubbed body under the scrubber's rules, which is the
/// entity tag, and of the header fields if they differ from the default ones.
///
/// A proof records the digest of Graph's response to its token (promise 2). `Date` and `origin-request-id` are not part of
/// the digest: they describe one message from Graph, and differ in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest(pub(super) [u8; 16]);

impl ContentDigest {
    /// Computes the digest of a response with non-default header fields. Its length precedes every name and value.
    pub(super) fn compute(tag: EntityTag, headers: &[(HeaderName, HeaderValue)]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&tag.0);
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                context.update(&part.len().to_be_bytes());
                context.update(part);
            }
        }
        Self(truncate_digest(context))
    }

    /// Returns the bytes, for a proof in the shared tier.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Restores the digest of a proof in the shared tier.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Creates a distinct digest for each number.
    #[cfg(test)]
    pub fn numbered(number: u8) -> Self {
        Self([number; 16])
    }
}

fn truncate_digest(context: digest::Context) -> [u8; 16] {
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

/// Computes entity tags of bodies under a scrubber's rules.
///
/// Holds the SHA-256 of the rules, to which each body is added: the rules are the same for all bodies, and about half as
/// long as one.
#[derive(Clone)]
pub struct EntityTagHasher(digest::Context);

impl EntityTagHasher {
    /// Hashes the bytes that stand for a scrubber's rules, with their length before them.
    pub fn new(policy: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&policy.len().to_be_bytes());
        context.update(policy);
        Self(context)
    }

    /// Computes the tag of a body. The tag is weak: another serialisation of the same JSON would be an equivalent response
    /// (RFC 9110, section 8.8.1). The rules are included, so that a change of the scrubber's policy changes the tag.
    pub(super) fn compute(&self, body: &[u8]) -> EntityTag {
        let mut context = self.0.clone();
        context.update(body);
        EntityTag(truncate_digest(context))
    }
}

impl std::fmt::Debug for EntityTagHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntityTagHasher")
    }
}

impl EntityTag {
    /// Renders the tag as a field value.
    pub fn to_header_value(self) -> HeaderValue {
        let [value] = guid_values(|[text]| self.write_to(text));
        value
    }

    /// Writes the tag as a field value. It has the length of a GUID, for which the templates of header values are made.
    pub fn write_to(self, text: &mut GuidText) {
        *text = *b"W/\"................................\"";
        Uuid::from_bytes(self.0).simple().encode_lower(&mut text[3..]);
    }
}

/// The digest of a response with default header fields.
impl From<EntityTag> for ContentDigest {
    fn from(etag: EntityTag) -> Self {
        Self(etag.0)
    }
}
