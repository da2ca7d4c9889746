//! A stand-in for Entra ID: mints, verifies and revokes tokens.
//!
//! The signing key is generated at start and stays in this module, so only tokens minted here are valid. Claims come
//! in as JSON text and leave as a [`VerifiedCaller`]. Permissions are not checked here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::caller::VerifiedCaller;
use super::clock::{NowFn, seconds};
use super::names::subject;

/// The token issuer.
pub(crate) struct Issuer {
    key: hmac::Key,
    now: NowFn,
    revoked: Mutex<Revoked>,
}

#[derive(Default)]
struct Revoked {
    tokens: HashSet<String>,
    /// Object id to the second of the revocation. Tokens issued in that second or before are invalid.
    users: HashMap<String, u64>,
}

/// Reasons for a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidToken {
    /// The request has no bearer token.
    Missing,
    /// The text has no token format that Graph accepts.
    Malformed,
    /// The token is not signed by this issuer, or was changed.
    Signature,
    /// `aud` is not Graph.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `nbf` is in the future.
    NotYetValid,
    /// The token was revoked at this second since 1970. Continuous access evaluation sends a claims challenge.
    Revoked(u64),
}

impl Issuer {
    pub(crate) fn new(now: NowFn) -> io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| {
            io::Error::other("the system's random generator failed; no signing key for the Graph stand-in")
        })?;
        Ok(Self { key, now, revoked: Mutex::default() })
    }

    /// Returns a signed JWT with exactly this payload, valid or not.
    pub(crate) fn sign_jwt(&self, payload: &str) -> String {
        // Graph's own tokens have a nonce here, so only Graph can verify them.
        let nonce = subject("nonce", &Uuid::new_v4().to_string());
        let header = json!({"typ": "JWT", "nonce": nonce, "alg": "HS256", "kid": KEY_ID}).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// Returns a token that Graph accepts and other parties cannot read. Microsoft states that tokens may be opaque.
    pub(crate) fn seal_opaque(&self, payload: &str) -> String {
        let mut bytes = hmac::sign(&self.key, payload.as_bytes()).as_ref().to_vec();
        bytes.extend_from_slice(payload.as_bytes());
        format!("{OPAQUE_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Verifies a token now and returns its caller.
    pub(crate) fn verify(&self, token: &str) -> Result<VerifiedCaller, InvalidToken> {
        let claims = self.verified_claims(token)?;
        let now = seconds((self.now)());
        let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        if !AUDIENCES.contains(&audience.trim_end_matches('/')) {
            return Err(InvalidToken::Audience);
        }
        // A date that is not a number is ignored. Graph's behaviour is unknown here; to accept the token tests the
        // proxy's own check.
        if date(&claims, "exp").is_some_and(|end| end <= as_date(now)) {
            return Err(InvalidToken::Expired);
        }
        if date(&claims, "nbf").is_some_and(|start| start > as_date(now)) {
            return Err(InvalidToken::NotYetValid);
        }
        let caller = VerifiedCaller::from_claims(&claims);
        let revoked = self.revoked();
        if revoked.tokens.contains(token) {
            return Err(InvalidToken::Revoked(now));
        }
        match revoked.users.get(&caller.object) {
            Some(at) if date(&claims, "iat").is_none_or(|issued| issued <= as_date(*at)) => {
                Err(InvalidToken::Revoked(*at))
            }
            _ => Ok(caller),
        }
    }

    /// Revokes one token.
    pub(crate) fn revoke(&self, token: &str) {
        self.revoked().tokens.insert(token.to_owned());
    }

    /// Revokes all present tokens of this object id.
    pub(crate) fn revoke_object(&self, object: &str) {
        let now = seconds((self.now)());
        self.revoked().users.insert(object.to_owned(), now);
    }

    /// Returns `iat` for a token minted now. `iat` counts whole seconds, and a token minted in the second of a
    /// revocation must still be newer than the revocation.
    pub(crate) fn issue_time(&self, object: &str) -> u64 {
        let now = seconds((self.now)());
        self.revoked().users.get(object).map_or(now, |at| now.max(at + 1))
    }

    /// Returns the current time, seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        seconds((self.now)())
    }

    fn verified_claims(&self, token: &str) -> Result<Map<String, Value>, InvalidToken> {
        let payload = match token.strip_prefix(OPAQUE_PREFIX) {
            Some(sealed) if !sealed.contains('.') => self.open_opaque(sealed)?,
            _ => self.open_jwt(token)?,
        };
        serde_json::from_slice(&payload).map_err(|_| InvalidToken::Malformed)
    }

    fn open_jwt(&self, token: &str) -> Result<Vec<u8>, InvalidToken> {
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidToken::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(InvalidToken::Malformed)?;
        let header: Value = serde_json::from_slice(&decode(header)?).map_err(|_| InvalidToken::Malformed)?;
        if header.get("alg").and_then(Value::as_str) != Some("HS256") {
            return Err(InvalidToken::Signature);
        }
        hmac::verify(&self.key, signed.as_bytes(), &decode(signature)?)
            .map_err(|_| InvalidToken::Signature)?;
        decode(payload)
    }

    fn open_opaque(&self, sealed: &str) -> Result<Vec<u8>, InvalidToken> {
        let bytes = decode(sealed)?;
        let (tag, payload) = bytes.split_at_checked(TAG_BYTES).ok_or(InvalidToken::Malformed)?;
        hmac::verify(&self.key, payload, tag).map_err(|_| InvalidToken::Malformed)?;
        Ok(payload.to_vec())
    }

    fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, InvalidToken> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| InvalidToken::Malformed)
}

fn date(claims: &Map<String, Value>, name: &str) -> Option<f64> {
    claims.get(name).and_then(Value::as_f64)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
fn as_date(seconds: u64) -> f64 {
    seconds as f64
}

/// Values of `aud` for Graph, without a trailing slash.
const AUDIENCES: [&str; 2] = ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"];
const KEY_ID: &str = "CtTuhMJmD5M7DLdzD2v2x3QKSRY";
const OPAQUE_PREFIX: &str = "EwB";
const TAG_BYTES: usize = 32;
