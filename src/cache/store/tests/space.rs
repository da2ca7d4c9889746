//! Evictions for space, and their effects.

use super::*;

#[test]
fn an_eviction_by_weight_is_counted_and_marks_the_entry() {
    let stage = Stage::new(&Config { max_bytes: 10_000, ..Config::default() });
    let kept: Vec<_> = (0..50).map(|_| stage.entry()).collect();
    for (number, entry) in kept.iter().enumerate() {
        stage.admit(&stage.caller(&number.to_string()), &resource("x"), entry);
    }
    let entries = stage.store.size().entries;
    let left = kept.iter().filter(|entry| !entry.is_kept()).count();
    assert!(entries > 0 && left > 0);
    assert_eq!(left, kept.len() - usize::try_from(entries).unwrap());
    assert_eq!(stage.metrics.evictions.get(Eviction::Space), u64::try_from(left).unwrap());
}

#[test]
fn a_store_that_evicts_sees_the_accesses_of_the_thread_caches_again() {
    let stage = Stage::new(&Config { max_bytes: 10_000, ..Config::default() });
    let ada = stage.caller("ada");
    let is_cached_for_longer = || {
        let entry = stage.entry();
        stage.admit(&ada, &resource("x"), &entry);
        stage.cache_lookup(&ada, &entry);
        stage.clock.advance(Duration::from_secs(10));
        stage.cached(&ada).is_some()
    };
    assert!(is_cached_for_longer(), "nothing was evicted");
    for number in 0..50 {
        stage.admit(&stage.caller(&number.to_string()), &resource("x"), &stage.entry());
    }
    stage.store.size();
    assert!(!is_cached_for_longer(), "entries were evicted");
    stage.store.clear();
    stage.store.size();
    assert!(is_cached_for_longer(), "there is space again");
}

#[test]
fn evicted_grants_advance_the_generation_and_a_new_proof_does_not() {
    let stage = Stage::new(&Config { max_bytes: 10_000, ..Config::default() });
    let ada = stage.caller("ada");
    let before = stage.generation(&ada);
    for flow in ["x", "y"].map(resource) {
        stage.admit(&ada, &flow, &stage.entry());
    }
    stage.store.size();
    assert_eq!(stage.generation(&ada), before);
    let held = stage.store.grants(&ada.identity.token_hash).unwrap();
    for number in 0..50 {
        stage.admit(&stage.caller(&number.to_string()), &resource("x"), &stage.entry());
    }
    stage.store.size();
    assert_ne!(stage.generation(&ada), before);
    assert!(held.newest_proof(&resource("x")).is_none(), "references to the grants have no proof either");
}
