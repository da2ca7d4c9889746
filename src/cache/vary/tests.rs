//! Which requests select the same response.

use http::HeaderValue;

use super::*;
use crate::auth::{HashKeys, Identity};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Returns whether the response to `first` under this `Vary` matches `second`. The token is the same.
fn matches(vary: &str, first: &[(&'static str, &str)], second: &[(&'static str, &str)]) -> bool {
    let hash_keys = HashKeys::random().unwrap();
    let authorization = headers(&[("authorization", "Bearer a")]);
    let token = Identity::from_headers(&authorization, &hash_keys).unwrap().token_hash;
    let (hasher, first, second) = (SecondaryKeyHasher::default(), headers(first), headers(second));
    let request = SelectingRequest { headers: &first, token };
    let secondary_key = hasher.compute(&headers(&[("vary", vary)]), request).unwrap();
    hasher.matches(secondary_key.as_ref(), SelectingRequest { headers: &second, token })
}

#[test]
fn l33_a_request_matches_if_every_selecting_field_is_equal() {
    let (de, en) = ([("accept-language", "de")], [("accept-language", "en")]);
    assert!(matches("Accept-Language", &de, &de));
    assert!(!matches("Accept-Language", &de, &en));
    assert!(!matches("X-Other, accept-language", &de, &en), "in any place, in any case");
    assert!(
        matches("Accept-Language", &de, &[("accept-language", " de ")]),
        "surrounding white space is ignored"
    );
    let lines = [("accept-language", "de"), ("accept-language", "en")];
    assert!(
        matches("Accept-Language", &lines, &[("accept-language", "de, en")]),
        "several lines are one list"
    );
    assert!(!matches("Accept-Language", &lines, &de));
}

#[test]
fn l33_white_space_in_a_list_and_case_and_order_of_languages_are_ignored() {
    let same = |name: &'static str, one: &str, other: &str| matches(name, &[(name, one)], &[(name, other)]);
    assert!(same("accept-language", "en, de;q=0.5", " DE;q=0.5 ,,  en "));
    assert!(!same("accept-language", "en, de;q=0.5", "en, de;q=0.6"));
    assert!(!same("accept-language", "en, de", "en"));
    assert!(same("cookie", "1,2", " 1, 2 "));
    for other in ["2, 1", "1", "1, 2, 2", "1 2", "12", "\"1,2\""] {
        assert!(!same("cookie", "1, 2", other), "{other}");
    }
    assert!(!same("cookie", "\"1,2\"", "\"1, 2\""), "white space in quotes is text");
    assert!(!same("cookie", "a", "A"));
}

#[test]
fn l33_an_absent_field_equals_only_an_absent_field() {
    assert!(matches("Accept-Language", &[], &[]));
    assert!(matches("Accept-Language", &[], &[("cookie", "a")]));
    assert!(!matches("Accept-Language", &[], &[("accept-language", "")]));
    assert!(!matches("Accept-Language", &[("accept-language", "")], &[]));
}

#[test]
fn l33_fields_that_are_equal_within_a_key_select_nothing() {
    let response = headers(&[("vary", "Accept, Accept-Encoding"), ("vary", "user-agent,via, host,,")]);
    assert_eq!(selecting_fields(&response).unwrap().len(), 0);
}

#[test]
fn l33_authorization_stands_for_the_token() {
    let hash_keys = HashKeys::random().unwrap();
    let [a, b] = ["Bearer a", "Bearer b"].map(|value| {
        Identity::from_headers(&headers(&[("authorization", value)]), &hash_keys).unwrap().token_hash
    });
    let (hasher, none) = (SecondaryKeyHasher::default(), HeaderMap::new());
    let request = |token| SelectingRequest { headers: &none, token };
    let secondary_key = hasher.compute(&headers(&[("vary", "Authorization")]), request(a)).unwrap();
    assert!(hasher.matches(secondary_key.as_ref(), request(a)));
    assert!(!hasher.matches(secondary_key.as_ref(), request(b)));
}

#[test]
fn l11_l33_a_response_that_no_later_request_can_match_is_not_stored() {
    let many = (0..=MAX_SELECTING_FIELDS).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(",");
    for vary in ["*", "accept, *", "a b", "client-request-id", "Accept, TraceParent", &many] {
        assert_eq!(selecting_fields(&headers(&[("vary", vary)])).err(), Some(NotStored::Vary), "{vary}");
    }
}

#[test]
fn l33_order_and_duplicates_of_names_are_ignored() {
    let selecting_fields = |vary: &str| selecting_fields(&headers(&[("vary", vary)])).unwrap();
    assert_eq!(selecting_fields("x-b, x-a"), selecting_fields("X-A, x-b, x-a"));
    assert_eq!(selecting_fields("x-b, x-a").len(), 2);
    let most = (0..MAX_SELECTING_FIELDS).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(selecting_fields(&most).len(), 16);
}

#[test]
fn a_response_without_selecting_fields_has_no_secondary_key_and_a_key_weighs_its_names() {
    let hash_keys = HashKeys::random().unwrap();
    let bearer = headers(&[("authorization", "Bearer a")]);
    let request = SelectingRequest {
        headers: &bearer,
        token: Identity::from_headers(&bearer, &hash_keys).unwrap().token_hash,
    };
    let secondary_key =
        |vary: &str| SecondaryKeyHasher::default().compute(&headers(&[("vary", vary)]), request).unwrap();
    assert_eq!(secondary_key("accept"), None);
    let weight = |vary: &str| secondary_key(vary).unwrap().weight();
    assert_eq!(weight("x-abc, x-d") - weight("x-abc"), size_of::<HeaderName>() + 3);
    assert_eq!(weight("x-abc") - weight("x-a"), 2);
    assert!(weight("x-a") > size_of::<SecondaryKey>() + size_of::<HeaderName>());
}
