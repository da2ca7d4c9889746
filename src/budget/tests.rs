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

/// A flood that takes every place it can get, fails, and comes back a little later, for a minute.
#[tokio::test]
async fn t09_a_flood_on_every_place_gets_no_more_than_one_in_turn() {
    let (budget, clock) = budget(&Config::default());
    let mut asked = 0;
    for _ in 0..600 {
        // Whoever is polled without end is held up by the runtime.
        tokio::task::yield_now().await;
        let passes: Vec<_> =
            std::iter::from_fn(|| budget.enter(NODE).now_or_never().and_then(Result::ok)).collect();
        asked += passes.len();
        for pass in passes {
            pass.failed(clock.now());
        }
        clock.advance(Duration::from_millis(100));
    }
    assert!((119..=120).contains(&asked), "60 at once and one a second: {asked}");
}

#[tokio::test]
async fn t09_a_flood_from_many_addresses_is_one_flood_once_each_has_failed() {
    let (budget, clock) = budget(&Config::default());
    let hosts = (1..=50).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))).collect::<Vec<_>>();
    let mut asked = 0;
    for _ in 0..600 {
        // Whoever is polled without end is held up by the runtime.
        tokio::task::yield_now().await;
        let enter = |host: &IpAddr| budget.enter(*host).now_or_never().and_then(Result::ok);
        let passes: Vec<_> = hosts.iter().filter_map(enter).collect();
        asked += passes.len();
        for pass in passes {
            pass.failed(clock.now());
        }
        clock.advance(Duration::from_millis(100));
    }
    assert!(asked <= 300 + 300 + 50, "300 at once and five a second, and one of each before it: {asked}");
    assert!(budget.enter(NODE).now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn a_place_that_is_given_back_goes_to_who_waits_longest_also_while_some_fail() {
    let (budget, clock) = budget(&Config { failures_per_address: 3, ..Config::default() });
    let (first, second, third) = (
        budget.enter(NODE).await.unwrap(),
        budget.enter(NODE).await.unwrap(),
        budget.enter(NODE).await.unwrap(),
    );
    let mut queue: Vec<_> = (0..3).map(|_| Box::pin(budget.enter(NODE))).collect();
    assert!(queue.iter_mut().all(|waits| waits.as_mut().now_or_never().is_none()));
    first.failed(clock.now());
    drop(first);
    assert!(queue.iter_mut().all(|waits| waits.as_mut().now_or_never().is_none()), "two ask, and one failed");
    drop((second, third));
    let passes: Vec<_> = queue.iter_mut().map(|waits| waits.as_mut().now_or_never()).collect();
    assert!(matches!(&passes[..], [Some(Ok(_)), Some(Ok(_)), None]), "two may fail still: {passes:?}");
}

#[test]
fn t09_failures_at_one_moment_on_every_thread_all_count() {
    const EACH: usize = 200_000;
    let (failures, clock) = (Allowance::new(1, 4 * EACH), Clock::manual(SystemTime::now()));
    let now = clock.now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..EACH).for_each(|_| failures.count(now)));
        }
    });
    assert!(failures.exhausted(now), "a flood that comes at once is as large as one that comes in turn");
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

#[test]
fn the_addresses_of_one_ipv6_host_are_one() {
    let of = |text: &str| network(text.parse().unwrap());
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    assert_eq!(of("::ffff:10.0.0.1"), NODE);
}
