//! F23: an origin server with HTTP/2 that ends streams and connections.

use connector_cache::upstream::Retry;
use connector_cache::upstream::UpstreamFailure;
use h2::Reason;

use crate::common::client::{Client, H2, Response};
use crate::common::gate::Gate;
use crate::common::h2::{Act, H2Origin};
use crate::common::proxy::{Proxy, path};
use crate::common::tls::Authority;
use crate::common::{token, within};
use crate::harness::{BODY, STORED, cache_status};

/// An HTTP/2 origin server, the proxy, and a connection of a caller.
struct Pair {
    origin: H2Origin,
    proxy: Proxy,
    client: Client,
    subjects: usize,
}

impl Pair {
    /// `script` returns the reply to the n-th request, from 1.
    async fn playing(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
        let roots = authority.write_pem(directory.path());
        let config = authority.right().server_config_speaking(&["h2", "http/1.1"]);
        let origin = H2Origin::start(config, script).await;
        let proxy = Proxy::with(&origin.url(), |config| config.upstream.ca_file = Some(roots)).await;
        let client = Client::connect(proxy.data).await;
        Self { origin, proxy, client, subjects: 0 }
    }

    async fn get(&mut self) -> Response {
        self.subjects += 1;
        self.get_again().await
    }

    async fn get_again(&mut self) -> Response {
        let authorization = format!("Bearer {}", token::mint(&format!("subject-{}", self.subjects)));
        self.client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await
    }

    /// Asserts that the next response is a 502 of this kind without a second attempt, and the one after it a 200.
    async fn fails(&mut self, fault: UpstreamFailure) {
        let (requests, faults) = (self.origin.requests(), self.proxy.upstream_metrics.errors.get(fault));
        let response = self.get().await;
        let expected = format!("connector-cache; fwd=uri-miss; detail={fault}");
        assert_eq!((response.status, cache_status(&response)), (502, expected.as_str()));
        assert_eq!(self.proxy.upstream_metrics.errors.get(fault), faults + 1);
        assert_eq!((self.origin.requests(), self.retries()), (requests + 1, (0, 0)));
        self.is_ok().await;
    }

    async fn is_ok(&mut self) {
        let response = self.get_again().await;
        assert_eq!((response.status, cache_status(&response), response.text()), (200, STORED, BODY));
    }

    fn retries(&self) -> (u64, u64) {
        let count = |reason| self.proxy.upstream_metrics.retries.get(reason);
        (count(Retry::StaleConnection), count(Retry::RefusedStream))
    }
}

fn ok() -> Act {
    Act::Answer(BODY.to_owned())
}

#[tokio::test]
async fn one_connection_carries_every_request() {
    let mut pair = Pair::playing(|_| ok()).await;
    for _ in 0..5 {
        assert_eq!(pair.get().await.status, 200);
    }
    assert_eq!((pair.origin.connections(), pair.origin.requests()), (1, 5));
    pair.proxy.stop().await;
}

#[tokio::test]
async fn a_cold_start_under_load_loses_no_request() {
    let pair = Pair::playing(|_| ok()).await;
    let connection = H2::connect(pair.proxy.data).await;
    let requests = (0..60).map(|n| {
        let (connection, token) = (&connection, token::mint(&format!("cold-{n}")));
        async move {
            let authorization = format!("Bearer {token}");
            connection
                .get(&path("B2X_1_x"), &[("authorization", authorization.as_str())])
                .await
                .unwrap()
                .status
        }
    });
    let statuses = futures_util::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!((pair.origin.requests(), pair.retries()), (60, (0, 0)));
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_refused_stream_is_retried_once() {
    let mut pair = Pair::playing(|n| if n == 2 { Act::Reset(Reason::REFUSED_STREAM) } else { ok() }).await;
    assert_eq!(pair.get().await.status, 200);
    let response = pair.get().await;
    assert_eq!((response.status, cache_status(&response)), (200, STORED));
    assert_eq!((pair.origin.requests(), pair.retries()), (3, (0, 1)));
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_stream_that_is_refused_twice_is_a_502() {
    let refused = |n| (2..=3).contains(&n);
    let mut pair =
        Pair::playing(move |n| if refused(n) { Act::Reset(Reason::REFUSED_STREAM) } else { ok() }).await;
    assert_eq!(pair.get().await.status, 200);
    let response = pair.get().await;
    let expected = "connector-cache; fwd=uri-miss; detail=reset";
    assert_eq!((response.status, cache_status(&response)), (502, expected));
    assert_eq!((pair.origin.requests(), pair.retries()), (3, (0, 1)));
    pair.is_ok().await;
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_stream_that_is_reset_for_another_reason_is_a_502_without_a_retry() {
    let reasons = [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::NO_ERROR];
    // A 200, then each reason followed by a 200: the connection comes from the pool.
    let mut pair = Pair::playing(move |n| match reasons.get(n / 2 - usize::from(n > 1)) {
        Some(reason) if n % 2 == 0 => Act::Reset(*reason),
        _ => ok(),
    })
    .await;
    assert_eq!(pair.get().await.status, 200);
    for _ in reasons {
        pair.fails(UpstreamFailure::Reset).await;
    }
    assert_eq!(pair.origin.connections(), 1, "the other streams of the connection continue");
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_stream_that_is_reset_in_its_body_is_a_502() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut pair =
        Pair::playing(move |n| if n == 2 { Act::ResetMidBody(held.clone(), BODY.to_owned()) } else { ok() })
            .await;
    assert_eq!(pair.get().await.status, 200);
    let metrics = std::sync::Arc::clone(&pair.proxy.upstream_metrics);
    let opening = async move {
        within("the head", async {
            while metrics.requests.total() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        gate.open();
    };
    let ((), ()) = futures_util::future::join(pair.fails(UpstreamFailure::Truncated), opening).await;
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_graceful_goaway_lets_what_is_in_flight_finish() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut pair = Pair::playing(move |n| match n {
        1..=9 => Act::Held(held.clone(), BODY.to_owned()),
        10 => Act::GoAwayFirst(held.clone(), BODY.to_owned()),
        _ => ok(),
    })
    .await;
    let connection = H2::connect(pair.proxy.data).await;
    let requests = (0..10).map(|n| {
        let (connection, token) = (&connection, token::mint(&format!("flight-{n}")));
        async move {
            let authorization = format!("Bearer {token}");
            connection
                .get(&path("B2X_1_x"), &[("authorization", authorization.as_str())])
                .await
                .unwrap()
                .status
        }
    });
    let opening = async {
        pair.origin.wait_for_requests(10).await;
        gate.open();
    };
    let (statuses, ()) = futures_util::future::join(futures_util::future::join_all(requests), opening).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    for _ in 0..5 {
        assert_eq!(pair.get().await.status, 200, "the next request uses a new connection");
    }
    assert_eq!(pair.origin.requests(), 15);
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_connection_that_is_abandoned_with_an_error_is_a_502() {
    let mut pair = Pair::playing(|n| if n == 2 { Act::Abandon(Reason::INTERNAL_ERROR) } else { ok() }).await;
    assert_eq!(pair.get().await.status, 200);
    pair.fails(UpstreamFailure::Reset).await;
    assert_eq!(pair.origin.connections(), 2);
    pair.proxy.stop().await;
}
