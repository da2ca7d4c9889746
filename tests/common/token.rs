//! Tokens for a server that does not check them: well formed, with a meaningless signature.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// A token of this subject that may use the cache for an hour. Two of the same subject are equal.
pub fn mint(subject: &str) -> String {
    mint_for(subject, Duration::from_hours(1))
}

/// The same, for so long.
pub fn mint_for(subject: &str, life: Duration) -> String {
    mint_until(subject, *START + life.as_secs())
}

/// The same, until this second since the Unix epoch: for tests that come close to a token's end.
pub fn mint_until(subject: &str, end: u64) -> String {
    mint_with(&json!({
        "tid": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
        "oid": subject,
        "appid": "00000000-0000-0000-0000-000000000001",
        "scp": "IdentityUserFlow.ReadWrite.All",
        "exp": end,
    }))
}

/// A token of this tenant, application and subject, for a working day.
pub fn mint_in(tenant: &str, app: &str, subject: &str) -> String {
    let end = *START + Duration::from_hours(8).as_secs();
    mint_with(&json!({"tid": tenant, "oid": subject, "appid": app, "exp": end}))
}

fn mint_with(claims: &serde_json::Value) -> String {
    let header = json!({"typ": "JWT", "alg": "RS256"});
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(header.to_string()), encode(claims.to_string()), encode("no one's".to_owned()))
}

/// The same for all tokens: a second later the token would be another one.
static START: LazyLock<u64> =
    LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
