//! One request: from hyper to the service, and its response back.

use std::convert::Infallible;
use std::future::ready;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Version, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::body::TrackedBody;
use super::h2_send_stall::{BodyProgress, MAX_UNTRACKED_BODY_BYTES, StreamExecutor};
use super::state::ResponseGuard;
use crate::http::error::Response;
use crate::server::streamed_body::StreamedBody;
use crate::server::{Peer, Service};
use crate::support::boxed::boxed_pin;

/// Responds to one request, which `guard` counts. `streams` is the executor of an HTTP/2 connection. The end of a body
/// whose length is unknown is awaited for at most `body_timeout`.
///
/// A synchronous response allocates no future: moving the state that a request to Graph needs would cost a hit more than
/// its lookup.
pub(super) fn respond<S: Service>(
    service: &Arc<S>,
    request: Request<Incoming>,
    peer: &Peer,
    guard: ResponseGuard,
    streams: Option<&StreamExecutor>,
    body_timeout: Duration,
) -> impl Future<Output = Result<http::Response<TrackedBody>, Infallible>> + use<S> {
    let (head, body) = request.into_parts();
    let version = head.version;
    if !body.is_end_stream() {
        let (service, progress) = (Arc::clone(service), streams.map(StreamExecutor::track_body));
        let peer = peer.clone();
        return Either::Right(Either::Left(boxed_pin(|| async move {
            let response = respond_after_body(&*service, (head, body), peer, &guard, body_timeout).await;
            Ok(track_async_response(response, version, guard, progress))
        })));
    }
    let pending = match service.try_respond(&head, false, peer) {
        ControlFlow::Break(response) => {
            let progress = streams.filter(|_| is_tracked(&response)).map(StreamExecutor::track_body);
            return Either::Left(ready(Ok(track_response(response, version, guard, progress))));
        }
        ControlFlow::Continue(pending) => pending,
    };
    let (service, progress) = (Arc::clone(service), streams.map(StreamExecutor::track_body));
    let peer = peer.clone();
    Either::Right(Either::Right(boxed_pin(|| async move {
        // In an allocation of its own: a future that is moved into this one would occupy its size twice while it waits.
        let response = boxed_pin(|| service.respond(pending, head, None, peer)).await;
        Ok(track_async_response(response, version, guard, progress))
    })))
}

/// Responds to a request that has more than a head. Some clients and proxies announce a body for every request
/// (dotnet/runtime#55347, dotnet/yarp#2644); one that ends without content is as good as none.
async fn respond_after_body<S: Service>(
    service: &S,
    (head, mut body): (Parts, Incoming),
    peer: Peer,
    guard: &ResponseGuard,
    body_timeout: Duration,
) -> Response {
    let may_be_empty = matches!(head.method, Method::GET | Method::HEAD)
        && body.size_hint().lower() == 0
        && !guard.conn_state().has_ambiguous_length();
    let has_content = !may_be_empty || timeout(body_timeout, has_content(&mut body)).await.unwrap_or(true);
    match service.try_respond(&head, has_content, &peer) {
        ControlFlow::Break(response) => response,
        ControlFlow::Continue(pending) => {
            boxed_pin(|| service.respond(pending, head, has_content.then_some(body), peer)).await
        }
    }
}

/// Reads a body until its end or its first byte of content. Trailers are no content. An error counts as content, since the
/// end of the body is unknown.
async fn has_content(body: &mut Incoming) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.map_or(true, |frame| frame.data_ref().is_some_and(|data| !data.is_empty())) {
            return true;
        }
    }
    false
}

/// Returns whether the body of an HTTP/2 response needs a [`BodyProgress`].
fn is_tracked(response: &Response) -> bool {
    response.body().size_hint().lower() > MAX_UNTRACKED_BODY_BYTES
}

/// Wraps the body of a response, and adds `Connection: close` where the connection ends with it.
fn track_response(
    response: Response,
    version: Version,
    mut guard: ResponseGuard,
    progress: Option<Arc<BodyProgress>>,
) -> http::Response<TrackedBody> {
    let (mut head, body) = response.into_parts();
    add_connection_close(&mut head, version, &guard);
    if progress.is_none() {
        guard.response_ready();
    }
    http::Response::from_parts(head, TrackedBody::new(body.into_inner(), guard, progress))
}

/// Wraps the body of a response of the asynchronous part, which may be a stream.
fn track_async_response(
    mut response: Response,
    version: Version,
    guard: ResponseGuard,
    progress: Option<Arc<BodyProgress>>,
) -> http::Response<TrackedBody> {
    if let Some(stream) = StreamedBody::take_from(&mut response) {
        let (mut head, _) = response.into_parts();
        add_connection_close(&mut head, version, &guard);
        return http::Response::from_parts(head, TrackedBody::streamed(stream, guard));
    }
    let progress = progress.filter(|_| is_tracked(&response));
    track_response(response, version, guard, progress)
}

/// Adds `Connection: close` where the connection ends with the response.
fn add_connection_close(head: &mut http::response::Parts, version: Version, guard: &ResponseGuard) {
    if head.headers.contains_key(header::CONNECTION) {
        guard.conn_state().set_closes_early();
    } else if guard.conn_state().sends_connection_close() {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if version == Version::HTTP_10 && head.headers.contains_key(header::CONNECTION) {
        // To a response of version 1.1 hyper would add the `keep-alive` that the peer requested, beside `close`.
        head.version = version;
    }
}
