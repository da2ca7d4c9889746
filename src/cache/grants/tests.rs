//! Which proofs a token keeps, and which of them a revocation removes.

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

fn grants() -> (Grants, Now) {
    let (now, hash_keys) = (Clock::manual(SystemTime::now()).now(), HashKeys::random().unwrap());
    let payload = format!(r#"{{"tid":"t","oid":"o","exp":{}}}"#, now.unix_seconds() + 3600);
    let token = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(payload));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
    let claims = Identity::from_headers(&headers, &hash_keys).unwrap().token.claims(&hash_keys, now).unwrap();
    (Grants::new(&claims), now)
}

/// Creates a proof of content number `content`.
fn proof(granted_at: Now, content: u8) -> Proof {
    Proof { granted_at, digest: ContentDigest::numbered(content) }
}

#[test]
fn the_later_of_two_proofs_for_a_resource_stays_regardless_of_their_order() {
    let (grants, now) = grants();
    let later = now.plus(Duration::from_secs(9));
    for (granted_at, content) in [(now, 1), (later, 2), (now, 3)] {
        grants.add(&resource(1), proof(granted_at, content), 0, 10);
    }
    let kept = grants.newest_proof(&resource(1)).unwrap();
    assert_eq!((kept.granted_at, kept.digest), (later, ContentDigest::numbered(2)));
    assert_eq!(grants.remove(&resource(1)), Remaining::None, "one proof");
}

#[test]
fn a_proof_is_for_the_bytes_that_were_sent_last() {
    let (grants, now) = grants();
    let (first, second) = (ContentDigest::numbered(1), ContentDigest::numbered(2));
    assert!(!grants.add(&resource(1), proof(now, 1), 0, 10));
    assert!(!grants.add(&resource(1), proof(now, 1), 0, 10), "renewed, no proof is lost");
    assert!(
        grants.proof_for_content(&resource(1), first).is_some()
            && grants.proof_for_content(&resource(1), second).is_none()
    );
    assert!(grants.add(&resource(1), proof(now, 2), 0, 10), "the proof of the first bytes is lost");
    assert!(
        grants.proof_for_content(&resource(1), first).is_none()
            && grants.proof_for_content(&resource(1), second).is_some()
    );
    assert!(grants.proof_for_content(&resource(2), second).is_none(), "another resource");
}

#[test]
fn each_response_that_request_fields_select_has_a_proof() {
    let (grants, now) = grants();
    for selector in 1..=9 {
        let lost = grants.add(&resource(1), proof(now, u8::try_from(selector).unwrap()), selector, 100);
        assert_eq!(lost, selector > 8, "{selector}");
    }
    let known = |content| grants.proof_for_content(&resource(1), ContentDigest::numbered(content)).is_some();
    assert_eq!((1..=9).filter(|content| known(*content)).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
    let before = |selector| grants.proof_replaced_by(&resource(1), selector).map(|proof| proof.digest);
    assert_eq!((before(4), before(1)), (Some(ContentDigest::numbered(4)), None));
    assert!(
        grants.add(&resource(1), proof(now, 10), 0, 100),
        "a response without selecting fields replaces all"
    );
    assert!(!(1..=9).any(known) && known(10));
}

#[test]
fn beyond_the_limit_the_oldest_proof_is_removed() {
    let (grants, granted_at) = grants();
    let lost: Vec<_> =
        [0, 1, 2, 0, 3].map(|flow| grants.add(&resource(flow), proof(granted_at, 1), 0, 3)).into();
    assert_eq!(lost, [false, false, false, false, true]);
    let there = (0..4).filter(|flow| grants.newest_proof(&resource(*flow)).is_some());
    assert_eq!(there.collect::<Vec<_>>(), [0, 2, 3]);
    grants.add(&resource(9), proof(granted_at, 1), 0, 0);
    assert!(
        grants.newest_proof(&resource(9)).is_some() && grants.newest_proof(&resource(3)).is_none(),
        "one proof is always allowed"
    );
}

#[test]
fn each_of_many_proofs_is_found_wherever_it_stands() {
    let (grants, granted_at) = grants();
    let resources: Vec<_> = (0..250).map(resource).collect();
    // The list wraps around after the hundredth.
    for (number, resource) in (0..250).zip(&resources) {
        grants.add(resource, proof(granted_at, number), 0, 100);
    }
    let found = |resource| grants.newest_proof(resource).map(|proof| proof.digest);
    let expected = (0..250).map(|number| (number >= 150).then(|| ContentDigest::numbered(number)));
    assert!(resources.iter().map(|resource| found(resource)).eq(expected));
}

#[test]
fn the_weight_is_that_of_the_proofs() {
    let (grants, granted_at) = grants();
    let empty = grants.weight();
    let fill = |flows: std::ops::Range<usize>| {
        flows.for_each(|flow| assert!(!grants.add(&resource(flow), proof(granted_at, 1), 0, 100)));
    };
    fill(0..100);
    let whole = grants.weight();
    assert!(whole >= empty + 100 * (size_of::<Resource>() + size_of::<ProofRecord>()), "{whole}");
    fill(0..100);
    assert_eq!(grants.weight(), whole, "the same proofs again");
    (1..100).for_each(|flow| assert_eq!(grants.remove(&resource(flow)), Remaining::Some));
    assert_eq!(grants.remove(&resource(0)), Remaining::None);
    assert_eq!(grants.weight(), empty);
}

#[test]
fn a_purge_removes_the_selected_proofs_and_with_the_last_one_revokes_the_grants() {
    let (grants, granted_at) = grants();
    for flow in [1, 2] {
        grants.add(&resource(flow), proof(granted_at, 1), 0, 10);
    }
    let purge = |flow: &str| grants.purge(|resource| resource.flow() == flow);
    assert_eq!(purge("flow3"), Remaining::All);
    assert_eq!((purge("flow1"), grants.is_revoked()), (Remaining::Some, false));
    assert!(grants.newest_proof(&resource(2)).is_some());
    assert_eq!((purge("flow2"), grants.is_revoked()), (Remaining::None, true));
}

#[test]
fn revoked_grants_have_no_proofs() {
    let (grants, granted_at) = grants();
    grants.add(&resource(1), proof(granted_at, 1), 0, 10);
    grants.revoke();
    assert!(grants.is_revoked() && grants.newest_proof(&resource(1)).is_none());
}

#[test]
fn resources_with_equal_digests_are_distinguished() {
    let (grants, granted_at) = grants();
    grants.add(&resource(1), proof(granted_at, 1), 0, 10);
    grants.proofs().digests[0] = digest(&resource(2));
    assert!(grants.newest_proof(&resource(2)).is_none());
    assert_eq!(grants.remove(&resource(2)), Remaining::All);
}

/// The number of proofs is that of tokens times responses, so their size matters.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_proof_record_has_at_most_56_bytes() {
    assert!(size_of::<ProofRecord>() <= 56, "{}", size_of::<ProofRecord>());
}

#[test]
fn the_store_counts_grants_again_only_if_their_size_or_their_time_has_changed() {
    let (grants, now) = grants();
    let (max_age, mut insertions) = (Duration::from_mins(1), 0);
    for flow in 0..200 {
        grants.add(&resource(flow), proof(now, 1), 0, 1000);
        insertions += usize::from(grants.needs_insertion(now, max_age));
    }
    assert!((10..50).contains(&insertions), "{insertions}");
    grants.add(&resource(1), proof(now, 2), 0, 1000);
    assert!(!grants.needs_insertion(now, max_age), "the same size");
    let later = now.plus(max_age);
    assert!(grants.needs_insertion(later, max_age));
    assert!(!grants.needs_insertion(later, max_age));
    (0..100).for_each(|flow| assert_eq!(grants.remove(&resource(flow)), Remaining::Some));
    assert!(grants.needs_insertion(later, max_age), "half of the proofs are gone");
}
