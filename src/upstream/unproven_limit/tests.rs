//! Floods of invented tokens beside honest first requests.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{HashKeys, Identity};

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const WAIT: Duration = Duration::from_secs(5);

/// A limiter and the tokens that a test sends.
struct Stage {
    limiter: UnprovenLimiter,
    clock: Clock,
    secrets: HashKeys,
}

impl Stage {
    fn new(config: &Config) -> Self {
        let clock = Clock::manual(SystemTime::now());
        Self {
            limiter: UnprovenLimiter::new(config, clock.clone()),
            clock,
            secrets: HashKeys::random().unwrap(),
        }
    }

    /// Sender of a token, by its name, on a connection of a subnet.
    fn sender(&self, ip: IpAddr, port: u16, token: impl std::fmt::Display) -> TokenSource {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        TokenSource::new(
            SocketAddr::new(ip, port),
            Identity::from_headers(&headers, &self.secrets).unwrap().token_hash,
        )
    }

    /// Admits a request now, or not.
    fn try_admit(&self, ip: IpAddr, port: u16, token: impl std::fmt::Display) -> Option<Admission> {
        self.limiter.admit(self.sender(ip, port, token), WAIT).now_or_never().and_then(Result::ok)
    }

    /// Sends a token that Graph refuses. Returns whether the request was admitted at once.
    fn forged(&self, ip: IpAddr, token: impl std::fmt::Display) -> bool {
        self.try_admit(ip, 1, token).inspect(Admission::refused).is_some()
    }
}

#[tokio::test]
async fn t09_a_flood_of_forged_tokens_is_paced_once_the_limit_of_its_address_is_reached() {
    let stage = Stage::new(&Config::default());
    assert_eq!((0..1000).filter(|token| stage.forged(NODE, token)).count(), 60);
    assert!(stage.forged(OTHER, "x"), "another address has its own limit");
}

#[tokio::test]
async fn t09_a_burst_of_forged_tokens_does_not_exceed_the_limit_before_the_first_answer() {
    let stage = Stage::new(&Config { in_flight_per_address: 500, ..Config::default() });
    let admitted: Vec<_> = (0..500).filter_map(|token| stage.try_admit(NODE, 1, token)).collect();
    assert_eq!(admitted.len(), 60);
}

#[tokio::test]
async fn t09_a_flood_from_many_addresses_is_one_flood_once_each_has_failed() {
    let stage = Stage::new(&Config::default());
    let hosts: Vec<_> = (1..=50).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))).collect();
    let admitted = (0..3000).filter(|token| stage.forged(hosts[token % 50], token)).count();
    assert_eq!(admitted, 300);
    assert!(stage.try_admit(NODE, 1, "honest").is_some(), "an address without failures goes on");
}

#[tokio::test]
async fn b2_one_dead_token_that_is_refused_seventy_times_is_one_failure() {
    let stage = Stage::new(&Config::default());
    assert_eq!((0..70).filter(|_| stage.forged(NODE, "dead")).count(), 70);
    assert!(
        (0..59).all(|token| stage.try_admit(NODE, 1, token).is_some()),
        "others of its address are untouched"
    );
}

#[tokio::test(start_paused = true)]
async fn an_honest_token_behind_the_address_of_a_flood_has_its_turn_within_two_seconds() {
    let stage = Stage::new(&Config::default());
    (0..60).for_each(|token| assert!(stage.forged(NODE, token)));
    // A thousand forged tokens wait on one connection, and twenty more come each second.
    let mut forged: Vec<_> =
        (100..1100).map(|token| Box::pin(stage.limiter.admit(stage.sender(NODE, 1, token), WAIT))).collect();
    assert!(forged.iter_mut().all(|waits| waits.as_mut().now_or_never().is_none()));
    for honest in 0..20 {
        let start = Instant::now();
        let admission = stage.limiter.admit(stage.sender(NODE, 2, format!("honest{honest}")), WAIT).await;
        assert!(admission.is_ok() && start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
        forged.push(Box::pin(stage.limiter.admit(stage.sender(NODE, 1, 2000 + honest), WAIT)));
        assert!(forged.last_mut().unwrap().as_mut().now_or_never().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_the_pace_is_that_of_all_such_addresses_together() {
    let stage = Stage::new(&Config { failures: 1, ..Config::default() });
    for host in 0..2 {
        stage.forged(IpAddr::V4(Ipv4Addr::new(10, 0, 1, host)), host);
    }
    let start = Instant::now();
    let waits = (0..100_u8).map(|token| {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 0));
        let admission = stage.limiter.admit(stage.sender(ip, u16::from(token), token), WAIT);
        async { admission.await.is_ok() }
    });
    let admitted =
        futures_util::future::join_all(waits).await.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(admitted, 100);
    assert!((2_400..=2_600).contains(&start.elapsed().as_millis()), "forty a second: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_above_the_limit_ends_with_429_and_a_wait_for_slow_requests_with_503() {
    let stage = Stage::new(&Config {
        failures_per_address: 1,
        paced: 1,
        in_flight_per_address: 1,
        ..Config::default()
    });
    let _slow = stage.try_admit(OTHER, 1, "slow").unwrap();
    let result = stage.limiter.admit(stage.sender(OTHER, 1, "slow"), WAIT).await;
    assert_eq!(result.err(), Some(Rejection::Overloaded));
    assert!(stage.forged(NODE, "forged"));
    let _held = stage.limiter.admit(stage.sender(NODE, 1, "first"), WAIT).await.unwrap();
    let result = stage.limiter.admit(stage.sender(NODE, 1, "second"), WAIT).await;
    assert_eq!(result.err(), Some(Rejection::UnprovenBudget));
    assert_eq!(stage.limiter.waiting(), 0);
}

#[tokio::test]
async fn a_cold_start_of_a_thousand_honest_callers_behind_one_address_is_not_held_up() {
    let stage = Stage::new(&Config::default());
    let mut waiting: Vec<_> = (0..1000)
        .map(|token| Box::pin(stage.limiter.admit(stage.sender(NODE, token, token), WAIT)))
        .collect();
    // Each poll that finds an admission stands for an answer of Graph; the pacing task has no part in it.
    let mut answered = 0;
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain_mut(|waits| match waits.as_mut().now_or_never() {
            Some(admission) => {
                admission.unwrap().proven();
                false
            }
            None => true,
        });
        answered += before - waiting.len();
        assert!(waiting.len() < before, "somebody is always admitted: {answered}");
    }
}

#[tokio::test]
async fn an_unproven_token_has_eight_requests_under_way_until_its_first_200() {
    let stage = Stage::new(&Config::default());
    let held: Vec<_> = (0..20).filter_map(|port| stage.try_admit(NODE, port, "token")).collect();
    assert_eq!(held.len(), 8, "on whatever connection");
    assert!(stage.try_admit(NODE, 1, "another").is_some());
    let mut waits = Box::pin(stage.limiter.admit(stage.sender(NODE, 99, "token"), WAIT));
    assert!(waits.as_mut().now_or_never().is_none());
    held[0].proven();
    assert!(matches!(waits.now_or_never(), Some(Ok(_))));
}

#[tokio::test]
async fn one_connection_leaves_requests_of_its_address_to_another() {
    let stage = Stage::new(&Config { failures_per_address: 1000, ..Config::default() });
    let flood: Vec<_> = (0..500).filter_map(|token| stage.try_admit(NODE, 1, token)).collect();
    assert!(flood.len() < 64);
    assert!(stage.try_admit(NODE, 2, "honest").is_some());
    assert!(stage.try_admit(OTHER, 1, "elsewhere").is_some());
}

#[tokio::test]
async fn a_full_queue_drops_the_requests_of_the_connection_that_fills_it() {
    let stage = Stage::new(&Config { failures_per_address: 1, ..Config::default() });
    assert!(stage.forged(NODE, "forged"));
    let wait = |port, token: u32| {
        let mut wait = Box::pin(stage.limiter.admit(stage.sender(NODE, port, token), WAIT));
        // Without the budget of the runtime, which makes every task pause after 128 polls.
        let polled = tokio::task::unconstrained(wait.as_mut()).now_or_never();
        let refused = polled.map(|result| result.err().unwrap());
        (wait, refused)
    };
    let (mut honest, refused) = wait(2, 1);
    assert_eq!(refused, None);
    let _flood: Vec<_> =
        (10..10 + 2 * u32::try_from(MAX_WAITING).unwrap()).map(|token| wait(1, token)).collect();
    assert_eq!(stage.limiter.waiting(), MAX_WAITING);
    assert!(honest.as_mut().now_or_never().is_none(), "the request of the other connection still waits");
}

#[tokio::test]
async fn nothing_is_remembered_of_requests_that_ended() {
    let stage = Stage::new(&Config::default());
    let held = stage.try_admit(NODE, 1, "a").unwrap();
    drop(stage.limiter.admit(stage.sender(NODE, 1, "b"), WAIT));
    drop(held);
    let remembered = format!("{:?}", stage.limiter.lock());
    assert!(remembered.contains("subnets: {}") && stage.limiter.waiting() == 0, "{remembered}");
}

#[tokio::test]
async fn a_minute_later_an_address_is_not_limited_any_more() {
    let stage = Stage::new(&Config::default());
    (0..60).for_each(|token| assert!(stage.forged(NODE, token)));
    assert!(!stage.forged(NODE, "x"));
    stage.clock.advance(Duration::from_mins(1));
    assert!((100..160).all(|token| stage.forged(NODE, token)));
}

#[tokio::test(start_paused = true)]
async fn five_addresses_that_flood_leave_turns_to_the_honest_token_of_each() {
    let stage = Stage::new(&Config::default());
    let hosts: Vec<_> = (1..=5).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 1, host))).collect();
    (0..60 * 5)
        .for_each(|token| drop(stage.try_admit(hosts[token % 5], 1, token).inspect(Admission::refused)));
    let (mut forged, mut number) = (Vec::new(), 1000_u16);
    // Three seconds: twenty forged tokens a second from each address, each on a connection of its own.
    for _ in 0..60 {
        for host in &hosts {
            number += 1;
            let sender = stage.sender(*host, number, number);
            let limiter = stage.limiter.clone();
            forged.push(tokio::spawn(async move {
                limiter.admit(sender, WAIT).await.inspect(Admission::refused).is_ok()
            }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for host in &hosts {
        let start = Instant::now();
        assert!(stage.limiter.admit(stage.sender(*host, 9, "honest"), WAIT).await.is_ok());
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_with_one_expired_token_comes_before_two_hundred_that_flood() {
    let stage = Stage::new(&Config::default());
    let hosts: Vec<_> = (0..200).map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 2, host))).collect();
    for token in 0..600_usize {
        stage.forged(hosts[token % 200], token);
    }
    assert!(stage.forged(NODE, "expired") || stage.limiter.waiting() == 0);
    let mut flood: Vec<_> = (0..1000_usize)
        .map(|token| Box::pin(stage.limiter.admit(stage.sender(hosts[token % 200], 7, 5000 + token), WAIT)))
        .collect();
    assert!(flood.iter_mut().all(|wait| wait.as_mut().now_or_never().is_none()));
    for honest in 0..20 {
        let start = Instant::now();
        assert!(stage.limiter.admit(stage.sender(NODE, honest, honest), WAIT).await.is_ok());
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn slow_requests_of_tokens_without_permission_do_not_take_the_slots_of_newcomers() {
    let stage = Stage::new(&Config::default());
    // Eight tokens on eight connections ask for more and more, and Graph is slow: each request waits or holds its slot.
    let mut slow: Vec<_> = (0..400)
        .map(|request| Box::pin(stage.limiter.admit(stage.sender(NODE, request % 8, request % 8), WAIT)))
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
    assert_eq!(later, 0, "no paced turns where nothing was refused");
    assert!(held.len() < 64, "{}", held.len());
    let newcomers: Vec<_> = (100..103).filter_map(|port| stage.try_admit(NODE, port, port)).collect();
    assert_eq!(newcomers.len(), 3);
}
