//! Which proofs a token keeps, and which of them a withdrawal takes.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{HashKeys, Identity};
use crate::resource::ApiVersion;
use crate::support::clock::{Clock, Now};

fn resource(flow: usize) -> Arc<Resource> {
    let path = format!("/beta/identity/b2xUserFlows/flow{flow}/apiConnectorConfiguration");
    Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
}

fn grant() -> (Grants, Now) {
    let (now, hash_keys) = (Clock::manual(SystemTime::now()).now(), HashKeys::random().unwrap());
    let payload = format!(r#"{{"tid":"t","oid":"o","exp":{}}}"#, now.unix_seconds() + 3600);
    let token = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(payload));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
    let claims = Identity::from_headers(&headers, &hash_keys).unwrap().token.claims(&hash_keys, now).unwrap();
    (Grants::new(&claims), now)
}

/// A proof of answer number `answer`.
fn proof(granted_at: Now, answer: u8) -> Proof {
    Proof { granted_at, digest: ContentDigest::numbered(answer) }
}

#[test]
fn of_two_proofs_for_one_resource_the_later_stays_whichever_came_first() {
    let (grant, now) = grant();
    let later = now.plus(Duration::from_secs(9));
    for (granted_at, answer) in [(now, 1), (later, 2), (now, 3)] {
        grant.add(&resource(1), proof(granted_at, answer), 0, 10);
    }
    let kept = grant.newest_proof(&resource(1)).unwrap();
    assert_eq!((kept.granted_at, kept.digest), (later, ContentDigest::numbered(2)));
    assert_eq!(grant.remove(&resource(1)), Remaining::None, "there was one");
}

#[test]
fn a_proof_is_of_the_bytes_that_were_given_last() {
    let (grant, now) = grant();
    let (first, second) = (ContentDigest::numbered(1), ContentDigest::numbered(2));
    assert!(!grant.add(&resource(1), proof(now, 1), 0, 10));
    assert!(!grant.add(&resource(1), proof(now, 1), 0, 10), "renewed, nothing is lost");
    assert!(
        grant.proof_for_content(&resource(1), first).is_some()
            && grant.proof_for_content(&resource(1), second).is_none()
    );
    assert!(grant.add(&resource(1), proof(now, 2), 0, 10), "that of the first bytes is lost");
    assert!(
        grant.proof_for_content(&resource(1), first).is_none()
            && grant.proof_for_content(&resource(1), second).is_some()
    );
    assert!(grant.proof_for_content(&resource(2), second).is_none(), "another resource");
}

#[test]
fn where_request_fields_select_answers_each_has_a_proof() {
    let (grant, now) = grant();
    for selector in 1..=9 {
        let lost = grant.add(&resource(1), proof(now, u8::try_from(selector).unwrap()), selector, 100);
        assert_eq!(lost, selector > 8, "{selector}");
    }
    let known = |answer| grant.proof_for_content(&resource(1), ContentDigest::numbered(answer)).is_some();
    assert_eq!((1..=9).filter(|answer| known(*answer)).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
    let before = |selector| grant.proof_replaced_by(&resource(1), selector).map(|proof| proof.digest);
    assert_eq!((before(4), before(1)), (Some(ContentDigest::numbered(4)), None));
    assert!(grant.add(&resource(1), proof(now, 10), 0, 100), "nothing selects any more");
    assert!(!(1..=9).any(known) && known(10));
}

#[test]
fn past_the_most_the_one_longest_unproven_goes() {
    let (grant, granted_at) = grant();
    let lost: Vec<_> =
        [0, 1, 2, 0, 3].map(|flow| grant.add(&resource(flow), proof(granted_at, 1), 0, 3)).into();
    assert_eq!(lost, [false, false, false, false, true]);
    let there = (0..4).filter(|flow| grant.newest_proof(&resource(*flow)).is_some());
    assert_eq!(there.collect::<Vec<_>>(), [0, 2, 3]);
    grant.add(&resource(9), proof(granted_at, 1), 0, 0);
    assert!(
        grant.newest_proof(&resource(9)).is_some() && grant.newest_proof(&resource(3)).is_none(),
        "one may always be"
    );
}

#[test]
fn what_it_weighs_is_what_is_there() {
    let (grant, granted_at) = grant();
    let empty = grant.weight();
    let fill = |flows: std::ops::Range<usize>| {
        flows.for_each(|flow| assert!(!grant.add(&resource(flow), proof(granted_at, 1), 0, 100)));
    };
    fill(0..100);
    let whole = grant.weight();
    assert!(whole >= empty + 100 * (size_of::<Resource>() + size_of::<ProofRecord>()), "{whole}");
    fill(0..100);
    assert_eq!(grant.weight(), whole, "the same again");
    (1..100).for_each(|flow| assert_eq!(grant.remove(&resource(flow)), Remaining::Some));
    assert_eq!(grant.remove(&resource(0)), Remaining::None);
    assert_eq!(grant.weight(), empty);
}

#[test]
fn a_purge_takes_what_is_selected_and_with_the_last_proof_the_grant() {
    let (grant, granted_at) = grant();
    for flow in [1, 2] {
        grant.add(&resource(flow), proof(granted_at, 1), 0, 10);
    }
    let purge = |flow: &str| grant.purge(|resource| resource.flow() == flow);
    assert_eq!(purge("flow3"), Remaining::All);
    assert_eq!((purge("flow1"), grant.is_revoked()), (Remaining::Some, false));
    assert!(grant.newest_proof(&resource(2)).is_some());
    assert_eq!((purge("flow2"), grant.is_revoked()), (Remaining::None, true));
}

#[test]
fn nothing_is_left_in_a_grant_that_is_revoked_whoever_holds_it() {
    let (grant, granted_at) = grant();
    grant.add(&resource(1), proof(granted_at, 1), 0, 10);
    grant.revoke();
    assert!(grant.is_revoked() && grant.newest_proof(&resource(1)).is_none());
}

#[test]
fn resources_with_one_digest_are_told_apart() {
    let (grant, granted_at) = grant();
    grant.add(&resource(1), proof(granted_at, 1), 0, 10);
    grant.proofs().list[0].digest = digest(&resource(2));
    assert!(grant.newest_proof(&resource(2)).is_none());
    assert_eq!(grant.remove(&resource(2)), Remaining::All);
}

/// There are as many of these as there are answers and tokens.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_proof_is_no_larger_than_it_has_to_be() {
    assert!(size_of::<ProofRecord>() <= 56, "{}", size_of::<ProofRecord>());
}
