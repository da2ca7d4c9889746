//! A stand-in for Microsoft Graph, used by the subcommand `demo` and by tests.
//!
//! The stand-in mints and verifies its own tokens, checks scopes, roles and directory roles, throttles each app in
//! each tenant, revokes tokens with a claims challenge, and sends responses with Graph's shapes and headers. Its
//! tenants hold planted credentials in clear text. It parses requests by itself and uses nothing of the proxy, so that
//! tests can compare the two.
//!
//! ```text
//! request ─▶ serve ─▶ graph ─┬─ issuer ─▶ caller            authentication
//!                            ├─ faults, throttle             injected faults, 429
//!                            ├─ request ─▶ directory         route, query, permissions
//!                            └─ body ─▶ response             JSON, header fields
//! ```

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
mod request;
mod request_log;
mod response;
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
pub use self::clock::NowFn;
pub use self::directory::{Flow, FlowCollection, Step};
pub use self::names::{app_id, service_principal_id, user_id};
pub use self::request_log::RecordedRequest;
pub use self::sample::{B2C_SIGN_UP, BARE, CONTOSO, FABRIKAM, INVITATIONS, NORTHWIND, PARTNERS, SIGN_UP};
pub use self::throttle::RetryAfterForm;
pub use self::token::TokenBuilder;

use self::directory::Directory;
use self::graph::GraphService;
use self::issuer::Issuer;
use self::sample::PlantedSecrets;

/// Options for [`FakeGraph::start`].
pub struct Options {
    /// The listening socket. Default: a free port of 127.0.0.1.
    pub listener: Option<TcpListener>,
    /// TLS configuration; ALPN is set to `h2` and `http/1.1`. Default: plain text.
    pub tls: Option<Arc<ServerConfig>>,
    /// The current time for tokens, throttling and `Date`. Default: the system's clock.
    pub now: NowFn,
}

impl Default for Options {
    fn default() -> Self {
        Self { listener: None, tls: None, now: Arc::new(SystemTime::now) }
    }
}

/// A running stand-in. When it is dropped, its port and its connections close soon after.
pub struct FakeGraph {
    graph: Arc<GraphService>,
    address: SocketAddr,
    scheme: &'static str,
    serving: JoinHandle<()>,
}

impl FakeGraph {
    /// Starts the server. Must be called in a Tokio runtime. Fails if the port cannot be bound.
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
        let (mut directory, mut planted) = (Directory::default(), PlantedSecrets::default());
        sample::add_sample_data(&mut directory, &mut planted);
        let issuer = Arc::new(Issuer::new(Arc::clone(&options.now))?);
        let graph = Arc::new(GraphService::new(issuer, options.now, directory, planted));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let serving = tokio::spawn(serve::serve(listener, tls, Arc::clone(&graph)));
        Ok(Self { graph, address, scheme, serving })
    }

    /// Returns the base URL for `graph.base_url`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns the address of the listening socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a builder for a token of the tenant [`CONTOSO`], which the builder can change.
    pub fn token(&self) -> TokenBuilder {
        TokenBuilder::new(Arc::clone(&self.graph.issuer), CONTOSO)
    }

    /// Returns a correctly signed JWT with exactly this payload, for example with a claim that occurs twice.
    pub fn sign(&self, payload: &str) -> String {
        self.graph.issuer.sign_jwt(payload)
    }

    /// Revokes one token: from now on its requests get 401 with a claims challenge.
    pub fn revoke(&self, token: &str) {
        self.graph.issuer.revoke(token);
    }

    /// Revokes all present tokens of a user. `user` is a name or an object id.
    pub fn revoke_user_tokens(&self, tenant: &str, user: &str) {
        self.graph.issuer.revoke_object(&user_id(tenant, user));
    }

    /// Adds or replaces a flow. Creates the tenant if it does not exist.
    pub fn put_flow(&self, tenant: &str, flow: Flow) {
        self.graph.state().directory.put(tenant, flow);
    }

    /// Deletes the flows of both kinds with this id: from now on requests for it get 404.
    pub fn remove_flow(&self, tenant: &str, flow: &str) {
        self.graph.state().directory.remove(tenant, flow);
    }

    /// Returns the id of each tenant with its flows.
    pub fn tenants(&self) -> Vec<(String, Vec<Flow>)> {
        self.graph.state().directory.listing()
    }

    /// Forbids a flow (403) to one token, or to all tokens of an object id.
    pub fn deny(&self, subject: &str, flow: &str) {
        self.graph.state().directory.deny(subject, flow);
    }

    /// Reverts [`FakeGraph::deny`].
    pub fn allow(&self, subject: &str, flow: &str) {
        self.graph.state().directory.allow(subject, flow);
    }

    /// Creates a unique credential, `planted-<kind>-...`, and adds it to [`FakeGraph::planted_secrets`].
    pub fn plant(&self, kind: &str) -> String {
        self.graph.state().planted.plant(kind)
    }

    /// Returns every credential that any flow has held. None of them may leave the proxy.
    pub fn planted_secrets(&self) -> Vec<String> {
        self.graph.state().planted.all()
    }

    /// Sets the limit of requests a minute for each app in each tenant. `None`: no limit. Resets the counts.
    pub fn set_throttle(&self, limit: Option<u32>) {
        self.graph.state().throttle.set_limit(limit);
    }

    /// Sets the form of `Retry-After` in responses with 429 and 503.
    pub fn set_retry_after_form(&self, form: RetryAfterForm) {
        self.graph.state().throttle.set_form(form);
    }

    /// Sets a delay before each response.
    pub fn set_latency(&self, latency: Duration) {
        self.graph.state().faults.set_latency(latency);
    }

    /// Fails the next `count` requests with this status.
    pub fn fail_next(&self, count: u32, status: StatusCode) {
        self.graph.state().faults.fail_next(count, status);
    }

    /// Fails every request with this status until [`FakeGraph::heal`].
    pub fn fail_all(&self, status: StatusCode) {
        self.graph.state().faults.fail_all(status);
    }

    /// Sets the wait that `Retry-After` states for the 429 and 503 of these failures. Default: 10 s.
    pub fn set_fault_retry_after(&self, wait: Duration) {
        self.graph.state().faults.set_wait(wait);
    }

    /// Resets failures, their `Retry-After` and the latency.
    pub fn heal(&self) {
        self.graph.state().faults.heal();
    }

    /// Returns the number of requests that have begun.
    pub fn calls(&self) -> u64 {
        *self.graph.state().record.calls().borrow()
    }

    /// Returns the number of requests that have begun for flows with this id, of any kind and tenant.
    pub fn calls_for_flow(&self, flow: &str) -> u64 {
        self.graph.state().record.calls_for_flow(flow)
    }

    /// Waits until at least `count` requests have begun.
    pub async fn wait_for_calls(&self, count: u64) {
        let mut calls = self.graph.state().record.calls();
        // The sender lives in `self`, so only the count can end the wait.
        drop(calls.wait_for(|calls| *calls >= count).await);
    }

    /// Closes the port and the connections, and waits until they are closed.
    pub async fn stop(mut self) {
        self.serving.abort();
        // The task was aborted, so its result is always that error.
        drop((&mut self.serving).await);
    }

    /// Returns the last 4096 requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.graph.state().record.requests()
    }
}

impl Drop for FakeGraph {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
