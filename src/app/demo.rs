//! A stand-in for Graph and the proxy before it, in one process: no network, no files.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::request::Parts;
use tokio::net::TcpListener;
use url::Url;

use crate::app::{App, Listeners, StartError, bind, stop_on_signal};
use crate::cache::outcome::Outcome;
use crate::config::Config;
use crate::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use crate::http::error::ErrorResponse;
use crate::http::ids::Ids;
use crate::http::validate::RequestView;
use crate::observability::logging::{AccessLog, LogHandle};
use crate::observability::metrics::Metrics;
use crate::proxy::Proxy;
use crate::proxy::handler::{Handler, HandlerResponse};
use crate::server::Workers;
use crate::support::clock::Clock;

/// The built-in defaults, with a quiet log and no wait before the end.
pub fn config() -> Config {
    let mut config = Config::default();
    "warn".clone_into(&mut config.telemetry.filter);
    config.telemetry.access = AccessLog::Off;
    config.server.drain.delay = Duration::ZERO;
    config
}

/// Runs until Ctrl-C.
pub async fn run(log: LogHandle, workers: Workers) -> ExitCode {
    match try_run(log, workers).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "connector-cache: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the demo ended.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the stand-in for Graph cannot start: {0}")]
    FakeGraph(io::Error),
    #[error("its address is no URL: {0}")]
    Url(#[from] url::ParseError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

async fn try_run(log: LogHandle, workers: Workers) -> Result<(), DemoError> {
    let stop = stop_on_signal()?;
    let sandbox = FakeGraph::start(Options::default()).map_err(DemoError::FakeGraph)?;
    sandbox.set_latency(GRAPH_LATENCY);
    let mut config = config();
    config.origin.base_url = Url::parse(&sandbox.url())?;
    let listeners = Listeners {
        data: bind_near("listen.address", config.server.address)?,
        admin: bind_near("admin.address", config.admin.address)?,
    };
    introduce(&sandbox, listeners.data.local_addr()?, listeners.admin.local_addr()?)?;
    let app = App::on(workers, config, Clock::system())?;
    let metrics = Arc::clone(app.metrics());
    app.run(listeners, stop, Some(log), |proxy| Narrator { proxy, metrics }).await?;
    Ok(())
}

/// The port that is wanted, or one of the next that is free.
fn bind_near(key: &'static str, wanted: SocketAddr) -> Result<TcpListener, StartError> {
    let mut address = wanted;
    loop {
        match bind(key, address) {
            Ok(listener) => return Ok(listener),
            Err(_) if address.port() - wanted.port() < PORTS_TRIED => address.set_port(address.port() + 1),
            Err(error) => return Err(error),
        }
    }
}

fn introduce(sandbox: &FakeGraph, data: SocketAddr, admin: SocketAddr) -> io::Result<()> {
    let line = |user: &str| {
        let token = sandbox.token().tenant(CONTOSO).user(user).expires_in(TOKEN_LIFE).mint();
        let path = format!("/beta/identity/b2xUserFlows/{SIGN_UP}/apiConnectorConfiguration");
        let query = "$expand=postFederationSignup,postAttributeCollection";
        format!("curl -si -H 'Authorization: Bearer {token}' 'http://{data}{path}?{query}'")
    };
    let wanted = config();
    let moved = |is: SocketAddr, wanted: SocketAddr| {
        if is == wanted { String::new() } else { format!(" (port {} is taken)", wanted.port()) }
    };
    let (data_note, admin_note) = (moved(data, wanted.server.address), moved(admin, wanted.admin.address));
    let text = format!(
        "connector-cache demo: a stand-in for Microsoft Graph, and the cache before it.\n\
         \n\
         cache     http://{data}{data_note}\n\
         admin     http://{admin}{admin_note}\n\
         stand-in  {graph}, answers in {latency} ms\n\
         \n\
         As Ada. Once: Cache-Status says fwd=uri-miss. Once more: hit.\n\
         \n\
         {ada}\n\
         \n\
         As Grace, another user. She never gets Ada's entry: her first request is a miss, too.\n\
         \n\
         {grace}\n\
         \n\
         What happened, for Prometheus:\n\
         \n\
         curl -s http://{admin}/metrics\n\
         \n\
         Ctrl-C ends it.\n\n",
        graph = sandbox.url(),
        latency = GRAPH_LATENCY.as_millis(),
        ada = line("ada"),
        grace = line("grace"),
    );
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Tells of each request, on a terminal.
struct Narrator {
    proxy: Proxy,
    metrics: Arc<Metrics>,
}

impl Handler for Narrator {
    fn try_handle_sync(&self, asked: &RequestView<'_>, ids: &Ids) -> Option<HandlerResponse> {
        let started = Instant::now();
        let answer = self.proxy.try_handle_sync(asked, ids)?;
        self.tell(&answer, started.elapsed());
        Some(answer)
    }

    async fn handle(
        &self,
        request: &Parts,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> HandlerResponse {
        let started = Instant::now();
        let answer = self.proxy.handle(request, headers, ids, peer).await;
        self.tell(&answer, started.elapsed());
        answer
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        self.proxy.error_response(error_response, ids)
    }
}

impl Narrator {
    fn tell(&self, answer: &HandlerResponse, took: Duration) {
        let mut out = io::stdout();
        if !out.is_terminal() {
            return;
        }
        let spared: u64 = [Outcome::Hit, Outcome::Stale, Outcome::Collapsed]
            .iter()
            .map(|outcome| self.metrics.answered(*outcome))
            .sum::<u64>()
            + u64::from(matches!(answer.outcome, Outcome::Hit | Outcome::Stale | Outcome::Collapsed));
        let status = answer.response.status().as_u16();
        let outcome = answer.outcome.to_string();
        let asked = self.metrics.origin_requests.total();
        // A terminal that is gone is no reason to stop.
        let _ = writeln!(
            out,
            "{status}  {outcome:<10} {took:>8.2} ms   Graph asked {asked}, spared {spared}",
            took = took.as_secs_f64() * 1000.0,
        );
    }
}

/// About what Graph takes.
const GRAPH_LATENCY: Duration = Duration::from_millis(120);
const TOKEN_LIFE: Duration = Duration::from_hours(8);
const PORTS_TRIED: u16 = 50;
