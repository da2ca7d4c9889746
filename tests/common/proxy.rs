//! The real proxy on free ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use connector_cache::app::{App, Listeners};
use connector_cache::config::Config;
use connector_cache::observability::metrics::Metrics;
use connector_cache::support::clock::Clock;
use connector_cache::upstream::body_workers::BodyWorkers;
use connector_cache::upstream::metrics::UpstreamMetrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::client::{self, Response};
use super::within;

/// A running proxy.
pub struct Proxy {
    pub data: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub upstream_metrics: Arc<UpstreamMetrics>,
    /// Threads for work on large bodies.
    pub body_workers: BodyWorkers,
    /// Manual clock: it stands still until a test moves it.
    pub clock: Clock,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Proxy {
    /// Starts the proxy before the origin at `url`, with the built-in defaults.
    pub async fn before(url: &str) -> Self {
        Self::with(url, |_| {}).await
    }

    /// Starts the proxy with the defaults changed.
    pub async fn with(url: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(url, ahead(), change, |app| app).await
    }

    /// Starts the proxy with a clock that others share.
    pub async fn with_clock(url: &str, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(url, clock, change, |app| app).await
    }

    /// Starts the proxy as it is served: with a connection to the origin at hand.
    pub async fn warm(url: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(url, ahead(), change, App::with_preconnect).await
    }

    async fn start(
        url: &str,
        clock: Clock,
        change: impl FnOnce(&mut Config),
        finish: impl FnOnce(App) -> App,
    ) -> Self {
        let mut config = Config::default();
        config.upstream.base_url = Url::parse(url).unwrap();
        config.server.drain.delay = Duration::ZERO;
        change(&mut config);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners {
            data: TcpListener::bind(any).await.unwrap(),
            admin: TcpListener::bind(any).await.unwrap(),
        };
        let (data, admin) = (listeners.data.local_addr().unwrap(), listeners.admin.local_addr().unwrap());
        let app =
            App::new(config, clock.clone()).unwrap_or_else(|error| panic!("the proxy cannot start: {error}"));
        let app = finish(app);
        let (metrics, stop) = (Arc::clone(app.metrics()), CancellationToken::new());
        let graph_client = &app.proxy().inner().fetcher.graph_client;
        let upstream_metrics = Arc::clone(graph_client.metrics());
        let body_workers = graph_client.body_workers().clone();
        let stopping = stop.clone();
        let running = tokio::spawn(async move {
            app.run(listeners, stopping, None, std::convert::identity).await.unwrap();
        });
        Self { data, admin, metrics, upstream_metrics, body_workers, clock, stop, running }
    }

    /// Reads the flow `B2X_1_x`, both documented connectors expanded, with a token.
    pub async fn read(&self, token: &str) -> Response {
        self.get(&path("B2X_1_x"), token).await
    }

    /// Reads the same flow, and requires a new response of Graph.
    pub async fn refresh(&self, token: &str) -> Response {
        client::refresh(self.data, &path("B2X_1_x"), token).await
    }

    /// Sends a GET with a token.
    pub async fn get(&self, path: &str, token: &str) -> Response {
        client::get(self.data, path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// The text that Prometheus would scrape.
    pub async fn scrape(&self) -> String {
        client::get(self.admin, "/metrics", &[]).await.text().to_owned()
    }

    /// One series of the scrape, by its whole name with labels.
    pub async fn series(&self, name: &str) -> f64 {
        let text = self.scrape().await;
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no series {name}")).parse().unwrap()
    }

    /// Stops it, and fails the test if anything in it panicked.
    pub async fn stop(self) {
        self.stop.cancel();
        within("the proxy to stop", self.running).await.unwrap();
    }
}

/// A manual clock. It stands still, and tokens that are minted later must be valid by it.
pub fn ahead() -> Clock {
    Clock::manual(SystemTime::now() + AHEAD)
}

/// Longer than any test takes to mint its tokens.
const AHEAD: Duration = Duration::from_secs(30);

/// Path of the documented request.
pub fn path(flow: &str) -> String {
    format!(
        "/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration?$expand=postFederationSignup,postAttributeCollection"
    )
}
