//! Which `Authorization` fields are accepted, and which tokens are the same.

use http::{HeaderMap, HeaderValue, Request};

use super::*;
use crate::auth::RequestDigest;
use crate::http::validate::RequestView;

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

#[test]
fn one_bearer_token_in_one_line_is_accepted() {
    let hash_keys = hash_keys();
    for line in ["Bearer abc", "bearer abc", "BEARER   a.b-c_d~e+f/g==", "Bearer x"] {
        assert!(Identity::from_headers(&headers(&[line]), &hash_keys).is_ok(), "{line}");
    }
}

#[test]
fn any_other_authorization_is_rejected_with_its_reason() {
    let hash_keys = hash_keys();
    for (lines, reason) in [
        (&[][..], Rejection::NoToken),
        (&[""], Rejection::NoToken),
        (&["Bearer"], Rejection::NoToken),
        (&["Bearer "], Rejection::NoToken),
        (&["Basic dXNlcjpwYXNz"], Rejection::Scheme),
        (&[" abc"], Rejection::Scheme),
        (&["-abc"], Rejection::Scheme),
        (&["Bearerabc"], Rejection::Scheme),
        (&["PoP abc"], Rejection::Scheme),
        (&["Bearer\tabc"], Rejection::TokenForm),
        (&["Bearer-abc"], Rejection::TokenForm),
        (&["Bearer.abc"], Rejection::TokenForm),
        (&["Bearer abc "], Rejection::TokenForm),
        (&["Bearer a b"], Rejection::TokenForm),
        (&["Bearer a=b"], Rejection::TokenForm),
        (&["Bearer ="], Rejection::TokenForm),
        (&["Bearer \u{e9}"], Rejection::TokenForm),
        (&["Bearer abc, Bearer def"], Rejection::SeveralTokens),
        (&["Bearer abc", "Bearer def"], Rejection::SeveralTokens),
        (&["Bearer abc", "Bearer abc"], Rejection::SeveralTokens),
    ] {
        assert_eq!(Identity::from_headers(&headers(lines), &hash_keys).err(), Some(reason), "{lines:?}");
    }
}

#[test]
fn a_token_is_forwarded_unchanged_and_marked_sensitive() {
    let identity = Identity::from_headers(&headers(&["bearer  abc"]), &hash_keys()).unwrap();
    assert_eq!(identity.token.authorization(), "bearer  abc");
    assert!(identity.token.authorization().is_sensitive());
}

#[test]
fn the_scheme_and_the_blanks_are_no_part_of_the_token() {
    let hash_keys = hash_keys();
    let of = |line: &str| Identity::from_headers(&headers(&[line]), &hash_keys).unwrap();
    let usual = of("Bearer abc");
    for line in ["bearer abc", "BEARER abc", "Bearer   abc"] {
        assert!(of(line).token_hash == usual.token_hash && of(line).log_tag == usual.log_tag, "{line}");
    }
}

#[test]
fn a_token_hash_depends_on_every_byte_and_on_the_process() {
    let (one, other) = (hash_keys(), hash_keys());
    let of = |line: &str, hash_keys: &HashKeys| {
        Identity::from_headers(&headers(&[line]), hash_keys).unwrap().token_hash
    };
    assert!(of("Bearer abc", &one) == of("Bearer abc", &one));
    assert!(of("Bearer abc", &one) != of("Bearer abd", &one));
    assert!(of("Bearer abc", &one) != of("Bearer abc=", &one));
    assert!(of("Bearer abc", &one) != of("Bearer abc", &other));
}

#[test]
fn the_value_of_a_known_token_is_found_by_its_hash_and_its_scheme_is_checked() {
    let hash_keys = hash_keys();
    let read = |line, known: Option<u8>| {
        Identity::from_headers_with(&headers(&[line]), None, &hash_keys, |_| known).map(|(_, found)| found)
    };
    assert_eq!(read("Bearer a.b", Some(1)).ok(), Some(Some(1)));
    assert_eq!(read("Bearer a b", None).err(), Some(Rejection::TokenForm));
    assert_eq!(read("Basic a.b", Some(1)).err(), Some(Rejection::Scheme));
    let found =
        Identity::from_headers_with(&headers(&["Bearer a.b"]), None, &hash_keys, |token| Some(*token));
    assert!(found.is_ok_and(|(identity, found)| found == Some(identity.token_hash)));
}

#[test]
fn the_hash_of_the_token_of_a_request_is_used_for_its_identity() {
    let hash_keys = hash_keys();
    for line in ["Bearer a.b", "bearer a.b", "BEARER   a.b", "Bearer  a.b"] {
        let request = Request::get("/").header("authorization", line).body(()).unwrap().into_parts().0;
        let (_, hashed) = RequestDigest::compute(&RequestView::new(&request), &hash_keys).unwrap();
        let identity = |hashed| {
            Identity::from_headers_with(&request.headers, hashed, &hash_keys, |_| None::<()>).unwrap().0
        };
        assert!(identity(Some(hashed)).token_hash == identity(None).token_hash, "{line}");
    }
}

#[test]
fn t20_the_log_tag_is_not_a_prefix_of_the_token_hash() {
    let identity = Identity::from_headers(&headers(&["Bearer abc"]), &hash_keys()).unwrap();
    assert_ne!(identity.log_tag.0[..], identity.token_hash.0[..4]);
    assert_eq!(identity.log_tag.to_string().len(), 8);
}
