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

#[tokio::test(start_paused = true)]
async fn a_quarter_of_the_places_at_graph_is_left_and_nobody_waits_longer_than_half_of_its_time() {
    let origin = origin::Config { in_flight: 12, timeout: Duration::from_secs(8), ..Default::default() };
    let budget = Budget::new(&Config::default(), &origin, Clock::manual(SystemTime::now()));
    let enter = |peer| budget.enter(peer).now_or_never();
    let passes: Vec<_> = (0..9).map_while(|_| enter(NODE)).collect();
    assert_eq!(passes.len(), 9);
    assert!(enter(OTHER).is_none(), "whatever its address");
    let start = tokio::time::Instant::now();
    assert_eq!(budget.enter(OTHER).await.err(), Some(Rejection::Overloaded));
    let waited = start.elapsed();
    assert!((4_000..4_010).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test]
async fn when_all_have_spent_too_much_who_failed_lately_does_not_even_wait() {
    let (budget, clock) = budget(&Config { in_flight_per_address: 1, failures: 1, ..Config::default() });
    let first = budget.enter(NODE).await.unwrap();
    first.failed(clock.now());
    assert_eq!(budget.enter(NODE).now_or_never().unwrap().err(), Some(Rejection::UnprovenBudget));
}

#[tokio::test]
async fn whoever_had_a_place_to_wait_for_while_all_spent_too_much_does_not_ask() {
    let (budget, clock) = budget(&Config { in_flight: 1, failures: 2, ..Config::default() });
    assert!(forged(&budget, &clock, NODE).await);
    let other = budget.enter(OTHER).await.unwrap();
    let mut queued = Box::pin(budget.enter(NODE));
    assert!(queued.as_mut().now_or_never().is_none());
    other.failed(clock.now());
    drop(other);
    assert_eq!(queued.now_or_never().unwrap().err(), Some(Rejection::UnprovenBudget));
}

#[tokio::test]
async fn whoever_waits_while_the_last_failure_is_spent_is_told_so_before_a_place_is_free() {
    let (allowance, clock) = (Arc::new(Allowance::new(1, 2)), Clock::manual(SystemTime::now()));
    let _place = allowance.enter(&clock).now_or_never().unwrap().unwrap();
    let mut queued = Box::pin(allowance.enter(&clock));
    assert!(queued.as_mut().now_or_never().is_none());
    allowance.count(clock.now());
    assert!(queued.as_mut().now_or_never().is_none(), "one is left");
    allowance.count(clock.now());
    assert!(matches!(queued.as_mut().now_or_never(), Some(Err(Spent))));
}

#[tokio::test]
async fn nobody_enters_where_all_failures_are_spent_though_every_place_is_free() {
    let (allowance, clock) = (Arc::new(Allowance::new(1, 1)), Clock::manual(SystemTime::now()));
    allowance.count(clock.now());
    assert!(matches!(allowance.enter(&clock).now_or_never(), Some(Err(Spent))));
}

#[test]
fn more_failures_than_a_minute_allows_are_forgiven_within_a_minute_and_quiet_earns_no_more() {
    let (allowance, clock) = (Allowance::new(1, 60), Clock::manual(SystemTime::now()));
    (0..200).for_each(|_| allowance.count(clock.now()));
    clock.advance(Duration::from_millis(999));
    assert!(allowance.exhausted(clock.now()));
    clock.advance(Duration::from_millis(2));
    assert!(!allowance.exhausted(clock.now()), "one a second");
    clock.advance(Duration::from_mins(10));
    (0..59).for_each(|_| allowance.count(clock.now()));
    assert!(!allowance.exhausted(clock.now()));
    allowance.count(clock.now());
    assert!(allowance.exhausted(clock.now()), "nobody saves up");
}

#[test]
fn a_failure_is_held_against_its_address_for_a_minute() {
    let (allowance, clock) = (Allowance::new(1, 60), Clock::manual(SystemTime::now()));
    assert!(!allowance.any(clock.now()));
    allowance.count(clock.now());
    clock.advance(Duration::from_millis(59_999));
    assert!(allowance.any(clock.now()));
    clock.advance(Duration::from_millis(1));
    assert!(!allowance.any(clock.now()));
}
