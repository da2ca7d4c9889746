//! Which tokens have the same principal, and which may not use the cache.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::auth::{HashKeys, Identity};
use crate::support::clock::Clock;

const NOW: u64 = 1_790_000_000;

fn now() -> Now {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(NOW)).now()
}

fn hash_keys() -> HashKeys {
    HashKeys::random().unwrap()
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    headers
}

fn jwt(payload: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(payload))
}

fn claims_of(payload: &str, hash_keys: &HashKeys) -> Result<Claims, Bypass> {
    let identity =
        Identity::from_headers(&headers(&[&format!("Bearer {}", jwt(payload))]), hash_keys).unwrap();
    identity.token.claims(hash_keys, now())
}

fn usual_claims() -> Value {
    json!({ "tid": "t", "oid": "o", "sub": "s", "appid": "a", "idtyp": "user", "scp": "B A",
            "wids": ["w2", "w1"], "nbf": NOW - 60, "exp": NOW + 3600 })
}

/// The usual claims with one replaced or, by `null`, removed.
fn altered(name: &str, value: Value) -> String {
    let mut claims = usual_claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims.to_string()
}

#[test]
fn t17_debug_output_shows_no_part_of_a_token() {
    let hash_keys = hash_keys();
    let identity = Identity::from_headers(
        &headers(&[&format!("Bearer {}", jwt(&usual_claims().to_string()))]),
        &hash_keys,
    )
    .unwrap();
    let claims = identity.token.claims(&hash_keys, now()).unwrap();
    let shown = format!("{identity:?} {claims:?} {hash_keys:?}");
    assert!(!shown.contains("eyJ"), "{shown}");
    assert_eq!(shown.matches("<redacted>").count(), 8, "{shown}");
}

#[test]
fn f38_a_token_that_is_not_a_readable_jwt_may_not_use_the_cache() {
    let hash_keys = hash_keys();
    for token in
        ["EwBIA8l6BAAU", "a.b", "a.!.c", "a.b.c.d.e", "..", "a..c", &jwt("").replace("c2ln", "c2ln.x")]
    {
        let line = format!("Bearer {}", token.replace('!', "~"));
        let identity = Identity::from_headers(&headers(&[&line]), &hash_keys).unwrap();
        let reason = identity.token.claims(&hash_keys, now()).unwrap_err();
        assert!(matches!(reason, Bypass::Opaque | Bypass::Unreadable), "{token}: {reason}");
    }
    let gzip = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(b"\x1f\x8b\x08\x00"));
    let identity = Identity::from_headers(&headers(&[&gzip]), &hash_keys).unwrap();
    assert_eq!(identity.token.claims(&hash_keys, now()), Err(Bypass::Unreadable));
}

#[test]
fn f39_only_an_integer_within_29_hours_is_an_expiry() {
    let hash_keys = hash_keys();
    let exp = |value: Value| {
        claims_of(&altered("exp", value), &hash_keys).map(|claims| claims.expiry.unix_seconds())
    };
    assert_eq!(exp(json!(NOW + 3600)), Ok(NOW + 3600));
    assert_eq!(exp(json!(NOW + 29 * 3600)), Ok(NOW + 29 * 3600));
    for odd in [
        json!(NOW + 29 * 3600 + 1),
        json!((NOW + 3600) * 1000),
        json!((NOW + 3600).to_string()),
        json!(1.79e9),
        json!(-1),
        json!(1e300),
        json!(9_223_372_036_854_775_808_u64),
        json!([NOW + 3600]),
        json!(true),
        Value::Null,
    ] {
        assert_eq!(exp(odd.clone()), Err(Bypass::ExpUnusable), "{odd}");
    }
    let null = altered("exp", json!(7)).replace("\"exp\":7", "\"exp\":null");
    assert_eq!(claims_of(&null, &hash_keys), Err(Bypass::ExpUnusable));
    let twice = altered("exp", json!(NOW + 60)).replace("{\"app", &format!("{{\"exp\":{},\"app", NOW + 3600));
    assert_eq!(claims_of(&twice, &hash_keys), Err(Bypass::Unreadable));
}

#[test]
fn a_token_is_usable_until_30_seconds_before_its_expiry() {
    let hash_keys = hash_keys();
    let exp = |seconds| claims_of(&altered("exp", json!(NOW + seconds)), &hash_keys);
    assert_eq!(exp(30), Err(Bypass::Expiring));
    assert_eq!(exp(31).unwrap().expiry.remaining(now()), Duration::from_secs(1));
    assert_eq!(claims_of(&altered("exp", json!(0)), &hash_keys), Err(Bypass::Expiring));
}

#[test]
fn a_token_that_is_not_valid_yet_or_bound_to_a_key_may_not_use_the_cache() {
    let hash_keys = hash_keys();
    let reason = |name, value| claims_of(&altered(name, value), &hash_keys).err();
    assert_eq!(reason("nbf", json!(NOW + 1)), Some(Bypass::NotYetValid));
    assert_eq!(reason("nbf", json!("0")), Some(Bypass::NotYetValid));
    assert_eq!(reason("nbf", json!(NOW)), None);
    assert_eq!(reason("nbf", Value::Null), None, "nbf is optional");
    assert_eq!(reason("cnf", json!({ "kid": "k" })), Some(Bypass::Bound));
    let null = altered("cnf", json!(7)).replace("\"cnf\":7", "\"cnf\":null");
    assert_eq!(claims_of(&null, &hash_keys), Err(Bypass::Bound));
}

#[test]
fn t04_an_empty_missing_or_duplicate_name_is_not_a_name() {
    let hash_keys = hash_keys();
    let reason = |payload: &str| claims_of(payload, &hash_keys).err();
    assert_eq!(reason(&altered("tid", json!(""))), Some(Bypass::Incomplete));
    assert_eq!(reason(&altered("tid", Value::Null)), Some(Bypass::Incomplete));
    assert_eq!(reason(&altered("tid", json!(1))), Some(Bypass::Unreadable));
    let nobody = json!({ "tid": "t", "oid": "", "exp": NOW + 60 }).to_string();
    assert_eq!(reason(&nobody), Some(Bypass::Incomplete));
    let doubled = altered("scp", Value::Null).replace("{\"app", "{\"oid\":\"victim\",\"app");
    assert_eq!(reason(&doubled), Some(Bypass::Unreadable));
    let listed = format!(r#"["t","o","s","a",null,"app",null,null,null,{},0,null]"#, NOW + 60);
    for not_claims in ["", "[]", "1", "null", "\"x\"", "{}x", "\u{feff}{}", "{}{}", "[{}]", &listed] {
        assert_eq!(reason(not_claims), Some(Bypass::Unreadable), "{not_claims}");
    }
}

#[test]
fn t04_json_escapes_neither_change_a_claim_nor_hide_a_duplicate() {
    let hash_keys = hash_keys();
    let of = |payload: &str| claims_of(payload, &hash_keys);
    let usual = of(&usual_claims().to_string()).unwrap();
    let escaped =
        usual_claims().to_string().replace("\"oid\"", r#""\u006fi\u0064""#).replace("\"o\"", r#""\u006f""#);
    assert_eq!(of(&format!("\r\n\t {escaped} \n")), Ok(usual.clone()));
    for (claim, more) in [
        ("tid", r#""t\u0069d":"other""#.to_owned()),
        ("oid", r#""\u006fid":"other""#.to_owned()),
        ("exp", format!(r#""\u0065xp":{}"#, NOW + 60)),
        ("scp", r#""scp":"B A""#.to_owned()),
        ("nbf", r#""nbf":0"#.to_owned()),
    ] {
        let twice = usual_claims().to_string().replacen('{', &format!("{{{more},"), 1);
        assert_eq!(of(&twice), Err(Bypass::Unreadable), "{claim}");
    }
    let other_case =
        usual_claims().to_string().replacen('{', r#"{"OID":"other","Exp":1,"CNF":{},"tid ":"other","#, 1);
    assert_eq!(of(&other_case), Ok(usual), "names with other case or blanks are other claims");
    for (claim, odd) in [
        ("scp", json!(["A", "B"])),
        ("roles", json!("A")),
        ("roles", json!([1])),
        ("wids", json!({ "0": "w1" })),
        ("oid", json!(["o"])),
        ("idtyp", json!(true)),
        ("appid", json!({})),
    ] {
        assert_eq!(of(&altered(claim, odd.clone())), Err(Bypass::Unreadable), "{claim} = {odd}");
    }
}

#[test]
fn f39_an_expiry_is_a_number_without_fraction_or_exponent() {
    let hash_keys = hash_keys();
    let seconds = NOW + 3600;
    for odd in ["e0", ".0", "E+0", "0000", "00000000000"] {
        let payload = altered("exp", json!(7)).replace("\"exp\":7", &format!("\"exp\":{seconds}{odd}"));
        assert_eq!(claims_of(&payload, &hash_keys), Err(Bypass::ExpUnusable), "{odd}");
    }
    for odd in ["-0", "18446744073709551616", "{}", "[]", "\"\"", "false"] {
        let payload = altered("exp", json!(7)).replace("\"exp\":7", &format!("\"exp\":{odd}"));
        assert_eq!(claims_of(&payload, &hash_keys), Err(Bypass::ExpUnusable), "{odd}");
        let payload = altered("nbf", json!(7)).replace("\"nbf\":7", &format!("\"nbf\":{odd}"));
        assert_eq!(claims_of(&payload, &hash_keys), Err(Bypass::NotYetValid), "{odd}");
    }
    for broken in ["+1", "01", "0x10", "NaN", "Infinity", "1_0", ""] {
        let payload = altered("exp", json!(7)).replace("\"exp\":7", &format!("\"exp\":{broken}"));
        assert_eq!(claims_of(&payload, &hash_keys), Err(Bypass::Unreadable), "{broken}");
    }
}

#[test]
fn f38_a_payload_is_base64url_without_padding_and_nothing_else() {
    let hash_keys = hash_keys();
    let payload = URL_SAFE_NO_PAD.encode(usual_claims().to_string());
    let read = |payload: &str| {
        let identity =
            Identity::from_headers(&headers(&[&format!("Bearer a.{payload}.c")]), &hash_keys).unwrap();
        identity.token.claims(&hash_keys, now())
    };
    assert!(read(&payload).is_ok());
    for odd in [format!("+{payload}"), format!("/{payload}"), format!("~{payload}"), payload[1..].to_owned()]
    {
        assert!(read(&odd).is_err(), "{odd}");
    }
    // The unused bits of the last character are zeros; otherwise one payload would have several encodings.
    assert_eq!(read("e31"), Err(Bypass::Opaque));
}

#[test]
fn principals_that_differ_in_one_part_are_different() {
    let hash_keys = hash_keys();
    let of = |payload: String| claims_of(&payload, &hash_keys).unwrap().principal;
    let usual = of(usual_claims().to_string());
    for (name, value) in [
        ("tid", json!("t2")),
        ("oid", json!("o2")),
        ("oid", Value::Null),
        ("appid", json!("a2")),
        ("appid", Value::Null),
        ("idtyp", json!("app")),
        ("idtyp", Value::Null),
        ("scp", json!("A")),
        ("scp", json!("A B C")),
        ("scp", Value::Null),
        ("wids", json!(["w1"])),
        ("wids", json!(["w1w2"])),
        ("wids", Value::Null),
        ("roles", json!([])),
        ("roles", json!(["A", "B"])),
    ] {
        assert!(of(altered(name, value.clone())) != usual, "{name} = {value}");
    }
}

#[test]
fn t05_claims_of_equal_length_are_distinguished_by_their_text() {
    let hash_keys = hash_keys();
    let of = |name: &str, value: Value| claims_of(&altered(name, value), &hash_keys).unwrap().principal;
    for name in ["tid", "oid", "appid", "idtyp", "scp"] {
        assert!(of(name, json!("x1")) != of(name, json!("x2")), "{name}");
    }
    for name in ["roles", "wids"] {
        assert!(of(name, json!(["x1"])) != of(name, json!(["x2"])), "{name}");
        assert!(of(name, json!(["ab", "c"])) != of(name, json!(["a", "bc"])), "{name}: divided otherwise");
    }
}

#[test]
fn t04_two_subjects_with_an_empty_oid_are_different() {
    let hash_keys = hash_keys();
    let of = |sub: &str| {
        let payload = json!({ "tid": "t", "oid": "", "sub": sub, "exp": NOW + 60 }).to_string();
        claims_of(&payload, &hash_keys).unwrap()
    };
    assert!(of("s1").principal != of("s2").principal);
    assert!(of("s1").names.subjects != of("s2").names.subjects);
}

#[test]
fn order_and_other_claims_do_not_change_the_principal() {
    let hash_keys = hash_keys();
    let of = |payload: String| claims_of(&payload, &hash_keys).unwrap().principal;
    let usual = of(usual_claims().to_string());
    for (name, value) in [
        ("scp", json!("A  B A")),
        ("wids", json!(["w1", "w2", "w2"])),
        ("sub", json!("another")),
        ("uti", json!("x")),
        ("exp", json!(NOW + 7200)),
        ("azp", json!("ignored beside appid")),
    ] {
        assert!(of(altered(name, value.clone())) == usual, "{name} = {value}");
    }
}

#[test]
fn a_subject_by_sub_differs_from_a_subject_by_oid() {
    let hash_keys = hash_keys();
    let by = |name: &str| json!({ "tid": "t", name: "x", "appid": "a", "exp": NOW + 60 }).to_string();
    let (sub, oid) = (claims_of(&by("sub"), &hash_keys).unwrap(), claims_of(&by("oid"), &hash_keys).unwrap());
    assert!(sub.principal != oid.principal);
    assert!(sub.names.subjects == oid.names.subjects, "a purge by subject finds both");
}

#[test]
fn the_application_hash_covers_application_and_tenant() {
    let hash_keys = hash_keys();
    let of = |payload: String| claims_of(&payload, &hash_keys).unwrap().application;
    let usual = of(usual_claims().to_string());
    assert!(of(altered("oid", json!("o2"))) == usual, "users of an application share it");
    let through_azp = altered("appid", Value::Null).replace('{', r#"{"azp":"a","#);
    assert!(of(through_azp) == usual, "appid and azp are equivalent");
    let empty = altered("appid", json!("")).replace('{', r#"{"azp":"a","#);
    assert!(of(empty) == usual, "an empty claim is not a name");
    assert!(of(altered("appid", json!("a2"))) != usual);
    assert!(of(altered("tid", json!("t2"))) != usual);
    let moved = altered("tid", json!("ta")).replace(r#""appid":"a""#, r#""appid":"""#);
    assert!(of(moved) != usual, "text moved between tenant and application");
}

#[test]
fn the_hash_of_a_name_from_an_operator_equals_the_hash_of_the_claim() {
    let hash_keys = hash_keys();
    let claims = claims_of(&altered("tid", json!("AbC")), &hash_keys).unwrap();
    assert!(claims.names.tenant == hash_keys.claim_hash(ClaimKind::Tenant, "aBc"));
    assert!(claims.names.tenant != hash_keys.claim_hash(ClaimKind::Subject, "aBc"));
}

proptest! {
    /// T5: sets of claims that differ only in where text is divided have different principals.
    #[test]
    fn t05_principals_are_injective(
        one in prop::collection::vec("[ab,|.]{1,3}", 6),
        other in prop::collection::vec("[ab,|.]{1,3}", 6),
    ) {
        let hash_keys = hash_keys();
        let payload = |p: &[String]| json!({ "tid": p[0], "oid": p[1], "appid": p[2], "idtyp": p[3],
            "roles": [p[4]], "wids": [p[5]], "exp": NOW + 60 }).to_string();
        let (a, b) = (claims_of(&payload(&one), &hash_keys).unwrap(), claims_of(&payload(&other), &hash_keys).unwrap());
        prop_assert_eq!(a.principal == b.principal, one == other);
    }

    #[test]
    fn no_payload_causes_a_panic(payload in ".*", line in "[ -~]*") {
        let hash_keys = hash_keys();
        let _ = claims_of(&payload, &hash_keys);
        if let Ok(identity) = Identity::from_headers(&headers(&[&line]), &hash_keys) {
            let _ = identity.token.claims(&hash_keys, now());
        }
    }
}
