//! Invalid tokens, made from valid ones.
//!
//! None of them needs the issuer's key: any client can make them, so claims alone prove nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Returns the same claims with a signature of the right length that the issuer did not make.
pub fn forged(token: &str) -> String {
    let (header, payload, _) = segments(token);
    let signature = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
    format!("{header}.{payload}.{signature}")
}

/// Returns the same claims with an empty signature.
pub fn stripped(token: &str) -> String {
    let (header, payload, _) = segments(token);
    format!("{header}.{payload}.")
}

/// Returns the same claims with a header that requires no signature (`"alg":"none"`).
pub fn alg_none(token: &str) -> String {
    let (_, payload, _) = segments(token);
    let header = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "none"}).to_string());
    format!("{header}.{payload}.")
}

/// Returns the token with one claim changed or added and the signature unchanged.
pub fn altered(token: &str, claim: &str, value: impl Into<Value>) -> String {
    let (header, payload, signature) = segments(token);
    let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let mut claims: Map<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    claims.insert(claim.to_owned(), value.into());
    let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string());
    format!("{header}.{payload}.{signature}")
}

/// Returns a new token in an unknown format, like the tokens of personal accounts.
pub fn opaque() -> String {
    let noise = digest(&SHA256, Uuid::new_v4().as_bytes());
    format!("EwB{}", URL_SAFE_NO_PAD.encode(noise).repeat(12))
}

fn segments(token: &str) -> (&str, &str, &str) {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let (header, payload) = signed.split_once('.').unwrap_or((signed, ""));
    (header, payload, signature)
}
