use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::clock::{Clock, Now};
use crate::identity::{Identity, Secrets};
use crate::resource::ApiVersion;

fn resource(flow: usize) -> Arc<Resource> {
    let path = format!("/beta/identity/b2xUserFlows/flow{flow}/apiConnectorConfiguration");
    Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
}

fn grant() -> (Grant, Now) {
    let (now, secrets) = (Clock::manual(SystemTime::now()).now(), Secrets::random().unwrap());
    let payload = format!(r#"{{"tid":"t","oid":"o","exp":{}}}"#, now.unix_seconds() + 3600);
    let token = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(payload));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
    let claims = Identity::of(&headers, &secrets).unwrap().token.claims(&secrets, now).unwrap();
    (Grant::new(&claims), now)
}

#[test]
fn of_two_proofs_for_one_resource_the_later_stays_whichever_came_first() {
    let (grant, now) = grant();
    let later = now.plus(Duration::from_secs(9));
    for granted in [now, later, now] {
        grant.add(&resource(1), Proof { granted }, 10);
    }
    assert_eq!(grant.proof(&resource(1)).map(|proof| proof.granted), Some(later));
    assert!(!grant.remove(&resource(1)), "there was one");
}

#[test]
fn past_the_most_the_one_longest_unproven_goes() {
    let (grant, granted) = grant();
    for flow in [0, 1, 2, 0, 3] {
        grant.add(&resource(flow), Proof { granted }, 3);
    }
    let there = (0..4).filter(|flow| grant.proof(&resource(*flow)).is_some());
    assert_eq!(there.collect::<Vec<_>>(), [0, 2, 3]);
    grant.add(&resource(9), Proof { granted }, 0);
    assert!(
        grant.proof(&resource(9)).is_some() && grant.proof(&resource(3)).is_none(),
        "one may always be"
    );
}

#[test]
fn what_it_weighs_is_what_is_there() {
    let (grant, granted) = grant();
    let empty = grant.weight();
    let fill = |flows: std::ops::Range<usize>| {
        flows.for_each(|flow| grant.add(&resource(flow), Proof { granted }, 100));
    };
    fill(0..100);
    let whole = grant.weight();
    assert!(whole >= empty + 100 * (size_of::<Resource>() + size_of::<Item>()), "{whole}");
    fill(0..100);
    assert_eq!(grant.weight(), whole, "the same again");
    (1..100).for_each(|flow| assert!(grant.remove(&resource(flow))));
    assert!(!grant.remove(&resource(0)));
    assert_eq!(grant.weight(), empty);
}

#[test]
fn resources_with_one_digest_are_told_apart() {
    let (grant, granted) = grant();
    grant.add(&resource(1), Proof { granted }, 10);
    grant.proofs().list[0].digest = digest(&resource(2));
    assert!(grant.proof(&resource(2)).is_none());
    assert!(grant.has_any(|it| it.flow() == "flow1") && !grant.has_any(|it| it.flow() == "flow2"));
}
