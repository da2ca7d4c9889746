//! The model's teeth: each deliberate fault must be found out, by what a caller can see.
//!
//! What a fault does is told at `connector_cache::support::sabotage::Fault`. With the seed below, in so many requests:
//!
//! | fault | breaks | broken rule | requests |
//! |---|---|---|---|
//! | principal-without-tenant | promise 2 | (a) | 63 |
//! | entry-without-expand | promise 1 | (a) | 29 |
//! | flight-of-principal | promise 3 | (d) | 9 |
//! | flight-from-before | promise 2 | (d) | 27 |
//! | proof-of-any-resource | promise 2 | (f) | 48 |
//! | proof-without-expand | promise 2 | (f) | 48 |
//! | proof-of-principal | promise 2 | (d) | 9 |
//! | proof-forever | promise 2 | (a) | 60 |
//! | claims-trusted | promise 2 | (a) | 14 |
//! | unproven-evicts | promise 3 | (f) | 85 |
//! | unheeded-401 | promise 3 | (b) | 1647 |
//! | unheeded-403 | promise 3 | (a) | 323 |
//! | unheeded-broken-no | promise 3 | (a) | 323 |
//! | unheeded-in-flight | promise 3 | (a) | 3746 |
//! | purge-misses-flights | an operator's purge | (i) | 194 |
//! | purge-misses-newcomers | an operator's purge | (d) | 1236 |
//! | purge-revokes-all | an operator's purge | (f) | 157 |
//! | purge-takes-too-much | an operator's purge | (f) | 202 |
//! | digest-ignored | promise 2 | (a) | 63 |
//! | divergence-unheeded | promise 2 | (i) | 63 |
//! | end-forgotten | promise 2 | (a) | 3521 |
//! | end-without-margin | promise 2 | (d) | 1633 |
//! | entry-forever | `ttl` | (b) | 980 |
//! | stale-past-grace | `stale_while_revalidate` | (a) | 39 |
//! | stale-after-403 | `stale_if_error` | (a) | 256 |
//! | error-stored | only a 200 | (f) | 349 |
//! | no-store-stored | RFC 9111, 5.2.2.5 | (b) | 309 |
//! | older-replaces-newer | RFC 9111, 4 | (f) | 928 |
//! | any-304 | RFC 9111, 4.3.4 | (c) | 1775 |
//! | validator-of-another | promise 2 | (g) | 93 |
//! | no-cache-reused | RFC 9111, 5.2.2.4 | (b) | 1474 |
//! | max-stale-widens-proof | promise 2 | (a) | 213 |
//! | unscrubbed | promise 4 | (e) | 3 |
//! | select-not-forwarded | promise 1 | (g) | 3 |
//! | spelling-of-token-alone | promise 1 | (a) | 33 |
//! | front-misses-withdrawals | promise 3 | (a) | 2083 |
//! | never-hits | a cache | (f) | 4 |

use connector_cache::support::labels::Label as _;
use connector_cache::support::sabotage::{Fault, switch};

use super::op::Letter;
use super::run;

/// Plays the model with a fault until a rule is broken, and names that rule.
fn bites(fault: Fault, rules: &[&str], letter: Letter) {
    switch(Some(fault));
    let found = run::model(ENOUGH, run::number("MODEL_SEED").unwrap_or(SEED), letter, true);
    switch(None);
    let failure = match found {
        Err(failure) => failure,
        Ok(tally) => panic!("{fault} went unnoticed: {tally:?}"),
    };
    let story = failure.lines().take(2).collect::<Vec<_>>().join("\n");
    println!("{fault}: {story}");
    assert!(
        rules.iter().any(|rule| story.contains(rule)),
        "{fault} was found out, but not by {rules:?}: {story}"
    );
}

macro_rules! teeth {
    (@letter) => { Letter::Operators };
    (@letter the RFCs decide) => { Letter::Rfcs };
    ($($test:ident: $fault:ident by $rules:expr $(, where $($letter:ident)+)?;)+) => {
        $(
            #[test]
            fn $test() {
                bites(Fault::$fault, &$rules, teeth!(@letter $($($letter)+)?));
            }
        )+

        #[test]
        fn every_fault_has_a_test() {
            assert_eq!([$(Fault::$fault),+], Fault::ALL);
        }
    };
}

teeth! {
    a_principal_without_its_tenant_is_found_out: PrincipalWithoutTenant by ["(a)", "(b)"];
    an_entry_without_its_expand_is_found_out: EntryWithoutExpand by ["(a)", "(b)"];
    a_flight_of_the_principal_is_found_out: FlightOfPrincipal by ["(d)"];
    a_flight_from_before_is_found_out: FlightFromBefore by ["(d)"];
    a_proof_of_any_resource_is_found_out: ProofOfAnyResource by ["(a)", "(f)"];
    a_proof_without_its_expand_is_found_out: ProofWithoutExpand by ["(a)", "(f)"];
    a_proof_of_the_principal_is_found_out: ProofOfPrincipal by ["(a)", "(d)", "(f)"];
    a_proof_that_never_ends_is_found_out: ProofForever by ["(a)"];
    claims_that_are_trusted_are_found_out: ClaimsTrusted by ["(a)"];
    an_unproven_token_that_evicts_is_found_out: UnprovenEvicts by ["(f)"];
    a_401_that_withdraws_nothing_is_found_out: UnheededUnauthorized by ["(a)", "(b)", "(d)", "(j)"];
    a_403_that_withdraws_nothing_is_found_out: UnheededForbidden by ["(a)", "(d)"];
    a_broken_no_that_withdraws_nothing_is_found_out: UnheededBroken by ["(a)", "(c)"];
    a_no_that_does_not_count_in_flight_is_found_out: UnheededInFlight by ["(a)", "(d)", "(j)"];
    a_purge_that_misses_flights_is_found_out: PurgeMissesFlights by ["(a)", "(b)", "(f)", "(i)"];
    a_purge_that_misses_newcomers_is_found_out: PurgeMissesNewcomers by ["(a)", "(b)", "(d)"];
    a_purge_that_revokes_all_leases_is_found_out: PurgeRevokesAll by ["(d)", "(f)"];
    a_purge_that_takes_too_much_is_found_out: PurgeTakesTooMuch by ["(f)"];
    a_digest_that_is_ignored_is_found_out: DigestIgnored by ["(a)"];
    other_bytes_that_make_nobody_ask_are_found_out: DivergenceUnheeded by ["(i)"];
    an_end_that_is_forgotten_is_found_out: EndForgotten by ["(a)"];
    an_end_without_its_margin_is_found_out: EndWithoutMargin by ["(a)", "(d)", "(f)"];
    an_entry_that_is_always_fresh_is_found_out: EntryForever by ["(b)"];
    a_stale_entry_past_its_grace_is_found_out: StalePastGrace by ["(a)", "(b)"];
    a_stale_entry_after_a_403_is_found_out: StaleAfterForbidden by ["(a)"];
    an_error_that_is_stored_is_found_out: ErrorStored by ["(a)", "(b)", "(f)"];
    a_no_store_that_is_stored_is_found_out: NoStoreStored by ["(b)"];
    an_older_answer_in_place_of_a_newer_is_found_out: OlderReplacesNewer by ["(b)", "(f)"];
    a_304_of_anything_is_found_out: AnyNotModified by ["(c)"], where the RFCs decide;
    a_validator_of_another_token_is_found_out: ValidatorOfAnother by ["(g)"], where the RFCs decide;
    a_no_cache_that_is_reused_is_found_out: NoCacheReused by ["(b)"], where the RFCs decide;
    a_max_stale_past_the_proof_is_found_out: MaxStaleWidensProof by ["(a)"], where the RFCs decide;
    a_body_that_was_not_scrubbed_is_found_out: Unscrubbed by ["(e)"];
    a_key_that_is_not_forwarded_is_found_out: SelectNotForwarded by ["(g)"];
    a_request_that_is_known_by_its_token_alone_is_found_out: SpellingOfTokenAlone by ["(a)", "(b)", "(f)"];
    a_thread_that_misses_withdrawals_is_found_out: FrontMissesWithdrawals by ["(a)", "(b)", "(d)", "(f)", "(g)"], where the RFCs decide;
    a_cache_that_never_hits_is_found_out: NeverHits by ["(f)"];
}

/// Requests within which a fault must be found out.
const ENOUGH: u64 = 20_000;
/// A failure here is the same on every machine.
const SEED: u64 = 100;
