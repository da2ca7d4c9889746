//! The admin port: metrics, probes, a look into the cache, purge.
//!
//! It has a listener of its own, so that it answers when the data port is full. It knows neither the store nor
//! the state of any request: what it tells comes from counters, a latch and the [`Cache`] it was given.

mod auth;
pub mod overview;
pub mod readiness;
mod reply;
mod scrape;
mod selector;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body;
use hyper::body::Incoming;

use crate::admin::readiness::{Readiness, State};
use crate::http::error::Response;
use crate::observability::metrics::{Metrics, Reload};
use crate::server::{self, Drain, ServerLimits, Service};
use crate::support::watched_files::{ReloadTrigger, Reloadable};
use auth::AdminAuth;
use scrape::{ScrapeError, Scrapes};

pub use auth::Error;
pub use selector::PurgeSelector;

/// What the admin port needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `admin.address`
    pub address: SocketAddr,
    /// `admin.token_file`: holds the bearer that `/cache` asks for; without it `DELETE /cache` answers loopback peers only.
    pub token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)), token_file: None }
    }
}

impl Config {
    /// The listener: small, since its callers are few and known. None of them is refused: one that is new replaces one
    /// that is old, first of its own address.
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

/// What an operator may do with a cache.
pub trait Cache: Send + Sync + 'static {
    /// Counts and configuration. No identity, flow or credential.
    fn look(&self) -> serde_json::Value;

    /// Drops what `selection` selects. Answers how many entries that were. May take a while.
    fn purge(&self, selection: &PurgeSelector) -> u64;

    /// Brings the gauges of the store up to date. Must not block.
    fn refresh_gauges(&self);
}

/// The admin port's service.
pub struct Admin<C> {
    access: AdminAuth,
    cache: Arc<C>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    scrapes: Scrapes,
}

impl<C: Cache> Admin<C> {
    /// Prepares the service. Fails when the token file cannot be used.
    pub fn new(
        config: &Config,
        cache: Arc<C>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Result<Self, Error> {
        let access = AdminAuth::new(config)?;
        Ok(Self { access, cache, metrics, readiness, scrapes: Scrapes::default() })
    }

    async fn route(&self, request: &Parts, peer: SocketAddr) -> Response {
        let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
        match (request.uri.path(), method) {
            ("/metrics", &Method::GET) => self.metrics().await,
            ("/livez", &Method::GET) => reply::text(StatusCode::OK, "alive\n"),
            ("/readyz", &Method::GET) => self.ready(),
            ("/cache", &Method::GET) => match self.access.authorize(request) {
                Ok(()) => reply::json(StatusCode::OK, &self.cache.look()),
                Err(refusal) => refusal.reply(),
            },
            ("/cache", &Method::DELETE) => match self.access.purge(request, peer) {
                Ok(()) => self.purge(request.uri.query().unwrap_or_default()).await,
                Err(refusal) => refusal.reply(),
            },
            ("/", &Method::GET) => reply::text(StatusCode::OK, INDEX),
            ("/cache", _) => reply::not_allowed("GET, HEAD, DELETE"),
            ("/" | "/metrics" | "/livez" | "/readyz", _) => reply::not_allowed("GET, HEAD"),
            _ => reply::error(StatusCode::NOT_FOUND, "no such path; / lists those that there are"),
        }
    }

    async fn metrics(&self) -> Response {
        let (cache, metrics) = (Arc::clone(&self.cache), Arc::clone(&self.metrics));
        let render = move || {
            cache.refresh_gauges();
            metrics.render()
        };
        match self.scrapes.get(render).await {
            Ok(text) => return reply::exposition(text),
            Err(ScrapeError::Render(error)) => tracing::error!(%error, "metrics cannot be rendered"),
            // A panic has been logged by the hook.
            Err(ScrapeError::Ended) => {}
        }
        reply::error(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be rendered")
    }

    fn ready(&self) -> Response {
        match self.readiness.state() {
            State::Ready => reply::text(StatusCode::OK, "ready\n"),
            State::Starting => reply::text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            State::Draining => reply::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        }
    }

    async fn purge(&self, query: &str) -> Response {
        let selection = match PurgeSelector::parse(query) {
            Ok(selection) => selection,
            Err(message) => return reply::error(StatusCode::BAD_REQUEST, message),
        };
        tracing::info!(
            flow = selection.flow.is_some(),
            tenant = selection.tenant.is_some(),
            subject = selection.subject.is_some(),
            "an operator purges the cache"
        );
        let cache = Arc::clone(&self.cache);
        // It may have to look at every entry, and must not hold up the probes.
        match tokio::task::spawn_blocking(move || cache.purge(&selection)).await {
            Ok(purged) => reply::json(StatusCode::OK, &serde_json::json!({ "purged": purged })),
            Err(_) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the purge did not end; repeat it"),
        }
    }
}

impl<C: Cache> Reloadable for Admin<C> {
    fn reload(&self, trigger: ReloadTrigger) -> Option<Reload> {
        self.access.reload(trigger).inspect(|result| self.metrics.reloads.inc(*result))
    }
}

impl<C: Cache> Service for Admin<C> {
    /// Nobody waits for an operator's request.
    fn try_respond_sync(&self, _: &Parts, _: SocketAddr) -> Option<Response> {
        None
    }

    async fn respond(&self, head: Parts, body: Incoming, peer: SocketAddr) -> Response {
        if !body.is_end_stream() {
            return reply::closing(reply::error(StatusCode::BAD_REQUEST, "no request here has a body"));
        }
        let response = self.route(&head, peer).await;
        if head.method == Method::HEAD { reply::head(response) } else { response }
    }
}

const INDEX: &str = "connector-cache\n\n\
    GET    /metrics   counters, in Prometheus' text format\n\
    GET    /livez     200 while the process runs\n\
    GET    /readyz    200 while requests are welcome\n\
    GET    /cache     counts and configuration\n\
    DELETE /cache     drops entries; flow=, tenant=, subject= select which, all without\n";
