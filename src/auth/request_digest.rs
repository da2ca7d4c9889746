//! Digest of a request: the key of the thread cache.

use std::hash::{Hash, Hasher};

use super::hash::{hash_bytes, redact_debug};
use super::{HashKeys, RawTokenHash};
use crate::http::validate::{FieldLines, RequestView};

/// Keyed hash of everything that selects the response to a request: the token, and every byte of the target and of
/// `Accept`. Two requests with equal digests have the same token hash and the same resource.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest([u8; 16]);

redact_debug!(RequestDigest);
hash_bytes!(RequestDigest);

impl RequestDigest {
    /// Computes the digest of a request with this token. Returns `None` if `Accept` has several lines: the full request path
    /// then finds the reason for the rejection.
    pub fn compute(view: &RequestView<'_>, token: RawTokenHash, hash_keys: &HashKeys) -> Option<Self> {
        let token = token.0.as_slice();
        let target = view.head.uri.path_and_query()?.as_str();
        let target = target.as_bytes();
        match view.accept {
            FieldLines::None => Some(Self(hash_keys.tokens.hash(&[token, target]))),
            FieldLines::Single(accept) => {
                Some(Self(hash_keys.tokens.hash(&[token, target, accept.as_bytes()])))
            }
            FieldLines::Multiple(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
