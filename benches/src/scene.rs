//! A server, its origin and one client in one thread.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use connector_cache::app::{App, Listeners};
use connector_cache::config::Config;
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use connector_cache::observability::logging::AccessLog;
use connector_cache::support::clock::Clock;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::talk::Talk;
use crate::{bare, request};

/// Everything up, and the answer in memory.
pub struct Scene {
    runtime: Runtime,
    _sandbox: FakeGraph,
    talk: Talk,
    request: Vec<u8>,
    answer: usize,
}

impl Scene {
    /// Sets up `ours` or `bare`, and asks until the answer is a hit.
    pub fn set(what: &str) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sandbox, talk, request, answer) = runtime.block_on(async {
            let sandbox = FakeGraph::start(Options::default())?;
            let token = sandbox.token().tenant(CONTOSO).user("ada").mint();
            let address = match what {
                "ours" => ours(&sandbox).await?,
                "bare" => constant().await?,
                _ => return Err("there are `ours` and `bare`".into()),
            };
            let request = request(&address.to_string(), SIGN_UP, &token);
            let mut talk = Talk::with(address).await?;
            // A miss, two hits that are looked up, and one that is remembered.
            talk.ask(&request).await?;
            talk.ask(&request).await?;
            talk.ask(&request).await?;
            let answer = talk.ask(&request).await?.to_owned();
            if what == "ours" && !answer.contains("connector-cache; hit") {
                return Err(format!("this is no hit: {answer}").into());
            }
            Ok::<_, Box<dyn Error>>((sandbox, talk, request, answer.len()))
        })?;
        Ok(Self { runtime, _sandbox: sandbox, talk, request, answer })
    }

    /// Asks so many times more.
    pub fn ask(&mut self, count: usize) -> std::io::Result<()> {
        self.runtime.block_on(async {
            for _ in 0..count {
                self.talk.ask_again(&self.request, self.answer).await?;
            }
            Ok(())
        })
    }

    /// What was measured.
    pub fn summary(&self) -> String {
        format!("{} bytes asked, {} bytes answered", self.request.len(), self.answer)
    }
}

async fn constant() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(bare::serve(listener, BODY, false));
    Ok(address)
}

async fn ours(sandbox: &FakeGraph) -> Result<SocketAddr, Box<dyn Error>> {
    let mut config = Config::default();
    config.upstream.base_url = Url::parse(&sandbox.url())?;
    config.logging.access = AccessLog::Off;
    let any = (Ipv4Addr::LOCALHOST, 0);
    let listeners = Listeners { data: TcpListener::bind(any).await?, admin: TcpListener::bind(any).await? };
    let address = listeners.data.local_addr()?;
    let app = App::new(config, Clock::manual(SystemTime::now()))?;
    tokio::spawn(app.run(listeners, CancellationToken::new(), None, std::convert::identity));
    Ok(address)
}

/// Bytes, those of the answer of the stand-in: `check` compares them.
const BODY: usize = 1_258;
