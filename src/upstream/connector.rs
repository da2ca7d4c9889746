//! Connector: makes connections to Graph by name resolution, TCP, the forward proxy if there is one, and TLS.
//!
//! One timeout (`graph.connect_timeout`) covers all steps. A pool may pass in a connection that exists already; where it
//! comes from is not known here.

use std::future::{Future, Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;
use url::Host;

use super::config::Config;
use super::connection::{Stream, UpstreamConnection};
use super::connection_fault::ConnectionFaults;
use super::dns::{ResolveError, Resolver, SystemResolver};
use super::error::classify_connect_error;
use super::forward_proxy::{ForwardProxy, tunnel};
pub(super) use super::happy_eyeballs::BoxError;
use super::happy_eyeballs::{ConnectTimeout, race};
use super::request::default_port;
use crate::support::client_tls::{self, RootsError};

/// Future of a connection.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<UpstreamConnection, BoxError>> + Send>>;

/// Connector to Graph. Clones share the history of the addresses.
#[derive(Clone, Debug)]
pub(super) struct Connector<R = GaiResolver> {
    resolver: Resolver<R>,
    tls: Arc<ClientConfig>,
    proxy: Option<Arc<ForwardProxy>>,
    connect_timeout: Duration,
    faults: Arc<ConnectionFaults>,
}

/// Error of the Graph client at startup.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The root certificates.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

impl Connector {
    /// Creates a connector that resolves names by the platform's resolver.
    pub(super) fn new(config: &Config) -> Result<Self, SetupError> {
        Self::with_resolver(config, GaiResolver::new())
    }
}

impl<R: SystemResolver> Connector<R> {
    /// Creates a connector that resolves names by `system`.
    fn with_resolver(config: &Config, system: R) -> Result<Self, SetupError> {
        let mut tls = if config.base_url.scheme() == "https" {
            client_tls::client_config(config.ca_file.as_deref())?
        } else {
            client_tls::config_without_roots()?
        };
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            resolver: Resolver::new(system, config.connect_timeout),
            tls: Arc::new(tls),
            proxy: config.proxy.clone().map(Arc::new),
            connect_timeout: config.connect_timeout,
            faults: Arc::default(),
        })
    }
}

impl<R> Connector<R>
where
    R: SystemResolver<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
    /// Makes a new connection.
    pub(super) async fn connect(&self, uri: Uri) -> Result<UpstreamConnection, BoxError> {
        self.connect_unless(uri, ready(None)).await
    }

    /// Returns the connection of `ready`, or a new one if `ready` has none. One timeout covers both.
    pub(super) fn connect_unless<F>(&self, uri: Uri, ready: F) -> Connecting
    where
        F: Future<Output = Option<UpstreamConnection>> + Send + 'static,
    {
        let connector = self.clone();
        Box::pin(async move {
            let deadline = Instant::now() + connector.connect_timeout;
            if let Some(connection) = timeout_at(deadline, ready).await.map_err(|_| ConnectTimeout)? {
                return Ok(connection);
            }
            let history = Arc::clone(connector.resolver.address_history());
            let faults = Arc::clone(&connector.faults);
            let stream = timeout_at(deadline, connector.establish(uri, deadline)).await;
            match stream.unwrap_or_else(|_| Err(ConnectTimeout.into())) {
                Ok(stream) => {
                    faults.record_success(Instant::now());
                    Ok(UpstreamConnection::new(stream, history))
                }
                Err(error) => {
                    faults.record_failure(classify_connect_error(&*error), &*error, Instant::now());
                    Err(error)
                }
            }
        })
    }

    /// Resolves the name of Graph or of the proxy, and connects to the first address that responds.
    async fn establish(mut self, uri: Uri, deadline: Instant) -> Result<Stream, BoxError> {
        let history = Arc::clone(self.resolver.address_history());
        let times = (self.connect_timeout, deadline);
        let Some(proxy) = self.proxy.clone() else {
            let (host, port) = destination(&uri)?;
            let addresses = self.resolve(host).await?;
            let attempt = |address, connected: Arc<tokio::sync::Notify>| {
                let (tls, uri) = (Arc::clone(&self.tls), uri.clone());
                async move {
                    let stream = connect_tcp((address, port).into()).await?;
                    connected.notify_one();
                    secure(stream, tls, uri).await
                }
            };
            return race(addresses, times, &history, attempt).await;
        };
        let addresses = self.resolve(proxy.host.clone()).await?;
        // The tunnel and TLS are not part of the race: their time depends on Graph, not on the address of the proxy.
        let stream = race(addresses, times, &history, async |address, _| {
            Ok(connect_tcp((address, proxy.port).into()).await?)
        });
        let (host, port) = destination(&uri)?;
        let mut stream = stream.await?;
        tunnel::open(&mut stream, &format!("{host}:{port}"), &proxy).await?;
        secure(stream, self.tls, uri).await
    }

    async fn resolve(&mut self, host: Host<String>) -> Result<Vec<IpAddr>, ResolveError> {
        match host {
            Host::Ipv4(address) => Ok(vec![address.into()]),
            Host::Ipv6(address) => Ok(vec![address.into()]),
            Host::Domain(name) => {
                let name = name.parse::<Name>().map_err(io::Error::other)?;
                self.resolver.resolve(name).await
            }
        }
    }
}

/// Returns host and port of a URI.
fn destination(uri: &Uri) -> io::Result<(Host<String>, u16)> {
    let host = uri.host().and_then(|host| Host::parse(host).ok());
    let host = host.ok_or_else(|| io::Error::other("the URI has no valid host"))?;
    Ok((host, uri.port_u16().unwrap_or_else(|| default_port(uri))))
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEP_ALIVE))?;
    Ok(stream)
}

/// Performs the TLS handshake if the scheme of `uri` is `https`.
async fn secure(stream: TcpStream, tls: Arc<ClientConfig>, uri: Uri) -> Result<Stream, BoxError> {
    HttpsConnector::from((Established(Some(stream)), tls)).call(uri).await
}

/// Connector with one connection, for the TLS connector above.
struct Established(Option<TcpStream>);

impl Service<Uri> for Established {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// Idle time after which TCP probes a peer, so that a peer that vanished silently is detected.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
