//! The admin port: metrics, probes, an overview of the cache, purges, the console.
//!
//! The admin port has a listener of its own, so that it responds while the data port is full. It knows neither the store
//! nor the state of a request: its responses come from counters, from [`Readiness`] and from a [`CacheAdmin`].

mod auth;
pub mod console;
pub mod overview;
mod purge_query;
pub mod readiness;
mod response;
mod scrape;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{Method, StatusCode, header};
use hyper::body::Incoming;

use crate::admin::readiness::{Readiness, ReadinessState};
use crate::http::error::Response;
use crate::observability::metrics::{ExpositionFormat, Metrics, ReloadSource};
use crate::server::{self, Drain, Peer, ServerLimits, Service};
use crate::shared::{PurgeConfirmation, SharedPurge};
use crate::support::watched_files::ReloadResult;
use crate::support::watched_files::{ReloadTrigger, Reloadable};
use auth::AdminAuth;
use console::Console;
use console::history::Sample;
use console::settings::ShownSettings;
use scrape::{ScrapeCoalescer, ScrapeError};

pub use auth::Error;
pub use purge_query::PurgeQuery;

/// Configuration of the admin port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `admin.address`
    pub address: SocketAddr,
    /// `admin.token_file`: holds the bearer token that `/cache` requires. Without it `GET /cache` is open, and
    /// `DELETE /cache` accepts loopback peers only.
    pub token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)), token_file: None }
    }
}

impl Config {
    /// Returns the configuration of the listener. Its limits are small, since its callers are few and known. It refuses
    /// no connection: a new one replaces an open one, first of the same address.
    pub fn server(&self) -> server::Config {
        server::Config {
            address: self.address,
            limits: ServerLimits {
                connections: 128,
                connections_per_address: 32,
                header_bytes: 8 << 10,
                h2_streams: 16,
                header_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(5),
                write_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(10),
                ..ServerLimits::default()
            },
            drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(1) },
            evicts_connections: true,
            ..server::Config::default()
        }
    }
}

/// Operations on the cache for an operator.
pub trait CacheAdmin: Send + Sync + 'static {
    /// Returns counts and configuration. No identity, flow or credential.
    fn overview(&self) -> serde_json::Value;

    /// Begins a purge on the replicas that share a store. Called before [`Self::purge`]; `None` without a shared tier.
    fn begin_shared_purge(&self, _query: &PurgeQuery) -> Option<SharedPurge> {
        None
    }

    /// Drops the entries that `query` selects. Returns their number. May take long.
    fn purge(&self, query: &PurgeQuery) -> u64;

    /// Returns the number of entries that [`Self::purge`] would drop. May take long.
    fn count(&self, _query: &PurgeQuery) -> u64 {
        0
    }

    /// Returns the totals of the counters, and the size of the cache. Called once a second; must not block.
    fn sample(&self) -> Sample {
        Sample::default()
    }

    /// Returns the labels of `Totals::graph_statuses`.
    fn graph_statuses(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Returns the settings in force.
    fn settings(&self) -> ShownSettings {
        ShownSettings::default()
    }

    /// Returns the time of day.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Updates the gauges of the store. Must not block.
    fn refresh_gauges(&self);
}

/// The admin port's service.
pub struct Admin<C> {
    auth: AdminAuth,
    cache: Arc<C>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    scrapes: ScrapeCoalescer,
    console: Console<C>,
}

impl<C: CacheAdmin> Admin<C> {
    /// Creates the service. Fails when the token file cannot be used.
    pub fn new(
        config: &Config,
        cache: Arc<C>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Result<Self, Error> {
        let auth = AdminAuth::new(config)?;
        let has_token = config.token_file.is_some();
        let console = Console::new(Arc::clone(&cache), Arc::clone(&metrics), readiness.clone(), has_token);
        Ok(Self { auth, cache, metrics, readiness, scrapes: ScrapeCoalescer::default(), console })
    }

    /// Samples the counters for the console once a second. Never returns.
    pub async fn run_console(&self) {
        self.console.run().await;
    }

    async fn route(&self, request: &Parts, peer: SocketAddr) -> Response {
        let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
        match (request.uri.path(), method) {
            ("/metrics", &Method::GET) => self.metrics(ExpositionFormat::negotiate(&accept(request))).await,
            ("/livez", &Method::GET) => response::text(StatusCode::OK, "alive\n"),
            ("/readyz", &Method::GET) => self.ready(),
            ("/cache", &Method::GET) if request.uri.query().is_some_and(|query| !query.is_empty()) => {
                self.look(request, peer).await
            }
            ("/cache", &Method::GET) => match self.auth.authorize_overview(request) {
                Ok(()) => response::json(StatusCode::OK, &self.cache.overview()),
                Err(denied) => denied.into_response(),
            },
            ("/cache", &Method::DELETE) => match self.auth.authorize_purge(request, peer) {
                Ok(()) => self.purge(request.uri.query().unwrap_or_default()).await,
                Err(denied) => denied.into_response(),
            },
            ("/console/data", &Method::GET) => match self.auth.authorize_overview(request) {
                Ok(()) => self.console.data(),
                Err(denied) => denied.into_response(),
            },
            ("/console/stream", &Method::GET) => match self.auth.authorize_overview(request) {
                Ok(()) => self.console.stream(),
                Err(denied) => denied.into_response(),
            },
            ("/", &Method::GET) if !accept(request).contains("text/html") => {
                response::text(StatusCode::OK, INDEX)
            }
            (_, &Method::GET) if let Some(page) = Console::<C>::page(request) => page,
            ("/cache", _) => response::method_not_allowed("GET, HEAD, DELETE"),
            ("/metrics" | "/livez" | "/readyz" | "/console/data" | "/console/stream", _) => {
                response::method_not_allowed("GET, HEAD")
            }
            (path, _) if Console::<C>::is_page(path) => response::method_not_allowed("GET, HEAD"),
            _ => response::error(StatusCode::NOT_FOUND, "no such path; GET / lists the paths"),
        }
    }

    async fn metrics(&self, format: ExpositionFormat) -> Response {
        let (cache, metrics) = (Arc::clone(&self.cache), Arc::clone(&self.metrics));
        let render = move || {
            cache.refresh_gauges();
            metrics.render(format)
        };
        match self.scrapes.get(format, render).await {
            Ok(body) => return response::metrics(format.content_type(), body),
            Err(ScrapeError::Render(error)) => tracing::error!(%error, "metrics cannot be rendered"),
            // The panic hook has logged the panic.
            Err(ScrapeError::Ended) => {}
        }
        response::error(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be rendered")
    }

    fn ready(&self) -> Response {
        match self.readiness.state() {
            ReadinessState::Ready => response::text(StatusCode::OK, "ready\n"),
            ReadinessState::Starting => response::text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            ReadinessState::Draining => response::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        }
    }

    /// Responds with the number of entries that a purge would drop. It says whether there are entries of a subject, so it needs
    /// the same authorization as a purge.
    async fn look(&self, request: &Parts, peer: SocketAddr) -> Response {
        if let Err(denied) = self.auth.authorize_purge(request, peer) {
            return denied.into_response();
        }
        let query = match PurgeQuery::parse(request.uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(message) => return response::error(StatusCode::BAD_REQUEST, message),
        };
        let cache = Arc::clone(&self.cache);
        match tokio::task::spawn_blocking(move || cache.count(&query)).await {
            Ok(matching) => response::json(StatusCode::OK, &serde_json::json!({ "matching": matching })),
            Err(_) => response::error(StatusCode::INTERNAL_SERVER_ERROR, "the entries cannot be counted"),
        }
    }

    async fn purge(&self, query: &str) -> Response {
        let query = match PurgeQuery::parse(query) {
            Ok(query) => query,
            Err(message) => return response::error(StatusCode::BAD_REQUEST, message),
        };
        tracing::info!(
            flow = query.flow.is_some(),
            tenant = query.tenant.is_some(),
            subject = query.subject.is_some(),
            "an operator purges the cache"
        );
        let cache = Arc::clone(&self.cache);
        let shared = cache.begin_shared_purge(&query);
        // A purge may visit every entry, and must not delay the probes.
        match tokio::task::spawn_blocking(move || cache.purge(&query)).await {
            Ok(purged) => match shared {
                Some(shared) => {
                    response::json(StatusCode::OK, &confirmed(purged, &shared.confirm(purged).await))
                }
                None => response::json(StatusCode::OK, &serde_json::json!({ "purged": purged })),
            },
            Err(_) => {
                response::error(StatusCode::INTERNAL_SERVER_ERROR, "the purge did not complete; repeat it")
            }
        }
    }
}

impl<C: CacheAdmin> Reloadable for Admin<C> {
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        self.auth
            .reload(trigger)
            .inspect(|result| self.metrics.record_reload(ReloadSource::AdminToken, *result))
    }
}

impl<C: CacheAdmin> Service for Admin<C> {
    type Pending = ();

    /// Leaves all requests to the asynchronous part: an operator's request may take its time.
    fn try_respond(&self, _: &Parts, _: bool, _: &Peer) -> ControlFlow<Response, ()> {
        ControlFlow::Continue(())
    }

    async fn respond(&self, (): (), head: Parts, content: Option<Incoming>, peer: Peer) -> Response {
        if content.is_some() {
            return response::with_connection_close(response::error(
                StatusCode::BAD_REQUEST,
                "requests to the admin port must not have a body",
            ));
        }
        let response = self.route(&head, peer.address()).await;
        if head.method == Method::HEAD { response::without_body(response) } else { response }
    }
}

/// Returns the response to a purge on several replicas.
fn confirmed(purged: u64, confirmation: &PurgeConfirmation) -> serde_json::Value {
    let PurgeConfirmation { replicas, confirmed, unconfirmed, is_complete } = confirmation;
    serde_json::json!({
        "purged": purged,
        "replicas": replicas,
        "confirmed": confirmed,
        "unconfirmed": unconfirmed,
        "complete": is_complete,
    })
}

/// Returns all lines of the field `Accept` as one list (RFC 9110, section 5.2).
fn accept(request: &Parts) -> String {
    let lines = request.headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join(",")
}

/// Response to `GET /`.
const INDEX: &str = "connector-cache\n\n\
    GET    /metrics   counters and gauges for Prometheus\n\
    GET    /livez     200 while the process runs\n\
    GET    /readyz    200 while the process accepts requests\n\
    GET    /          the console, in a browser\n\
    GET    /cache     counts, configuration, and throttled callers by tag; with flow=, tenant= or subject= the number of \
    entries that match\n\
    DELETE /cache     drops the entries that flow=, tenant= and subject= select; all without them\n";
