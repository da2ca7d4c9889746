//! `Authorization` field, with the hash of its token.

use http::HeaderValue;

use super::HashKeys;
use super::hash::TokenHash;
use super::keyed_hash::BegunHash;
use crate::http::validate::RequestView;

/// One line of `Authorization`, divided but not yet checked. The token is hashed once: a lookup in the thread cache and the
/// identity use the same hash.
pub struct TokenField<'a> {
    pub(super) line: &'a HeaderValue,
    /// Scheme, and the blanks after it.
    pub(super) scheme: &'a [u8],
    pub(super) token: &'a [u8],
    /// Hash of the token, to which other values can be added.
    pub(super) hash: BegunHash,
}

impl<'a> TokenField<'a> {
    /// Divides a line, and hashes its token under a key of `hash_keys`.
    pub fn new(line: &'a HeaderValue, hash_keys: &HashKeys) -> Self {
        let bytes = line.as_bytes();
        let name = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let blanks = bytes.iter().skip(name).take_while(|byte| **byte == b' ').count();
        let (scheme, token) = bytes.split_at(name + blanks);
        Self { line, scheme, token, hash: hash_keys.tokens.begin(token) }
    }

    /// Divides the `Authorization` of a request. Returns `None` if it does not have exactly one line.
    pub fn from_request(view: &RequestView<'a>, hash_keys: &HashKeys) -> Option<Self> {
        Some(Self::new(view.authorization.single()?, hash_keys))
    }

    pub(super) fn token_hash(&self) -> TokenHash {
        TokenHash(self.hash.finish(&[]))
    }
}

impl std::fmt::Debug for TokenField<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenField(<redacted>)")
    }
}
