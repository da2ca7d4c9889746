//! Who may ask, and who has asked too often.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use futures_util::FutureExt;

use super::*;

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

fn budget(config: &Config) -> (Budget, Clock) {
    let clock = Clock::manual(SystemTime::now());
    (Budget::new(config, &origin::Config::default(), clock.clone()), clock)
}

/// Asks once and fails, if the budget lets it. Returns whether it did.
async fn forged(budget: &Budget, clock: &Clock, peer: IpAddr) -> bool {
    match budget.enter(peer).await {
        Ok(pass) => {
            pass.failed(clock.now());
            true
        }
        Err(reason) => {
            assert_eq!(reason, Rejection::UnprovenBudget);
            false
        }
    }
}

#[tokio::test]
async fn t09_a_flood_of_forged_tokens_ends_at_its_addresss_budget() {
    let (budget, clock) = budget(&Config::default());
    let mut asked = 0;
    for _ in 0..1000 {
        asked += u32::from(forged(&budget, &clock, NODE).await);
    }
    assert_eq!(asked, 60);
    assert!(forged(&budget, &clock, OTHER).await, "another address has its own");
}

#[tokio::test]
async fn a_minute_later_an_address_may_try_again() {
    let (budget, clock) = budget(&Config::default());
    while forged(&budget, &clock, NODE).await {}
    clock.advance(Duration::from_secs(1));
    assert!(forged(&budget, &clock, NODE).await, "one a second");
    assert!(!forged(&budget, &clock, NODE).await);
    clock.advance(Duration::from_secs(62));
    for _ in 0..60 {
        assert!(forged(&budget, &clock, NODE).await);
    }
}

#[tokio::test]
async fn a_cold_start_of_a_thousand_honest_callers_behind_one_address_is_not_held_up() {
    let (budget, _) = budget(&Config::default());
    for _ in 0..1000 {
        assert!(budget.enter(NODE).await.is_ok());
    }
}

#[tokio::test]
async fn no_more_than_its_places_are_taken_by_one_address_at_a_time() {
    let (budget, _) = budget(&Config { in_flight_per_address: 2, ..Config::default() });
    let enter = |peer| budget.enter(peer).now_or_never();
    let (first, _second) = (enter(NODE).unwrap(), enter(NODE).unwrap());
    assert!(enter(NODE).is_none(), "it waits");
    assert!(enter(OTHER).is_some());
    drop(first);
    assert!(enter(NODE).is_some());
}

#[tokio::test]
async fn whoever_queued_while_its_address_was_found_out_does_not_ask() {
    let (budget, clock) =
        budget(&Config { in_flight_per_address: 1, failures_per_address: 1, ..Config::default() });
    let first = budget.enter(NODE).now_or_never().unwrap().unwrap();
    let mut queued = Box::pin(budget.enter(NODE));
    assert!(queued.as_mut().now_or_never().is_none());
    first.failed(clock.now());
    drop(first);
    assert_eq!(queued.now_or_never().unwrap().err(), Some(Rejection::UnprovenBudget));
}

#[tokio::test]
async fn when_all_have_spent_too_much_those_who_did_nothing_wrong_go_on() {
    let (budget, clock) = budget(&Config { failures: 10, ..Config::default() });
    for host in 1..=10 {
        assert!(forged(&budget, &clock, IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))).await);
    }
    assert!(
        !forged(&budget, &clock, IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1))).await,
        "it had one failure, and all have ten"
    );
    assert!(budget.enter(NODE).now_or_never().unwrap().is_ok());
}
