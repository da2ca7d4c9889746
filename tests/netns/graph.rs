//! The network to Graph: dropped packets, refused connections, loss, low rate, no link.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::far::{Far, ask_there, there};

const SWALLOW: &str = "iptables -w -A INPUT -p tcp --dport 8443 -j DROP";
const ALL: &str = "";

fn said(answer: &crate::common::client::Response) -> &str {
    answer.header("cache-status").unwrap_or("none")
}

#[tokio::test]
async fn f15_a_firewall_that_drops_every_syn_is_a_504_within_the_connect_timeout() {
    let far = Far::start().await;
    // From the start on, so that no connection is at hand.
    there(SWALLOW);
    let serve = far.proxy(&[]).await;
    let began = Instant::now();
    let answer = far.ask(&serve, 0, ALL).await;
    assert_eq!(
        (answer.status, said(&answer)),
        (504, "connector-cache; fwd=uri-miss; detail=connect-timeout")
    );
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_millis(1900)).contains(&took), "{took:?}");
    there("iptables -w -F");
    assert_eq!(far.ask(&serve, 0, ALL).await.status, 200);
}

#[tokio::test]
async fn f15_a_firewall_that_refuses_is_a_502_at_once() {
    let far = Far::start().await;
    let serve = far.proxy(&[]).await;
    for how in ["tcp-reset", "icmp-port-unreachable", "icmp-host-unreachable", "icmp-admin-prohibited"] {
        there(&format!("iptables -w -A INPUT -p tcp --dport 8443 -j REJECT --reject-with {how}"));
        let began = Instant::now();
        let answer = far.ask(&serve, 0, ALL).await;
        assert_eq!(
            (answer.status, said(&answer)),
            (502, "connector-cache; fwd=uri-miss; detail=connect"),
            "{how}"
        );
        assert!(began.elapsed() < Duration::from_millis(800), "{how}: {:?}", began.elapsed());
        there("iptables -w -F");
    }
    assert_eq!(far.ask(&serve, 0, ALL).await.status, 200);
}

#[tokio::test]
async fn f22_a_wire_that_goes_dead_under_a_pooled_connection_costs_one_answer() {
    let far = Far::start().await;
    let serve = far.proxy(&[]).await;
    assert_eq!(far.ask(&serve, 0, ALL).await.status, 200);
    there(SWALLOW);
    let answer = far.ask(&serve, 1, ALL).await;
    assert_eq!((answer.status, said(&answer)), (504, "connector-cache; fwd=uri-miss; detail=timeout"));
    let began = Instant::now();
    let hit = far.ask(&serve, 0, ALL).await;
    assert!(
        hit.status == 200 && began.elapsed() < Duration::from_millis(500),
        "a hit: {:?}",
        began.elapsed()
    );
    // The dead connection is abandoned: the next request fails to make a new one.
    let answer = far.ask(&serve, 2, ALL).await;
    assert_eq!(
        (answer.status, said(&answer)),
        (504, "connector-cache; fwd=uri-miss; detail=connect-timeout")
    );
    there("iptables -w -F");
    assert_eq!(far.ask(&serve, 2, ALL).await.status, 200);
}

#[tokio::test]
async fn f16_callers_with_proofs_do_not_notice_that_the_wire_is_dead() {
    let far = Far::start().await;
    let settings = [("CONNECTOR_CACHE__CACHE__TTL", "1s"), ("CONNECTOR_CACHE__CACHE__STALE_IF_ERROR", "1h")];
    let serve = far.proxy(&settings).await;
    let everybody = || join_all((0..far.tokens.len()).map(|token| far.ask(&serve, token, ALL)));
    for answer in everybody().await {
        assert_eq!(answer.status, 200, "{}", said(&answer));
    }
    there(SWALLOW);
    let (began, mut answered, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while began.elapsed() < Duration::from_secs(6) {
        let asked = Instant::now();
        for answer in everybody().await {
            assert_eq!(answer.status, 200, "{}", said(&answer));
            answered += 1;
        }
        slowest = slowest.max(asked.elapsed());
    }
    println!("{answered} answers while the wire was dead, the slowest after {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[tokio::test]
async fn a_wire_that_loses_three_packets_of_ten_still_carries_answers() {
    let far = Far::start().await;
    // Every request goes to Graph: entries are stale after a moment.
    let settings = [
        ("CONNECTOR_CACHE__GRAPH__TIMEOUT", "5s"),
        ("CONNECTOR_CACHE__CACHE__TTL", "1ms"),
        ("CONNECTOR_CACHE__CACHE__STALE_WHILE_REVALIDATE", "0s"),
        ("CONNECTOR_CACHE__CACHE__STALE_IF_ERROR", "0s"),
    ];
    let serve = far.proxy(&settings).await;
    assert_eq!(far.ask(&serve, 0, ALL).await.status, 200);
    there("iptables -w -A INPUT -m statistic --mode random --probability 0.3 -j DROP");
    let (mut good, mut told, mut slowest) = (0, 0, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        for answer in join_all((0..10).map(|token| far.ask(&serve, token, ALL))).await {
            match answer.status {
                200 => good += 1,
                502..=504 => told += 1,
                _ => panic!("{}", said(&answer)),
            }
        }
        slowest = slowest.max(asked.elapsed());
    }
    let lost = dropped();
    println!(
        "{good} answered, {told} told that Graph cannot be had, {slowest:?} at worst; {lost} packets were lost"
    );
    assert!(slowest < Duration::from_secs(7) && good > told, "{good} good, {told} told, {slowest:?}");
    assert!(lost > 5, "{lost} packets were lost");
}

/// Packets that the firewall of the far end has dropped.
fn dropped() -> u64 {
    let rules = ask_there("iptables -w -L -v -n -x");
    let dropped = rules.lines().filter(|line| line.contains(" DROP ") && line.contains("statistic"));
    dropped.map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_narrow_wire_carries_all_answers_in_turn() {
    let far = Far::start().await;
    let serve = far.proxy(&[("CONNECTOR_CACHE__GRAPH__TIMEOUT", "9s")]).await;
    there("tc qdisc add dev wire root tbf rate 256kbit burst 4kb latency 2s");
    let began = Instant::now();
    for answer in join_all((0..20).map(|token| far.ask(&serve, token, ALL))).await {
        assert_eq!(answer.status, 200, "{}", said(&answer));
    }
    println!("20 answers over 256 kbit/s in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_network_without_a_link_is_an_error_in_time_and_works_after_the_link_is_back() {
    let far = Far::start().await;
    let serve = far.proxy(&[]).await;
    assert_eq!(far.ask(&serve, 0, ALL).await.status, 200);
    there("ip link set wire down");
    for token in 1..4 {
        let began = Instant::now();
        let answer = far.ask(&serve, token, ALL).await;
        assert!(matches!(answer.status, 502 | 504), "{}", said(&answer));
        assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    }
    assert_eq!(far.ask(&serve, 0, ALL).await.status, 200, "a hit");
    there("ip link set wire up");
    let plugged_in = Instant::now();
    while far.ask(&serve, 4, ALL).await.status != 200 {
        assert!(plugged_in.elapsed() < Duration::from_secs(5), "it does not come back");
    }
}
