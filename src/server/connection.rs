//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderValue, Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::paced::Paced;
use super::pulse::{Phase, Pulse, Ticket};
use super::terms::{Present, Terms};
use super::watch::Watch;
use super::wire::{Fault, Wire};
use super::{Limits, Service};
use crate::error::{Rejection, Response};
use crate::metrics::Metrics;

/// What all connections of one listener share.
pub(super) struct Shared<S> {
    service: Arc<S>,
    pub(super) terms: Terms,
    pub(super) metrics: Arc<Metrics>,
    pub(super) leaving: Arc<AtomicBool>,
}

impl<S: Service> Shared<S> {
    pub(super) fn new(service: Arc<S>, terms: Terms, metrics: Arc<Metrics>) -> Self {
        Self { service, terms, metrics, leaving: Arc::default() }
    }

    /// Serves one connection until it ends. Once `drain` is cancelled it takes no request after the current.
    pub(super) async fn drive<IO>(&self, io: IO, peer: SocketAddr, drain: CancellationToken)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let terms = self.terms.present();
        let pulse = Arc::new(Pulse::new(Arc::clone(&self.leaving)));
        let (back, mut returned) = oneshot::channel();
        let io = Paced::new(io, back, Arc::clone(&pulse), Wire::new(buffer(&terms.limits)));
        let end = self.speak(io, peer, &pulse, &terms, drain).await;
        if let Some(reason) = end.rejection(pulse.fault()) {
            self.metrics.rejected.inc(reason);
        }
        if let Ok(io) = returned.try_recv()
            && pulse.may_have_unread()
        {
            // Whether the peer was still there to be told is of no consequence.
            let _ = timeout(LINGER, linger(io)).await;
        }
    }

    /// Speaks HTTP for as long as both sides want.
    async fn speak<IO>(
        &self,
        io: Paced<IO>,
        peer: SocketAddr,
        pulse: &Arc<Pulse>,
        terms: &Present,
        drain: CancellationToken,
    ) -> End
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = terms.builder.serve_connection(
            TokioIo::new(io),
            service_fn(|request| answer(&self.service, request, peer, pulse.begin())),
        );
        let mut connection = pin!(connection);
        let mut watch = Watch::new(Arc::clone(pulse), terms.limits.clone());
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            end = run(connection.as_mut(), &mut watch) => return end,
        }
        pulse.drain();
        // A request may be on its way. Who asks now is answered, with `Connection: close`.
        let farewell = FAREWELL.min(terms.drain.timeout / 2);
        if let Ok(end) = timeout(farewell, run(connection.as_mut(), &mut watch)).await {
            return end;
        }
        watch.close();
        connection.as_mut().graceful_shutdown();
        run(connection, &mut watch).await
    }
}

/// Closes the sending side and reads until the peer hangs up. To close at once, with bytes unread, is to reset
/// the connection, and a reset can overtake the answer that says why.
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) -> io::Result<()> {
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
    Failed(Fatal),
    /// The watch closed it.
    Slow(Phase),
}

impl End {
    fn rejection(&self, fault: Option<Fault>) -> Option<Rejection> {
        match (self, fault) {
            (_, Some(Fault::TargetTooLong)) => Some(Rejection::TargetTooLong),
            (_, Some(Fault::BareLineFeed)) => Some(Rejection::Malformed),
            (_, Some(Fault::Flood)) => Some(Rejection::Flood),
            (Self::Failed(error), None) => match error.downcast_ref::<hyper::Error>() {
                Some(error) if error.is_parse_too_large() => Some(Rejection::HeadersTooLarge),
                Some(error) if error.is_parse() => Some(Rejection::Malformed),
                Some(error) => of_http2(error),
                None => None,
            },
            (Self::Slow(Phase::Idle(_)) | Self::Closed, None) => None,
            (Self::Slow(_), None) => Some(Rejection::Slow),
        }
    }
}

/// Why we ended an HTTP/2 connection, if it was us and for a reason.
fn of_http2(error: &hyper::Error) -> Option<Rejection> {
    let error = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match error.reason()? {
        _ if error.is_remote() => None,
        h2::Reason::ENHANCE_YOUR_CALM => Some(Rejection::Flood),
        _ => Some(Rejection::Malformed),
    }
}

/// Runs `connection` until it ends by itself or takes too long. May be dropped and called again.
async fn run<C>(mut connection: Pin<&mut C>, watch: &mut Watch) -> End
where
    C: GracefulConnection<Error = Fatal>,
{
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => return result.map_or_else(End::Failed, |()| End::Closed),
            phase = poll_fn(|cx| watch.poll(cx)) => {
                let idle = matches!(phase, Phase::Idle(_));
                if !idle || watch.is_closing() {
                    return End::Slow(phase);
                }
                // The orderly end of a rest: GOAWAY, or TLS's closure alert.
                watch.close();
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers one request, and says so to the watch. What can be answered at once is not even a task's state: to move
/// the room that a question to Graph needs from place to place would cost a hit more than its look-up.
fn answer<S: Service>(
    service: &Arc<S>,
    request: Request<Incoming>,
    peer: SocketAddr,
    ticket: Ticket,
) -> impl Future<Output = Result<http::Response<Tracked>, Infallible>> + use<S> {
    let (head, body) = request.into_parts();
    let version = head.version;
    let at_once = if body.is_end_stream() { service.at_once(&head) } else { None };
    if let Some(response) = at_once {
        return Either::Left(ready(Ok(tracked(response, version, ticket))));
    }
    let service = Arc::clone(service);
    Either::Right(Box::pin(async move {
        let response = service.answer(head, body, peer).await;
        Ok(tracked(response, version, ticket))
    }))
}

/// The response as HTTP takes it, with what ends the connection.
fn tracked(response: Response, version: Version, mut ticket: Ticket) -> http::Response<Tracked> {
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
    ticket.answered();
    http::Response::from_parts(head, Tracked { body, _ticket: ticket })
}

/// A body that is known to be unsent for as long as HTTP holds it.
struct Tracked {
    body: Full<Bytes>,
    _ticket: Ticket,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What HTTP/1 and HTTP/2 may take of us.
pub(super) fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watch has this deadline, and tells a pause from a header.
        .header_read_timeout(None)
        .half_close(false)
        .keep_alive(true)
        .max_buf_size(buffer(limits));
    // The parser has a place on the stack for this many, and fills it with nothing. For any other number it fills a
    // place of its own at each request, one by one: a tenth of what a hit costs.
    if limits.headers != PARSERS_OWN_HEADERS {
        builder.http1().max_headers(limits.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER);
    builder
}

/// The longest head that HTTP/1 takes. The parser's own buffer may not be smaller than 8 KiB.
fn buffer(limits: &Limits) -> usize {
    limits.header_bytes.max(8 << 10)
}

type Fatal = Box<dyn std::error::Error + Send + Sync>;

/// How long a connection may still bring a request after the listener has closed.
const FAREWELL: Duration = Duration::from_millis(250);
/// For a refused peer to read why.
const LINGER: Duration = Duration::from_secs(1);
/// More than the longest head that is refused; a peer that sends on after that may as well be reset.
const LINGER_BYTES: usize = 256 << 10;
/// Streams that a peer opened and reset before we looked at them (CVE-2023-44487); then GOAWAY.
const MAX_PENDING_RESETS: usize = 20;
/// Streams that we reset because of a peer's errors, in the life of a connection (CVE-2025-8671); then GOAWAY.
const MAX_ERROR_RESETS: usize = 256;
/// What HTTP/1 takes where nobody says otherwise: `limits.headers`, too, has it as its default.
const PARSERS_OWN_HEADERS: usize = 100;
/// Requests have no bodies: the smallest window that every client expects.
const H2_WINDOW: u32 = 65_535;
/// For each stream, bytes.
const H2_SEND_BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests;
