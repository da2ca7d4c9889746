//! The command `demo`: a stand-in for Graph and one or more replicas of the proxy in one process, without network and files.

mod fleet_introduction;
mod introduction;
mod request_printer;
mod stand_in;
mod store_watch;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use uuid::Uuid;

use self::request_printer::{Counts, RequestPrinter};
use crate::app::start_error::bind_advice;
use crate::app::{App, Listeners, StartError, bind, stop_on_signal};
use crate::auth::NoRandomness;
use crate::config::{Config, ConfigError, EffectiveConfig, parse_store_url};
use crate::fake_graph::{FakeGraph, Options};
use crate::observability::logging::LogHandle;
use crate::server::Workers;
use crate::shared::GeneratedSecret;
use crate::support::clock::Clock;

/// Arguments of the command.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Number of replicas, 1 to [`MAX_REPLICAS`].
    pub replicas: usize,
    /// URL of the store that the replicas share.
    pub shared: Option<String>,
    /// Loopback address of the stand-in, which then runs without a proxy.
    pub stand_in: Option<SocketAddr>,
}

impl Arguments {
    /// Returns whether the demo shows replicas beside each other. Otherwise it shows one proxy.
    fn is_fleet(&self) -> bool {
        self.replicas > 1 || self.shared.is_some()
    }
}

/// Returns the built-in defaults with a quiet log and no `drain.delay`, changed by the variables of the environment, and then
/// by the arguments.
pub fn config(
    arguments: &Arguments,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let fleet = if arguments.is_fleet() { FLEET_DEFAULTS } else { &[] };
    let own = DEFAULTS.iter().chain(fleet).map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let mut config = EffectiveConfig::load(None, own.chain(env))?.config;
    if let Some(url) = &arguments.shared {
        config.shared.endpoint = Some(parse_store_url("--shared", url)?);
    }
    Ok(config)
}

/// Defaults of the demo. The environment of the process overrides them.
const DEFAULTS: &[(&str, &str)] = &[
    ("CONNECTOR_CACHE__LOG__FILTER", "warn"),
    ("CONNECTOR_CACHE__LOG__ACCESS", "off"),
    ("CONNECTOR_CACHE__DRAIN__DELAY", "0s"),
];
/// Defaults of a demo with several replicas. Each replica would log each fault of the store; the demo prints it once.
const FLEET_DEFAULTS: &[(&str, &str)] =
    &[("CONNECTOR_CACHE__LOG__FILTER", "warn,connector_cache::shared=off")];

/// Serves until SIGINT (Ctrl-C) or SIGTERM.
pub async fn run(arguments: Arguments, config: Config, log: LogHandle, workers: Workers) -> ExitCode {
    let ended = match arguments.stand_in {
        Some(address) => stand_in::run(address, config.server.address).await,
        None => try_run(&arguments, config, log, workers).await,
    };
    match ended {
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
    #[error("--stand-in = {address}: the port cannot be bound: {error}{}", bind_advice("--stand-in", error))]
    StandIn { address: SocketAddr, error: io::Error },
    #[error("the address of the stand-in is not a URL: {0}")]
    Url(#[from] url::ParseError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// A replica before it serves.
struct Replica {
    app: App,
    listeners: Listeners,
    /// Addresses of the data port and of the admin port.
    bound: (SocketAddr, SocketAddr),
}

async fn try_run(
    arguments: &Arguments,
    mut config: Config,
    log: LogHandle,
    workers: Workers,
) -> Result<(), DemoError> {
    let stop = stop_on_signal()?;
    let graph = FakeGraph::start(Options::default()).map_err(DemoError::FakeGraph)?;
    graph.set_latency(GRAPH_LATENCY);
    config.upstream.base_url = Url::parse(&graph.url())?;
    if arguments.shared.is_some() {
        // Runs on one store do not disturb each other. The configured prefix stays in front, for the rights of a user.
        config.shared.prefix = format!("{}:demo-{:08x}", config.shared.prefix, Uuid::new_v4().as_fields().0);
        config.shared.generated_secret = Some(GeneratedSecret::random()?);
    }
    let replicas = (0..arguments.replicas).map(|_| Replica::new(&config, &workers));
    let replicas = replicas.collect::<Result<Vec<_>, _>>()?;
    let bound: Vec<_> = replicas.iter().map(|replica| replica.bound).collect();
    let text = match bound[..] {
        [only] if !arguments.is_fleet() => {
            introduction::text(&graph, only, (config.server.address, config.admin.address))
        }
        _ => fleet_introduction::text(&graph, &bound, &config.shared),
    };
    print(&text)?;
    let proxies: Arc<[_]> = replicas.iter().map(|replica| replica.app.proxy().clone()).collect();
    let store_watch = store_watch::watch(config.shared.clone(), Arc::clone(&proxies));
    let _store_watch = arguments.is_fleet().then(|| AbortOnDropHandle::new(tokio::spawn(store_watch)));
    let counts = Counts::new(proxies, arguments.is_fleet());
    // All replicas share the threads, the log and the signals. The demo ends when all of them are drained.
    let runs = replicas.into_iter().enumerate().map(|(index, replica)| {
        let counts = counts.clone();
        let wrap = move |proxy| RequestPrinter::new(proxy, index, counts);
        replica.app.run(replica.listeners, stop.clone(), Some(log.clone()), wrap)
    });
    try_join_all(runs).await?;
    Ok(())
}

impl Replica {
    /// Binds the ports and builds the parts.
    fn new(config: &Config, workers: &Workers) -> Result<Self, DemoError> {
        let listeners = Listeners {
            data: bind_near("listen.address", config.server.address)?,
            admin: bind_near("admin.address", config.admin.address)?,
        };
        let bound = (listeners.data.local_addr()?, listeners.admin.local_addr()?);
        let app = App::with_workers(workers.clone(), config.clone(), Clock::system())?;
        Ok(Self { app, listeners, bound })
    }
}

/// Binds the preferred port, or the next free port after it.
fn bind_near(key: &'static str, preferred: SocketAddr) -> Result<TcpListener, StartError> {
    let mut address = preferred;
    loop {
        match (bind(key, address), address.port().checked_add(1)) {
            (Ok(listener), _) => return Ok(listener),
            (Err(_), Some(next)) if next - preferred.port() <= MAX_PORTS_TRIED => address.set_port(next),
            (Err(error), _) => return Err(error),
        }
    }
}

/// Returns an address for the commands: in a container the proxy listens on all addresses.
fn reachable(bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port())
    } else {
        bound
    }
}

/// Returns the path of this program as its caller wrote it, for the commands.
fn program() -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    let written = std::env::args().next().filter(|path| !path.is_empty() && path.chars().all(is_plain));
    written.unwrap_or_else(|| "connector-cache".to_owned())
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Largest number of replicas.
pub const MAX_REPLICAS: usize = 10;
/// Typical latency of Graph.
const GRAPH_LATENCY: Duration = Duration::from_millis(120);
const TOKEN_LIFETIME: Duration = Duration::from_hours(8);
/// Ports that `bind_near` tries after the preferred one.
const MAX_PORTS_TRIED: u16 = 50;
