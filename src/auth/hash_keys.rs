//! Keys under which a process hashes tokens and claims.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::claims;
use super::hash::prefix;
use super::keyed_hash::KeyedHash;
use super::{ClaimHash, ClaimKind, LogTagKey};

/// Keys under which a process hashes secrets that it must not store.
///
/// The log has a key of its own, for `SipHash`: 32 bits of a keyed hash of a token hash do not reveal the token hash.
pub struct HashKeys {
    pub(super) tokens: KeyedHash,
    pub(super) claims: hmac::Key,
    pub(super) log: LogTagKey,
}

impl HashKeys {
    /// Draws new keys from the system's random number generator. The keys and the cache live as long as the process.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        SystemRandom::new().fill(seed.as_mut()).map_err(|_| NoRandomness)?;
        let root = hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref());
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let tokens = KeyedHash::new(prefix(Zeroizing::new(prefix::<16>(derive("hash").as_ref())).as_ref()));
        let claims = hmac::Key::new(hmac::HMAC_SHA256, derive("claims").as_ref());
        Ok(Self { tokens, claims, log: LogTagKey::default() })
    }

    /// Returns the key of the tags in the log.
    pub fn log_tags(&self) -> &LogTagKey {
        &self.log
    }

    /// Replaces the key of claims: replicas that share a store hash equal claims equally. Tokens are hashed under a key of the
    /// process nevertheless.
    #[must_use]
    pub fn with_claims_key(self, claims: hmac::Key) -> Self {
        Self { claims, ..self }
    }

    /// Computes the hash of a tenant's or a subject's name as entries carry it. An operator can purge by it.
    pub fn claim_hash(&self, kind: ClaimKind, name: &str) -> ClaimHash {
        claims::hash_claim(&self.claims, kind, name)
    }
}

impl std::fmt::Debug for HashKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKeys(<redacted>)")
    }
}

/// Failure of the system's random number generator.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;
