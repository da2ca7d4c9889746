//! One run of the application: both servers and the tasks beside them, from ready to drained.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
#[cfg(feature = "otlp")]
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::background::{announce_drain, watch};
use super::connection_cap::ConnectionCap;
use super::huge_pages::HugePages;
use super::reload::{self, LiveConfiguration};
use super::warnings::{Machine, Warning, warnings};
use super::{App, Listeners, StartError};
use crate::admin::Admin;
use crate::admin::console::settings::ShownSettings;
use crate::admin::overview::Overview;
use crate::admin::readiness::Readiness;
use crate::observability::logging::{LogHandle, SuppressedLines};
use crate::observability::metrics::REVISION;
use crate::proxy::Proxy;
use crate::proxy::handler::Handler;
use crate::proxy::middleware::RequestStack;
use crate::server::{Server, ServerSettings};
use crate::support::clock::Clock;
use crate::support::watched_files::{DisplayPath, Reloadable};

impl App {
    /// Serves until `stop` is cancelled, then drains. `wrap` may put a handler around the proxy.
    pub async fn run<H: Handler>(
        mut self,
        listeners: Listeners,
        stop: CancellationToken,
        log: Option<LogHandle>,
        wrap: impl FnOnce(Proxy) -> H,
    ) -> Result<(), StartError> {
        let export = SpanExport::start(&mut self);
        let config_file = self.live_sources.as_ref().and_then(|live| live.sources.file().map(Path::to_owned));
        let readiness = Readiness::default();
        let settings = self.live_sources.as_ref().map_or_else(Vec::new, |live| {
            let started = &live.started;
            started.settings_in_force(started)
        });
        let settings = ShownSettings::new(settings.into());
        let admin = self.admin(&readiness, log.clone(), settings.clone())?;
        let console = Arc::clone(&admin);
        let admin_server = Server::new(&self.config.admin.server(), self.clock(), &self.metrics)?;
        let max_connections = self.descriptors.map_or(usize::MAX, |descriptors| {
            ConnectionCap::new(descriptors, &self.config, self.workers.count()).connections
        });
        let data_server = self.data_server(max_connections)?;
        let stack = self.request_stack(wrap(self.proxy.clone()));
        let suppressed = log.as_ref().map(|log| log.suppressed.clone());
        let sources = self.reloadables((&admin, settings), &data_server, max_connections, log);
        // The admin port serves until the end of the drain, so that probes and scrapes observe it.
        let admin_stop = CancellationToken::new();
        let admin_task = tokio::spawn(admin_server.serve(listeners.admin, admin, admin_stop.clone()));
        let huge_pages = HugePages::new(self.config.store.max_bytes);
        let _background = [
            AbortOnDropHandle::new(tokio::spawn(reload::watch(sources, Arc::clone(&self.reload_requests)))),
            AbortOnDropHandle::new(tokio::spawn(watch(self.proxy.clone(), huge_pages, suppressed.clone()))),
            AbortOnDropHandle::new(tokio::spawn(async move { console.run_console().await })),
            AbortOnDropHandle::new(tokio::spawn(announce_drain(
                stop.clone(),
                readiness.clone(),
                Arc::clone(&self.metrics),
            ))),
        ];
        let shared = self.proxy.inner().fetcher.shared.clone();
        let _shared_tasks = shared.start(Arc::new(self.proxy.clone()));
        let _preconnect = self.has_preconnect.then(|| self.keep_connection());
        readiness.set_ready();
        self.log_start(&listeners.data, config_file);
        if self.descriptors.is_some() {
            self.log_warnings();
        }
        let connections_cut = data_server.serve(listeners.data, Arc::new(stack), stop).await;
        self.finish_fetches(connections_cut, suppressed).await;
        shared.leave().await;
        export.finish().await;
        admin_stop.cancel();
        // The admin server drains for up to a second. The panic hook has logged a panic of the task.
        let _ = admin_task.await;
        Ok(())
    }

    fn clock(&self) -> &Clock {
        &self.proxy.inner().fetcher.clock
    }

    fn admin(
        &self,
        readiness: &Readiness,
        log: Option<LogHandle>,
        settings: ShownSettings,
    ) -> Result<Arc<Admin<Overview>>, StartError> {
        let overview = Overview::new(
            self.proxy.clone(),
            Arc::clone(&self.runtime),
            &self.config.upstream.base_url,
            self.config.store.max_bytes,
            log,
        );
        let overview = Arc::new(overview.with_settings(settings));
        let metrics = Arc::clone(&self.metrics);
        Ok(Arc::new(Admin::new(&self.config.admin, overview, metrics, readiness.clone())?))
    }

    fn data_server(&self, max_connections: usize) -> Result<Server, StartError> {
        self.runtime.store(Arc::new(self.config.runtime(&self.config, max_connections)));
        let live = Arc::clone(&self.runtime);
        Ok(Server::new(&self.config.server, self.clock(), &self.metrics)?
            .with_settings(ServerSettings::live(move || Arc::clone(&live.load().server)))
            .with_workers(self.workers.clone())
            .with_connection_gauge(self.metrics.connections_open.clone())
            .with_byte_budget(self.proxy.inner().fetcher.graph_client.byte_budget().clone()))
    }

    fn request_stack<H: Handler>(&self, handler: H) -> RequestStack<H> {
        RequestStack::new(Arc::new(handler), Arc::clone(&self.metrics), Arc::clone(&self.runtime))
            .traced(self.tracer.clone())
            .within(self.proxy.inner().fetcher.graph_client.byte_budget().clone())
    }

    /// Reads the files of the certificates and the admin token, as a start does.
    pub(super) fn read_files(&self) -> Result<(), StartError> {
        self.admin(&Readiness::default(), None, ShownSettings::default())?;
        self.data_server(usize::MAX).map(drop)
    }

    fn log_start(&self, data: &TcpListener, config_file: Option<PathBuf>) {
        let address = data.local_addr();
        let address = address.map_or_else(|error| error.to_string(), |address| address.to_string());
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            revision = REVISION,
            data = %address,
            tls = self.config.server.tls.is_some(),
            admin = %self.config.admin.address,
            graph = %self.config.upstream.base_url,
            shared = %self.config.shared.endpoint.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string),
            config = %config_file.map_or_else(|| "none".to_owned(), |path| DisplayPath(&path).to_string()),
            "serving"
        );
    }

    fn log_warnings(&self) {
        let machine = Machine::current(self.workers.count());
        warnings(&self.config, &machine, self.clock().now()).iter().for_each(Warning::log);
    }

    /// Returns all parts with files to reload: the admin token, the certificates and the configuration.
    fn reloadables(
        &mut self,
        (admin, settings): (&Arc<Admin<Overview>>, ShownSettings),
        data_server: &Server,
        max_connections: usize,
        log: Option<LogHandle>,
    ) -> Vec<Arc<dyn Reloadable>> {
        let mut reloadables: Vec<Arc<dyn Reloadable>> = vec![Arc::clone(admin) as _];
        reloadables.extend(data_server.tls().map(|tls| Arc::clone(tls) as _));
        if let Some(sources) = self.live_sources.take() {
            let runtime = (Arc::clone(&self.runtime), max_connections);
            let metrics = Arc::clone(&self.metrics);
            reloadables.push(Arc::new(LiveConfiguration::new(sources, runtime, log, (metrics, settings))));
        }
        reloadables
    }

    /// Keeps an idle connection to Graph ready, on a thread of the workers, until the handle is dropped.
    fn keep_connection(&self) -> AbortOnDropHandle<()> {
        let proxy = self.proxy.clone();
        let keep_warm = async move { proxy.inner().fetcher.graph_client.keep_preconnected().await };
        AbortOnDropHandle::new(self.workers.first_runtime().spawn(keep_warm))
    }

    /// Waits for fetches without a waiting caller, and logs the end of the drain.
    async fn finish_fetches(&self, connections_cut: usize, suppressed: Option<SuppressedLines>) {
        let tasks = &self.proxy.inner().tasks;
        tasks.close();
        let flights_cut = timeout(LAST_FETCHES_TIMEOUT, tasks.wait()).await.is_err();
        suppressed.iter().for_each(SuppressedLines::report);
        tracing::info!(connections_cut, flights_cut, "stopped");
    }
}

/// Running exporter of spans.
#[cfg(feature = "otlp")]
struct SpanExport {
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

#[cfg(feature = "otlp")]
impl SpanExport {
    fn start(app: &mut App) -> Self {
        let stop = CancellationToken::new();
        let task = app.exporter.take().map(|exporter| tokio::spawn(exporter.run(stop.clone())));
        Self { task, stop }
    }

    /// Sends the remaining spans. Spans that the collector does not accept in time are lost.
    async fn finish(self) {
        if let Some(task) = self.task {
            self.stop.cancel();
            let _ = timeout(LAST_SPANS_TIMEOUT, task).await;
        }
    }
}

/// Stand-in for the exporter in a build without the feature otlp.
#[cfg(not(feature = "otlp"))]
struct SpanExport;

#[cfg(not(feature = "otlp"))]
impl SpanExport {
    fn start(_: &mut App) -> Self {
        Self
    }

    #[expect(clippy::unused_async, reason = "the same interface as with the exporter")]
    async fn finish(self) {}
}

/// Time for refreshes without a waiting caller, after the last connection is closed.
const LAST_FETCHES_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for the spans of the last requests.
#[cfg(feature = "otlp")]
const LAST_SPANS_TIMEOUT: Duration = Duration::from_secs(1);
