//! Hashes that stand for a token and for its claims. No type of this module shows its bytes in `Debug`.

use std::hash::{Hash, Hasher};

/// Keyed hash of a token's bytes that is not yet a [`TokenHash`]. A hit of the thread cache needs no other.
#[derive(Clone, Copy)]
pub struct RawTokenHash(pub(super) [u8; 16]);

/// Keyed hash of a token's bytes: the identity of the token within the process.
///
/// The key never leaves the process, so no other party can compute a token hash or find a collision. The hash does not
/// leave the process either.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub(super) [u8; 16]);

/// Group of tokens with the same tenant, subject, application and permissions, as the unverified claims state them.
///
/// Half of an HMAC-SHA-256; RFC 2104, section 5 allows this truncation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Principal(pub(super) [u8; 16]);

/// Hash of a tenant, a subject or an application: 64 bits of an HMAC-SHA-256.
///
/// A claim hash can be compared but not read. It grants nothing: two names with equal hashes (probability 2^-64) are purged or
/// throttled together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimHash(pub(super) [u8; 8]);

/// Kind of name in a [`ClaimHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// The claim `tid`.
    Tenant,
    /// The claim `oid` or `sub`.
    Subject,
    /// An application in a tenant.
    Application,
}

impl TokenHash {
    /// Returns the whole hash as a key of a fair share.
    pub fn share_key(self) -> u128 {
        u128::from_ne_bytes(self.0)
    }
}

impl Principal {
    /// Returns the bytes, for names and events of the shared tier, which leave the process only hashed or sealed.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Restores a principal from an event of the shared tier.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns 16 bits that are spread evenly over principals. Only processes with the same key can compute them.
    pub fn bucket_hash(self) -> u16 {
        u16::from_ne_bytes(prefix(&self.0))
    }
}

impl ClaimHash {
    /// Returns the bytes, for events of the shared tier, which leave the process only sealed.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    /// Restores a hash from an event of the shared tier.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the whole hash as a key of a fair share.
    pub fn share_key(self) -> u128 {
        u128::from(u64::from_ne_bytes(self.0))
    }
}

macro_rules! redact_debug {
    ($($name:ty)+) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(<redacted>)"))
            }
        }
    )+ };
}
pub(super) use redact_debug;
redact_debug!(RawTokenHash TokenHash Principal ClaimHash);

macro_rules! hash_bytes {
    ($($name:ty)+) => { $(
        impl Hash for $name {
            /// Hashes the bytes without a length prefix: the length is constant.
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write(&self.0);
            }
        }
    )+ };
}
pub(super) use hash_bytes;
hash_bytes!(ClaimHash);

macro_rules! hash_first_half {
    ($($name:ty)+) => { $(
        impl Hash for $name {
            /// Hashes the first half: 64 bits of a keyed hash distinguish any number of keys of a table. Those of a token hash
            /// are a `SipHash`.
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u64(u64::from_ne_bytes(prefix(&self.0)));
            }
        }
    )+ };
}
hash_first_half!(TokenHash Principal);

/// Returns the first `N` bytes of a hash that has at least `N`.
pub(super) fn prefix<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    out
}
