//! Many callers with the same request.

use std::time::Duration;

use connector_cache::config::Config;

use crate::common::client::{Client, H2};
use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::{token, within};
use crate::stage::{Stage, sound};

/// All callers must wait before the first gets a response. On a busy machine that takes longer than the default limits.
fn patient(config: &mut Config) {
    let long = Duration::from_mins(5);
    (config.upstream.timeout, config.upstream.first_byte_timeout, config.coalesce.wait) = (long, long, long);
    (config.server.limits.header_timeout, config.server.limits.idle_timeout) = (long, long);
}

#[tokio::test]
async fn f57_a_thousand_equal_misses_are_one_request_though_the_first_caller_hangs_up() {
    let stage = Stage::with(patient).await;
    let gate = Gate::new();
    stage.origin.any(sound().held_until(&gate));
    let authorization = format!("Bearer {}", token::mint("crowd"));
    let headers = [("authorization", authorization.as_str())];
    let mut first = Client::connect(stage.proxy.data).await;
    first.ask(&path("B2X_1_x"), &headers).await.unwrap();
    stage.origin.wait_for_requests(1).await;
    let connections =
        futures_util::future::join_all((0..999).map(|_| Client::connect(stage.proxy.data))).await;
    let asks: Vec<_> = connections
        .into_iter()
        .map(|mut client| {
            let authorization = authorization.clone();
            tokio::spawn(async move {
                client.ask(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
                client.response().await.unwrap().status
            })
        })
        .collect();
    let in_flight = || stage.proxy.metrics.in_flight();
    within("all to wait", async {
        while in_flight() < 1000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    first.reset();
    within("the first to be gone", async {
        while in_flight() == 1000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.open();
    for ask in asks {
        assert_eq!(ask.await.unwrap(), 200);
    }
    assert_eq!(stage.origin.requests(), 1);
    assert_eq!(stage.proxy.metrics.collapsed.get(), 999);
    stage.clear().await;
}

#[tokio::test]
async fn f57_a_thousand_equal_misses_that_fail_fail_together() {
    let stage = Stage::with(patient).await;
    let gate = Gate::new();
    stage.origin.any(crate::common::reply::Reply::reset().held_until(&gate));
    let connection = H2::connect(stage.proxy.data).await;
    let authorization = format!("Bearer {}", token::mint("crowd"));
    let asks = (0..100).map(|_| async {
        let response = connection.get(&path("B2X_1_x"), &[("authorization", authorization.as_str())]).await;
        response.unwrap().status
    });
    let opening = async {
        while stage.proxy.metrics.in_flight() < 100 {
            tokio::task::yield_now().await;
        }
        gate.open();
    };
    let (statuses, ()) = futures_util::future::join(futures_util::future::join_all(asks), opening).await;
    assert!(statuses.iter().all(|status| *status == 502), "{statuses:?}");
    assert_eq!(stage.origin.requests(), 1);
    stage.clear().await;
}
