//! Response body that reports when hyper has written it.
//!
//! The body counts as an unfinished response for as long as hyper holds any of its bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::h2_send_stall::BodyProgress;
use super::state::ResponseGuard;
use crate::server::streamed_body::BodyStream;

/// Body of a response, in one piece or as a stream of pieces.
pub(super) struct TrackedBody {
    bytes: Option<Bytes>,
    guard: Option<ResponseGuard>,
    progress: Option<Arc<BodyProgress>>,
    stream: Option<BodyStream>,
}

impl TrackedBody {
    /// Creates the body of the request that `guard` counts. With a `progress` the body ends only after the peer has taken
    /// all bytes.
    pub(super) fn new(
        bytes: Option<Bytes>,
        guard: ResponseGuard,
        progress: Option<Arc<BodyProgress>>,
    ) -> Self {
        Self { bytes, guard: Some(guard), progress, stream: None }
    }

    /// Creates a body of pieces. The request counts as in service until the end of the stream, so that only a blocked socket
    /// has a timeout.
    pub(super) fn streamed(stream: BodyStream, guard: ResponseGuard) -> Self {
        Self { bytes: None, guard: Some(guard), progress: None, stream: Some(stream) }
    }
}

impl Body for TrackedBody {
    type Data = TrackedBytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<TrackedBytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.bytes.take() {
            if let Some(progress) = &this.progress {
                progress.start();
            }
            let bytes = TrackedBytes { bytes, _guard: this.guard.take(), progress: this.progress.clone() };
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some(stream) = &mut this.stream {
            let piece = ready!(stream.as_mut().poll_next(cx));
            if let Some(bytes) = piece {
                return Poll::Ready(Some(Ok(Frame::data(TrackedBytes {
                    bytes,
                    _guard: None,
                    progress: None,
                }))));
            }
            this.stream = None;
            return Poll::Ready(None);
        }
        if let Some(progress) = &this.progress {
            ready!(progress.poll_finished(cx));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.progress.is_none() && self.stream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.stream.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Bytes of a response that hyper holds until they are written.
pub(super) struct TrackedBytes {
    bytes: Bytes,
    _guard: Option<ResponseGuard>,
    progress: Option<Arc<BodyProgress>>,
}

impl Buf for TrackedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.record_taken(count);
        }
    }
}

impl Drop for TrackedBytes {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }
}
