//! Stub handler in a running server. The path of a request selects its behaviour.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector_cache::cache::outcome::Outcome;
use connector_cache::http::cache_status::CacheStatus;
use connector_cache::http::error::Response;
use connector_cache::http::ids::Ids;
use connector_cache::http::validate::RequestView;
use connector_cache::observability::logging::AccessLog;
use connector_cache::observability::metrics::Metrics;
use connector_cache::proxy::error_response::ErrorResponse;
use connector_cache::proxy::handler::{Handler, HandlerResponse, Lookup};
use connector_cache::proxy::middleware::RequestStack;
use connector_cache::proxy::response;
use connector_cache::proxy::runtime_config::{LiveConfig, RuntimeConfig};
use connector_cache::server::{Config, Drain, Server, ServerLimits, ServerSettings, Workers};
use connector_cache::support::byte_budget::ByteBudget;
use connector_cache::support::clock::Clock;
use connector_cache::support::labels::Label;
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Handler whose path selects the response. `/held` waits for [`Stub::release`]; `/blocked` waits and blocks its thread;
/// `/thread` returns the id of its thread; `/panic` panics; `/big` returns 8 MiB; `/token` returns the length of
/// `Authorization`; any other path returns itself.
pub(crate) struct Stub {
    paths: Mutex<Vec<String>>,
    held: AtomicUsize,
    gate: Semaphore,
}

impl Stub {
    /// Returns the paths of all requests.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }

    /// Returns the number of requests that wait at `/held`.
    pub(crate) fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    /// Releases one request at `/held`.
    pub(crate) fn release(&self) {
        self.gate.add_permits(1);
    }
}

impl Handler for Stub {
    type Prepared = String;

    fn lookup(&self, request: &RequestView<'_>, _: &Ids, _: &Arc<RuntimeConfig>) -> Lookup<String> {
        Lookup::Continue(request.head.uri.path().to_owned())
    }

    async fn respond(
        &self,
        path: String,
        headers: http::HeaderMap,
        _: &Ids,
        _: SocketAddr,
    ) -> HandlerResponse {
        self.paths.lock().unwrap().push(path.clone());
        let body = match &*path {
            "/panic" => panic!("on demand"),
            "/big" => Bytes::from(vec![b'x'; 8 << 20]),
            "/token" => headers["authorization"].len().to_string().into(),
            "/thread" => format!("{:?}", std::thread::current().id()).into(),
            "/blocked" => {
                self.held.fetch_add(1, SeqCst);
                while self.gate.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                path.into()
            }
            "/held" => {
                self.held.fetch_add(1, SeqCst);
                self.gate.acquire().await.unwrap().forget();
                path.into()
            }
            _ => path.into(),
        };
        HandlerResponse {
            has_common_headers: false,
            response: Response::new(Full::new(body)),
            outcome: Outcome::Hit,
            reason: None,
            token_tag: None,
        }
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        response::error_response(error_response, ids, &CacheStatus::default(), Clock::system().now())
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stub: Arc<Stub>,
    pub(crate) drain: CancellationToken,
    pub(crate) tls: Option<Arc<connector_cache::server::tls::Tls>>,
    pub(crate) runtime: LiveConfig,
    pub(crate) task: JoinHandle<usize>,
}

impl Running {
    pub(crate) fn rejected<L: Label>(&self, reason: L) -> u64 {
        self.metrics.rejected.with_labels_of().get(reason)
    }
}

/// Limits that no test reaches by accident.
pub(crate) fn patient() -> ServerLimits {
    let long = Duration::from_secs(20);
    ServerLimits {
        tls_timeout: long,
        header_timeout: long,
        idle_timeout: long,
        write_timeout: long,
        request_timeout: long,
        ..ServerLimits::default()
    }
}

pub(crate) fn config(limits: ServerLimits) -> Config {
    Config {
        limits,
        drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(10) },
        ..Config::default()
    }
}

pub(crate) async fn start(limits: ServerLimits) -> Running {
    start_with(config(limits)).await
}

pub(crate) async fn start_with(config: Config) -> Running {
    start_within(config, ByteBudget::new(usize::MAX)).await
}

/// Starts a server with this byte budget.
pub(crate) async fn start_within(config: Config, budget: ByteBudget) -> Running {
    start_on(Workers::default(), config, budget).await
}

/// Starts a server whose connections are served by `workers`.
pub(crate) async fn start_on(workers: Workers, config: Config, budget: ByteBudget) -> Running {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let stub = Arc::new(Stub { paths: Mutex::default(), held: AtomicUsize::new(0), gate: Semaphore::new(0) });
    let settings =
        RuntimeConfig { access_log: AccessLog::All, ..RuntimeConfig::for_server(&config, usize::MAX) };
    let runtime = settings.into_live();
    let stack =
        RequestStack::new(Arc::clone(&stub), Arc::clone(&metrics), Arc::clone(&runtime)).within(budget);
    let live = Arc::clone(&runtime);
    let drain = CancellationToken::new();
    let server = Server::new(&config, &Clock::system(), &metrics)
        .unwrap()
        .with_workers(workers)
        .with_settings(ServerSettings::live(move || Arc::clone(&live.load().server)));
    let tls = server.tls().cloned();
    let task = tokio::spawn(server.serve(listener, Arc::new(stack), drain.clone()));
    Running { address, metrics, stub, drain, tls, runtime, task }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("timeout: {what}"));
}

/// Timeout of a wait. Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
