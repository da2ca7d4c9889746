//! The proxy from start to end: the parts put together, two ports served, one way to stop.
//!
//! Whoever calls binds the ports and says when to stop, so that tests do both in their own way.

mod background;
mod connection_cap;
#[cfg(feature = "demo")]
pub mod demo;
pub mod descriptors;
pub mod reload;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::background::{announce_drain, watch};
use self::connection_cap::ConnectionCap;
use crate::admin::overview::Overview;
use crate::admin::readiness::Readiness;
use crate::admin::{self, Admin};
use crate::app::descriptors::Descriptors;
use crate::app::reload::{LiveSources, Parts};
use crate::auth::{HashKeys, NoRandomness};
use crate::cache::coalesce::Coalescer;
use crate::cache::freshness::Dials;
use crate::cache::store::Store;
use crate::config::Config;
use crate::observability::logging;
use crate::observability::logging::SuppressedLines;
use crate::observability::metrics::Metrics;
use crate::observability::tracing_export::Tracer;
#[cfg(feature = "otlp")]
use crate::observability::tracing_export::otlp::Exporter;
use crate::proxy::fetch::Fetcher;
use crate::proxy::handler::Handler;
use crate::proxy::middleware::RequestStack;
use crate::proxy::refresh_limit::RefreshLimiter;
use crate::proxy::waiting_requests::WaitingRequests;
use crate::proxy::{Proxy, ProxyParts};
use crate::scrub::{Scrubber, UnknownMemberNotices};
use crate::server::{self, Server, Workers, tls};
use crate::support::byte_budget::ByteBudget;
use crate::support::clock::Clock;
use crate::support::dial::Dial;
use crate::support::watched_files::Reloadable;
use crate::upstream::breaker::Breakers;
use crate::upstream::permits::UpstreamPermits;
use crate::upstream::refused_tokens::RefusedTokens;
use crate::upstream::unproven_limit::UnprovenLimiter;
use crate::upstream::{GraphClient, SetupError};

/// The parts, put together and not yet serving.
#[derive(Debug)]
pub struct App {
    config: Config,
    proxy: Proxy,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    settings: Option<LiveSources>,
    is_warm: bool,
    descriptors: Option<Descriptors>,
    workers: Workers,
    told: Arc<Notify>,
    tracer: Tracer,
    /// Where somebody collects spans.
    #[cfg(feature = "otlp")]
    exporter: Option<Exporter>,
}

/// The ports, bound.
#[derive(Debug)]
pub struct Listeners {
    /// For callers.
    pub data: TcpListener,
    /// For operators.
    pub admin: TcpListener,
}

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port.
    #[error("{key} {address}: the port cannot be bound: {reason}")]
    Bind {
        /// The key that names it.
        key: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// The way to Graph.
    #[error(transparent)]
    GraphClient(#[from] SetupError),
    /// The certificate of the data port.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The token of the admin port.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// Randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The way to the collector.
    #[cfg(feature = "otlp")]
    #[error("telemetry.otlp_endpoint: {0}")]
    Traces(#[from] crate::upstream::RootsError),
    /// Metrics.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The open-file limit.
    #[error("the limit of open files cannot be read: {0}")]
    Descriptors(nix::Error),
    /// Signals.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
}

impl App {
    /// Puts the parts together. Nothing is bound and nobody is asked yet.
    pub fn new(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::on(Workers::default(), config, clock)
    }

    /// The same, for callers' connections that are served on these threads.
    pub fn on(workers: Workers, mut config: Config, clock: Clock) -> Result<Self, StartError> {
        config.store.threads = workers.count();
        let metrics = Arc::new(Metrics::new()?);
        #[cfg(feature = "otlp")]
        let (tracer, exporter) = spans(&config, &metrics)?;
        #[cfg(not(feature = "otlp"))]
        let tracer = Tracer::default();
        let (keep, byte_budget) = (config.freshness.longest_use(), ByteBudget::new(config.bytes_in_flight));
        let permits = UpstreamPermits::new(config.origin.in_flight, config.unproven.in_flight);
        let fetcher = Fetcher {
            origin: GraphClient::new(&config.origin, permits, byte_budget, Arc::clone(&metrics))?
                .traced(tracer.clone()),
            unproven: UnprovenLimiter::new(&config.unproven, clock.clone()),
            refused: RefusedTokens::new(clock.clone()),
            breakers: Breakers::new(clock.clone()),
            store: Arc::new(Store::new(&config.store, keep, &metrics)),
            scrubber: Scrubber::new(&config.scrub, config.origin.max_body)
                .with_trusted_base_url(&config.origin.base_url),
            unknown_members: UnknownMemberNotices::default(),
            freshness: Dials::new(&config.freshness),
            clock,
            metrics: Arc::clone(&metrics),
        };
        let proxy = Proxy::new(ProxyParts {
            fetcher,
            secrets: HashKeys::random()?,
            coalescer: Coalescer::new(&config.flight),
            waiting: WaitingRequests::new(&config.waiting),
            refresh_limiter: RefreshLimiter::new(&config.refresh),
            follower_wait: Dial::new(config.flight.wait),
            default_version: config.default_version,
            tasks: TaskTracker::new(),
        });
        Ok(Self {
            config,
            proxy,
            metrics,
            readiness: Readiness::default(),
            settings: None,
            is_warm: false,
            descriptors: None,
            workers,
            told: Arc::default(),
            tracer,
            #[cfg(feature = "otlp")]
            exporter,
        })
    }

    /// Reads these again while it runs. The app was made of what they were at the start.
    #[must_use]
    pub fn with_settings(self, settings: LiveSources) -> Self {
        Self { settings: Some(settings), ..self }
    }

    /// Keeps a connection to Graph at hand while it runs.
    #[must_use]
    pub fn warmed(self) -> Self {
        Self { is_warm: true, ..self }
    }

    /// Serves no more connections than `descriptors` allow.
    #[must_use]
    pub fn within(self, descriptors: Descriptors) -> Self {
        Self { descriptors: Some(descriptors), ..self }
    }

    /// To be notified when files are complete that should be read again.
    pub fn told(&self) -> &Arc<Notify> {
        &self.told
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The decisions, for whoever wants to drive them without a port.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Serves until `stop` is cancelled, then drains. `wrap` may put something round the decisions.
    pub async fn run<H: Handler>(
        self,
        listeners: Listeners,
        stop: CancellationToken,
        log: Option<logging::LogHandle>,
        wrap: impl FnOnce(Proxy) -> H,
    ) -> Result<(), StartError> {
        let cap = self
            .descriptors
            .map(|descriptors| ConnectionCap::new(descriptors, &self.config, self.workers.count()));
        #[cfg(feature = "otlp")]
        let (all_told, exporter) = (CancellationToken::new(), self.exporter);
        #[cfg(feature = "otlp")]
        let exporter = exporter.map(|exporter| tokio::spawn(exporter.run(all_told.clone())));
        let Self { config, proxy, metrics, readiness, settings, is_warm, workers, told, tracer, .. } = self;
        let suppressed = log.as_ref().map(|log| log.suppressed.clone());
        let overview = Arc::new(Overview::new(proxy.clone(), &config, log.clone()));
        let admin = Arc::new(Admin::new(&config.admin, overview, Arc::clone(&metrics), readiness.clone())?);
        let admin_server = Server::new(&config.admin.server(), Arc::clone(&metrics))?;
        let byte_budget = proxy.inner().fetcher.origin.byte_budget().clone();
        let data_server = Server::new(&config.server, Arc::clone(&metrics))?
            .at_most(&config.server, cap.map_or(usize::MAX, |cap| cap.connections))
            .on(workers.clone())
            .charging(byte_budget.clone());
        let handler = Arc::new(wrap(proxy.clone()));
        let stack =
            RequestStack::new(handler, Arc::clone(&metrics), config.telemetry.access, &config.server.limits)
                .traced(tracer)
                .within(byte_budget);
        let mut sources: Vec<Arc<dyn Reloadable>> = vec![Arc::clone(&admin) as _];
        sources.extend(data_server.tls().map(|tls| Arc::clone(tls) as _));
        if let Some(settings) = settings {
            let (layers, server_settings) = (Arc::clone(stack.dials()), data_server.settings().clone());
            let parts = Parts { proxy: proxy.clone(), layers, server_settings, log };
            sources.push(Arc::new(reload::Running::new(settings, parts, Arc::clone(&metrics))));
        }
        let reloads = tokio::spawn(reload::watch(sources, told));
        // The admin port answers until the very end: probes and scrapes see the drain.
        let over = CancellationToken::new();
        let admin_task = tokio::spawn(admin_server.serve(listeners.admin, admin, over.clone()));
        let watch = tokio::spawn(watch(proxy.clone(), suppressed.clone()));
        let asker = proxy.clone();
        let warmth = async move { asker.inner().fetcher.origin.keep_warm().await };
        let _warmth = is_warm.then(|| AbortOnDropHandle::new(workers.any().spawn(warmth)));
        let announce = tokio::spawn(announce_drain(stop.clone(), readiness.clone(), Arc::clone(&metrics)));
        readiness.ready();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data = %address(&listeners.data),
            "serving"
        );
        if let Some(cap) = cap {
            cap.warn(&config);
        }
        let cut = data_server.serve(listeners.data, Arc::new(stack), stop).await;
        // Nobody waits for these flights any more; what they bring would be forgotten a moment later.
        let tasks = &proxy.inner().tasks;
        tasks.close();
        let lost = timeout(LAST_FLIGHTS, tasks.wait()).await.is_err();
        suppressed.iter().for_each(SuppressedLines::report);
        tracing::info!(connections_cut = cut, flights_cut = lost, "stopped");
        #[cfg(feature = "otlp")]
        if let Some(exporter) = exporter {
            all_told.cancel();
            // What the collector has not taken by then is gone.
            let _ = timeout(LAST_SPANS, exporter).await;
        }
        over.cancel();
        watch.abort();
        announce.abort();
        reloads.abort();
        // It has a second of its own to finish; a task that panicked has been logged by the hook.
        let _ = admin_task.await;
        Ok(())
    }
}

/// Serves until SIGTERM or SIGINT; a second one ends the process at once. SIGHUP has the files read again.
pub async fn serve(settings: LiveSources, log: logging::LogHandle, workers: Workers) -> ExitCode {
    match try_serve(settings, log, workers).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            // Logs may be on their way to somewhere else; whoever started it by hand looks here.
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("connector-cache: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

async fn try_serve(
    settings: LiveSources,
    log: logging::LogHandle,
    workers: Workers,
) -> Result<(), StartError> {
    let config = settings.started.config.clone();
    // Before anything else: unheeded, it would end the process.
    let mut hang_ups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    let listeners = Listeners {
        data: bind("listen.address", config.server.address)?,
        admin: bind("admin.address", config.admin.address)?,
    };
    let stop = stop_on_signal()?;
    let app = App::on(workers, config, Clock::system())?
        .with_settings(settings)
        .within(Descriptors::current().map_err(StartError::Descriptors)?)
        .warmed();
    let told = Arc::clone(app.told());
    tokio::spawn(async move {
        while hang_ups.recv().await.is_some() {
            told.notify_one();
        }
    });
    app.run(listeners, stop, Some(log), std::convert::identity).await
}

/// What begins spans, and what sends them where somebody collects them.
#[cfg(feature = "otlp")]
fn spans(config: &Config, metrics: &Arc<Metrics>) -> Result<(Tracer, Option<Exporter>), StartError> {
    let tls = config.server.tls.is_some();
    let (tracer, spans) = Tracer::new(&config.trace, tls, &config.origin.base_url, metrics);
    let exporter = match (spans, &config.trace.endpoint) {
        (Some(spans), Some(endpoint)) => Some(Exporter::new(endpoint, spans, Arc::clone(metrics))?),
        _ => None,
    };
    Ok((tracer, exporter))
}

/// Binds a port.
pub fn bind(key: &'static str, address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    server::listen(address).map_err(|reason| StartError::Bind { key, address, reason })
}

/// Cancelled by the first SIGTERM or SIGINT; the second ends the process with exit code 1.
pub fn stop_on_signal() -> Result<CancellationToken, StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let mut either = async || {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        either().await;
        tracing::info!("draining");
        stopping.cancel();
        either().await;
        std::process::exit(1);
    });
    Ok(stop)
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}

/// For refreshes that no caller waits for, after the last connection is closed.
const LAST_FLIGHTS: Duration = Duration::from_secs(1);
/// For the spans of the last requests.
#[cfg(feature = "otlp")]
const LAST_SPANS: Duration = Duration::from_secs(1);
