//! Failures after which a stale entry may be used.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{at, on_error, plain};
use super::*;

#[test]
fn t28_after_a_local_refusal_a_stale_entry_is_used_only_while_the_proof_is_live() {
    // Now, the second of the proof, remaining seconds of the token, `must-revalidate`; whether a stale entry may be used
    // after a failure of Graph, and after a local refusal. The entry is of second 0.
    for (now, granted_at, token_left, strict, after_failure, after_refusal) in [
        (299, 0, 60, false, true, true), // both fresh
        (299, 0, 60, true, true, true),
        (310, 100, 60, false, true, true), // a stale entry, a live proof
        (310, 100, 60, true, false, false),
        (310, 100, 0, false, false, false),
        (310, 10, 60, false, true, false), // the proof has just expired
        (310, 11, 60, false, true, true),  // and just not
        (899, 0, 60, false, true, false),  // both past their time
        (899, 0, 60, true, false, false),
        (900, 0, 60, false, false, false),
        (899, 700, 60, false, true, true), // the end of the time of the entry, under a live proof
        (900, 700, 60, false, false, false),
        (899, 700, 0, false, false, false),
    ] {
        let lifetime = Lifetime { must_revalidate: strict, ..plain() };
        let (proof, left) = (at(granted_at), Duration::from_secs(token_left));
        let assessment =
            assess(&Config::default(), (&lifetime, at(0)), proof, left, CacheControl::default(), at(now));
        let usable = |source| on_error(&lifetime, &assessment, source, (now - granted_at, token_left));
        let results = (usable(ErrorSource::Upstream), usable(ErrorSource::Local));
        let case = (now, granted_at, token_left, strict);
        assert_eq!(results, (after_failure, after_refusal), "{case:?}");
    }
}

proptest! {
    /// A local refusal never permits more than a failure of Graph, and nothing under an expired proof.
    #[test]
    fn a_local_refusal_extends_no_proof(ttl in 1_u64..1000, granted_at in 0_u64..100, now in 100_u64..2000, token_left in 0_u64..100, must_revalidate: bool) {
        let lifetime = Lifetime { fresh_for: Duration::from_secs(ttl), must_revalidate, ..plain() };
        let (proof, left) = (at(granted_at), Duration::from_secs(token_left));
        let assessment = assess(&Config::default(), (&lifetime, at(50)), proof, left, CacheControl::default(), at(now));
        let usable = |source| on_error(&lifetime, &assessment, source, (now - granted_at, token_left));
        let is_live = now - granted_at < 300;
        prop_assert_eq!(usable(ErrorSource::Local), is_live && usable(ErrorSource::Upstream));
    }
}
