//! `Authorization` to identity. Two tokens are never taken for one, and none shows itself.
//!
//! Input: values of the field, parted by line feeds.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use connector_cache::auth::{HashKeys, Identity};
use connector_cache::support::clock::Clock;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

static SECRETS: LazyLock<HashKeys> = LazyLock::new(|| HashKeys::random().expect("randomness"));

fuzz_target!(|input: &[u8]| {
    let lines: Vec<_> =
        input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let mut headers = HeaderMap::new();
    for line in &lines {
        headers.append(header::AUTHORIZATION, line.clone());
    }
    let together = Identity::from_headers(&headers, &SECRETS);
    assert!(together.is_err() || lines.len() == 1, "several lines are no token");
    let alone: Vec<_> = lines.iter().map(|line| (line, identity(line))).collect();
    for (line, identity) in alone.iter().filter_map(|(line, identity)| Some((line, identity.as_ref()?))) {
        check(line, identity);
        for (other_line, other) in
            alone.iter().filter_map(|(line, identity)| Some((line, identity.as_ref()?)))
        {
            let same = other.token_hash == identity.token_hash;
            assert_eq!(same, line == other_line, "fingerprints say nothing but which token it is");
        }
    }
});

fn identity(line: &HeaderValue) -> Option<Identity> {
    Identity::from_headers(&HeaderMap::from_iter([(header::AUTHORIZATION, line.clone())]), &SECRETS).ok()
}

fn check(line: &HeaderValue, identity: &Identity) {
    let text = line.to_str().expect("a token is ASCII");
    let (scheme, token) = text.split_once(' ').expect("the scheme stands apart");
    let token = token.trim_start_matches(' ');
    assert!(scheme.eq_ignore_ascii_case("bearer") && !token.is_empty());
    // RFC 6750, section 2.1: b64token.
    let body = token.trim_end_matches('=');
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    assert!(!body.is_empty() && body.bytes().all(legal), "{token:?} is no b64token");

    let forwarded = identity.token.authorization();
    assert!(forwarded == *line && forwarded.is_sensitive(), "the token goes on as it came, and unseen");
    let shown = format!("{identity:?}{}", identity.log_tag);
    assert!(token.len() < 20 || !shown.contains(token), "the token shows itself");
    let now = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_785_102_361)).now();
    let _ = identity.token.claims(&SECRETS, now);
}
