//! The stand-in for Entra ID: signs tokens, recognises its own, and takes them back.
//!
//! The key is made at start and never leaves this file, so only tokens minted here pass. The claims go in as
//! JSON text and come out as a [`Caller`]; whether a caller may read a flow is not decided here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::caller::Caller;
use super::clock::{Now, seconds};
use super::names::subject;

/// Mints, verifies and revokes.
pub(crate) struct Issuer {
    key: hmac::Key,
    now: Now,
    revoked: Mutex<Revoked>,
}

#[derive(Default)]
struct Revoked {
    tokens: HashSet<String>,
    /// Object id to the second of the revocation. What was issued then or before is void.
    users: HashMap<String, u64>,
}

/// Why a token is refused with 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// No bearer token was sent.
    Missing,
    /// Not a token in any form that Graph reads.
    Malformed,
    /// Not signed by this issuer, or altered since.
    Signature,
    /// Meant for somebody else than Graph.
    Audience,
    /// `exp` has come.
    Expired,
    /// `nbf` is ahead.
    NotYetValid,
    /// Revoked at this second since 1970: continuous access evaluation answers with a claims challenge.
    Revoked(u64),
}

impl Issuer {
    pub(crate) fn new(now: Now) -> io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| io::Error::other("the system gave no random bytes for the sandbox's signing key"))?;
        Ok(Self { key, now, revoked: Mutex::default() })
    }

    /// A signed JWT whose payload is `payload` to the byte, be it sound or not.
    pub(crate) fn jwt(&self, payload: &str) -> String {
        // Graph's own tokens carry a nonce here, which is why nobody else can verify them.
        let nonce = subject("nonce", &Uuid::new_v4().to_string());
        let header = json!({"typ": "JWT", "nonce": nonce, "alg": "HS256", "kid": KEY_ID}).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A token that Graph accepts and that nobody else can read: no segments, as Microsoft says may happen.
    pub(crate) fn opaque(&self, payload: &str) -> String {
        let mut bytes = hmac::sign(&self.key, payload.as_bytes()).as_ref().to_vec();
        bytes.extend_from_slice(payload.as_bytes());
        format!("{OPAQUE_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The caller that `token` stands for at this moment.
    pub(crate) fn assess(&self, token: &str) -> Result<Caller, Rejection> {
        let claims = self.verified_claims(token)?;
        let now = seconds((self.now)());
        let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        if !AUDIENCES.contains(&audience.trim_end_matches('/')) {
            return Err(Rejection::Audience);
        }
        // A date that is no number binds nothing here: what Graph does with one is unknown, and to accept it
        // shows whether the proxy is careful by itself.
        if date(&claims, "exp").is_some_and(|end| end <= as_date(now)) {
            return Err(Rejection::Expired);
        }
        if date(&claims, "nbf").is_some_and(|start| start > as_date(now)) {
            return Err(Rejection::NotYetValid);
        }
        let caller = Caller::new(&claims);
        let revoked = self.revoked();
        if revoked.tokens.contains(token) {
            return Err(Rejection::Revoked(now));
        }
        match revoked.users.get(&caller.object) {
            Some(at) if date(&claims, "iat").is_none_or(|issued| issued <= as_date(*at)) => {
                Err(Rejection::Revoked(*at))
            }
            _ => Ok(caller),
        }
    }

    /// Takes back one token.
    pub(crate) fn revoke(&self, token: &str) {
        self.revoked().tokens.insert(token.to_owned());
    }

    /// Takes back every token that this object id holds now.
    pub(crate) fn revoke_object(&self, object: &str) {
        let now = seconds((self.now)());
        self.revoked().users.insert(object.to_owned(), now);
    }

    /// The `iat` of a token minted now. `iat` counts whole seconds, and a token minted within the second of a
    /// revocation must still be newer than it.
    pub(crate) fn issue_time(&self, object: &str) -> u64 {
        let now = seconds((self.now)());
        self.revoked().users.get(object).map_or(now, |at| now.max(at + 1))
    }

    /// The present, in seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        seconds((self.now)())
    }

    fn verified_claims(&self, token: &str) -> Result<Map<String, Value>, Rejection> {
        let payload = match token.strip_prefix(OPAQUE_PREFIX) {
            Some(sealed) if !sealed.contains('.') => self.open_opaque(sealed)?,
            _ => self.open_jwt(token)?,
        };
        serde_json::from_slice(&payload).map_err(|_| Rejection::Malformed)
    }

    fn open_jwt(&self, token: &str) -> Result<Vec<u8>, Rejection> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Rejection::Malformed)?;
        let header: Value = serde_json::from_slice(&decode(header)?).map_err(|_| Rejection::Malformed)?;
        if header.get("alg").and_then(Value::as_str) != Some("HS256") {
            return Err(Rejection::Signature);
        }
        hmac::verify(&self.key, signed.as_bytes(), &decode(signature)?).map_err(|_| Rejection::Signature)?;
        decode(payload)
    }

    fn open_opaque(&self, sealed: &str) -> Result<Vec<u8>, Rejection> {
        let bytes = decode(sealed)?;
        let (tag, payload) = bytes.split_at_checked(TAG_BYTES).ok_or(Rejection::Malformed)?;
        hmac::verify(&self.key, payload, tag).map_err(|_| Rejection::Malformed)?;
        Ok(payload.to_vec())
    }

    fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Rejection::Malformed)
}

fn date(claims: &Map<String, Value>, name: &str) -> Option<f64> {
    claims.get(name).and_then(Value::as_f64)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
fn as_date(seconds: u64) -> f64 {
    seconds as f64
}

/// The values of `aud` that mean Graph, without a trailing slash.
const AUDIENCES: [&str; 2] = ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"];
const KEY_ID: &str = "CtTuhMJmD5M7DLdzD2v2x3QKSRY";
const OPAQUE_PREFIX: &str = "EwB";
const TAG_BYTES: usize = 32;
