//! HTTP connection to Graph: hyper's sender of requests, and the history of the connection below.
//!
//! hyper's connection runs in one task for each connection, on the runtime of the request that made it. The task ends when
//! the connection ends, and the connection ends when its last sender is dropped.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::{Extensions, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::upstream::connection::UpstreamConnection;
use crate::upstream::interim::count_interim_responses;
use crate::upstream::request::{GraphRequest, Protocol};
use crate::upstream::reuse::ReuseState;

/// Connection that sends requests.
#[derive(Debug)]
pub(in crate::upstream) struct HttpConnection {
    sender: Sender,
    state: ReuseState,
    /// The connection accepts only the default number of header fields.
    has_default_fields: bool,
}

#[derive(Debug)]
enum Sender {
    /// With the extensions of each request.
    Http1(http1::SendRequest<Empty<Bytes>>, Extensions),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl HttpConnection {
    /// Starts the protocol that TLS negotiated, otherwise HTTP/1.1. The head of an HTTP/1.1 response has at most `max_fields`
    /// fields, or hyper's default number.
    pub(super) async fn handshake(
        connection: UpstreamConnection,
        max_fields: Option<usize>,
    ) -> Result<Self, hyper::Error> {
        if connection.is_http2() {
            Self::start_http2(connection).await
        } else {
            Self::start_http1(connection, max_fields).await
        }
    }

    async fn start_http1(
        connection: UpstreamConnection,
        max_fields: Option<usize>,
    ) -> Result<Self, hyper::Error> {
        let state = connection.state().clone();
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD_BYTES);
        if let Some(max_fields) = max_fields {
            builder.max_headers(max_fields);
        }
        let (mut sender, connection) = builder.handshake(TokioIo::new(connection)).await?;
        let task = tokio::spawn(connection);
        if let Err(error) = sender.ready().await {
            // The error of the connection is more exact than that of its sender.
            return Err(task.await.ok().and_then(Result::err).unwrap_or(error));
        }
        let sender = Sender::Http1(sender, count_interim_responses(&state));
        Ok(Self { sender, state, has_default_fields: max_fields.is_none() })
    }

    /// Starts HTTP/2.
    pub(super) async fn start_http2(connection: UpstreamConnection) -> Result<Self, hyper::Error> {
        let state = connection.state().clone();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .handshake(TokioIo::new(connection))
            .await?;
        tokio::spawn(connection);
        Ok(Self { sender: Sender::Http2(sender), state, has_default_fields: false })
    }

    /// Returns the protocol.
    pub(in crate::upstream) fn protocol(&self) -> Protocol {
        match self.sender {
            Sender::Http1(..) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        }
    }

    /// Returns the history of the connection.
    pub(in crate::upstream) fn state(&self) -> &ReuseState {
        &self.state
    }

    /// Sends a request. The future waits for the head of the response and does not contain the request. Its drop closes an
    /// HTTP/1.1 connection and resets an HTTP/2 stream.
    pub(in crate::upstream) fn send(
        &mut self,
        mut request: GraphRequest,
    ) -> impl Future<Output = Result<Response<Incoming>, hyper::Error>> + use<> {
        match &mut self.sender {
            Sender::Http1(sender, extensions) => {
                request.extensions_mut().clone_from(extensions);
                Either::Left(sender.send_request(request))
            }
            Sender::Http2(sender) => Either::Right(sender.send_request(request)),
        }
    }

    /// Returns whether a response failed because its head has more than the default number of fields. hyper has one error
    /// for too many fields and for too many bytes.
    pub(in crate::upstream) fn exceeds_default_fields(&self, error: &hyper::Error) -> bool {
        self.has_default_fields
            && error.is_parse_too_large()
            && self.state.received_since_write() < MAX_HEAD_BYTES
    }

    /// Returns another sender of an HTTP/2 connection. Requests on an HTTP/1.1 connection follow one another.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(..) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                state: self.state.clone(),
                has_default_fields: self.has_default_fields,
            }),
        }
    }

    /// Returns whether the next request may use the connection: the last response was received as a whole, and neither side
    /// ends the connection.
    pub(super) fn is_ready(&self) -> bool {
        !self.state.closes_when_idle()
            && match &self.sender {
                Sender::Http1(sender, _) => sender.is_ready(),
                Sender::Http2(sender) => sender.is_ready(),
            }
    }

    /// Waits for the end of the present response. Returns whether the next request may use the connection.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        let ready = match &mut self.sender {
            Sender::Http1(sender, _) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        };
        ready.is_ok() && !self.state.closes_when_idle()
    }
}

/// Interval of HTTP/2 pings, so that a connection that died silently is detected before a request uses it.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Size of the head of one response. Graph's heads are below 4 KiB; a claims challenge adds a few KiB.
const MAX_HEAD_BYTES: usize = 64 << 10;
