//! Connections to Graph: resolve, connect, through a proxy if the environment has one, TLS.
//!
//! One deadline covers all of it. Where a spare is kept, whoever wants a connection is given that.

use std::future::{Future, poll_fn};
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

use super::connection::{Conn, Stream};
use super::dns::{LastGoodAddress, Resolver, System};
use super::preconnect::Preconnect;
use super::{Config, SetupError};
use crate::support::client_tls;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections to Graph.
#[derive(Clone, Debug)]
pub(super) struct Connector<R = GaiResolver> {
    route: Route<R>,
    memory: Arc<LastGoodAddress>,
    deadline: Duration,
    spare: Option<Arc<Preconnect>>,
}

#[derive(Clone, Debug)]
enum Route<R> {
    Direct(HttpsConnector<HttpConnector<Resolver<R>>>),
    Proxied(HttpsConnector<Tunnel<HttpConnector<Resolver<R>>>>),
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

impl Connector {
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        Self::with(config, GaiResolver::new())
    }
}

impl<R: System> Connector<R> {
    /// With names resolved by `system`.
    fn with(config: &Config, system: R) -> Result<Self, SetupError> {
        let uri = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let is_https = config.base_url.scheme() == "https";
        // A plain origin is on loopback: no proxy leads there.
        let proxy = Matcher::from_env().intercept(&uri).filter(|_| is_https);
        let tls = if is_https {
            client_tls::client_config(config.ca_file.as_deref())?
        } else {
            client_tls::no_roots()?
        };
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        let resolver = Resolver::new(system, config.connect_timeout);
        let memory = Arc::clone(resolver.memory());
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
        Ok(Self { route, memory, deadline: config.connect_timeout, spare: None })
    }

    /// The same, for whoever may be given the spare.
    pub(super) fn with_spare(self, spare: Arc<Preconnect>) -> Self {
        Self { spare: Some(spare), ..self }
    }
}

impl Connector {
    /// A connection that was made for nobody yet.
    pub(super) async fn make(&mut self, uri: Uri) -> Result<Conn, BoxError> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        Ok(self.call(uri).await?.into_inner())
    }
}

impl<R> Service<Uri> for Connector<R>
where
    R: System<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
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
        let spare = self.spare.clone();
        let (memory, deadline) = (Arc::clone(&self.memory), self.deadline);
        let connecting: Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>> = match &mut self.route
        {
            Route::Direct(route) => Box::pin(route.call(uri)),
            Route::Proxied(route) => Box::pin(route.call(uri)),
        };
        Box::pin(async move {
            let connected = timeout(deadline, async {
                if let Some(spare) = spare
                    && let Some(mut spare) = spare.take().await
                    && spare.has_rested_well().await
                {
                    return Ok::<_, BoxError>(spare);
                }
                Ok(Conn::new(connecting.await?, Arc::clone(&memory)))
            });
            let connected = connected.await.map_err(|_| ConnectTimeout.into());
            Ok(TokioIo::new(connected.flatten().inspect_err(|_| memory.missed())?))
        })
    }
}

/// Notices a peer that is gone without a word.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
