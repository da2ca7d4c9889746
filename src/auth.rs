//! Authentication data of a request: token to hash and claims.
//!
//! A token is hashed under a secret of the process and dropped after its own request (promise 5). The token hash is the
//! key of the token's proofs. The claims are unverified, because only Graph can verify a token for Graph: claims group
//! stored responses and bound their use, and grant nothing (promise 2).
//!
//! This module knows nothing about caching or about Graph's responses.

mod bypass;
mod claims;
mod expiry;
mod hash;
mod hash_keys;
mod identity;
mod keyed_hash;
mod log_tag;
mod request_digest;
mod token;

pub use self::bypass::Bypass;
pub use self::claims::{CallerNames, ClaimPart, Claims, TokenContents};
pub use self::expiry::{EXP_MARGIN, TokenExpiry};
pub use self::hash::{ClaimHash, ClaimKind, Principal, RawTokenHash, TokenHash};
pub use self::hash_keys::{HashKeys, NoRandomness};
pub use self::identity::Identity;
pub use self::log_tag::{LogTag, LogTagKey};
pub use self::request_digest::RequestDigest;
pub use self::token::Token;
