//! Connections to Graph: resolve, connect, through a proxy if the environment has one, TLS.
//!
//! One deadline covers all of it. A connection remembers how many requests it was given, because only one
//! that came from the pool may have gone stale there.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Request, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection, HttpConnector, capture_connection,
};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::{Config, SetupError, tls};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

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
    type Response = Conn;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Conn, BoxError>> + Send>>;

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
            Ok(Conn { stream, uses: Uses::default() })
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

/// How many requests a connection was given.
#[derive(Clone, Debug, Default)]
struct Uses(Arc<AtomicU64>);

/// Tells whether a request went out on a connection from the pool.
pub(super) struct Reuse(CaptureConnection);

impl Reuse {
    /// To be called before the request is sent.
    pub(super) fn watch<B>(request: &mut Request<B>) -> Self {
        Self(capture_connection(request))
    }

    /// To be called once, after the request failed: it also counts the use.
    pub(super) fn was_pooled(&self) -> bool {
        let metadata = self.0.connection_metadata();
        let Some(connected) = metadata.as_ref() else { return false };
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        extensions.get::<Uses>().is_some_and(|uses| uses.0.load(Relaxed) > 0)
    }

    /// Takes the connection out of the pool once it is idle: Graph asks that whoever comes back after a 503
    /// comes on a new one.
    pub(super) fn discard(&self) {
        if let Some(connected) = self.0.connection_metadata().as_ref() {
            connected.poison();
        }
    }

    /// To be called when the request was answered: the next on this connection finds it used.
    pub(super) fn answered(&self) {
        let metadata = self.0.connection_metadata();
        let Some(connected) = metadata.as_ref() else { return };
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        if let Some(uses) = extensions.get::<Uses>() {
            uses.0.fetch_add(1, Relaxed);
        }
    }
}

/// A connection to Graph.
pub(super) struct Conn {
    stream: Stream,
    uses: Uses,
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.uses.clone())
    }
}

impl Read for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// Notices a peer that is gone without a word.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);
