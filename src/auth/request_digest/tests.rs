//! Which parts of a request its digest covers.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use http::Request;

use super::*;

const TOKEN: (&str, &str) = ("authorization", "Bearer a");
const ACCEPT: (&str, &str) = ("accept", "application/json");

fn digest(hash_keys: &HashKeys, target: &str, fields: &[(&str, &str)]) -> Option<RequestDigest> {
    let request =
        fields.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
    let head = request.body(()).unwrap().into_parts().0;
    let view = RequestView::new(&head);
    RequestDigest::compute(&view, hash_keys).map(|(digest, _)| digest)
}

#[test]
fn t05_digests_are_equal_exactly_where_token_target_and_accept_are_equal() {
    let hash_keys = HashKeys::random().unwrap();
    let of = |target, fields: &[_]| digest(&hash_keys, target, fields);
    let known = of("/x?y", &[TOKEN, ACCEPT]);
    assert!(known.is_some());
    assert_eq!(of("/x?y", &[("user-agent", "b"), ACCEPT, TOKEN]), known, "no other field is covered");
    for (target, fields) in [
        ("/x?z", [TOKEN, ACCEPT]),
        ("/x", [TOKEN, ACCEPT]),
        ("/X?y", [TOKEN, ACCEPT]),
        ("/x?y", [("authorization", "Bearer b"), ACCEPT]),
        ("/x?y", [("authorization", "bearer a"), ACCEPT]),
        ("/x?y", [("authorization", "Bearer  a"), ACCEPT]),
        ("/x?y", [("authorization", "a"), ACCEPT]),
        ("/x?y", [TOKEN, ("accept", "application/JSON")]),
        ("/x?y", [TOKEN, ("accept", "")]),
        ("/x?y", [TOKEN, ("user-agent", "application/json")]),
    ] {
        let other = of(target, &fields);
        assert!(other.is_some() && other != known, "{target} {fields:?}");
    }
    assert_ne!(of("/x?y", &[TOKEN, ("accept", "")]), of("/x?y", &[TOKEN]), "empty is not absent");
    assert_ne!(digest(&HashKeys::random().unwrap(), "/x?y", &[TOKEN, ACCEPT]), known, "another process");
}

#[test]
fn a_request_without_a_token_or_with_a_field_in_several_lines_has_no_digest() {
    let hash_keys = HashKeys::random().unwrap();
    for fields in [&[ACCEPT][..], &[TOKEN, TOKEN], &[TOKEN, ACCEPT, ACCEPT]] {
        assert_eq!(digest(&hash_keys, "/x", fields), None, "{fields:?}");
    }
}

#[test]
fn digests_are_spread_over_a_table() {
    let (hash_keys, state) = (HashKeys::random().unwrap(), RandomState::new());
    let hashes = (0..100).map(|n| state.hash_one(digest(&hash_keys, &format!("/{n}"), &[TOKEN])));
    assert_eq!(hashes.collect::<HashSet<_>>().len(), 100);
}
