//! Connections to Graph: resolve, connect, through a proxy if the environment has one, TLS.
//!
//! One deadline covers all of it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tower_service::Service;

use super::conn::{Conn, Stream};
use super::{Config, SetupError, tls};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections to Graph.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    route: Route,
    deadline: Duration,
}

#[derive(Clone, Debug)]
enum Route {
    Direct(HttpsConnector<HttpConnector<Resolver>>),
    Proxied(HttpsConnector<Tunnel<HttpConnector<Resolver>>>),
}

/// `HTTPS_PROXY` holds something that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("HTTPS_PROXY: expected a proxy of the form http://host:port, found one with the scheme {scheme:?}")]
pub struct ProxyError {
    scheme: String,
}

/// No connection was made within `graph.connect_timeout`.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub(super) struct ConnectTimeout;

/// The name did not resolve.
#[derive(Debug, thiserror::Error)]
#[error("the name did not resolve")]
pub(super) struct Unresolved(#[source] io::Error);

impl Connector {
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        let uri = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let is_https = config.base_url.scheme() == "https";
        // A plain origin is on loopback: no proxy leads there.
        let proxy = Matcher::from_env().intercept(&uri).filter(|_| is_https);
        let tls = if is_https { tls::client_config(config.ca_file.as_deref())? } else { tls::no_roots()? };
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
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
        Ok(Self { route, deadline: config.connect_timeout })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Conn>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Conn>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.route {
            Route::Direct(route) => route.poll_ready(cx),
            Route::Proxied(route) => route.poll_ready(cx),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let deadline = self.deadline;
        let connecting: Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>> = match &mut self.route
        {
            Route::Direct(route) => Box::pin(route.call(uri)),
            Route::Proxied(route) => Box::pin(route.call(uri)),
        };
        Box::pin(async move {
            let stream = timeout(deadline, connecting).await.map_err(|_| ConnectTimeout)??;
            Ok(TokioIo::new(Conn::new(stream)))
        })
    }
}

/// Resolves names as the system does, and says so when it was the name.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, Unresolved>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(Unresolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(Unresolved) })
    }
}

/// Notices a peer that is gone without a word.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);
