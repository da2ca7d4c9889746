//! Connector: makes connections to Graph by name resolution, TCP, the proxy of the environment if there is one, and TLS.
//!
//! One timeout (`graph.connect_timeout`) covers all steps. A pool may pass in a connection that exists already; where it
//! comes from is not known here.

use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tower_service::Service;

use super::config::Config;
use super::connection::{Stream, UpstreamConnection};
use super::dns::{LastGoodAddress, Resolver, SystemResolver};
use crate::support::client_tls::{self, RootsError};

/// Future of a connection.
pub(super) type Connecting =
    Pin<Box<dyn Future<Output = Result<TokioIo<UpstreamConnection>, BoxError>> + Send>>;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connector to Graph. Clones share the last good address.
#[derive(Clone, Debug)]
pub(super) struct Connector<R = GaiResolver> {
    route: Route<R>,
    last_good_address: Arc<LastGoodAddress>,
    connect_timeout: Duration,
}

#[derive(Clone, Debug)]
enum Route<R> {
    Direct(HttpsConnector<HttpConnector<Resolver<R>>>),
    Proxied(HttpsConnector<Tunnel<HttpConnector<Resolver<R>>>>),
}

/// Error of the Graph client at startup.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The root certificates.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The proxy of the environment.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// `HTTPS_PROXY` has a scheme that is not supported.
#[derive(Debug, thiserror::Error)]
#[error("HTTPS_PROXY: expected a proxy of the form http://host:port, found one with the scheme {scheme:?}")]
pub struct ProxyError {
    scheme: String,
}

/// Timeout of a connection attempt (`graph.connect_timeout`).
#[derive(Debug, thiserror::Error)]
#[error("connection attempt timed out")]
pub(super) struct ConnectTimeout;

impl Connector {
    /// Creates a connector that resolves names by the platform's resolver.
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        Self::with_resolver(config, GaiResolver::new())
    }
}

impl<R: SystemResolver> Connector<R> {
    /// Creates a connector that resolves names by `system`.
    fn with_resolver(config: &Config, system: R) -> Result<Self, SetupError> {
        let uri = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let is_https = config.base_url.scheme() == "https";
        // `http` is allowed only to a loopback address, which a proxy cannot reach.
        let proxy = Matcher::from_env().intercept(&uri).filter(|_| is_https);
        let tls = if is_https {
            client_tls::client_config(config.ca_file.as_deref())?
        } else {
            client_tls::config_without_roots()?
        };
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        let resolver = Resolver::new(system, config.connect_timeout);
        let last_good_address = Arc::clone(resolver.last_good_address());
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEP_ALIVE));
        let route = match proxy {
            None => Route::Direct(tls.wrap_connector(tcp)),
            Some(proxy) if proxy.uri().scheme_str() == Some("http") => {
                let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                let tunnel = match proxy.basic_auth() {
                    Some(credentials) => tunnel.with_auth(credentials.clone()),
                    None => tunnel,
                };
                Route::Proxied(tls.wrap_connector(tunnel))
            }
            Some(proxy) => {
                let scheme = proxy.uri().scheme_str().unwrap_or_default().to_owned();
                return Err(ProxyError { scheme }.into());
            }
        };
        Ok(Self { route, last_good_address, connect_timeout: config.connect_timeout })
    }
}

impl<R> Connector<R>
where
    R: SystemResolver<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
    /// Makes a new connection.
    pub(super) async fn connect(&mut self, uri: Uri) -> Result<UpstreamConnection, BoxError> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        Ok(self.call(uri).await?.into_inner())
    }

    /// Returns the connection of `ready`, or a new one if `ready` has none. One timeout covers both.
    pub(super) fn connect_unless<F>(&mut self, uri: Uri, ready: F) -> Connecting
    where
        F: Future<Output = Option<UpstreamConnection>> + Send + 'static,
    {
        let (last_good_address, connect_timeout) =
            (Arc::clone(&self.last_good_address), self.connect_timeout);
        let connecting: Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>> = match &mut self.route
        {
            Route::Direct(route) => Box::pin(route.call(uri)),
            Route::Proxied(route) => Box::pin(route.call(uri)),
        };
        Box::pin(async move {
            let connected = timeout(connect_timeout, async {
                if let Some(connection) = ready.await {
                    return Ok::<_, BoxError>(connection);
                }
                Ok(UpstreamConnection::new(connecting.await?, Arc::clone(&last_good_address)))
            });
            let connected = connected.await.map_err(|_| ConnectTimeout.into());
            Ok(TokioIo::new(connected.flatten().inspect_err(|_| last_good_address.record_failure())?))
        })
    }
}

impl<R> Service<Uri> for Connector<R>
where
    R: SystemResolver<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
    type Response = TokioIo<UpstreamConnection>;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.route {
            Route::Direct(route) => route.poll_ready(cx),
            Route::Proxied(route) => route.poll_ready(cx),
        }
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        self.connect_unless(uri, ready(None))
    }
}

/// Idle time after which TCP probes a peer, so that a peer that vanished silently is detected.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
