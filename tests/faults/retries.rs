//! Retries: which requests are repeated, and which are not.

use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;

use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::{token, within};
use crate::stage::{BODY, Stage, sound};

fn stale(stage: &Stage) -> u64 {
    stage.proxy.upstream_metrics.retries.get(Retry::StaleConnection)
}

#[tokio::test]
async fn f22_a_pooled_connection_that_closes_as_we_send_is_replaced_once_unnoticed() {
    for end in [Reply::hang_up(), Reply::reset()] {
        let mut stage = Stage::set().await;
        stage.passes(sound()).await;
        assert_eq!(stage.passes([end, sound()]).await.text(), BODY);
        assert_eq!((stale(&stage), stage.origin.requests(), stage.origin.connections()), (1, 3, 2));
        stage.clear().await;
    }
}

#[tokio::test]
async fn f22_a_connection_that_was_closed_while_idle_is_not_noticed_either() {
    let mut stage = Stage::set().await;
    for round in 1..=20 {
        stage.passes(sound()).await;
        stage.origin.hang_up().await;
        assert_eq!(stage.origin.connections(), round);
    }
    assert_eq!(stage.origin.requests(), 20);
    stage.clear().await;
}

#[tokio::test]
async fn f22_the_second_attempt_does_not_take_another_stale_connection() {
    let mut stage = Stage::set().await;
    // Four connections in the pool, which all end at the next request.
    let gate = Gate::new();
    stage.origin.any(sound().held_until(&gate));
    let asks: Vec<_> = (0..4)
        .map(|n| {
            let (data, token) = (stage.proxy.data, token::mint(&format!("pool-{n}")));
            tokio::spawn(async move {
                let authorization = format!("Bearer {token}");
                crate::common::client::get(data, &path("B2X_1_x"), &[("authorization", &authorization)]).await
            })
        })
        .collect();
    stage.origin.wait_for_requests(4).await;
    gate.open();
    for ask in asks {
        assert_eq!(ask.await.unwrap().status, 200);
    }
    assert_eq!(stage.origin.connections(), 4);
    let origin = &stage.origin;
    origin.answer("", |request| if request.connection <= 4 { Reply::hang_up() } else { sound() });
    let answer = within("an answer", stage.ask()).await;
    assert_eq!((answer.status, stale(&stage)), (200, 1));
    stage.clear().await;
}

#[tokio::test]
async fn f01_no_second_attempt_once_anything_was_received() {
    for partial in [
        Reply::raw("H"),
        Reply::raw("HTTP/1.1 200 OK\r\ncontent-"),
        Reply::raw("HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let mut stage = Stage::set().await;
        stage.passes(sound()).await;
        stage.fails([partial, sound()], 502, UpstreamFailure::Reset).await;
        assert_eq!(stale(&stage), 0);
        stage.clear().await;
    }
}

#[tokio::test]
async fn f01_no_second_attempt_once_a_head_was_received() {
    let mut stage = Stage::set().await;
    stage.passes(sound()).await;
    stage.fails([sound().cut_after(90), sound()], 502, UpstreamFailure::Truncated).await;
    assert_eq!(stale(&stage), 0);
    stage.clear().await;
}

#[tokio::test]
async fn f22_a_second_attempt_that_fails_is_not_followed_by_a_third() {
    let mut stage = Stage::set().await;
    stage.passes(sound()).await;
    stage.fails([Reply::hang_up(), Reply::hang_up(), sound()], 502, UpstreamFailure::Reset).await;
    assert_eq!((stale(&stage), stage.origin.requests()), (1, 4));
    stage.clear().await;
}

#[tokio::test]
async fn t23_an_error_response_is_never_retried() {
    let mut stage = Stage::set().await;
    for status in [429, 500, 502, 503, 504] {
        stage.origin.any(Reply::json("{}").status_of(status));
        let asked = stage.origin.requests();
        assert_eq!(stage.ask().await.status, status);
        assert_eq!(stage.origin.requests(), asked + 1);
    }
    stage.clear().await;
}
