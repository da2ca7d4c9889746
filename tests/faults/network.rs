//! Faults of the network between the proxy and Graph: slow, narrow, broken and silent connections.

use std::time::{Duration, Instant};

use connector_cache::config::Config;
use connector_cache::upstream::UpstreamFailure;

use futures_util::future::join_all;

use crate::common::client::{Client, Response};
use crate::common::h2::{Act, H2Origin};
use crate::common::link::Link;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::tls::Authority;
use crate::common::{token, within};
use crate::harness::{BODY, cache_status, ok};

/// The proxy, a relay, and an origin server behind it.
struct Far {
    origin: OriginServer,
    link: Link,
    proxy: Proxy,
}

impl Far {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(ok());
        let link = Link::to(origin.address()).await;
        let proxy = Proxy::with(&format!("http://{}", link.address()), change).await;
        Self { origin, link, proxy }
    }

    async fn get(&self, subject: &str) -> Response {
        self.proxy.read(&token::mint(subject)).await
    }

    async fn stop(self) {
        self.proxy.stop().await;
        drop(self.link);
        self.origin.finish().await;
    }
}

fn short(config: &mut Config) {
    config.upstream.timeout = DEADLINE;
}

#[tokio::test]
async fn a_hit_does_not_depend_on_the_latency_of_graph() {
    let far = Far::with(|_| {}).await;
    far.link.latency(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(far.get("a").await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(600), "the latency counts in both directions");
    let began = Instant::now();
    assert!(cache_status(&far.get("a").await).starts_with("connector-cache; hit"));
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    far.stop().await;
}

#[tokio::test]
async fn f14_a_narrow_network_ends_at_the_total_timeout() {
    let far = Far::with(short).await;
    far.link.trickle(4, Duration::from_millis(50));
    let began = Instant::now();
    let response = far.get("a").await;
    assert_eq!(
        (response.status, cache_status(&response)),
        (504, "connector-cache; fwd=uri-miss; detail=timeout")
    );
    assert!((DEADLINE..DEADLINE * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
    far.link.mend();
    assert_eq!(far.get("a").await.text(), BODY);
    far.stop().await;
}

#[tokio::test]
async fn f02_a_network_failure_within_a_response_is_a_502() {
    let far = Far::with(|_| {}).await;
    let never = crate::common::gate::Gate::new();
    far.origin.any(ok().paused_after(100, &never));
    let request = async { far.get("a").await };
    let breaking = async {
        far.origin.wait_for_requests(1).await;
        // The request has passed; the next bytes are the head of the response.
        far.link.wait_for_bytes(far.link.carried()).await;
        far.link.break_off();
    };
    let (response, ()) = within("a response", async { tokio::join!(request, breaking) }).await;
    let expected = "connector-cache; fwd=uri-miss; detail=truncated";
    assert_eq!((response.status, cache_status(&response)), (502, expected));
    far.origin.any(ok());
    assert_eq!(far.get("a").await.status, 200);
    far.stop().await;
}

#[tokio::test]
async fn f01_a_network_that_refuses_connections_is_a_502_and_recovers() {
    let far = Far::with(|_| {}).await;
    far.link.refuse();
    let response = far.get("a").await;
    assert_eq!(response.status, 502, "{}", cache_status(&response));
    far.link.mend();
    assert_eq!(far.get("a").await.status, 200);
    far.stop().await;
}

#[tokio::test]
async fn f13_a_network_that_drops_all_bytes_is_a_504() {
    let far = Far::with(short).await;
    far.link.drop_bytes();
    let response = far.get("a").await;
    assert_eq!(
        (response.status, cache_status(&response)),
        (504, "connector-cache; fwd=uri-miss; detail=timeout")
    );
    far.link.mend();
    assert_eq!(far.get("a").await.status, 200);
    far.stop().await;
}

#[tokio::test]
async fn f22_a_connection_that_died_silently_in_the_pool_costs_one_response() {
    let far = Far::with(short).await;
    assert_eq!(far.get("a").await.status, 200);
    far.link.go_silent();
    assert_eq!(far.get("b").await.status, 504);
    let began = Instant::now();
    assert_eq!(far.get("b").await.status, 200);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!(far.proxy.upstream_metrics.errors.get(UpstreamFailure::Timeout), 1);
    assert_eq!(far.link.connections(), 2);
    far.stop().await;
}

#[tokio::test]
async fn f22_a_pool_that_died_silently_costs_one_response() {
    let far = Far::with(short).await;
    let gate = crate::common::gate::Gate::new();
    far.origin.any(ok().held_until(&gate));
    // Ten at once are ten connections.
    let tokens: Vec<_> = (0..10).map(|n| token::mint(&format!("caller-{n}"))).collect();
    let requests = join_all(tokens.iter().map(|token| far.proxy.read(token)));
    let opening = async {
        far.origin.wait_for_requests(10).await;
        gate.open();
    };
    let (responses, ()) = within("ten responses", async { tokio::join!(requests, opening) }).await;
    assert!(responses.iter().all(|response| response.status == 200));
    assert_eq!(far.link.connections(), 10);
    far.link.go_silent();
    assert_eq!(far.get("late").await.status, 504);
    for subject in ["a", "b", "c"] {
        assert_eq!(
            far.get(subject).await.status,
            200,
            "the pool was replaced, so the other nine dead connections are not used"
        );
    }
    far.stop().await;
}

#[tokio::test]
async fn f22_an_http2_connection_that_died_silently_costs_one_response() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let config = authority.right().server_config_speaking(&["h2"]);
    let origin = H2Origin::start(config, |_| Act::Answer(BODY.to_owned())).await;
    let link = Link::to(origin.address()).await;
    let roots = authority.write_pem(directory.path());
    let url = format!("https://localhost:{}", link.address().port());
    let proxy = Proxy::with(&url, |config| {
        short(config);
        config.upstream.ca_file = Some(roots);
    })
    .await;
    assert_eq!(proxy.read(&token::mint("a")).await.status, 200);
    link.go_silent();
    assert_eq!(proxy.read(&token::mint("b")).await.status, 504);
    let began = Instant::now();
    assert_eq!(proxy.read(&token::mint("c")).await.status, 200, "on a new connection");
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!((link.connections(), origin.connections()), (2, 2));
    proxy.stop().await;
}

#[tokio::test]
async fn f49_a_caller_on_a_slow_network_gets_its_response_and_delays_no_other() {
    let origin = OriginServer::start().await;
    origin.any(ok());
    let proxy = Proxy::before(&origin.url()).await;
    let link = Link::to(proxy.data).await;
    link.trickle(100, Duration::from_millis(20));
    let authorization = format!("Bearer {}", token::mint("narrow"));
    let mut narrow = Client::connect(link.address()).await;
    narrow.send_get(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
    let began = Instant::now();
    assert_eq!(proxy.read(&token::mint("wide")).await.status, 200);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(narrow.response().await.unwrap().text(), BODY);
    proxy.stop().await;
}

#[tokio::test]
async fn f48_callers_that_vanish_silently_leave_no_connection_open() {
    let origin = OriginServer::start().await;
    origin.any(ok());
    let proxy =
        Proxy::with(&origin.url(), |config| config.server.limits.idle_timeout = Duration::from_millis(300))
            .await;
    let link = Link::to(proxy.data).await;
    assert_eq!(proxy.read(&token::mint("first")).await.status, 200);
    let before = open_files();
    let mut gone = Vec::new();
    for caller in 0..20 {
        let authorization = format!("Bearer {}", token::mint(&format!("caller-{caller}")));
        let mut client = Client::connect(link.address()).await;
        assert_eq!(client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await.status, 200);
        gone.push(client);
    }
    link.go_silent();
    within("the server's ends to be closed", async {
        // Three of four descriptors remain for each caller: its own, and the two of the link.
        while open_files() > before + 60 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(proxy.read(&token::mint("new")).await.status, 200);
    proxy.stop().await;
}

/// Descriptors of this process.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

const DEADLINE: Duration = Duration::from_millis(500);
