//! A stand-in for Microsoft Graph, for `demo` and for tests.
//!
//! It behaves as Graph does where the proxy meets it: it mints and verifies its own tokens, checks scopes, roles and
//! directory roles, throttles each app in each tenant, revokes tokens with a claims challenge, and answers in
//! Graph's shapes under Graph's headers. Its tenants hold planted credentials in clear. It reads requests by
//! itself and knows nothing of the proxy, whose judge it is.
//!
//! ```text
//! request ─▶ serve ─▶ graph ─┬─ issuer ─▶ caller          who asks
//!                            ├─ faults, throttle           does it go wrong
//!                            ├─ question ─▶ directory      what is asked for
//!                            └─ body ─▶ answer ─▶ response
//! ```

mod answer;
mod body;
mod caller;
mod clock;
pub mod connector;
mod directory;
mod faults;
pub mod forgery;
mod graph;
mod issuer;
mod names;
mod question;
mod record;
mod sample;
mod serve;
mod throttle;
mod token;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use rustls::ServerConfig;
use tokio::task::JoinHandle;

pub use self::caller::{GLOBAL_ADMINISTRATOR, USER_FLOW_ADMINISTRATOR};
pub use self::clock::Now;
pub use self::directory::{Flow, Step};
pub use self::names::{app_id, service_principal_id, user_id};
pub use self::record::Received;
pub use self::sample::{BARE, CONTOSO, FABRIKAM, INVITATIONS, NORTHWIND, PARTNERS, SIGN_UP};
pub use self::throttle::RetryAfter;
pub use self::token::TokenBuilder;

use self::directory::Directory;
use self::graph::Graph;
use self::issuer::Issuer;
use self::sample::Planted;

/// How the sandbox is started.
pub struct Options {
    /// Where it listens. By default a free port of 127.0.0.1.
    pub listener: Option<TcpListener>,
    /// Serves TLS with this, ALPN set to `h2` and `http/1.1`. By default plain text.
    pub tls: Option<Arc<ServerConfig>>,
    /// The present, for tokens, throttling and `Date`. By default the system's clock.
    pub now: Now,
}

impl Default for Options {
    fn default() -> Self {
        Self { listener: None, tls: None, now: Arc::new(SystemTime::now) }
    }
}

/// A running stand-in. Dropped, it closes its port and its connections soon after.
pub struct FakeGraph {
    graph: Arc<Graph>,
    address: SocketAddr,
    scheme: &'static str,
    serving: JoinHandle<()>,
}

impl FakeGraph {
    /// Starts serving. Must be called in a Tokio runtime. Fails when the port cannot be bound.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = match options.listener {
            Some(given) => given,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let tls = options.tls.map(|given| {
            let mut config = ServerConfig::clone(&given);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Arc::new(config)
        });
        let (mut directory, mut planted) = (Directory::default(), Planted::default());
        sample::furnish(&mut directory, &mut planted);
        let issuer = Arc::new(Issuer::new(Arc::clone(&options.now))?);
        let graph = Arc::new(Graph::new(issuer, options.now, directory, planted));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let serving = tokio::spawn(serve::serve(listener, tls, Arc::clone(&graph)));
        Ok(Self { graph, address, scheme, serving })
    }

    /// The base URL, without a trailing slash: what `graph.base_url` wants.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A token to be minted, of the tenant [`CONTOSO`] unless another is named.
    pub fn token(&self) -> TokenBuilder {
        TokenBuilder::new(Arc::clone(&self.graph.issuer), CONTOSO)
    }

    /// A correctly signed JWT with this payload to the byte: twice the same claim, for instance.
    pub fn sign(&self, payload: &str) -> String {
        self.graph.issuer.jwt(payload)
    }

    /// Takes back one token: from now on it gets 401 with a claims challenge.
    pub fn revoke(&self, token: &str) {
        self.graph.issuer.revoke(token);
    }

    /// Takes back every token that a user (a name, or an object id) holds now.
    pub fn revoke_user(&self, tenant: &str, user: &str) {
        self.graph.issuer.revoke_object(&user_id(tenant, user));
    }

    /// Adds or replaces a flow. An unknown tenant is founded by it.
    pub fn put_flow(&self, tenant: &str, flow: Flow) {
        self.graph.state().directory.put(tenant, flow);
    }

    /// Deletes a flow: from now on it is 404.
    pub fn remove_flow(&self, tenant: &str, flow: &str) {
        self.graph.state().directory.remove(tenant, flow);
    }

    /// Every tenant's id with the ids of its flows.
    pub fn tenants(&self) -> Vec<(String, Vec<String>)> {
        self.graph.state().directory.listing()
    }

    /// Forbids a flow to a token, or to whoever has this object id: 403.
    pub fn deny(&self, who: &str, flow: &str) {
        self.graph.state().directory.deny(who, flow);
    }

    /// Undoes [`FakeGraph::deny`].
    pub fn allow(&self, who: &str, flow: &str) {
        self.graph.state().directory.allow(who, flow);
    }

    /// A new credential, unique and listed, to be put into a connector: `planted-<kind>-...`.
    pub fn plant(&self, kind: &str) -> String {
        self.graph.state().planted.plant(kind)
    }

    /// Every credential that any flow has held. None may ever leave the proxy.
    pub fn planted_secrets(&self) -> Vec<String> {
        self.graph.state().planted.all()
    }

    /// At most this many requests a minute for each app in each tenant, or any number. Counts begin anew.
    pub fn throttle(&self, limit: Option<u32>) {
        self.graph.state().throttle.set_limit(limit);
    }

    /// How 429 and 503 say when to come back.
    pub fn retry_after(&self, form: RetryAfter) {
        self.graph.state().throttle.set_form(form);
    }

    /// Waits this long before every answer.
    pub fn latency(&self, latency: Duration) {
        self.graph.state().faults.set_latency(latency);
    }

    /// Fails the next `count` requests, whatever they ask.
    pub fn fail_next(&self, count: u32, status: StatusCode) {
        self.graph.state().faults.fail_next(count, status);
    }

    /// Fails every request until [`FakeGraph::heal`].
    pub fn fail_all(&self, status: StatusCode) {
        self.graph.state().faults.fail_all(status);
    }

    /// What a 429 or 503 of these two asks the caller to wait: 10 s until it is set.
    pub fn fault_wait(&self, wait: Duration) {
        self.graph.state().faults.set_wait(wait);
    }

    /// Ends failures, their wait and latency.
    pub fn heal(&self) {
        self.graph.state().faults.heal();
    }

    /// Requests that have begun.
    pub fn calls(&self) -> u64 {
        *self.graph.state().record.calls().borrow()
    }

    /// Requests for one flow, of any tenant, that have begun.
    pub fn calls_of(&self, flow: &str) -> u64 {
        self.graph.state().record.calls_of(flow)
    }

    /// Returns when at least `count` requests have begun.
    pub async fn called(&self, count: u64) {
        let mut calls = self.graph.state().record.calls();
        // The sender lives in `self`, so the wait ends only by the count.
        drop(calls.wait_for(|calls| *calls >= count).await);
    }

    /// Closes the port and the connections, and returns when they are closed.
    pub async fn stop(mut self) {
        self.serving.abort();
        // The task was aborted, so that is all it can say.
        drop((&mut self.serving).await);
    }

    /// The last 4096 requests, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.graph.state().record.requests()
    }
}

impl Drop for FakeGraph {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
