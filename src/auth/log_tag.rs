//! Tags of tokens and applications in the log and on the admin port.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::hash::prefix;
use super::{ClaimHash, TokenHash};

/// Tag that tells tokens, or applications, apart in the log. It cannot be joined to a cache key or to a list of tokens: it
/// is 32 bits of a hash of the token hash, or of the claim hash, under a key of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogTag(pub [u8; 4]);

impl std::fmt::Display for LogTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Key of the tags, for `SipHash`. Clones compute the same tags; another process computes others.
#[derive(Clone, Default)]
pub struct LogTagKey(RandomState);

impl LogTagKey {
    /// Computes the tag of a token.
    pub fn token(&self, token: TokenHash) -> LogTag {
        self.tag(&token.0)
    }

    /// Computes the tag of a token from [`TokenHash::share_key`].
    pub fn token_share(&self, share_key: u128) -> LogTag {
        self.tag(&share_key.to_ne_bytes())
    }

    /// Computes the tag of an application in its tenant.
    pub fn application(&self, application: ClaimHash) -> LogTag {
        self.tag(&application.0)
    }

    fn tag(&self, hash: &[u8]) -> LogTag {
        let mut hasher = self.0.build_hasher();
        hasher.write(hash);
        LogTag(prefix(&hasher.finish().to_be_bytes()))
    }
}

impl std::fmt::Debug for LogTagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogTagKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_share_key_is_that_of_its_token() {
        let (key, token) = (LogTagKey::default(), TokenHash(*b"sixteen bytes, a"));
        assert_eq!(key.token_share(token.share_key()), key.token(token));
        assert_eq!(key.clone().token(token), key.token(token));
        assert_ne!(LogTagKey::default().token(token), key.token(token));
        let application = ClaimHash(*b"sixteen ");
        assert_ne!(key.application(application).0, prefix::<4>(b"sixteen "));
    }
}
