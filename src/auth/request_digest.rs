//! Digest of a request: the key of the thread cache.

use std::hash::{Hash, Hasher};

use super::hash::{hash_bytes, redact_debug};
use super::identity::split_scheme;
use super::{HashKeys, RawTokenHash};
use crate::http::validate::{FieldLines, RequestView};

/// Keyed hash of everything that selects the response to a request: the token, and every byte of its scheme, of the target
/// and of `Accept`. Two requests with equal digests have the same token hash and the same resource.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest([u8; 16]);

redact_debug!(RequestDigest);
hash_bytes!(RequestDigest);

impl RequestDigest {
    /// Computes the digest of a request, and returns also the hash of its token. Returns `None` if the token is missing or one of
    /// the two fields has several lines: the full request path then finds the reason for the rejection.
    pub fn compute(view: &RequestView<'_>, hash_keys: &HashKeys) -> Option<(Self, RawTokenHash)> {
        let (scheme, token) = split_scheme(view.authorization.single()?.as_bytes());
        let target = view.head.uri.path_and_query()?.as_str();
        let target = target.as_bytes();
        let token = RawTokenHash::of(token, hash_keys);
        let digest = match view.accept {
            FieldLines::None => hash_keys.tokens.hash(&[&token.0, scheme, target]),
            FieldLines::Single(accept) => {
                hash_keys.tokens.hash(&[&token.0, scheme, target, accept.as_bytes()])
            }
            FieldLines::Multiple(_) => return None,
        };
        Some((Self(digest), token))
    }
}

#[cfg(test)]
mod tests;
