//! A server, its origin and one client in one thread.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use bytes::Bytes;
use connector_cache::app::{App, Listeners};
use connector_cache::config::{Config, parse_store_url};
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use connector_cache::observability::logging::AccessLog;
use connector_cache::shared::GeneratedSecret;
use connector_cache::support::clock::Clock;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::console::OpenConsole;
use crate::store::Store;
use crate::talk::Talk;
use crate::{bare, body, configuration, connectors, graph_fields, request, request_with, through};

/// Everything up, and the answer in memory.
pub struct Scene {
    runtime: Runtime,
    _sandbox: FakeGraph,
    _store: Option<Store>,
    console: Option<OpenConsole>,
    talk: Talk,
    target: Target,
    answer: usize,
}

/// The requests of the client.
enum Target {
    /// The same request each time, and its length of response.
    Same(Vec<u8>),
    /// A flow of its own for each request: all are misses.
    New { host: String, fields: &'static str, tokens: Vec<String>, next: usize },
    /// Requests for as many entries, one of them at random each time.
    Many { requests: Vec<Vec<u8>>, state: u64 },
}

impl Scene {
    /// Sets up `ours`, `bare`, `shared` (the proxy with a shared tier) or `console` (the proxy with an open console), and asks
    /// until the answer is a hit; or misses, where no two requests are the same: `miss`, `miss-gzip` of a client that accepts gzip, `miss-unknown` with a body of which the scrubber knows nothing, and
    /// `through`, the minimum of a miss; or hits of many entries at random: `keys`, and `many`, their fair limit.
    pub fn set(what: &str) -> Result<Self, Box<dyn Error>> {
        match what {
            "miss" => return Self::of_misses(true, configuration(), ""),
            "miss-gzip" => return Self::of_misses(true, configuration(), "Accept-Encoding: gzip\r\n"),
            "miss-unknown" => return Self::of_misses(true, connectors(BODY), ""),
            "through" => return Self::of_misses(false, configuration(), ""),
            "keys" => return Self::of_many(true),
            "many" => return Self::of_many(false),
            _ => {}
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let store = if what == "shared" { Some(Store::start()?) } else { None };
        let (sandbox, console, talk, request, answer) = runtime.block_on(async {
            let sandbox = FakeGraph::start(Options::default())?;
            let token = sandbox.token().tenant(CONTOSO).user("ada").mint();
            let mut console = None;
            let address = match what {
                "ours" | "shared" => ours(&sandbox.url(), store.as_ref()).await?.data,
                "console" => {
                    let addresses = ours(&sandbox.url(), None).await?;
                    console = Some(OpenConsole::open(addresses.admin).await?);
                    addresses.data
                }
                "bare" => constant().await?,
                _ => return Err(format!("{what:?} is none of the scenes: {SCENES}").into()),
            };
            let request = request(&address.to_string(), SIGN_UP, &token);
            let mut talk = Talk::with(address).await?;
            // A miss, two hits that are looked up, and one that is remembered.
            talk.ask(&request).await?;
            talk.ask(&request).await?;
            talk.ask(&request).await?;
            let answer = talk.ask(&request).await?.to_owned();
            if what != "bare" && !answer.contains("connector-cache; hit") {
                return Err(format!("this is no hit: {answer}").into());
            }
            Ok::<_, Box<dyn Error>>((sandbox, console, talk, request, answer.len()))
        })?;
        Ok(Self {
            runtime,
            _sandbox: sandbox,
            _store: store,
            console,
            talk,
            target: Target::Same(request),
            answer,
        })
    }

    /// Many entries that were asked for three times, so that each is in the thread cache; or bare hyper with as many bodies.
    fn of_many(is_ours: bool) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sandbox, talk, requests, answer) = runtime.block_on(async {
            let sandbox = FakeGraph::start(Options::default())?;
            let mint = |number| sandbox.token().tenant(CONTOSO).user(&format!("user-{number:02}")).mint();
            let tokens: Vec<_> = (0..TOKENS).map(mint).collect();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let mut address = listener.local_addr()?;
            if is_ours {
                tokio::spawn(bare::serve_constant(listener, (graph_fields(), body(BODY)), false));
                address = ours(&format!("http://{address}"), None).await?.data;
            } else {
                tokio::spawn(bare::serve_many(listener, BODY, KEYS));
            }
            let host = address.to_string();
            let requests: Vec<_> = (0..KEYS)
                .map(|number| {
                    request(&host, &format!("flow-{:06}", number / TOKENS), &tokens[number % TOKENS])
                })
                .collect();
            let (mut talk, mut answer) = (Talk::with(address).await?, 0);
            for _ in 0..if is_ours { 4 } else { 1 } {
                for request in &requests {
                    answer = talk.ask_bytes(request).await?.len();
                }
            }
            Ok::<_, Box<dyn Error>>((sandbox, talk, requests, answer))
        })?;
        Ok(Self {
            runtime,
            _sandbox: sandbox,
            _store: None,
            console: None,
            talk,
            target: Target::Many { requests, state: 1 },
            answer,
        })
    }

    /// A proxy without entries, or the minimum, in front of a constant response. Each of its tokens asks for some flows, so
    /// that nearly all requests are those of a token with a few proofs.
    fn of_misses(is_ours: bool, body: Bytes, fields: &'static str) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sandbox, tokens, talk, host, answer) = runtime.block_on(async {
            let sandbox = FakeGraph::start(Options::default())?;
            // Before the proxy's clock is set: it must not be behind the tokens' `nbf`.
            let mint = |number| sandbox.token().tenant(CONTOSO).user(&format!("user-{number}")).mint();
            let tokens: Vec<_> = (0..TOKENS).map(mint).collect();
            let graph = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let url = format!("http://{}", graph.local_addr()?);
            tokio::spawn(bare::serve_constant(graph, (graph_fields(), body), false));
            let address = if is_ours { ours(&url, None).await?.data } else { minimum(&url).await? };
            let (mut talk, host) = (Talk::with(address).await?, address.to_string());
            // Flow ids of one length have responses of one length.
            let answer = talk.ask_bytes(&request_with(&host, "flow-000000", &tokens[0], fields)).await?;
            let (length, answer) = (answer.len(), String::from_utf8_lossy(answer));
            if is_ours && !answer.contains("connector-cache; fwd=uri-miss; fwd-status=200; stored") {
                return Err(format!("this is no miss: {answer}").into());
            }
            Ok::<_, Box<dyn Error>>((sandbox, tokens, talk, host, length))
        })?;
        let target = Target::New { host, fields, tokens, next: 0 };
        Ok(Self { runtime, _sandbox: sandbox, _store: None, console: None, talk, target, answer })
    }

    /// Asks so many times more.
    pub fn ask(&mut self, count: usize) -> std::io::Result<()> {
        let Self { runtime, talk, target, answer, .. } = self;
        runtime.block_on(async {
            for _ in 0..count {
                match target {
                    Target::Same(request) => talk.ask_again(request, *answer).await?,
                    Target::Many { requests, state } => {
                        *state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        let chosen = (*state >> 33) as usize % requests.len();
                        talk.ask_again(&requests[chosen], *answer).await?;
                    }
                    Target::New { host, fields, tokens, next } => {
                        *next += 1;
                        let (token, flow) = (&tokens[*next / FLOWS % TOKENS], format!("flow-{next:06}"));
                        talk.ask_again(&request_with(host, &flow, token, fields), *answer).await?;
                    }
                }
            }
            Ok(())
        })
    }

    /// What was measured.
    pub fn summary(&self) -> String {
        if let Some(console) = &self.console {
            return format!("{} frames of the console", console.frames());
        }
        match &self.target {
            Target::Same(request) => format!("{} bytes asked, {} bytes answered", request.len(), self.answer),
            Target::Many { requests, .. } => {
                format!("{} entries, {} bytes answered", requests.len(), self.answer)
            }
            Target::New { next, .. } => format!("{next} misses, {} bytes answered", self.answer),
        }
    }
}

async fn constant() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(bare::serve(listener, BODY, false));
    Ok(address)
}

async fn minimum(graph: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(through::serve(listener, graph.parse()?));
    Ok(address)
}

/// The ports of a proxy.
struct Addresses {
    data: SocketAddr,
    admin: SocketAddr,
}

async fn ours(graph: &str, store: Option<&Store>) -> Result<Addresses, Box<dyn Error>> {
    let mut config = Config::default();
    config.upstream.base_url = Url::parse(graph)?;
    config.logging.access = AccessLog::Off;
    if let Some(store) = store {
        config.shared.endpoint = Some(parse_store_url("the store", &store.url())?);
        config.shared.generated_secret = Some(GeneratedSecret::random()?);
    }
    let any = (Ipv4Addr::LOCALHOST, 0);
    let listeners = Listeners { data: TcpListener::bind(any).await?, admin: TcpListener::bind(any).await? };
    let addresses = Addresses { data: listeners.data.local_addr()?, admin: listeners.admin.local_addr()? };
    let app = App::new(config, Clock::manual(SystemTime::now()))?;
    tokio::spawn(app.run(listeners, CancellationToken::new(), None, std::convert::identity));
    if let Some(store) = store {
        store.wait_for_a_replica().await?;
    }
    Ok(addresses)
}

/// The names of all scenes.
pub const SCENES: &str = "ours|bare|shared|console|miss|miss-gzip|miss-unknown|through|keys|many";
/// Bytes, those of the answer of the stand-in: `check` compares them.
const BODY: usize = 1_258;
/// Entries of `keys`.
const KEYS: usize = 5_000;
/// Tokens of the misses, as many as 1,200 requests need.
const TOKENS: usize = 60;
/// Flows that one token asks for.
const FLOWS: usize = 20;
