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
use crate::stage::{BODY, STORED, cache_status};

/// The proxy with such an origin server, and a connection of a caller.
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

    async fn ask(&mut self) -> Response {
        self.subjects += 1;
        self.ask_again().await
    }

    async fn ask_again(&mut self) -> Response {
        let authorization = format!("Bearer {}", token::mint(&format!("subject-{}", self.subjects)));
        self.client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await
    }

    /// The next answer is a 502 of this kind without a second attempt, and the one after it is sound.
    async fn fails(&mut self, fault: UpstreamFailure) {
        let (asked, faults) = (self.origin.requests(), self.proxy.upstream_metrics.errors.get(fault));
        let answer = self.ask().await;
        let said = format!("connector-cache; fwd=uri-miss; detail={fault}");
        assert_eq!((answer.status, cache_status(&answer)), (502, said.as_str()));
        assert_eq!(self.proxy.upstream_metrics.errors.get(fault), faults + 1);
        assert_eq!((self.origin.requests(), self.retries()), (asked + 1, (0, 0)));
        self.is_sound().await;
    }

    async fn is_sound(&mut self) {
        let answer = self.ask_again().await;
        assert_eq!((answer.status, cache_status(&answer), answer.text()), (200, STORED, BODY));
    }

    fn retries(&self) -> (u64, u64) {
        let count = |reason| self.proxy.upstream_metrics.retries.get(reason);
        (count(Retry::StaleConnection), count(Retry::RefusedStream))
    }
}

fn sound() -> Act {
    Act::Answer(BODY.to_owned())
}

#[tokio::test]
async fn one_connection_carries_every_request() {
    let mut pair = Pair::playing(|_| sound()).await;
    for _ in 0..5 {
        assert_eq!(pair.ask().await.status, 200);
    }
    assert_eq!((pair.origin.connections(), pair.origin.requests()), (1, 5));
    pair.proxy.stop().await;
}

#[tokio::test]
async fn a_cold_start_under_load_loses_no_request() {
    let pair = Pair::playing(|_| sound()).await;
    let connection = H2::connect(pair.proxy.data).await;
    let asks = (0..60).map(|n| {
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
    let statuses = futures_util::future::join_all(asks).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!((pair.origin.requests(), pair.retries()), (60, (0, 0)));
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_refused_stream_is_retried_once() {
    let mut pair = Pair::playing(|n| if n == 2 { Act::Reset(Reason::REFUSED_STREAM) } else { sound() }).await;
    assert_eq!(pair.ask().await.status, 200);
    let answer = pair.ask().await;
    assert_eq!((answer.status, cache_status(&answer)), (200, STORED));
    assert_eq!((pair.origin.requests(), pair.retries()), (3, (0, 1)));
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_stream_that_is_refused_twice_is_a_502() {
    let refused = |n| (2..=3).contains(&n);
    let mut pair =
        Pair::playing(move |n| if refused(n) { Act::Reset(Reason::REFUSED_STREAM) } else { sound() }).await;
    assert_eq!(pair.ask().await.status, 200);
    let answer = pair.ask().await;
    let said = "connector-cache; fwd=uri-miss; detail=reset";
    assert_eq!((answer.status, cache_status(&answer)), (502, said));
    assert_eq!((pair.origin.requests(), pair.retries()), (3, (0, 1)));
    pair.is_sound().await;
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_stream_that_is_reset_for_another_reason_is_a_502_without_a_retry() {
    let reasons = [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::NO_ERROR];
    // Sound, then each reason with a sound one after it: the connection comes from the pool.
    let mut pair = Pair::playing(move |n| match reasons.get(n / 2 - usize::from(n > 1)) {
        Some(reason) if n % 2 == 0 => Act::Reset(*reason),
        _ => sound(),
    })
    .await;
    assert_eq!(pair.ask().await.status, 200);
    for _ in reasons {
        pair.fails(UpstreamFailure::Reset).await;
    }
    assert_eq!(pair.origin.connections(), 1, "the other streams of the connection are not concerned");
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_stream_that_is_reset_in_its_body_is_a_502() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut pair =
        Pair::playing(
            move |n| {
                if n == 2 { Act::ResetMidBody(held.clone(), BODY.to_owned()) } else { sound() }
            },
        )
        .await;
    assert_eq!(pair.ask().await.status, 200);
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
        _ => sound(),
    })
    .await;
    let connection = H2::connect(pair.proxy.data).await;
    let asks = (0..10).map(|n| {
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
    let (statuses, ()) = futures_util::future::join(futures_util::future::join_all(asks), opening).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    for _ in 0..5 {
        assert_eq!(pair.ask().await.status, 200, "whoever comes after it gets a new connection");
    }
    assert_eq!(pair.origin.requests(), 15);
    pair.proxy.stop().await;
}

#[tokio::test]
async fn f23_a_connection_that_is_abandoned_with_an_error_is_a_502() {
    let mut pair =
        Pair::playing(|n| if n == 2 { Act::Abandon(Reason::INTERNAL_ERROR) } else { sound() }).await;
    assert_eq!(pair.ask().await.status, 200);
    pair.fails(UpstreamFailure::Reset).await;
    assert_eq!(pair.origin.connections(), 2);
    pair.proxy.stop().await;
}
