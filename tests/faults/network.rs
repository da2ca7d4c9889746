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
use crate::stage::{BODY, cache_status, sound};

/// The proxy, a relay, and an origin server behind it.
struct Far {
    origin: OriginServer,
    link: Link,
    proxy: Proxy,
}

impl Far {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(sound());
        let link = Link::to(origin.address()).await;
        let proxy = Proxy::with(&format!("http://{}", link.address()), change).await;
        Self { origin, link, proxy }
    }

    async fn ask(&self, subject: &str) -> Response {
        self.proxy.read(&token::mint(subject)).await
    }

    async fn clear(self) {
        self.proxy.stop().await;
        drop(self.link);
        self.origin.finish().await;
    }
}

fn short(config: &mut Config) {
    config.upstream.timeout = DEADLINE;
}

#[tokio::test]
async fn a_hit_does_not_feel_how_far_graph_is() {
    let far = Far::with(|_| {}).await;
    far.link.latency(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(far.ask("a").await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(600), "there and back");
    let began = Instant::now();
    assert!(cache_status(&far.ask("a").await).starts_with("connector-cache; hit"));
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    far.clear().await;
}

#[tokio::test]
async fn f14_a_road_that_trickles_ends_at_the_deadline_of_the_whole() {
    let far = Far::with(short).await;
    far.link.trickle(4, Duration::from_millis(50));
    let began = Instant::now();
    let answer = far.ask("a").await;
    assert_eq!(
        (answer.status, cache_status(&answer)),
        (504, "connector-cache; fwd=uri-miss; detail=timeout")
    );
    assert!((DEADLINE..DEADLINE * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
    far.link.mend();
    assert_eq!(far.ask("a").await.text(), BODY);
    far.clear().await;
}

#[tokio::test]
async fn f02_a_road_that_breaks_in_the_midst_of_an_answer_is_a_502() {
    let far = Far::with(|_| {}).await;
    let never = crate::common::gate::Gate::new();
    far.origin.any(sound().paused_after(100, &never));
    let asked = async { far.ask("a").await };
    let breaking = async {
        far.origin.wait_for_requests(1).await;
        // The request has passed; what comes now is the head.
        far.link.wait_for_bytes(far.link.carried()).await;
        far.link.break_off();
    };
    let (answer, ()) = within("an answer", async { tokio::join!(asked, breaking) }).await;
    let said = "connector-cache; fwd=uri-miss; detail=truncated";
    assert_eq!((answer.status, cache_status(&answer)), (502, said));
    far.origin.any(sound());
    assert_eq!(far.ask("a").await.status, 200);
    far.clear().await;
}

#[tokio::test]
async fn f01_a_road_that_refuses_is_a_502_and_goes_on_when_it_is_mended() {
    let far = Far::with(|_| {}).await;
    far.link.refuse();
    let answer = far.ask("a").await;
    assert_eq!(answer.status, 502, "{}", cache_status(&answer));
    far.link.mend();
    assert_eq!(far.ask("a").await.status, 200);
    far.clear().await;
}

#[tokio::test]
async fn f13_a_road_that_swallows_what_it_is_given_is_a_504() {
    let far = Far::with(short).await;
    far.link.swallow();
    let answer = far.ask("a").await;
    assert_eq!(
        (answer.status, cache_status(&answer)),
        (504, "connector-cache; fwd=uri-miss; detail=timeout")
    );
    far.link.mend();
    assert_eq!(far.ask("a").await.status, 200);
    far.clear().await;
}

#[tokio::test]
async fn f22_a_connection_that_died_silently_in_the_pool_costs_one_response() {
    let far = Far::with(short).await;
    assert_eq!(far.ask("a").await.status, 200);
    far.link.go_silent();
    assert_eq!(far.ask("b").await.status, 504);
    let began = Instant::now();
    assert_eq!(far.ask("b").await.status, 200);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!(far.proxy.upstream_metrics.errors.get(UpstreamFailure::Timeout), 1);
    assert_eq!(far.link.connections(), 2);
    far.clear().await;
}

#[tokio::test]
async fn f22_a_pool_that_died_silently_costs_one_response() {
    let far = Far::with(short).await;
    let gate = crate::common::gate::Gate::new();
    far.origin.any(sound().held_until(&gate));
    // Ten at once are ten connections.
    let tokens: Vec<_> = (0..10).map(|n| token::mint(&format!("caller-{n}"))).collect();
    let asks = join_all(tokens.iter().map(|token| far.proxy.read(token)));
    let opening = async {
        far.origin.wait_for_requests(10).await;
        gate.open();
    };
    let (answers, ()) = within("ten answers", async { tokio::join!(asks, opening) }).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(far.link.connections(), 10);
    far.link.go_silent();
    assert_eq!(far.ask("late").await.status, 504);
    for subject in ["a", "b", "c"] {
        assert_eq!(far.ask(subject).await.status, 200, "the nine others are left, too");
    }
    far.clear().await;
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
    assert_eq!(proxy.read(&token::mint("c")).await.status, 200, "on a connection of its own");
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!((link.connections(), origin.connections()), (2, 2));
    proxy.stop().await;
}

#[tokio::test]
async fn f49_a_caller_on_a_slow_network_gets_its_response_and_delays_no_other() {
    let origin = OriginServer::start().await;
    origin.any(sound());
    let proxy = Proxy::before(&origin.url()).await;
    let link = Link::to(proxy.data).await;
    link.trickle(100, Duration::from_millis(20));
    let authorization = format!("Bearer {}", token::mint("narrow"));
    let mut narrow = Client::connect(link.address()).await;
    narrow.ask(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
    let began = Instant::now();
    assert_eq!(proxy.read(&token::mint("wide")).await.status, 200);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(narrow.response().await.unwrap().text(), BODY);
    proxy.stop().await;
}

#[tokio::test]
async fn f48_callers_that_vanish_silently_leave_no_connection_open() {
    let origin = OriginServer::start().await;
    origin.any(sound());
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
        // Of each caller three ends of four are left: its own, and the two of the link.
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
