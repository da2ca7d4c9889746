//! One connection, from its first byte to its end.
//!
//! HTTP is there while there is something to do. A connection at rest has given up HTTP's buffers: it is a socket
//! that waits for bytes.

mod body;
mod drain;
pub(in crate::server) mod h2_send_stall;
mod monitored_io;
pub(in crate::server) mod preflight;
pub(in crate::server) mod state;
mod timeouts;
mod unsent;

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::Either;
use http::{HeaderValue, Request, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::body::TrackedBody;
use self::drain::DrainTimer;
use self::h2_send_stall::{BodyProgress, StreamExecutor};
use self::monitored_io::MonitoredIo;
use self::preflight::{Preflight, PreflightError, Protocol};
use self::state::{ConnState, ResponseGuard, WaitingFor};
use self::timeouts::{ConnTimeouts, TimeoutAction};
use self::unsent::UnsentCharge;
use super::Service;
use super::protocols::{head_max, http2};
use super::settings::{Present, ServerSettings};
use crate::http::error::Response;
use crate::server::metrics::ServerMetrics;
use crate::server::rejection::ConnRejection;
use crate::support::byte_budget::ByteBudget;

/// What all connections of one listener share.
pub(super) struct Shared<S> {
    service: Arc<S>,
    pub(super) settings: ServerSettings,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) leaving: Arc<AtomicBool>,
    budget: ByteBudget,
}

impl<S: Service> Shared<S> {
    pub(super) fn new(
        service: Arc<S>,
        settings: ServerSettings,
        metrics: Arc<ServerMetrics>,
        budget: ByteBudget,
    ) -> Self {
        Self { service, settings, metrics, leaving: Arc::default(), budget }
    }

    /// The state of a connection that has just been accepted.
    pub(super) fn pulse(&self) -> Arc<ConnState> {
        Arc::new(ConnState::new(Arc::clone(&self.leaving)))
    }

    /// Serves one connection until it ends. Once `drain` is cancelled, which happens only after `leaving` was set, it
    /// takes no request after the current.
    pub(super) async fn drive<IO>(
        &self,
        io: IO,
        peer: SocketAddr,
        drain: CancellationToken,
        pulse: Arc<ConnState>,
    ) where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let settings = self.settings.present();
        let (back, mut returned) = oneshot::channel();
        let io = MonitoredIo::new(io, back, Arc::clone(&pulse), Preflight::new(head_max(&settings.limits)));
        let unsent = UnsentCharge::new(self.budget.clone(), peer.ip());
        let mut visit = ConnContext {
            peer,
            watch: ConnTimeouts::new(Arc::clone(&pulse), settings.limits.clone(), unsent),
            parting: DrainTimer::new(drain, Arc::clone(&pulse), FAREWELL.min(settings.drain.timeout / 2)),
            pulse,
            settings,
        };
        let end = self.host(io, &mut visit).await;
        if let Some(reason) = end.rejection(visit.pulse.fault()) {
            self.metrics.rejected.inc(reason);
        }
        if let Ok(io) = returned.try_recv()
            && visit.pulse.may_have_unread()
        {
            // Whether the peer was still there to be told is of no consequence.
            let _ = timeout(LINGER, lingering_close(io)).await;
        }
    }

    /// Rests and speaks by turns.
    async fn host<IO>(&self, mut io: MonitoredIo<IO>, visit: &mut ConnContext) -> End
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        loop {
            match rest(&mut io, visit).await {
                Ok(Protocol::Http2) => return self.speak_http2(io, visit).await,
                Ok(_) => match self.speak_http1(io, visit).await {
                    Left::Resting(socket) => io = socket,
                    Left::Ended(end) => return end,
                },
                Err(end) => {
                    // TLS has a last word, too. Whether it is heard is of no consequence.
                    let _ = timeout(visit.settings.limits.write_timeout, io.shutdown()).await;
                    return end;
                }
            }
        }
    }

    /// Speaks HTTP/1 for as long as there is something to say.
    async fn speak_http1<IO>(&self, io: MonitoredIo<IO>, visit: &mut ConnContext) -> Left<MonitoredIo<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ConnContext { peer, pulse, .. } = &*visit;
        let (peer, pulse) = (*peer, Arc::clone(pulse));
        let service = service_fn(move |request| answer(&self.service, request, peer, pulse.begin(), None));
        // On the heap, to be given back when the connection rests.
        let mut connection = Box::new(visit.settings.http1.serve_connection(TokioIo::new(io), service));
        if let Some(end) = run(Pin::new(&mut *connection), visit).await {
            return Left::Ended(end);
        }
        let parts = connection.into_parts();
        let mut io = parts.io.into_inner();
        io.put_back(&parts.read_buf);
        Left::Resting(io)
    }

    /// Speaks HTTP/2 until the end: what both sides remember of each other's fields must not be lost.
    async fn speak_http2<IO>(&self, io: MonitoredIo<IO>, visit: &mut ConnContext) -> End
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ConnContext { peer, pulse, settings, .. } = &*visit;
        let (peer, pulse) = (*peer, Arc::clone(pulse));
        let limit = settings.limits.write_timeout;
        let streams = StreamExecutor::new(Arc::clone(&pulse), Arc::clone(&self.metrics), limit);
        let http = http2(&settings.limits, streams.clone());
        let service =
            service_fn(move |request| answer(&self.service, request, peer, pulse.begin(), Some(&streams)));
        let mut connection = Box::pin(http.serve_connection(TokioIo::new(io), service));
        run(connection.as_mut(), visit).await.unwrap_or(End::Closed)
    }
}

/// What there is of a connection beside its socket.
struct ConnContext {
    peer: SocketAddr,
    settings: Arc<Present>,
    pulse: Arc<ConnState>,
    watch: ConnTimeouts,
    parting: DrainTimer,
}

/// How HTTP/1 left a connection.
enum Left<IO> {
    /// There may be more to say.
    Resting(IO),
    /// There is nothing more to say.
    Ended(End),
}

/// Waits until the peer has said enough to know what it speaks. What it says waits in `io`.
async fn rest<IO>(io: &mut MonitoredIo<IO>, visit: &mut ConnContext) -> Result<Protocol, End>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if io.holds_bytes() && io.protocol() != Protocol::Unknown {
            return Ok(io.protocol());
        }
        tokio::select! {
            biased;
            // What has come is answered, also where the connection has to go.
            came = poll_fn(|cx| io.poll_wake(cx)) => match came {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(End::Closed),
            },
            () = visit.parting.due() => return Err(End::Closed),
            verdict = poll_fn(|cx| visit.watch.poll(cx)) => match verdict {
                TimeoutAction::Rest => {}
                TimeoutAction::Late(WaitingFor::Idle(_)) => return Err(End::Closed),
                TimeoutAction::Late(_) | TimeoutAction::Stalled => return Err(End::Slow),
                TimeoutAction::Exhausted => return Err(End::Exhausted),
            },
        }
    }
}

/// Closes the sending side and reads until the peer hangs up. To close at once, with bytes unread, is to reset
/// the connection, and a reset can overtake the answer that says why.
async fn lingering_close<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) -> io::Result<()> {
    io.shutdown().await?;
    // On the heap: as a part of this future it would take up room in every connection's task.
    let mut space = vec![0; 4096];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match io.read(&mut space).await? {
            0 => break,
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}

/// How a connection ended.
enum End {
    /// As HTTP has it, or by the peer's hanging up.
    Closed,
    /// The parser gave up.
    Failed(hyper::Error),
    /// The watch closed it, and not for being idle.
    Slow,
    /// Its responses are not taken, and the address has no bytes left for them.
    Exhausted,
}

impl End {
    fn rejection(&self, fault: Option<PreflightError>) -> Option<ConnRejection> {
        match (self, fault) {
            (_, Some(PreflightError::TargetTooLong)) => Some(ConnRejection::TargetTooLong),
            (_, Some(PreflightError::BareLineFeed)) => Some(ConnRejection::Malformed),
            (_, Some(PreflightError::Flood)) => Some(ConnRejection::Flood),
            (Self::Failed(error), None) if error.is_parse_too_large() => Some(ConnRejection::HeadersTooLarge),
            (Self::Failed(error), None) if error.is_parse() => Some(ConnRejection::Malformed),
            (Self::Failed(error), None) => of_http2(error),
            (Self::Slow, None) => Some(ConnRejection::Slow),
            (Self::Exhausted, None) => Some(ConnRejection::BytesInFlight),
            (Self::Closed, None) => None,
        }
    }
}

/// Why we ended an HTTP/2 connection, if it was us and for a reason.
fn of_http2(error: &hyper::Error) -> Option<ConnRejection> {
    let error = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match error.reason()? {
        _ if error.is_remote() => None,
        h2::Reason::ENHANCE_YOUR_CALM => Some(ConnRejection::Flood),
        _ => Some(ConnRejection::Malformed),
    }
}

/// Runs `connection` until it ends, by itself or because it takes too long. `None`: it rests.
async fn run<C>(mut connection: Pin<&mut C>, visit: &mut ConnContext) -> Option<End>
where
    C: GracefulConnection<Error = hyper::Error>,
{
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => return Some(result.map_or_else(End::Failed, |()| End::Closed)),
            () = visit.parting.due(), if !visit.watch.is_closing() => {}
            verdict = poll_fn(|cx| visit.watch.poll(cx)) => match verdict {
                TimeoutAction::Rest => return None,
                // The orderly end: GOAWAY, or TLS's closure alert. Streams that are not stalled go on.
                TimeoutAction::Late(WaitingFor::Idle(_)) | TimeoutAction::Stalled if !visit.watch.is_closing() => {}
                TimeoutAction::Late(WaitingFor::Idle(_)) => return Some(End::Closed),
                TimeoutAction::Late(_) | TimeoutAction::Stalled => return Some(End::Slow),
                TimeoutAction::Exhausted => return Some(End::Exhausted),
            }
        }
        visit.watch.close();
        connection.as_mut().graceful_shutdown();
    }
}

/// Answers one request, and says so to the watch. What can be answered at once is not even a task's state: to move
/// the room that a question to Graph needs from place to place would cost a hit more than its look-up.
fn answer<S: Service>(
    service: &Arc<S>,
    request: Request<Incoming>,
    peer: SocketAddr,
    ticket: ResponseGuard,
    streams: Option<&StreamExecutor>,
) -> impl Future<Output = Result<http::Response<TrackedBody>, Infallible>> + use<S> {
    let (head, body) = request.into_parts();
    let version = head.version;
    let has_body = !body.is_end_stream();
    let pending = match service.try_respond(&head, has_body, peer) {
        ControlFlow::Break(response) => {
            let hold = streams.filter(|_| is_large(&response)).map(StreamExecutor::hold);
            return Either::Left(ready(Ok(tracked(response, version, ticket, hold))));
        }
        ControlFlow::Continue(pending) => pending,
    };
    if has_body {
        ticket.pulse().set_body();
    }
    let (service, hold) = (Arc::clone(service), streams.map(StreamExecutor::hold));
    Either::Right(Box::pin(async move {
        // In an allocation of its own: a future that is moved into this one would take its room twice while it waits.
        let response = Box::pin(service.respond(pending, head, body, peer)).await;
        let hold = hold.filter(|_| is_large(&response));
        Ok(tracked(response, version, ticket, hold))
    }))
}

/// Whether an answer is too large to be left to HTTP.
fn is_large(response: &Response) -> bool {
    response.body().size_hint().lower() > SMALL
}

/// The response as HTTP takes it, with what ends the connection.
fn tracked(
    response: Response,
    version: Version,
    mut ticket: ResponseGuard,
    hold: Option<Arc<BodyProgress>>,
) -> http::Response<TrackedBody> {
    let (mut head, body) = response.into_parts();
    if head.headers.contains_key(header::CONNECTION) {
        ticket.pulse().refuse();
    } else if ticket.pulse().closes() {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if version == Version::HTTP_10 && head.headers.contains_key(header::CONNECTION) {
        // To an answer of version 1.1 HTTP would add the `keep-alive` that the peer asked for, next to `close`.
        head.version = version;
    }
    if hold.is_none() {
        ticket.answered();
    }
    http::Response::from_parts(head, TrackedBody::new(body.into_inner(), ticket, hold))
}

/// An answer of HTTP/2 that is no larger is HTTP's own to send.
const SMALL: u64 = 16 << 10;
/// How long a connection may still bring a request after the listener has closed.
const FAREWELL: Duration = Duration::from_millis(250);
/// For a refused peer to read why.
const LINGER: Duration = Duration::from_secs(1);
/// More than the longest head that is refused; a peer that sends on after that may as well be reset.
const LINGER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
