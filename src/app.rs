//! Application: builds the parts of the proxy from the configuration, serves both ports, and drains on stop.
//!
//! The caller binds the ports and decides when to stop, so that tests can do both in their own way. `App` is the map of
//! the process: configuration → upstream client, store and scrubber → fetcher → proxy; [`run`](self::run) adds the
//! middleware, the two servers and the tasks beside them.

mod background;
mod check;
pub mod commands;
mod connection_cap;
#[cfg(feature = "demo")]
pub mod demo;
pub mod descriptors;
mod huge_pages;
mod listeners;
mod memory;
pub mod reload;
mod run;
mod serve;
mod start_error;
mod warnings;

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use self::check::check;
use self::descriptors::Descriptors;
pub use self::listeners::{Listeners, bind};
use self::reload::LiveSources;
pub use self::serve::{serve, stop_on_signal};
pub use self::start_error::StartError;
pub use self::warnings::Warning;
use crate::auth::HashKeys;
use crate::cache::coalesce::Coalescer;
use crate::cache::entry::EntityTagHasher;
use crate::cache::outcome::Eviction;
use crate::cache::store::Store;
use crate::config::Config;
use crate::observability::metrics::Metrics;
use crate::observability::tracing_export::Tracer;
#[cfg(feature = "otlp")]
use crate::observability::tracing_export::otlp::Exporter;
use crate::proxy::fetch::Fetcher;
use crate::proxy::refresh_limit::RefreshLimiter;
use crate::proxy::runtime_config::LiveConfig;
use crate::proxy::waiting_requests::WaitingRequests;
use crate::proxy::{Proxy, ProxyParts};
use crate::scrub::{Scrubber, UnknownMemberNotices};
use crate::server::Workers;
use crate::shared::{Scope, SharedMetrics, SharedTier};
use crate::support::byte_budget::ByteBudget;
use crate::support::clock::Clock;
use crate::upstream::GraphClient;
use crate::upstream::breaker::Breakers;
use crate::upstream::metrics::UpstreamMetrics;
use crate::upstream::permits::UpstreamPermits;
use crate::upstream::unauthorized_tokens::UnauthorizedTokens;
use crate::upstream::unproven_limit::UnprovenLimiter;

/// The parts of the proxy, before they serve.
#[derive(Debug)]
pub struct App {
    config: Config,
    runtime: LiveConfig,
    proxy: Proxy,
    metrics: Arc<Metrics>,
    live_sources: Option<LiveSources>,
    has_preconnect: bool,
    descriptors: Option<Descriptors>,
    workers: Workers,
    reload_requests: Arc<Notify>,
    tracer: Tracer,
    /// Set if `telemetry.otlp_endpoint` is set.
    #[cfg(feature = "otlp")]
    exporter: Option<Exporter>,
}

impl App {
    /// Builds the parts. Binds no port and connects to nothing.
    pub fn new(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::with_workers(Workers::default(), config, clock)
    }

    /// Builds the parts for connections of callers that `workers` serve.
    pub fn with_workers(workers: Workers, mut config: Config, clock: Clock) -> Result<Self, StartError> {
        config.store.threads = workers.count();
        let metrics = Arc::new(Metrics::new()?);
        #[cfg(feature = "otlp")]
        let (tracer, exporter) = tracing_export(&config, &metrics)?;
        #[cfg(not(feature = "otlp"))]
        let tracer = Tracer::default();
        let runtime = config.runtime(&config, usize::MAX).into_live();
        let mut fetcher = fetcher(&config, clock, &metrics, (&tracer, &runtime))?;
        let hash_keys = fetcher.shared.hash_keys(HashKeys::random()?);
        fetcher.breakers = fetcher.breakers.with_log_tags(hash_keys.log_tags().clone());
        let proxy = Proxy::new(ProxyParts {
            fetcher,
            hash_keys,
            coalescer: Coalescer::default(),
            waiting: WaitingRequests::new(&config.waiting_requests),
            refresh_limiter: RefreshLimiter::new(&config.refresh_limit),
            default_version: config.default_version,
            tasks: TaskTracker::new(),
        });
        Ok(Self {
            config,
            runtime,
            proxy,
            metrics,
            live_sources: None,
            has_preconnect: false,
            descriptors: None,
            workers,
            reload_requests: Arc::default(),
            tracer,
            #[cfg(feature = "otlp")]
            exporter,
        })
    }

    /// Reloads the configuration from `sources` while the proxy runs. The app must have been built from the configuration
    /// that `sources` returned first.
    #[must_use]
    pub fn with_live_sources(self, sources: LiveSources) -> Self {
        Self { live_sources: Some(sources), ..self }
    }

    /// Keeps an idle connection to Graph ready while the proxy runs.
    #[must_use]
    pub fn with_preconnect(self) -> Self {
        Self { has_preconnect: true, ..self }
    }

    /// Limits the connections of callers to the number that `descriptors` allow.
    #[must_use]
    pub fn with_descriptors(self, descriptors: Descriptors) -> Self {
        Self { descriptors: Some(descriptors), ..self }
    }

    /// Reloads changed files at once on each notification, in addition to the regular checks.
    #[must_use]
    pub fn with_reload_requests(self, reload_requests: Arc<Notify>) -> Self {
        Self { reload_requests, ..self }
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the live settings.
    pub fn runtime(&self) -> &LiveConfig {
        &self.runtime
    }

    /// Returns the proxy, for callers that use it without a port.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }
}

/// Builds the fetcher: the Graph client with its limits, the store and the scrubber.
fn fetcher(
    config: &Config,
    clock: Clock,
    metrics: &Arc<Metrics>,
    (tracer, runtime): (&Tracer, &LiveConfig),
) -> Result<Fetcher, StartError> {
    metrics.capacity.set(i64::try_from(config.store.max_bytes).unwrap_or(i64::MAX));
    let live = Arc::clone(runtime);
    let byte_budget = ByteBudget::with_live_limit(move || live.load().bytes_in_flight);
    let permits = UpstreamPermits::new(config.upstream.in_flight, config.unproven_limit.in_flight);
    let scrubber = Scrubber::new(&config.scrub, config.upstream.max_body)
        .with_trusted_base_url(&config.upstream.base_url);
    let entity_tags = EntityTagHasher::new(scrubber.policy_bytes());
    let scope = Scope {
        base_url: config.upstream.base_url.as_str(),
        policy: scrubber.policy_bytes(),
        entity_tags: entity_tags.clone(),
        clock: clock.clone(),
    };
    let shared = SharedTier::new(&config.shared, scope, Arc::new(SharedMetrics::register(metrics)?))?;
    Ok(Fetcher {
        shared,
        graph_client: GraphClient::new(
            &config.upstream,
            permits,
            byte_budget,
            Arc::new(UpstreamMetrics::register(metrics)?),
        )?
        .with_tracer(tracer.clone()),
        unproven: UnprovenLimiter::new(&config.unproven_limit, clock.clone()),
        refused: UnauthorizedTokens::new(clock.clone()),
        breakers: Breakers::new(clock.clone()),
        store: Arc::new(Store::new(&config.store, config.retention(), count_evictions(metrics))),
        entity_tags,
        scrubber: Arc::new(scrubber),
        unknown_members: UnknownMemberNotices::default(),
        clock,
        metrics: Arc::clone(metrics),
    })
}

/// Returns a callback that counts the evictions of a store.
fn count_evictions(metrics: &Arc<Metrics>) -> impl Fn(Eviction) + Send + Sync + use<> {
    let metrics = Arc::clone(metrics);
    move |cause| metrics.evictions.inc(cause)
}

/// Builds the tracer, and the exporter if `telemetry.otlp_endpoint` is set.
#[cfg(feature = "otlp")]
fn tracing_export(config: &Config, metrics: &Arc<Metrics>) -> Result<(Tracer, Option<Exporter>), StartError> {
    let has_tls = config.server.tls.is_some();
    let (tracer, spans) = Tracer::new(&config.tracing_export, has_tls, &config.upstream.base_url, metrics);
    let exporter = match (spans, &config.tracing_export.endpoint) {
        (Some(spans), Some(endpoint)) => Some(Exporter::new(endpoint, spans, Arc::clone(metrics))?),
        _ => None,
    };
    Ok((tracer, exporter))
}
