//! One connection, from its first byte to its close.
//!
//! A hyper connection exists only while requests are open or likely. An idle HTTP/1 connection has released hyper's
//! buffers: it is a socket that waits for bytes.

mod body;
mod close;
mod drain;
pub(in crate::server) mod h2_send_stall;
mod monitored_io;
pub(in crate::server) mod preflight;
mod respond;
mod response_charge;
pub(in crate::server) mod state;
mod timeouts;
mod unfinished;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::close::{CloseReason, LINGERING_CLOSE_TIMEOUT, lingering_close};
use self::drain::DrainTimer;
use self::h2_send_stall::StreamExecutor;
use self::monitored_io::MonitoredIo;
use self::preflight::{Preflight, Protocol};
use self::respond::respond;
use self::response_charge::ResponseCharge;
use self::state::{ConnState, WaitingFor};
use self::timeouts::{ConnTimeouts, TimeoutAction};
use super::Service;
use super::peer::Peer;
use super::settings::{ServerSettings, SettingsSnapshot, http2_builder, max_head_bytes};
use crate::server::metrics::ServerMetrics;
use crate::support::byte_budget::ByteBudget;

/// State that all connections of one listener share.
pub(super) struct ListenerContext<S> {
    service: Arc<S>,
    pub(super) settings: ServerSettings,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) listener_closing: Arc<AtomicBool>,
    budget: ByteBudget,
}

impl<S: Service> ListenerContext<S> {
    pub(super) fn new(
        service: Arc<S>,
        settings: ServerSettings,
        metrics: Arc<ServerMetrics>,
        budget: ByteBudget,
    ) -> Self {
        Self { service, settings, metrics, listener_closing: Arc::default(), budget }
    }

    /// Creates the state of an accepted connection.
    pub(super) fn new_conn_state(&self) -> Arc<ConnState> {
        Arc::new(ConnState::new(Arc::clone(&self.listener_closing)))
    }

    /// Serves one connection until it ends. After the cancellation of `drain`, which follows `listener_closing`, the
    /// connection accepts no request after the current one.
    pub(super) async fn serve_connection<IO>(
        &self,
        io: IO,
        peer: Peer,
        drain: CancellationToken,
        conn_state: Arc<ConnState>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let settings = self.settings.current();
        let (io_sender, mut io_receiver) = oneshot::channel();
        let preflight = Preflight::new(max_head_bytes(&settings.limits));
        let io = MonitoredIo::new(io, io_sender, Arc::clone(&conn_state), preflight);
        let charge = ResponseCharge::new(self.budget.clone(), peer.ip());
        let grace = DRAIN_GRACE.min(settings.drain.timeout / 2);
        let mut context = ConnContext {
            peer,
            timeouts: ConnTimeouts::new(Arc::clone(&conn_state), settings.limits.clone(), charge),
            drain_timer: DrainTimer::new(drain, Arc::clone(&conn_state), grace),
            conn_state,
            settings,
        };
        let reason = self.serve_requests(io, &mut context).await;
        if let Some(rejection) = reason.rejection(context.conn_state.preflight_error()) {
            self.metrics.rejected.inc(rejection);
        }
        if let Ok(io) = io_receiver.try_recv()
            && context.conn_state.may_have_unread_bytes()
        {
            // The result does not matter: the peer may have closed the connection already.
            let _ = timeout(LINGERING_CLOSE_TIMEOUT, lingering_close(io)).await;
        }
    }

    /// Waits for bytes and serves HTTP, in turn, until the connection ends.
    async fn serve_requests<IO>(&self, mut io: MonitoredIo<IO>, context: &mut ConnContext) -> CloseReason
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        loop {
            match wait_for_request(&mut io, context).await {
                Ok(Protocol::Http2) => return self.serve_http2(io, context).await,
                Ok(_) => match self.serve_http1(io, context).await {
                    Http1Exit::Idle(idle_io) => io = idle_io,
                    Http1Exit::Closed(reason) => return reason,
                },
                Err(reason) => {
                    // Sends the closure alert of TLS. The result does not matter.
                    let _ = timeout(context.settings.limits.write_timeout, io.shutdown()).await;
                    return reason;
                }
            }
        }
    }

    /// Serves HTTP/1 until the connection is idle or ends.
    async fn serve_http1<IO>(
        &self,
        io: MonitoredIo<IO>,
        context: &mut ConnContext,
    ) -> Http1Exit<MonitoredIo<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ConnContext { peer, conn_state, settings, .. } = &*context;
        let (peer, conn_state) = (peer.clone(), Arc::clone(conn_state));
        let body_timeout = settings.limits.header_timeout;
        let service = service_fn(move |request| {
            respond(&self.service, request, &peer, conn_state.begin_request(), None, body_timeout)
        });
        // On the heap, so that its memory can be released when the connection is idle.
        let mut connection = Box::new(context.settings.http1.serve_connection(TokioIo::new(io), service));
        if let Some(reason) = drive_http(Pin::new(&mut *connection), context).await {
            return Http1Exit::Closed(reason);
        }
        let parts = connection.into_parts();
        let mut io = parts.io.into_inner();
        io.unread(&parts.read_buf);
        Http1Exit::Idle(io)
    }

    /// Serves HTTP/2 until the connection ends. An idle connection keeps hyper's state, since the HPACK tables of both
    /// sides must not be lost.
    async fn serve_http2<IO>(&self, io: MonitoredIo<IO>, context: &mut ConnContext) -> CloseReason
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ConnContext { peer, conn_state, settings, .. } = &*context;
        let (peer, conn_state) = (peer.clone(), Arc::clone(conn_state));
        let (write_timeout, body_timeout) = (settings.limits.write_timeout, settings.limits.header_timeout);
        let streams = StreamExecutor::new(Arc::clone(&conn_state), Arc::clone(&self.metrics), write_timeout);
        let http = http2_builder(&settings.limits, streams.clone());
        let service = service_fn(move |request| {
            respond(&self.service, request, &peer, conn_state.begin_request(), Some(&streams), body_timeout)
        });
        let mut connection = Box::pin(http.serve_connection(TokioIo::new(io), service));
        drive_http(connection.as_mut(), context).await.unwrap_or(CloseReason::Normal)
    }
}

/// State of one connection beside its socket.
struct ConnContext {
    peer: Peer,
    settings: Arc<SettingsSnapshot>,
    conn_state: Arc<ConnState>,
    timeouts: ConnTimeouts,
    drain_timer: DrainTimer,
}

/// State of a connection when HTTP/1 stops.
enum Http1Exit<IO> {
    /// The connection is idle, and its socket remains.
    Idle(IO),
    Closed(CloseReason),
}

/// Waits until the peer has sent enough bytes to detect the protocol. The bytes stay in `io`.
async fn wait_for_request<IO>(
    io: &mut MonitoredIo<IO>,
    context: &mut ConnContext,
) -> Result<Protocol, CloseReason>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if io.has_read_ahead() && io.protocol() != Protocol::Unknown {
            return Ok(io.protocol());
        }
        tokio::select! {
            biased;
            // First, so that received bytes are served even if the connection has to close.
            received = poll_fn(|cx| io.poll_read_ahead(cx)) => match received {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(CloseReason::Normal),
            },
            () = context.drain_timer.wait_until_due() => return Err(CloseReason::Normal),
            action = poll_fn(|cx| context.timeouts.poll(cx)) => match action {
                TimeoutAction::ReleaseBuffers => {}
                TimeoutAction::TimedOut(WaitingFor::NextRequest(_)) => return Err(CloseReason::Normal),
                TimeoutAction::TimedOut(_) | TimeoutAction::SendStalled => return Err(CloseReason::Timeout),
                TimeoutAction::BudgetExhausted => return Err(CloseReason::BudgetExhausted),
            },
        }
    }
}

/// Drives a hyper connection until it ends by itself or by a timeout. Returns `None` if the connection is idle and its
/// buffers have to be released.
async fn drive_http<C>(mut connection: Pin<&mut C>, context: &mut ConnContext) -> Option<CloseReason>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    loop {
        let is_closing = context.timeouts.is_closing();
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                return Some(result.map_or_else(CloseReason::Http, |()| CloseReason::Normal));
            }
            () = context.drain_timer.wait_until_due(), if !is_closing => {}
            action = poll_fn(|cx| context.timeouts.poll(cx)) => match action {
                TimeoutAction::ReleaseBuffers => return None,
                // A graceful end: GOAWAY, or the closure alert of TLS. Streams that are not stalled continue.
                TimeoutAction::TimedOut(WaitingFor::NextRequest(_)) | TimeoutAction::SendStalled
                    if !is_closing => {}
                TimeoutAction::TimedOut(WaitingFor::NextRequest(_)) => return Some(CloseReason::Normal),
                TimeoutAction::TimedOut(_) | TimeoutAction::SendStalled => return Some(CloseReason::Timeout),
                TimeoutAction::BudgetExhausted => return Some(CloseReason::BudgetExhausted),
            }
        }
        context.timeouts.start_close();
        connection.as_mut().graceful_shutdown();
    }
}

/// Time in which an open connection may still send a request after the listener has closed.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
