//! Accepts connections, counts them, and sees them off.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Shared;
use super::per_address::{AddressSlot, PerAddressLimit};
use super::replaced::ReplacedConnections;
use super::settings::ServerSettings;
use super::tls::{self, Tls};
use super::workers::Workers;
use super::{Config, ServerLimits, Service};
use crate::observability::metrics::Metrics;
use crate::server::metrics::ServerMetrics;
use crate::server::rejection::ConnRejection;
use crate::support::byte_budget::ByteBudget;

/// A server that is ready to listen.
pub struct Server {
    settings: ServerSettings,
    tls: Option<Arc<Tls>>,
    metrics: ServerMetrics,
    workers: Workers,
    budget: ByteBudget,
    replaces: bool,
}

impl Server {
    /// Prepares a server. Fails when the files of `listen.tls` cannot be used.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, tls::Error> {
        let tls = config.tls.clone().map(|files| Tls::load(files, Arc::clone(&metrics)));
        let (settings, tls) = (ServerSettings::new(config), tls.transpose()?.map(Arc::new));
        Ok(Self {
            settings,
            tls,
            metrics: ServerMetrics::new(&metrics),
            workers: Workers::default(),
            budget: ByteBudget::new(usize::MAX),
            replaces: config.replaces,
        })
    }

    /// Serves connections on these threads.
    #[must_use]
    pub fn on(self, workers: Workers) -> Self {
        Self { workers, ..self }
    }

    /// Serves no more than `connections`, whatever is configured.
    #[must_use]
    pub fn at_most(self, config: &Config, connections: usize) -> Self {
        Self { settings: ServerSettings::at_most(config, connections), ..self }
    }

    /// Charges unsent responses to `budget`.
    #[must_use]
    pub fn charging(self, budget: ByteBudget) -> Self {
        Self { budget, ..self }
    }

    /// The certificates, if the server has any.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// What may be changed while it serves.
    pub fn settings(&self) -> &ServerSettings {
        &self.settings
    }

    /// Serves what connects to `listener` until `drain` is cancelled, and from then on as `drain.delay` and
    /// `drain.timeout` have it. Answers how many connections had to be cut.
    pub async fn serve<S: Service>(
        self,
        listener: TcpListener,
        service: Arc<S>,
        drain: CancellationToken,
    ) -> usize {
        let shared =
            Arc::new(Shared::new(service, self.settings.clone(), Arc::new(self.metrics), self.budget));
        let leaving = Arc::clone(&shared.leaving);
        let mut open = Connections {
            shared,
            tls: self.tls,
            workers: self.workers,
            addresses: Arc::default(),
            replaced: self.replaces.then(ReplacedConnections::default),
            tasks: JoinSet::new(),
            closing: CancellationToken::new(),
        };
        let settings = self.settings.clone();
        let mut stop = pin!(async move {
            drain.cancelled().await;
            // Load balancers have half of the delay to notice. In the other half whoever asks is told to connect
            // anew, so that no request meets a connection that is just being closed.
            let half = settings.present().drain.delay / 2;
            sleep(half).await;
            leaving.store(true, Relaxed);
            sleep(half).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = open.tasks.join_next_with_id() => open.remove(&ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => open.admit(stream, peer),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Whoever the kernel has already accepted for us would be reset with the listener.
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            open.admit(stream, peer);
        }
        drop(listener);
        open.finish(self.settings.present().drain.timeout).await
    }
}

/// Binds a port, with room for a crowd that comes at once.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port of a process that has just ended may be bound again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// The connections of one listener.
struct Connections<S> {
    shared: Arc<Shared<S>>,
    tls: Option<Arc<Tls>>,
    workers: Workers,
    addresses: Arc<PerAddressLimit>,
    /// Where a new connection replaces an old one.
    replaced: Option<ReplacedConnections>,
    tasks: JoinSet<()>,
    closing: CancellationToken,
}

impl<S: Service> Connections<S> {
    /// Takes a connection, or closes it at once where there are too many. Left in the kernel's queue it would
    /// hold its caller until the caller's own deadline; closed, it can be retried elsewhere.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let settings = self.shared.settings.present();
        let place = match self.enter(peer.ip(), &settings.limits) {
            Ok(place) => place,
            Err(reason) => {
                self.shared.metrics.rejected.inc(reason);
                return;
            }
        };
        // Answers are written whole; waiting for more to send would only delay them.
        if stream.set_nodelay(true).is_err() {
            return; // the peer is gone
        }
        let (shared, closing) = (Arc::clone(&self.shared), self.closing.child_token());
        let pulse = shared.pulse();
        let state = Arc::clone(&pulse);
        // Two kinds of task: in one, a connection without TLS would take the room of one with it.
        let task = match self.tls.clone() {
            None => self.spawn(stream, place, async move |stream| {
                shared.drive(stream, peer, closing, state).await;
            }),
            Some(tls) => self.spawn(stream, place, async move |stream| {
                match timeout(settings.limits.tls_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => shared.drive(stream, peer, closing, state).await,
                    Ok(Err(error)) => {
                        shared.metrics.rejected.inc(ConnRejection::Handshake);
                        tracing::debug!(%error, "a TLS handshake failed");
                    }
                    Err(_) => shared.metrics.rejected.inc(ConnRejection::Slow),
                }
            }),
        };
        if let (Some(replaced), Some(task)) = (&mut self.replaced, task) {
            replaced.add(peer.ip(), pulse, task);
        }
    }

    /// A place for `peer`, or why there is none. Where a new connection replaces an old one there always is: its
    /// count is in `replaced`, since the task of the old one ends a moment later.
    fn enter(&mut self, peer: IpAddr, limits: &ServerLimits) -> Result<Option<AddressSlot>, ConnRejection> {
        if let Some(replaced) = &mut self.replaced {
            replaced.make_room(peer, limits);
            return Ok(None);
        }
        if self.tasks.len() >= limits.connections {
            return Err(ConnRejection::Connections);
        }
        let place = self.addresses.enter(peer, limits.connections_per_address);
        place.map(Some).ok_or(ConnRejection::AddressConnections)
    }

    /// Forgets a connection whose task has ended.
    fn remove(&mut self, ended: &Result<(Id, ()), JoinError>) {
        if let Some(replaced) = &mut self.replaced {
            replaced.remove(ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id));
        }
    }

    /// Serves a connection in a task of its own, on the thread that it is to stay on.
    fn spawn<F>(
        &mut self,
        stream: TcpStream,
        place: Option<AddressSlot>,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> Option<AbortHandle>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(stay) = self.workers.enter() else {
            return Some(self.tasks.spawn(async move {
                let _place = place;
                serve(stream).await;
            }));
        };
        // The thread that serves it also waits for its bytes.
        let stream = stream.into_std().ok()?;
        let lane = stay.runtime().clone();
        let task = async move {
            let _held = (place, stay);
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection cannot be served"),
            }
        };
        Some(self.tasks.spawn_on(task, &lane))
    }

    /// Lets requests finish for `limit`, then cuts what is left.
    async fn finish(mut self, limit: Duration) -> usize {
        self.closing.cancel();
        let done = timeout(limit, async { while self.tasks.join_next().await.is_some() {} }).await;
        let cut = if done.is_ok() { 0 } else { self.tasks.len() };
        self.tasks.shutdown().await;
        cut
    }
}

/// Whether `accept` failed because of the connection it would have returned, and not for want of descriptors
/// or memory: accept(2) passes on errors that are already pending on the new socket.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}

/// Connections that wait in the kernel until they are accepted. Past it the kernel drops what comes, and its peer
/// tries again after a second. The system may allow fewer (`net.core.somaxconn`, which is as many by default).
const WAITING: u32 = 4096;
/// Long enough to be no busy loop, short enough to notice that descriptors are free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
