//! 204 No Content: OData 4.0 for a property that is null.

use std::time::Duration;

use connector_cache::cache::outcome::NotStored;

use super::harness::{BODY, Harness, cache_status};
use crate::common::client::Client;
use crate::common::gate::Gate;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::token;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

#[tokio::test]
async fn c5_a_204_is_passed_on_and_not_stored() {
    let mut harness = Harness::start().await;
    for times in 1..=2_u64 {
        let response = harness.play(Reply::status(204).header("request-id", ID)).await;
        assert_eq!((response.status, response.text()), (204, ""));
        let expected = "connector-cache; fwd=uri-miss; fwd-status=204; detail=status";
        assert_eq!(cache_status(&response), expected);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("origin-request-id"), Some(ID));
        for name in ["content-length", "content-type", "transfer-encoding", "etag"] {
            assert_eq!(response.header(name), None, "{name}");
        }
        assert_eq!(harness.proxy.metrics.not_stored.get(NotStored::Status), 3 * times - 2);
        // Nothing is stored, so each request goes to Graph.
        assert_eq!(harness.head().await.status, 204);
        assert_eq!(harness.again().await.status, 204);
        assert_eq!(harness.origin.requests(), usize::try_from(3 * times).unwrap());
    }
    harness.origin.any(Reply::json(BODY));
    let response = harness.again().await;
    assert_eq!(cache_status(&response), "connector-cache; fwd=uri-miss; fwd-status=200; stored");
    harness.stop().await;
}

#[tokio::test]
async fn c5_a_204_ends_the_use_of_a_stale_entry() {
    let mut harness = Harness::start().await;
    harness.play(Reply::json(BODY)).await;
    // Within `cache.stale_while_revalidate`: the refresh in the background gets the 204.
    harness.proxy.clock.advance(Duration::from_secs(301));
    harness.origin.any(Reply::status(204));
    assert_eq!(harness.again().await.status, 200);
    harness.origin.wait_for_requests(2).await;
    crate::common::within("the backoff", async {
        while harness.proxy.metrics.not_stored.get(NotStored::Status) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Until the end of the window the entry is served, without another request for each caller.
    for _ in 0..20 {
        assert_eq!(harness.again().await.status, 200);
    }
    assert_eq!(harness.origin.requests(), 2);
    // After it neither the entry nor an outage brings the entry back.
    harness.proxy.clock.advance(Duration::from_secs(30));
    harness.origin.any(Reply::status(503));
    assert_eq!(harness.again().await.status, 503);

    // Past the window the caller itself gets the 204.
    harness.play(Reply::json(BODY)).await;
    harness.proxy.clock.advance(Duration::from_secs(331));
    harness.origin.any(Reply::status(204));
    let response = harness.again().await;
    let expected = "connector-cache; fwd=stale; fwd-status=204; detail=status";
    assert_eq!((response.status, cache_status(&response)), (204, expected));
    harness.origin.any(Reply::status(503));
    assert_eq!(harness.again().await.status, 503);
    harness.stop().await;
}

#[tokio::test]
async fn c5_requests_that_wait_for_a_204_send_their_own_request() {
    let harness = Harness::start().await;
    let gate = Gate::new();
    harness.origin.any(Reply::status(204).held_until(&gate));
    let authorization = format!("Bearer {}", token::mint("ada"));
    let mut clients = Vec::new();
    for waiting in 0..5 {
        let mut client = Client::connect(harness.proxy.data).await;
        client.send_get(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
        crate::common::within("the request to wait", async {
            while harness.proxy.series("connector_cache_requests_in_flight").await < f64::from(waiting + 1) {}
        })
        .await;
        clients.push(client);
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().await.unwrap().status, 204);
    }
    assert_eq!(
        harness.origin.requests(),
        5,
        "a response that is not stored belongs to one request (RFC 9111, section 4)"
    );
    harness.stop().await;
}
