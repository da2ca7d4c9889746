//! The listener: accepts connections, enforces the limits of their number, and drains them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::ListenerContext;
use super::evictor::ConnEvictor;
use super::peer::Peer;
use super::per_address::{AddressSlot, PerAddressLimit};
use super::settings::ServerSettings;
use super::tls::{self, Tls};
use super::workers::Workers;
use super::{Config, ServerLimits, Service};
use crate::observability::metrics::Metrics;
use crate::server::metrics::ServerMetrics;
use crate::server::rejection::ConnRejection;
use crate::support::byte_budget::ByteBudget;
use crate::support::clock::Clock;

/// A server that is prepared to serve a listener.
pub struct Server {
    settings: ServerSettings,
    tls: Option<Arc<Tls>>,
    metrics: ServerMetrics,
    workers: Workers,
    budget: ByteBudget,
    evicts_connections: bool,
    open_connections: Option<IntGauge>,
}

impl Server {
    /// Prepares a server. Fails when the files of `listen.tls` cannot be used.
    pub fn new(config: &Config, clock: &Clock, metrics: &Arc<Metrics>) -> Result<Self, tls::Error> {
        let tls = config.tls.clone().map(|files| Tls::load(files, clock.clone(), Arc::clone(metrics)));
        let (settings, tls) = (ServerSettings::new(config), tls.transpose()?.map(Arc::new));
        Ok(Self {
            settings,
            tls,
            metrics: ServerMetrics::new(metrics),
            workers: Workers::default(),
            budget: ByteBudget::new(usize::MAX),
            evicts_connections: config.evicts_connections,
            open_connections: None,
        })
    }

    /// Sets the threads that serve the connections.
    #[must_use]
    pub fn with_workers(self, workers: Workers) -> Self {
        Self { workers, ..self }
    }

    /// Sets the source of the settings, which may change while the server runs.
    #[must_use]
    pub fn with_settings(self, settings: ServerSettings) -> Self {
        Self { settings, ..self }
    }

    /// Sets the budget that unfinished responses are charged to.
    #[must_use]
    pub fn with_byte_budget(self, budget: ByteBudget) -> Self {
        Self { budget, ..self }
    }

    /// Sets the gauge that follows the number of open connections.
    #[must_use]
    pub fn with_connection_gauge(self, gauge: IntGauge) -> Self {
        Self { open_connections: Some(gauge), ..self }
    }

    /// Returns the certificates, if the server has TLS.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Serves the connections of `listener` until `drain` is cancelled, then drains them within `drain.delay` and
    /// `drain.timeout`. Returns the number of connections that had to be cut.
    pub async fn serve<S: Service>(
        self,
        listener: TcpListener,
        service: Arc<S>,
        drain: CancellationToken,
    ) -> usize {
        let shared = Arc::new(ListenerContext::new(
            service,
            self.settings.clone(),
            Arc::new(self.metrics),
            self.budget,
        ));
        let listener_closing = Arc::clone(&shared.listener_closing);
        let mut connections = OpenConnections {
            shared,
            tls: self.tls,
            workers: self.workers,
            per_address: Arc::default(),
            evictor: self.evicts_connections.then(ConnEvictor::default),
            tasks: JoinSet::new(),
            gauge: self.open_connections,
            closing: CancellationToken::new(),
        };
        let settings = self.settings.clone();
        let mut stop = pin!(async move {
            drain.cancelled().await;
            // Load balancers have the first half of the delay to notice. In the second half responses carry
            // `Connection: close`, so that callers connect anew and no request meets a connection that is being closed.
            let half = settings.current().drain.delay / 2;
            sleep(half).await;
            listener_closing.store(true, Relaxed);
            sleep(half).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = connections.tasks.join_next_with_id() => connections.remove(&ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => connections.open(stream, peer),
                    Err(error) if is_per_connection_error(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections");
                        sleep(ACCEPT_RETRY_DELAY).await;
                    }
                },
            }
        }
        // Connections in the kernel's accept queue would be reset when the listener is closed.
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            connections.open(stream, peer);
        }
        drop(listener);
        connections.finish(self.settings.current().drain.timeout).await
    }
}

/// Binds a TCP port and listens on it, with an accept queue for bursts.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Allows a bind to the port of a process that has just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

/// The open connections of one listener.
struct OpenConnections<S> {
    shared: Arc<ListenerContext<S>>,
    tls: Option<Arc<Tls>>,
    workers: Workers,
    per_address: Arc<PerAddressLimit>,
    /// Set where a new connection replaces an open one at a limit.
    evictor: Option<ConnEvictor>,
    tasks: JoinSet<()>,
    /// Follows the number of `tasks`.
    gauge: Option<IntGauge>,
    closing: CancellationToken,
}

impl<S: Service> OpenConnections<S> {
    /// Serves an accepted connection, or closes it at once if a limit is reached. In the kernel's queue the connection
    /// would block its caller until the caller's own timeout; after a close the caller can retry elsewhere.
    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        let settings = self.shared.settings.current();
        let address_slot = match self.acquire_slot(peer.ip(), &settings.limits) {
            Ok(address_slot) => address_slot,
            Err(reason) => {
                self.shared.metrics.rejected.inc(reason);
                return;
            }
        };
        // Responses are written as a whole, so Nagle's algorithm would only delay them.
        if stream.set_nodelay(true).is_err() {
            return; // the peer has closed the connection
        }
        let (shared, closing) = (Arc::clone(&self.shared), self.closing.child_token());
        let conn_state = shared.new_conn_state();
        let task_state = Arc::clone(&conn_state);
        // Two types of task: in a common one a plain connection would take the memory of a TLS connection.
        let task = match self.tls.clone() {
            None => self.spawn(stream, address_slot, async move |stream| {
                shared.serve_connection(stream, peer.into(), closing, task_state).await;
            }),
            Some(tls) => self.spawn(stream, address_slot, async move |stream| {
                match timeout(settings.limits.tls_timeout, tls.accept(stream)).await {
                    Ok(Ok(Some(stream))) => {
                        // The connection accepts no request after the end of the certificate that allowed it.
                        let time_left = tls::client_certificate_time_left(&stream);
                        let (certificate_end, ending_state) = (closing.clone(), Arc::clone(&task_state));
                        let peer = Peer::new(peer, tls::client_certificate(&stream));
                        let serve = pin!(shared.serve_connection(stream, peer, closing, task_state));
                        serve_for(time_left, serve, || {
                            ending_state.start_drain();
                            certificate_end.cancel();
                        })
                        .await;
                    }
                    // A probe of the port.
                    Ok(Ok(None)) => {}
                    Ok(Err(error)) => {
                        shared.metrics.rejected.inc(ConnRejection::Handshake);
                        tracing::debug!(%error, "a TLS handshake failed");
                    }
                    Err(_) => shared.metrics.rejected.inc(ConnRejection::Slow),
                }
            }),
        };
        self.update_gauge();
        if let (Some(evictor), Some(task)) = (&mut self.evictor, task) {
            evictor.add(peer.ip(), conn_state, task);
        }
    }

    /// Acquires a slot for a connection of `peer`, or returns the limit that is reached. With an evictor a connection
    /// always has room and needs no slot: the evictor counts the connections, since the task of an evicted connection
    /// ends a moment later.
    fn acquire_slot(
        &mut self,
        peer: IpAddr,
        limits: &ServerLimits,
    ) -> Result<Option<AddressSlot>, ConnRejection> {
        if let Some(evictor) = &mut self.evictor {
            evictor.make_room(peer, limits);
            return Ok(None);
        }
        if self.tasks.len() >= limits.connections {
            return Err(ConnRejection::Connections);
        }
        let address_slot = self.per_address.acquire(peer, limits.connections_per_address);
        address_slot.map(Some).ok_or(ConnRejection::AddressConnections)
    }

    /// Removes a connection whose task has ended.
    fn remove(&mut self, ended: &Result<(Id, ()), JoinError>) {
        if let Some(evictor) = &mut self.evictor {
            evictor.remove(ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id));
        }
        self.update_gauge();
    }

    fn update_gauge(&self) {
        if let Some(gauge) = &self.gauge {
            gauge.set(i64::try_from(self.tasks.len()).unwrap_or(i64::MAX));
        }
    }

    /// Spawns the task of a connection on the worker that serves it until its end.
    fn spawn<F>(
        &mut self,
        stream: TcpStream,
        address_slot: Option<AddressSlot>,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> Option<AbortHandle>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(worker_slot) = self.workers.acquire() else {
            return Some(self.tasks.spawn(async move {
                let _slot = address_slot;
                serve(stream).await;
            }));
        };
        // Registers the socket with the I/O driver of the worker's runtime.
        let stream = stream.into_std().ok()?;
        let runtime = worker_slot.runtime().clone();
        let task = async move {
            let _slots = (address_slot, worker_slot);
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection cannot be served"),
            }
        };
        Some(self.tasks.spawn_on(task, &runtime))
    }

    /// Waits up to `limit` for open requests to end, then cuts the remaining connections. Returns their number.
    async fn finish(mut self, limit: Duration) -> usize {
        self.closing.cancel();
        let done = timeout(limit, async {
            while self.tasks.join_next().await.is_some() {
                self.update_gauge();
            }
        });
        let done = done.await;
        let cut = if done.is_ok() { 0 } else { self.tasks.len() };
        self.tasks.shutdown().await;
        cut
    }
}

/// Runs `serve`, and calls `end` after `time`, if there is one.
async fn serve_for(
    time: Option<Duration>,
    mut serve: Pin<&mut impl Future<Output = ()>>,
    end: impl FnOnce(),
) {
    if let Some(time) = time {
        tokio::select! {
            () = &mut serve => return,
            () = sleep(time) => end(),
        }
    }
    serve.await;
}

/// Returns whether `accept` failed because of the connection that it would have returned, and not for lack of file
/// descriptors or memory: accept(2) also returns errors that are already pending on the new socket.
fn is_per_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}

/// Length of the kernel's accept queue. Above it the kernel drops a connection request, and the peer repeats the request
/// after a second. The system may allow fewer (`net.core.somaxconn`, whose default is this number).
const ACCEPT_BACKLOG: u32 = 4096;
/// Pause after a failed `accept`: long enough to be no busy loop, short enough to use free descriptors soon.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
