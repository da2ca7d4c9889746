//! What the parts are given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::app::App;
use connector_cache::config::Config;
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};
use connector_cache::http::ids::Ids;
use connector_cache::http::validate::RequestView;
use connector_cache::proxy::Proxy;
use connector_cache::proxy::handler::{Handler, Lookup};
use connector_cache::support::clock::Clock;
use connector_cache_benches::path;
use http::request::Parts;
use http::{HeaderValue, Request};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// A token of as many bytes, three fifths of them claims.
pub fn token(length: usize) -> String {
    let exp = SystemTime::now() + Duration::from_secs(3_600);
    let exp = exp.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let filling = "x".repeat((length * 6 / 10 * 3 / 4).saturating_sub(140));
    let claims = format!(
        r#"{{"tid":"{CONTOSO}","oid":"ada","appid":"portal","scp":"a b","exp":{exp},"xms_filling":"{filling}"}}"#
    );
    let mut token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims));
    token.push_str(&"s".repeat(length.saturating_sub(token.len()).max(1)));
    token
}

/// The head of a request.
pub fn parts(token: &str) -> Parts {
    let request = Request::get(path(SIGN_UP))
        .header("host", "graph.microsoft.com")
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(());
    let Ok(request) = request else { unreachable!("the request is well formed") };
    request.into_parts().0
}

/// A proxy without ports that has an answer in memory.
pub struct Memory {
    runtime: Runtime,
    app: App,
    request: Parts,
    /// The same with a field that the thread does not remember a request by.
    unremembered: Parts,
    ids: Ids,
    _sandbox: FakeGraph,
}

impl Memory {
    /// Asks the stand-in once, and twice for what is there then.
    pub fn with_an_answer() -> Self {
        let Ok(memory) = Self::set() else { unreachable!("a loopback port can be had") };
        memory.ask_graph();
        assert!(memory.found() && memory.recalled() && memory.recalled(), "the answer is in memory");
        memory
    }

    fn set() -> Result<Self, Box<dyn std::error::Error>> {
        // A worker: it serves the stand-in while the thread that measures waits.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let sandbox = runtime.block_on(async { FakeGraph::start(Options::default()) })?;
        let mut config = Config::default();
        config.upstream.base_url = Url::parse(&sandbox.url())?;
        // The time stands still: no lookup is too old to be remembered.
        let app = App::new(config, Clock::manual(SystemTime::now()))?;
        let request = parts(&sandbox.token().tenant(CONTOSO).user("ada").mint());
        let ids = Ids::from_headers(&request.headers);
        let mut unremembered = request.clone();
        unremembered.headers.insert("connector-cache", HeaderValue::from_static("none"));
        Ok(Self { runtime, app, request, unremembered, ids, _sandbox: sandbox })
    }

    /// Whether a hit comes from what this thread remembers.
    pub fn recalled(&self) -> bool {
        matches!(self.look_up(&self.request), Lookup::Ready(_))
    }

    /// Whether a hit comes from the store.
    pub fn found(&self) -> bool {
        matches!(self.look_up(&self.unremembered), Lookup::Ready(_))
    }

    fn look_up(&self, request: &Parts) -> Lookup<<Proxy as Handler>::Prepared> {
        let config = self.app.runtime().load();
        self.app.proxy().lookup(&RequestView::new(request), &self.ids, &config)
    }

    fn ask_graph(&self) {
        if let Lookup::Continue(prepared) = self.look_up(&self.request) {
            let headers = self.request.headers.clone();
            self.runtime.block_on(self.app.proxy().respond(prepared, headers, &self.ids, HERE));
        }
    }
}

const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
