//! A caller's token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::hash::redact_debug;
use super::{Claims, HashKeys, TokenContents, claims};
use crate::auth::Bypass;
use crate::support::clock::Now;

/// A caller's token, kept for the length of its own request.
///
/// The type has neither `Display` nor `Clone`, so it cannot be copied by accident into a value that lives longer. Functions
/// take it by reference or move it.
pub struct Token(pub(super) HeaderValue);

redact_debug!(Token);

impl Token {
    /// Returns the `Authorization` value for Graph, as the caller sent it. It is marked as sensitive: it is neither
    /// logged nor indexed by HPACK.
    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Adds the token, without the scheme, to a MAC: a name in the shared tier.
    pub fn update_mac(&self, mac: &mut ring::hmac::Context) {
        let token = self.0.as_bytes().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        mac.update(token);
    }

    /// Reads the claims. Fails with the reason why the token may not use the cache.
    pub fn claims(&self, hash_keys: &HashKeys, now: Now) -> Result<Claims, Bypass> {
        claims::parse(&self.payload()?, &hash_keys.claims, now)
    }

    /// Reads the claims in the clear, without a check, for the command `explain`.
    pub fn contents(&self) -> Option<TokenContents> {
        TokenContents::parse(&self.payload().ok()?)
    }

    /// Decodes the payload of a JWT.
    fn payload(&self) -> Result<Zeroizing<Vec<u8>>, Bypass> {
        // The scheme stays in front of the first segment, which is not read.
        let mut segments = self.0.as_bytes().split(|byte| *byte == b'.');
        let (Some(_), Some(payload), Some(_), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Bypass::Opaque);
        };
        Ok(Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).map_err(|_| Bypass::Opaque)?))
    }
}
