//! One request: from hyper to the service, and its response back.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::future::Either;
use http::{HeaderValue, Request, Version, header};
use http_body::Body;
use hyper::body::Incoming;

use super::body::TrackedBody;
use super::h2_send_stall::{BodyProgress, MAX_UNTRACKED_BODY_BYTES, StreamExecutor};
use super::state::ResponseGuard;
use crate::http::error::Response;
use crate::server::Service;

/// Responds to one request, which `guard` counts. `streams` is the executor of an HTTP/2 connection.
///
/// A synchronous response allocates no future: moving the state that a request to Graph needs would cost a hit more than
/// its lookup.
pub(super) fn respond<S: Service>(
    service: &Arc<S>,
    request: Request<Incoming>,
    peer: SocketAddr,
    guard: ResponseGuard,
    streams: Option<&StreamExecutor>,
) -> impl Future<Output = Result<http::Response<TrackedBody>, Infallible>> + use<S> {
    let (head, body) = request.into_parts();
    let version = head.version;
    let has_body = !body.is_end_stream();
    let pending = match service.try_respond(&head, has_body, peer) {
        ControlFlow::Break(response) => {
            let progress = streams.filter(|_| is_tracked(&response)).map(StreamExecutor::track_body);
            return Either::Left(ready(Ok(track_response(response, version, guard, progress))));
        }
        ControlFlow::Continue(pending) => pending,
    };
    if has_body {
        guard.conn_state().set_request_body();
    }
    let (service, progress) = (Arc::clone(service), streams.map(StreamExecutor::track_body));
    Either::Right(Box::pin(async move {
        // In an allocation of its own: a future that is moved into this one would occupy its size twice while it waits.
        let response = Box::pin(service.respond(pending, head, body, peer)).await;
        let progress = progress.filter(|_| is_tracked(&response));
        Ok(track_response(response, version, guard, progress))
    }))
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
    if head.headers.contains_key(header::CONNECTION) {
        guard.conn_state().set_closes_early();
    } else if guard.conn_state().sends_connection_close() {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if version == Version::HTTP_10 && head.headers.contains_key(header::CONNECTION) {
        // To a response of version 1.1 hyper would add the `keep-alive` that the peer requested, beside `close`.
        head.version = version;
    }
    if progress.is_none() {
        guard.response_ready();
    }
    http::Response::from_parts(head, TrackedBody::new(body.into_inner(), guard, progress))
}
