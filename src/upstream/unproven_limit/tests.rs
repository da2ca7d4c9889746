//! Floods of invented tokens together with valid first requests.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{HashKeys, Identity};

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const WAIT: Duration = Duration::from_secs(5);

/// Limiter and the hash keys of the test.
struct TestLimiter {
    limiter: UnprovenLimiter,
    clock: Clock,
    hash_keys: HashKeys,
}

impl TestLimiter {
    fn new(config: &Config) -> Self {
        let clock = Clock::manual(SystemTime::now());
        Self {
            limiter: UnprovenLimiter::new(config, clock.clone()),
            clock,
            hash_keys: HashKeys::random().unwrap(),
        }
    }

    /// Creates the source of a token, by its name, on a connection of a subnet.
    fn source(&self, ip: IpAddr, port: u16, token: impl std::fmt::Display) -> TokenSource {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        TokenSource::new(
            SocketAddr::new(ip, port),
            Identity::from_headers(&headers, &self.hash_keys).unwrap().token_hash,
        )
    }

    /// Returns the admission of a request if it is admitted at once.
    fn try_admit(&self, ip: IpAddr, port: u16, token: impl std::fmt::Display) -> Option<Admission> {
        self.limiter.admit(self.source(ip, port, token), WAIT).now_or_never().and_then(Result::ok)
    }

    /// Sends a token that gets a 401. Returns whether the request was admitted at once.
    fn forged(&self, ip: IpAddr, token: impl std::fmt::Display) -> bool {
        self.try_admit(ip, 1, token).inspect(Admission::record_unauthorized).is_some()
    }
}

#[tokio::test]
async fn t09_a_flood_of_forged_tokens_is_paced_once_the_limit_of_its_address_is_reached() {
    let test = TestLimiter::new(&Config::default());
    assert_eq!((0..1000).filter(|token| test.forged(NODE, token)).count(), 60);
    assert!(test.forged(OTHER, "x"), "another address has its own limit");
}

#[tokio::test]
async fn t09_a_burst_of_forged_tokens_does_not_exceed_the_limit_before_the_first_response() {
    let test = TestLimiter::new(&Config { in_flight_per_address: 500, ..Config::default() });
    let admitted: Vec<_> = (0..500).filter_map(|token| test.try_admit(NODE, 1, token)).collect();
    assert_eq!(admitted.len(), 60);
}

#[tokio::test]
async fn t09_a_flood_from_many_addresses_is_one_flood_once_each_has_failed() {
    let test = TestLimiter::new(&Config::default());
    let hosts: Vec<_> = (1..=50).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))).collect();
    let admitted = (0..3000).filter(|token| test.forged(hosts[token % 50], token)).count();
    assert_eq!(admitted, 300);
    assert!(test.try_admit(NODE, 1, "honest").is_some(), "a subnet without failures is not limited");
}

#[tokio::test]
async fn b2_one_dead_token_that_is_refused_seventy_times_is_one_failure() {
    let test = TestLimiter::new(&Config::default());
    assert_eq!((0..70).filter(|_| test.forged(NODE, "dead")).count(), 70);
    assert!(
        (0..59).all(|token| test.try_admit(NODE, 1, token).is_some()),
        "other tokens of its subnet are not limited"
    );
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_behind_the_address_of_a_flood_is_admitted_within_two_seconds() {
    let test = TestLimiter::new(&Config::default());
    (0..60).for_each(|token| assert!(test.forged(NODE, token)));
    // A thousand forged tokens wait on one connection, and twenty more come each second.
    let mut forged: Vec<_> =
        (100..1100).map(|token| Box::pin(test.limiter.admit(test.source(NODE, 1, token), WAIT))).collect();
    assert!(forged.iter_mut().all(|waits| waits.as_mut().now_or_never().is_none()));
    for honest in 0..20 {
        let start = Instant::now();
        let admission = test.limiter.admit(test.source(NODE, 2, format!("honest{honest}")), WAIT).await;
        assert!(admission.is_ok() && start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
        forged.push(Box::pin(test.limiter.admit(test.source(NODE, 1, 2000 + honest), WAIT)));
        assert!(forged.last_mut().unwrap().as_mut().now_or_never().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_the_pace_is_that_of_all_such_addresses_together() {
    let test = TestLimiter::new(&Config { failures: 1, ..Config::default() });
    for host in 0..2 {
        test.forged(IpAddr::V4(Ipv4Addr::new(10, 0, 1, host)), host);
    }
    let start = Instant::now();
    let waits = (0..100_u8).map(|token| {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 0));
        let admission = test.limiter.admit(test.source(ip, u16::from(token), token), WAIT);
        async { admission.await.is_ok() }
    });
    let admitted =
        futures_util::future::join_all(waits).await.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(admitted, 100);
    assert!((2_400..=2_600).contains(&start.elapsed().as_millis()), "forty a second: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_above_the_limit_ends_with_429_and_a_wait_for_slow_requests_with_503() {
    let test = TestLimiter::new(&Config {
        failures_per_address: 1,
        paced: 1,
        in_flight_per_address: 1,
        ..Config::default()
    });
    let _slow = test.try_admit(OTHER, 1, "slow").unwrap();
    let result = test.limiter.admit(test.source(OTHER, 1, "slow"), WAIT).await;
    assert_eq!(result.err(), Some(Rejection::Overloaded));
    assert!(test.forged(NODE, "forged"));
    let _held = test.limiter.admit(test.source(NODE, 1, "first"), WAIT).await.unwrap();
    let result = test.limiter.admit(test.source(NODE, 1, "second"), WAIT).await;
    assert_eq!(result.err(), Some(Rejection::UnprovenBudget));
    assert_eq!(test.limiter.waiting(), 0);
}

#[tokio::test]
async fn a_cold_start_of_a_thousand_valid_callers_behind_one_address_is_not_delayed() {
    let test = TestLimiter::new(&Config::default());
    let mut waiting: Vec<_> =
        (0..1000).map(|token| Box::pin(test.limiter.admit(test.source(NODE, token, token), WAIT))).collect();
    // Each poll that finds an admission represents a response of Graph. The pacing task does not run.
    let mut answered = 0;
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain_mut(|waits| match waits.as_mut().now_or_never() {
            Some(admission) => {
                admission.unwrap().record_success();
                false
            }
            None => true,
        });
        answered += before - waiting.len();
        assert!(waiting.len() < before, "a request is always admitted: {answered}");
    }
}

#[tokio::test]
async fn an_unproven_token_has_eight_requests_in_flight_until_its_first_200() {
    let test = TestLimiter::new(&Config::default());
    let held: Vec<_> = (0..20).filter_map(|port| test.try_admit(NODE, port, "token")).collect();
    assert_eq!(held.len(), 8, "on all connections together");
    assert!(test.try_admit(NODE, 1, "another").is_some());
    let mut waits = Box::pin(test.limiter.admit(test.source(NODE, 99, "token"), WAIT));
    assert!(waits.as_mut().now_or_never().is_none());
    held[0].record_success();
    assert!(matches!(waits.now_or_never(), Some(Ok(_))));
}

#[tokio::test]
async fn one_connection_leaves_requests_of_its_address_to_another() {
    let test = TestLimiter::new(&Config { failures_per_address: 1000, ..Config::default() });
    let flood: Vec<_> = (0..500).filter_map(|token| test.try_admit(NODE, 1, token)).collect();
    assert!(flood.len() < 64);
    assert!(test.try_admit(NODE, 2, "honest").is_some());
    assert!(test.try_admit(OTHER, 1, "elsewhere").is_some());
}

#[tokio::test]
async fn a_full_queue_drops_the_requests_of_the_connection_that_fills_it() {
    let test = TestLimiter::new(&Config { failures_per_address: 1, ..Config::default() });
    assert!(test.forged(NODE, "forged"));
    let wait = |port, token: u32| {
        let mut wait = Box::pin(test.limiter.admit(test.source(NODE, port, token), WAIT));
        // Without the cooperative budget of tokio, which makes every task yield after 128 polls.
        let polled = tokio::task::unconstrained(wait.as_mut()).now_or_never();
        let rejected = polled.map(|result| result.err().unwrap());
        (wait, rejected)
    };
    let (mut honest, rejected) = wait(2, 1);
    assert_eq!(rejected, None);
    let _flood: Vec<_> =
        (10..10 + 2 * u32::try_from(MAX_WAITING_REQUESTS).unwrap()).map(|token| wait(1, token)).collect();
    assert_eq!(test.limiter.waiting(), MAX_WAITING_REQUESTS);
    assert!(honest.as_mut().now_or_never().is_none(), "the request of the other connection still waits");
}

#[tokio::test]
async fn requests_that_ended_leave_no_state() {
    let test = TestLimiter::new(&Config::default());
    let held = test.try_admit(NODE, 1, "a").unwrap();
    drop(test.limiter.admit(test.source(NODE, 1, "b"), WAIT));
    drop(held);
    let state = format!("{:?}", test.limiter.lock());
    assert!(state.contains("subnets: {}") && test.limiter.waiting() == 0, "{state}");
}

#[tokio::test]
async fn a_minute_later_an_address_is_not_limited_any_more() {
    let test = TestLimiter::new(&Config::default());
    (0..60).for_each(|token| assert!(test.forged(NODE, token)));
    assert!(!test.forged(NODE, "x"));
    test.clock.advance(Duration::from_mins(1));
    assert!((100..160).all(|token| test.forged(NODE, token)));
}

#[tokio::test(start_paused = true)]
async fn five_addresses_that_flood_leave_capacity_to_the_valid_token_of_each() {
    let test = TestLimiter::new(&Config::default());
    let hosts: Vec<_> = (1..=5).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))).collect();
    (0..60 * 5).for_each(|token| {
        drop(test.try_admit(hosts[token % 5], 1, token).inspect(Admission::record_unauthorized));
    });
    let (mut forged, mut number) = (Vec::new(), 1000_u16);
    // Three seconds: twenty forged tokens a second from each address, each on a connection of its own.
    for _ in 0..60 {
        for host in &hosts {
            number += 1;
            let source = test.source(*host, number, number);
            let limiter = test.limiter.clone();
            forged.push(tokio::spawn(async move {
                limiter.admit(source, WAIT).await.inspect(Admission::record_unauthorized).is_ok()
            }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for host in &hosts {
        let start = Instant::now();
        assert!(test.limiter.admit(test.source(*host, 9, "honest"), WAIT).await.is_ok());
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_with_one_expired_token_comes_before_two_hundred_that_flood() {
    let test = TestLimiter::new(&Config::default());
    let hosts: Vec<_> = (0..200).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 2, host))).collect();
    for token in 0..600_usize {
        test.forged(hosts[token % 200], token);
    }
    assert!(test.forged(NODE, "expired") || test.limiter.waiting() == 0);
    let mut flood: Vec<_> = (0..1000_usize)
        .map(|token| Box::pin(test.limiter.admit(test.source(hosts[token % 200], 7, 5000 + token), WAIT)))
        .collect();
    assert!(flood.iter_mut().all(|wait| wait.as_mut().now_or_never().is_none()));
    for honest in 0..20 {
        let start = Instant::now();
        assert!(test.limiter.admit(test.source(NODE, honest, honest), WAIT).await.is_ok());
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn slow_requests_of_tokens_without_permission_do_not_take_the_slots_of_newcomers() {
    let test = TestLimiter::new(&Config::default());
    // Eight tokens on eight connections send more and more requests, and Graph is slow: each request waits or holds its slot.
    let mut slow: Vec<_> = (0..400)
        .map(|request| Box::pin(test.limiter.admit(test.source(NODE, request % 8, request % 8), WAIT)))
        .collect();
    let mut held = Vec::new();
    slow.retain_mut(|wait| match wait.as_mut().now_or_never() {
        Some(admission) => {
            held.push(admission);
            false
        }
        None => true,
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let later = slow.iter_mut().filter_map(|wait| wait.as_mut().now_or_never()).count();
    assert_eq!(later, 0, "no paced requests without a refused token");
    assert!(held.len() < 64, "{}", held.len());
    let newcomers: Vec<_> = (100..103).filter_map(|port| test.try_admit(NODE, port, port)).collect();
    assert_eq!(newcomers.len(), 3);
}
