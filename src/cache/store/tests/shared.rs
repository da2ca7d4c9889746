//! Effects of other replicas on the store.

use super::*;

#[test]
fn a_withdrawal_on_another_replica_removes_entries_and_proofs_of_the_principal_only() {
    let stage = Stage::new(&Config::default());
    let (one, same, other) = (stage.caller("one"), stage.caller_with("one", 1), stage.caller("other"));
    let (flow, kept) = (resource("a"), resource("b"));
    for caller in [&one, &same, &other] {
        for resource in [&flow, &kept] {
            let lease = stage.store.acquire_lease(caller.identity.token_hash, Some(&caller.claims), resource);
            let entry = stage.entry();
            let (token, claims) = (caller.identity.token_hash, &caller.claims);
            stage.store.admit(token, claims, resource, &entry, None, &lease).unwrap();
        }
    }
    let has = |caller: &Caller, resource: &Arc<Resource>| {
        let grants = stage.store.grants(&caller.identity.token_hash);
        let proof = grants.is_some_and(|grants| grants.newest_proof(resource).is_some());
        (proof, stage.store.entries.contains_key(&EntryKey::new(caller.claims.principal, resource)))
    };
    let lease = stage.store.acquire_lease(same.identity.token_hash, Some(&same.claims), &flow);
    stage.store.renew(one.claims.principal, &flow);
    assert_eq!((has(&one, &flow), has(&one, &kept)), ((true, false), (true, true)), "proofs stay");
    assert!(lease.commit(|| ()).is_none(), "a response in flight is not stored");
    stage.store.withdraw(one.claims.principal, Some(&flow));
    assert_eq!((has(&one, &flow), has(&same, &flow)), ((false, false), (false, false)));
    assert_eq!((has(&one, &kept), has(&other, &flow)), ((true, true), (true, true)));
    stage.store.withdraw(one.claims.principal, None);
    assert_eq!((has(&one, &kept), has(&same, &kept)), ((false, false), (false, false)));
    assert_eq!(has(&other, &kept), (true, true));
}

#[test]
fn a_value_of_another_replica_is_stored_with_its_own_proof_only_while_the_lease_is_valid() {
    let stage = Stage::new(&Config::default());
    let (caller, flow) = (stage.caller("one"), resource("a"));
    let (token, claims, entry) = (caller.identity.token_hash, &caller.claims, stage.entry());
    let granted_at = stage.clock.now();
    stage.clock.advance(Duration::from_secs(3));
    let lease = stage.store.acquire_lease(token, Some(claims), &flow);
    stage.store.withdraw(claims.principal, None);
    assert!(!stage.store.admit_shared(token, claims, &flow, (&entry, granted_at), &lease));
    assert!(stage.store.grants(&token).is_none());
    let lease = stage.store.acquire_lease(token, Some(claims), &flow);
    assert!(stage.store.admit_shared(token, claims, &flow, (&entry, granted_at), &lease));
    let proof = stage.store.grants(&token).unwrap().newest_proof(&flow).unwrap();
    assert_eq!((proof.granted_at, proof.digest), (granted_at, entry.digest()));
}
