//! Token to fingerprint, and to what it says of its bearer.
//!
//! A token is hashed under a secret of the process and forgotten after its own request (promise 5). The
//! fingerprint finds proofs. The claims are not verified, for nobody but Graph can verify them: they group
//! what is stored and bound how long it may be used, and grant nothing (promise 2).

mod claims;
mod hash;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

pub use self::claims::{Claims, TokenExpiry};
use self::hash::Hash as Keyed;
use crate::cache::outcome::Bypass;
use crate::http::error::Rejection;
use crate::http::validate::{FieldLines, RequestView};
use crate::proxy::handler::LogTag;
use crate::support::clock::Now;

/// The keys under which a process hashes what it must not keep. The log's is a key of its own, for `SipHash`:
/// 32 bits of a keyed hash of a fingerprint tell nobody the fingerprint.
pub struct HashKeys {
    hash: Keyed,
    claims: hmac::Key,
    log: RandomState,
}

impl HashKeys {
    /// New keys from the system's randomness. They live and die with the process, and so does the cache.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        SystemRandom::new().fill(seed.as_mut()).map_err(|_| NoRandomness)?;
        let root = hmac::Key::new(hmac::HMAC_SHA256, seed.as_ref());
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let hash = Keyed::new(first(Zeroizing::new(first::<16>(derive("hash").as_ref())).as_ref()));
        let claims = hmac::Key::new(hmac::HMAC_SHA256, derive("claims").as_ref());
        Ok(Self { hash, claims, log: RandomState::new() })
    }

    /// A tenant's or subject's name as entries carry it, so that an operator can purge by it.
    pub fn label(&self, kind: ClaimKind, name: &str) -> ClaimHash {
        claims::label(&self.claims, kind, name)
    }
}

impl std::fmt::Debug for HashKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(<redacted>)")
    }
}

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandomness;

/// What a token is known by: a hash of its bytes under a key that never leaves the process, so that nobody else
/// can compute or collide one. It never leaves the process either.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 16]);

/// What a request is known by: the same hash of all that decides its answer, the token and every byte of the
/// target and of `Accept`. Two requests with one spelling have the same fingerprint and the same resource.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestDigest([u8; 16]);

impl RequestDigest {
    /// That of a request. None where the token is missing or either field has several lines: whoever reads them one
    /// by one finds out what is wrong.
    pub fn compute(view: &RequestView<'_>, secrets: &HashKeys) -> Option<Self> {
        let token = view.authorization.only()?.as_bytes();
        let target = view.head.uri.path_and_query()?.as_str();
        let target = target.as_bytes();
        match view.accept {
            FieldLines::None => Some(Self(secrets.hash.of(&[token, target]))),
            FieldLines::One(accept) => Some(Self(secrets.hash.of(&[token, target, accept.as_bytes()]))),
            FieldLines::Several(_) => None,
        }
    }
}

/// Whose token it says it is: HMAC-SHA-256 over tenant, subject, application and permissions, of which half is kept
/// (RFC 2104, section 5 allows for that).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Principal([u8; 16]);

impl Principal {
    /// A number that is spread evenly over principals and that nobody outside the process can compute.
    pub fn spread(self) -> u16 {
        u16::from_ne_bytes(first(&self.0))
    }
}

/// A tenant, subject or application: enough of an HMAC to know it again, and nothing to read. It grants nothing: two
/// that are alike, by a chance of one in 2^64, are purged or throttled together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimHash([u8; 8]);

/// What a [`ClaimHash`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// The claim `tid`.
    Tenant,
    /// The claim `oid` or `sub`.
    Subject,
    /// An application in a tenant.
    Application,
}

macro_rules! redacted {
    ($($name:ident)+) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(<redacted>)"))
            }
        }
    )+ };
}
redacted!(TokenHash RequestDigest Principal ClaimHash Token);

macro_rules! hashed_whole {
    ($($name:ident)+) => { $(
        impl Hash for $name {
            /// Without a count before the bytes: there are always as many.
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write(&self.0);
            }
        }
    )+ };
}
hashed_whole!(TokenHash RequestDigest Principal ClaimHash);

/// A caller's token, for the length of its own request. It has no `Display` and cannot be cloned by accident
/// into anything that lives longer: what needs it takes it by reference or moves it.
pub struct Token(HeaderValue);

impl Token {
    /// The `Authorization` header for Graph, as the caller sent it, marked as not to be logged or indexed.
    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Reads the claims, if they can be read.
    pub fn claims(&self, secrets: &HashKeys, now: Now) -> Result<Claims, Bypass> {
        // The scheme stays with the first segment, which nobody reads.
        let mut segments = self.0.as_bytes().split(|byte| *byte == b'.');
        let (Some(_), Some(payload), Some(_), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(Bypass::Opaque);
        };
        let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).map_err(|_| Bypass::Opaque)?);
        claims::read(&json, &secrets.claims, now)
    }
}

/// Who asks.
#[derive(Debug)]
pub struct Identity {
    /// For Graph alone.
    pub token: Token,
    /// For the cache.
    pub fingerprint: TokenHash,
    /// For the log.
    pub tag: LogTag,
}

impl Identity {
    /// Reads the `Authorization` header: one line, `Bearer` in any case, and a `b64token` (RFC 6750, section 2.1).
    pub fn from_headers(headers: &HeaderMap, secrets: &HashKeys) -> Result<Self, Rejection> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let line = lines.next().ok_or(Rejection::NoToken)?;
        if lines.next().is_some() {
            return Err(Rejection::SeveralTokens);
        }
        check_form(line.as_bytes())?;
        let mut line = line.clone();
        line.set_sensitive(true);
        let fingerprint = TokenHash(secrets.hash.one(line.as_bytes()));
        let tag = LogTag(first(&secrets.log.hash_one(fingerprint).to_be_bytes()));
        Ok(Self { token: Token(line), fingerprint, tag })
    }
}

impl TokenHash {
    /// Returns the whole hash as a key of a fair share.
    pub fn share_key(self) -> u128 {
        u128::from_ne_bytes(self.0)
    }
}

impl ClaimHash {
    /// Returns the whole hash as a key of a fair share.
    pub fn share_key(self) -> u128 {
        u128::from(u64::from_ne_bytes(self.0))
    }
}

/// Tokens are long and nearly all are well formed: those are told in a pass that the compiler can do many bytes
/// at a time. What is wrong with the others is found out at leisure.
fn check_form(line: &[u8]) -> Result<(), Rejection> {
    let (scheme, rest) =
        line.split_at(line.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(line.len()));
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).unwrap_or_default();
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    let odd = body.iter().fold(false, |odd, byte| odd | !is_b64token(*byte));
    if scheme.eq_ignore_ascii_case(b"bearer") && spaces > 0 && !body.is_empty() && !odd {
        return Ok(());
    }
    Err(if line.contains(&b',') {
        Rejection::SeveralTokens
    } else if scheme.is_empty() && rest.is_empty() {
        Rejection::NoToken
    } else if !scheme.eq_ignore_ascii_case(b"bearer") {
        Rejection::Scheme
    } else if token.is_empty() {
        Rejection::NoToken
    } else {
        Rejection::TokenForm
    })
}

fn is_b64token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

/// The first `N` bytes of a tag that has at least as many.
fn first<const N: usize>(tag: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod request_digest;
#[cfg(test)]
mod tests;
