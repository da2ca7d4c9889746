//! The command `demo`: a stand-in for Graph and the proxy in one process, without network and files.

use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::net::TcpListener;
use url::Url;

use crate::app::{App, Listeners, StartError, bind, stop_on_signal};
use crate::auth::LogTag;
use crate::cache::outcome::Outcome;
use crate::config::{Config, ConfigError, EffectiveConfig};
use crate::fake_graph::{B2C_SIGN_UP, CONTOSO, FakeGraph, Options, SIGN_UP};
use crate::http::ids::Ids;
use crate::http::validate::RequestView;
use crate::observability::logging::LogHandle;
use crate::observability::metrics::Metrics;
use crate::proxy::Proxy;
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::handler::{Handler, HandlerResponse, Lookup};
use crate::proxy::runtime_config::RuntimeConfig;
use crate::server::Workers;
use crate::support::clock::Clock;

/// Returns the built-in defaults with a quiet log and no `drain.delay`, changed by the variables of the environment.
pub fn config(env: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let own = DEFAULTS.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Ok(EffectiveConfig::load(None, own.chain(env))?.config)
}

/// Defaults of the demo. The environment of the process overrides them.
const DEFAULTS: &[(&str, &str)] = &[
    ("CONNECTOR_CACHE__LOG__FILTER", "warn"),
    ("CONNECTOR_CACHE__LOG__ACCESS", "off"),
    ("CONNECTOR_CACHE__DRAIN__DELAY", "0s"),
];

/// Serves until SIGINT (Ctrl-C) or SIGTERM.
pub async fn run(config: Config, log: LogHandle, workers: Workers) -> ExitCode {
    match try_run(config, log, workers).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "connector-cache: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reason for which the demo cannot run.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the stand-in for Graph cannot start: {0}")]
    FakeGraph(io::Error),
    #[error("the address of the stand-in is not a URL: {0}")]
    Url(#[from] url::ParseError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

async fn try_run(mut config: Config, log: LogHandle, workers: Workers) -> Result<(), DemoError> {
    let stop = stop_on_signal()?;
    let graph = FakeGraph::start(Options::default()).map_err(DemoError::FakeGraph)?;
    graph.set_latency(GRAPH_LATENCY);
    let preferred = (config.server.address, config.admin.address);
    config.upstream.base_url = Url::parse(&graph.url())?;
    let listeners = Listeners {
        data: bind_near("listen.address", config.server.address)?,
        admin: bind_near("admin.address", config.admin.address)?,
    };
    let bound = (listeners.data.local_addr()?, listeners.admin.local_addr()?);
    print_introduction(&graph, bound, preferred)?;
    let app = App::with_workers(workers, config, Clock::system())?;
    let metrics = Arc::clone(app.metrics());
    app.run(listeners, stop, Some(log), |proxy| RequestPrinter { proxy, metrics }).await?;
    Ok(())
}

/// Binds the preferred port, or the next free port after it.
fn bind_near(key: &'static str, preferred: SocketAddr) -> Result<TcpListener, StartError> {
    let mut address = preferred;
    loop {
        match bind(key, address) {
            Ok(listener) => return Ok(listener),
            Err(_) if address.port() - preferred.port() < MAX_PORTS_TRIED => {
                address.set_port(address.port() + 1);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Prints addresses, commands to try, and what to expect.
fn print_introduction(
    graph: &FakeGraph,
    bound: (SocketAddr, SocketAddr),
    preferred: (SocketAddr, SocketAddr),
) -> io::Result<()> {
    let (data, admin) = (reachable(bound.0), reachable(bound.1));
    let curl = |user: &str, flow: &str, expand: &str| {
        let token = graph.token().tenant(CONTOSO).user(user).expires_in(TOKEN_LIFETIME).mint();
        let path = format!("/beta/identity/{flow}/apiConnectorConfiguration");
        format!("curl -si -H 'Authorization: Bearer {token}' 'http://{data}{path}?$expand={expand}'")
    };
    let (flow, steps) = (format!("b2xUserFlows/{SIGN_UP}"), "postFederationSignup,postAttributeCollection");
    let note = |bound: SocketAddr, preferred: SocketAddr| {
        if bound.port() == preferred.port() {
            String::new()
        } else {
            format!(" (port {} is in use)", preferred.port())
        }
    };
    let (data_note, admin_note) = (note(bound.0, preferred.0), note(bound.1, preferred.1));
    let text = format!(
        "connector-cache demo: a stand-in for Microsoft Graph, and the cache in front of it.\n\
         \n\
         cache     http://{data}{data_note}\n\
         admin     http://{admin}{admin_note}\n\
         stand-in  {url}, responds in {latency} ms\n\
         \n\
         As Ada. The first request: Cache-Status contains fwd=uri-miss. The second request: hit.\n\
         \n\
         {ada}\n\
         \n\
         As Grace, another user. Grace never receives the entry of Ada: the first request is a miss, too.\n\
         \n\
         {grace}\n\
         \n\
         As Ada, a flow of a B2C tenant:\n\
         \n\
         {b2c}\n\
         \n\
         Metrics for Prometheus:\n\
         \n\
         curl -s http://{admin}/metrics\n\
         \n\
         Ctrl-C ends it.\n\n",
        url = graph.url(),
        latency = GRAPH_LATENCY.as_millis(),
        ada = curl("ada", &flow, steps),
        grace = curl("grace", &flow, steps),
        b2c = curl("ada", &format!("b2cUserFlows/{B2C_SIGN_UP}"), "preTokenIssuance"),
    );
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Returns an address for the commands: in a container the proxy listens on all addresses.
fn reachable(bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port())
    } else {
        bound
    }
}

/// Handler that prints a line for each request, if standard output is a terminal.
struct RequestPrinter {
    proxy: Proxy,
    metrics: Arc<Metrics>,
}

impl Handler for RequestPrinter {
    type Prepared = (Instant, <Proxy as Handler>::Prepared);

    fn lookup(
        &self,
        request: &RequestView<'_>,
        ids: &Ids,
        config: &Arc<RuntimeConfig>,
    ) -> Lookup<Self::Prepared> {
        let started = Instant::now();
        let lookup = self.proxy.lookup(request, ids, config);
        if let Lookup::Ready(response) = &lookup {
            self.print(response, started.elapsed());
        }
        lookup.map(|prepared| (started, prepared))
    }

    fn application_tag(&self, (_, prepared): &Self::Prepared) -> Option<LogTag> {
        self.proxy.application_tag(prepared)
    }

    async fn respond(
        &self,
        (started, prepared): Self::Prepared,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> HandlerResponse {
        let response = self.proxy.respond(prepared, headers, ids, peer).await;
        self.print(&response, started.elapsed());
        response
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        self.proxy.error_response(error_response, ids)
    }
}

impl RequestPrinter {
    fn print(&self, response: &HandlerResponse, took: Duration) {
        let mut out = io::stdout();
        if !out.is_terminal() {
            return;
        }
        let saved: u64 = [Outcome::Hit, Outcome::Stale, Outcome::Collapsed]
            .iter()
            .map(|outcome| self.metrics.requests_by_outcome(*outcome))
            .sum::<u64>()
            + u64::from(matches!(response.outcome, Outcome::Hit | Outcome::Stale | Outcome::Collapsed));
        let status = response.response.status().as_u16();
        let outcome = response.outcome.to_string();
        let sent = self.proxy.inner().fetcher.graph_client.metrics().requests.total();
        // The demo continues without a terminal.
        let _ = writeln!(
            out,
            "{status}  {outcome:<10} {took:>8.2} ms   requests to Graph: {sent} sent, {saved} saved",
            took = took.as_secs_f64() * 1000.0,
        );
    }
}

/// Typical latency of Graph.
const GRAPH_LATENCY: Duration = Duration::from_millis(120);
const TOKEN_LIFETIME: Duration = Duration::from_hours(8);
/// Ports that `bind_near` tries after the preferred one.
const MAX_PORTS_TRIED: u16 = 50;
