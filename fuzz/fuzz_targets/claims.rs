//! A token's payload to claims. What reads must bound the use of the cache, whatever else is in it.
//!
//! Input: the payload's bytes.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::{Claims, HashKeys, Identity};
use connector_cache::support::clock::Clock;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static SECRETS: LazyLock<HashKeys> = LazyLock::new(|| HashKeys::random().expect("randomness"));
const NOW: u64 = 1_785_102_361;
const HORIZON: u64 = 29 * 3600;

fuzz_target!(|payload: &[u8]| {
    let claims = read(payload);
    assert_eq!(claims, read(payload), "the same payload reads otherwise the second time");
    let Some(claims) = claims else { return };
    assert!(
        claims.expiry.unix_seconds() > NOW + 30 && claims.expiry.unix_seconds() <= NOW + HORIZON,
        "exp {} is out of bounds",
        claims.expiry.unix_seconds()
    );

    // A Value cannot hold every number that is skipped over, so not all that reads is a Value.
    let Ok(value) = serde_json::from_slice::<Value>(payload) else { return };
    assert_eq!(value["exp"].as_u64(), Some(claims.expiry.unix_seconds()));
    assert!(value.get("cnf").is_none(), "a token that is bound to a key was read");
    let named = |name: &str| value[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(named("tid") && (named("oid") || named("sub")), "a claim set without a name was read");

    // Order, white space and what is unknown say nothing about the bearer.
    let mut other = value.clone();
    other["xms_unknown"] = Value::from("x");
    let spaced = serde_json::to_vec_pretty(&other).expect("a value can be written");
    assert_eq!(read(&spaced), Some(claims.clone()), "the same claims read otherwise");
    // Whatever is granted by name is another group.
    for name in ["tid", if named("oid") { "oid" } else { "sub" }] {
        let mut other = value.clone();
        other[name] = Value::from(format!("{}x", value[name].as_str().unwrap_or_default()));
        let theirs = read(other.to_string().as_bytes()).expect("another name reads as well");
        assert_ne!(theirs.principal, claims.principal, "two different {name} are one principal");
    }
});

fn read(payload: &[u8]) -> Option<Claims> {
    let line = format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
    let line = HeaderValue::from_str(&line).expect("base64url is plain");
    let identity = Identity::from_headers(&HeaderMap::from_iter([(header::AUTHORIZATION, line)]), &SECRETS);
    // A payload of no bytes is a token all the same.
    let token = identity.expect("a token of three parts is a token").token;
    token.claims(&SECRETS, Clock::manual(UNIX_EPOCH + Duration::from_secs(NOW)).now()).ok()
}
