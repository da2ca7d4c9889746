//! Which leases an error response or a purge revokes, and when.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{ClaimKind, HashKeys, Identity};
use crate::resource::ApiVersion;
use crate::support::clock::Clock;

fn token(name: &str, hash_keys: &HashKeys) -> TokenHash {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {name}")).unwrap());
    Identity::from_headers(&headers, hash_keys).unwrap().token_hash
}

fn is_valid(lease: &Lease) -> bool {
    lease.commit(|| ()).is_some()
}

fn resource(flow: &str) -> Arc<Resource> {
    let path = format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration");
    Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
}

#[test]
fn an_error_response_to_a_token_revokes_only_its_own_leases() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let (a, b) = (token("a", &hash_keys), token("b", &hash_keys));
    let (own, other) = (leases.acquire(a, None, &resource("x")), leases.acquire(b, None, &resource("x")));
    leases.revoke_for(&a, None);
    assert!(!is_valid(&own));
    assert!(is_valid(&other));
}

#[test]
fn an_error_response_for_a_resource_keeps_the_tokens_other_leases() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let a = token("a", &hash_keys);
    let (x, y) = (leases.acquire(a, None, &resource("x")), leases.acquire(a, None, &resource("y")));
    leases.revoke_for(&a, Some(&resource("x")));
    assert!(!is_valid(&x));
    assert!(is_valid(&y));
}

#[test]
fn a_request_after_a_purge_has_another_lease_number() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let a = token("a", &hash_keys);
    let (first, second) = (leases.acquire(a, None, &resource("x")), leases.acquire(a, None, &resource("x")));
    assert_eq!(first.number(), second.number());
    drop(leases.begin_purge(&PurgeSelector::default()));
    let third = leases.acquire(a, None, &resource("x"));
    assert!(!is_valid(&first) && !is_valid(&second) && is_valid(&third));
    assert_ne!(first.number(), third.number());
}

#[test]
fn a_dropped_lease_does_not_protect_other_leases_from_revocation() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let a = token("a", &hash_keys);
    let (first, twin) = (leases.acquire(a, None, &resource("x")), leases.acquire(a, None, &resource("x")));
    let (ended, other) = (leases.acquire(a, None, &resource("y")), leases.acquire(a, None, &resource("z")));
    drop((first, ended));
    leases.revoke_for(&a, None);
    assert!(!is_valid(&twin) && !is_valid(&other));
}

#[test]
fn a_lease_is_revoked_although_a_lease_for_another_resource_was_revoked_before() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let a = token("a", &hash_keys);
    let (_x, y) = (leases.acquire(a, None, &resource("x")), leases.acquire(a, None, &resource("y")));
    leases.revoke_for(&a, Some(&resource("x")));
    leases.revoke_for(&a, None);
    assert!(!is_valid(&y));
}

#[test]
fn dropped_leases_leave_no_state() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let a = token("a", &hash_keys);
    let (first, second) = (leases.acquire(a, None, &resource("x")), leases.acquire(a, None, &resource("y")));
    drop(first);
    assert_eq!(leases.table().states.len(), 1);
    drop(second);
    assert!(leases.table().states.is_empty());
}

/// Claims of a user of a tenant, by `oid` and `sub`.
fn claims(hash_keys: &HashKeys, tenant: &str, [oid, sub]: [&str; 2]) -> Claims {
    let now = Clock::manual(SystemTime::now()).now();
    let end = now.unix_seconds() + 3600;
    let payload = format!(r#"{{"tid":"{tenant}","oid":"{oid}","sub":"{sub}","exp":{end}}}"#);
    let token = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(payload));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
    Identity::from_headers(&headers, hash_keys).unwrap().token.claims(hash_keys, now).unwrap()
}

#[test]
fn a_purge_revokes_only_the_selected_leases() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let (ada, grace) =
        (claims(&hash_keys, "t", ["ada", "pairwise"]), claims(&hash_keys, "u", ["grace", "other"]));
    let label = |kind, name| Some(hash_keys.claim_hash(kind, name));
    for (selector, selected) in [
        (PurgeSelector { flow: Some("x".into()), ..PurgeSelector::default() }, [true, false, true]),
        (
            PurgeSelector { tenant: label(ClaimKind::Tenant, "t"), ..PurgeSelector::default() },
            [true, true, false],
        ),
        (
            PurgeSelector { subject: label(ClaimKind::Subject, "ada"), ..PurgeSelector::default() },
            [true, true, false],
        ),
        (
            PurgeSelector { subject: label(ClaimKind::Subject, "pairwise"), ..PurgeSelector::default() },
            [true, true, false],
        ),
        (
            PurgeSelector { subject: label(ClaimKind::Subject, "unknown"), ..PurgeSelector::default() },
            [false; 3],
        ),
    ] {
        let (a, b) = (token("a", &hash_keys), token("b", &hash_keys));
        let held = [(a, &ada, "x"), (a, &ada, "y"), (b, &grace, "x")]
            .map(|(token, claims, flow)| leases.acquire(token, Some(claims), &resource(flow)));
        drop(leases.begin_purge(&selector));
        assert_eq!(held.each_ref().map(|lease| !is_valid(lease)), selected, "{selector:?}");
    }
}

#[test]
fn a_lease_acquired_before_the_end_of_a_purge_is_revoked_and_a_later_one_is_valid() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let a = token("a", &hash_keys);
    let flow = |flow: &str| PurgeSelector { flow: Some(flow.into()), ..PurgeSelector::default() };
    let purge = leases.begin_purge(&flow("x"));
    let (during, other) = (leases.acquire(a, None, &resource("x")), leases.acquire(a, None, &resource("y")));
    let twin = leases.acquire(a, None, &resource("x"));
    assert!(!is_valid(&during) && is_valid(&other) && during.number() == twin.number());
    drop(purge);
    let after = leases.acquire(a, None, &resource("x"));
    assert!(!is_valid(&during) && !is_valid(&twin) && is_valid(&after));
    assert_ne!(after.number(), during.number(), "no request waits for one from before");
}

#[test]
fn a_lease_cannot_be_revoked_while_its_response_is_stored() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let lease = leases.acquire(token("a", &hash_keys), None, &resource("x"));
    let stored = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (begun, purge) = mpsc::channel();
        let (leases, stored) = (&leases, &stored);
        let purger = scope.spawn(move || {
            purge.recv().unwrap();
            drop(leases.begin_purge(&PurgeSelector::default()));
            stored.load(Relaxed)
        });
        let committed = lease.commit(|| {
            begun.send(()).unwrap();
            // Gives the purging thread time to run. It must wait for this commit.
            (0..1_000).for_each(|_| std::thread::yield_now());
            stored.store(true, Relaxed);
        });
        assert!(committed.is_some() && purger.join().unwrap());
    });
    assert!(!is_valid(&lease));
}

#[test]
fn a10_a_new_lease_has_a_number_of_its_own_and_revokes_none() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let (a, x) = (token("a", &hash_keys), resource("x"));
    let old = leases.acquire(a, None, &x);
    let new = leases.acquire_new(a, None, &x);
    assert_ne!(old.number(), new.number());
    assert_eq!(leases.acquire(a, None, &x).number(), new.number(), "later requests share the new number");
    assert!(is_valid(&old) && is_valid(&new));
    leases.revoke_for(&a, Some(&x));
    assert!(!is_valid(&old) && !is_valid(&new), "both are revoked");
    drop((old, new));
    assert!(leases.table().states.is_empty());
}

#[test]
fn a10_a_lease_dropped_before_an_older_one_leaves_that_one() {
    let (leases, hash_keys) = (Leases::default(), HashKeys::random().unwrap());
    let (a, x) = (token("a", &hash_keys), resource("x"));
    let old = leases.acquire(a, None, &x);
    drop(leases.acquire_new(a, None, &x));
    assert_eq!(leases.acquire(a, None, &x).number(), old.number());
}
