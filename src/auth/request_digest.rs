//! What of a request its spelling holds.

use std::collections::HashSet;

use http::Request;

use super::*;

const TOKEN: (&str, &str) = ("authorization", "Bearer a");
const ACCEPT: (&str, &str) = ("accept", "application/json");

fn spelling(hash_keys: &HashKeys, target: &str, fields: &[(&str, &str)]) -> Option<RequestDigest> {
    let request =
        fields.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
    RequestDigest::compute(&RequestView::new(&request.body(()).unwrap().into_parts().0), hash_keys)
}

#[test]
fn t05_requests_are_spelled_alike_exactly_where_token_target_and_accept_are() {
    let hash_keys = HashKeys::random().unwrap();
    let of = |target, fields: &[_]| spelling(&hash_keys, target, fields);
    let known = of("/x?y", &[TOKEN, ACCEPT]);
    assert!(known.is_some());
    assert_eq!(of("/x?y", &[("user-agent", "b"), ACCEPT, TOKEN]), known, "nothing else decides");
    for (target, fields) in [
        ("/x?z", [TOKEN, ACCEPT]),
        ("/x", [TOKEN, ACCEPT]),
        ("/X?y", [TOKEN, ACCEPT]),
        ("/x?y", [("authorization", "Bearer b"), ACCEPT]),
        ("/x?y", [("authorization", "bearer a"), ACCEPT]),
        ("/x?y", [TOKEN, ("accept", "application/JSON")]),
        ("/x?y", [TOKEN, ("accept", "")]),
        ("/x?y", [TOKEN, ("user-agent", "application/json")]),
    ] {
        let other = of(target, &fields);
        assert!(other.is_some() && other != known, "{target} {fields:?}");
    }
    assert_ne!(of("/x?y", &[TOKEN, ("accept", "")]), of("/x?y", &[TOKEN]), "empty is not absent");
    assert_ne!(spelling(&HashKeys::random().unwrap(), "/x?y", &[TOKEN, ACCEPT]), known, "another process");
}

#[test]
fn what_has_no_token_or_a_field_in_several_lines_has_no_spelling() {
    let hash_keys = HashKeys::random().unwrap();
    for fields in [&[ACCEPT][..], &[TOKEN, TOKEN], &[TOKEN, ACCEPT, ACCEPT]] {
        assert_eq!(spelling(&hash_keys, "/x", fields), None, "{fields:?}");
    }
}

#[test]
fn spellings_are_spread_over_a_table() {
    let (hash_keys, state) = (HashKeys::random().unwrap(), RandomState::new());
    let hashes = (0..100).map(|n| state.hash_one(spelling(&hash_keys, &format!("/{n}"), &[TOKEN])));
    assert_eq!(hashes.collect::<HashSet<_>>().len(), 100);
}
