//! Many callers with the same request.

use std::time::Duration;

use connector_cache::config::Config;

use crate::common::client::{Client, H2};
use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::{token, within};
use crate::harness::{Harness, ok};

/// Raises the timeouts: all callers must wait before the first gets a response, which takes long on a busy machine.
fn patient(config: &mut Config) {
    let long = Duration::from_mins(5);
    (config.upstream.timeout, config.upstream.first_byte_timeout, config.coalesce.wait) = (long, long, long);
    (config.server.limits.header_timeout, config.server.limits.idle_timeout) = (long, long);
}

#[tokio::test]
async fn f57_a_thousand_equal_misses_are_one_request_though_the_first_caller_hangs_up() {
    let harness = Harness::with(patient).await;
    let gate = Gate::new();
    harness.origin.any(ok().held_until(&gate));
    let authorization = format!("Bearer {}", token::mint("crowd"));
    let headers = [("authorization", authorization.as_str())];
    let mut first = Client::connect(harness.proxy.data).await;
    first.send_get(&path("B2X_1_x"), &headers).await.unwrap();
    harness.origin.wait_for_requests(1).await;
    let connections =
        futures_util::future::join_all((0..999).map(|_| Client::connect(harness.proxy.data))).await;
    let requests: Vec<_> = connections
        .into_iter()
        .map(|mut client| {
            let authorization = authorization.clone();
            tokio::spawn(async move {
                client.send_get(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
                client.response().await.unwrap().status
            })
        })
        .collect();
    let in_flight = || harness.proxy.metrics.in_flight();
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
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(harness.origin.requests(), 1);
    assert_eq!(harness.proxy.metrics.collapsed.get(), 999);
    harness.stop().await;
}

#[tokio::test]
async fn f57_a_thousand_equal_misses_that_fail_fail_together() {
    let harness = Harness::with(patient).await;
    let gate = Gate::new();
    harness.origin.any(crate::common::reply::Reply::reset().held_until(&gate));
    let connection = H2::connect(harness.proxy.data).await;
    let authorization = format!("Bearer {}", token::mint("crowd"));
    let requests = (0..100).map(|_| async {
        let response = connection.get(&path("B2X_1_x"), &[("authorization", authorization.as_str())]).await;
        response.unwrap().status
    });
    let opening = async {
        while harness.proxy.metrics.in_flight() < 100 {
            tokio::task::yield_now().await;
        }
        gate.open();
    };
    let (statuses, ()) = futures_util::future::join(futures_util::future::join_all(requests), opening).await;
    assert!(statuses.iter().all(|status| *status == 502), "{statuses:?}");
    assert_eq!(harness.origin.requests(), 1);
    harness.stop().await;
}
