//! Slow origin servers.

use std::time::{Duration, Instant};

use connector_cache::config::Config;
use connector_cache::upstream::UpstreamFailure;

use crate::common::client::H2;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::token;
use crate::stage::{STORED, Stage, cache_status, sound};

fn short(config: &mut Config) {
    config.upstream.timeout = DEADLINE;
}

#[tokio::test]
async fn f13_an_origin_that_never_answers_is_a_504_at_the_deadline_for_all_who_wait() {
    let mut stage = Stage::with(short).await;
    stage.origin.any(Reply::silence());
    let connection = H2::connect(stage.proxy.data).await;
    let authorization = format!("Bearer {}", token::mint("waits"));
    let began = Instant::now();
    let asks = (0..20).map(|_| async {
        let answer = connection.get(&path("B2X_1_x"), &[("authorization", authorization.as_str())]).await;
        (answer.unwrap().status, began.elapsed())
    });
    let answers = futures_util::future::join_all(asks).await;
    for (status, waited) in &answers {
        assert!(*status == 504 && (DEADLINE..DEADLINE * 4).contains(waited), "{status} after {waited:?}");
    }
    assert_eq!(stage.origin.requests(), 1);
    assert_eq!(
        stage.proxy.upstream_metrics.errors.get(UpstreamFailure::Timeout),
        1,
        "one question, one fault"
    );
    stage.origin.wait_for_ended(1).await;
    let answer = stage.fails(Reply::silence(), 504, UpstreamFailure::Timeout).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    stage.clear().await;
}

#[tokio::test]
async fn f13_an_answer_that_does_not_begin_is_a_504_before_the_deadline_of_the_whole() {
    let mut stage = Stage::with(|config| config.upstream.first_byte_timeout = DEADLINE).await;
    let began = Instant::now();
    let answer = stage.fails(Reply::silence(), 504, UpstreamFailure::FirstByte).await;
    assert!((DEADLINE..DEADLINE * 8).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(answer.header("retry-after"), Some("1"));
    stage.clear().await;
}

#[tokio::test]
async fn f13_an_answer_that_has_begun_has_the_time_of_the_whole() {
    let mut stage = Stage::with(|config| config.upstream.first_byte_timeout = DEADLINE).await;
    let rest = crate::common::gate::Gate::new();
    let reply = sound().paused_after(100, &rest);
    let opening = async {
        tokio::time::sleep(DEADLINE * 3 / 2).await;
        rest.open();
    };
    futures_util::future::join(stage.passes(reply), opening).await;
    stage.clear().await;
}

#[tokio::test]
async fn f14_a_slow_drip_ends_at_the_deadline_of_the_whole() {
    let mut stage = Stage::with(short).await;
    let drip = sound().drip(1, Duration::from_millis(20));
    let began = Instant::now();
    stage.fails(drip, 504, UpstreamFailure::Timeout).await;
    assert!(began.elapsed() < DEADLINE * 4, "{:?}", began.elapsed());
    stage.clear().await;
}

#[tokio::test]
async fn f14_a_drip_after_the_head_ends_there_too() {
    let mut stage = Stage::with(short).await;
    let never = crate::common::gate::Gate::new();
    stage.fails(sound().paused_after(100, &never), 504, UpstreamFailure::Timeout).await;
    stage.origin.wait_for_connections(2).await;
    stage.clear().await;
}

#[tokio::test]
async fn f13_a_caller_that_waits_for_a_place_gets_a_503_and_not_the_origins_blame() {
    let mut stage = Stage::with(|config| {
        short(config);
        config.upstream.in_flight = 1;
    })
    .await;
    stage.origin.any(Reply::silence());
    let connection = H2::connect(stage.proxy.data).await;
    let leading = tokio::spawn(async move {
        let authorization = format!("Bearer {}", token::mint("first"));
        connection.get(&path("B2X_1_x"), &[("authorization", authorization.as_str())]).await.unwrap().status
    });
    stage.origin.wait_for_requests(1).await;
    let began = stage.faults();
    let answer = stage.ask().await;
    let status = leading.await.unwrap();
    assert_eq!(status, 504);
    assert_eq!((answer.status, cache_status(&answer)), (503, "connector-cache; detail=overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    stage.counted(&began, UpstreamFailure::Timeout);
    assert_eq!(stage.origin.requests(), 1, "the second was never asked");
    stage.clear().await;
}

#[tokio::test]
async fn f13_a_caller_with_a_proof_that_waits_for_a_place_gets_a_503_too() {
    let mut stage = Stage::with(|config| {
        short(config);
        config.upstream.in_flight = 1;
    })
    .await;
    stage.origin.any(sound());
    let first = token::mint("first");
    assert_eq!(stage.proxy.read(&first).await.status, 200);
    assert_eq!(cache_status(&stage.ask().await), STORED);
    // Past its time, and past that of a stale answer.
    stage.proxy.clock.advance(Duration::from_secs(1200));
    stage.origin.any(Reply::silence());
    let (asked, address) = (stage.origin.requests(), stage.proxy.data);
    let leading = tokio::spawn(async move {
        let authorization = format!("Bearer {first}");
        let headers = [("authorization", authorization.as_str())];
        crate::common::client::get(address, &path("B2X_1_x"), &headers).await.status
    });
    stage.origin.wait_for_requests(asked + 1).await;
    let answer = stage.ask_again().await;
    assert_eq!((answer.status, cache_status(&answer)), (503, "connector-cache; detail=overloaded"));
    assert_eq!((leading.await.unwrap(), stage.origin.requests()), (504, asked + 1));
    stage.clear().await;
}

const DEADLINE: Duration = Duration::from_millis(500);
