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
    rest: Rest,
}

/// End of a body after its bytes. One value, so that a hit has one check for both.
enum Rest {
    Nothing,
    /// The end, after the peer has taken all bytes.
    Progress(Arc<BodyProgress>),
    Stream(BodyStream),
}

impl TrackedBody {
    /// Creates the body of the request that `guard` counts. With a `progress` the body ends only after the peer has taken
    /// all bytes.
    pub(super) fn new(
        bytes: Option<Bytes>,
        guard: ResponseGuard,
        progress: Option<Arc<BodyProgress>>,
    ) -> Self {
        Self { bytes, guard: Some(guard), rest: progress.map_or(Rest::Nothing, Rest::Progress) }
    }

    /// Creates a body of pieces. The request counts as in service until the end of the stream, so that only a blocked socket
    /// has a timeout.
    pub(super) fn streamed(stream: BodyStream, guard: ResponseGuard) -> Self {
        Self { bytes: None, guard: Some(guard), rest: Rest::Stream(stream) }
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
            let progress = match &this.rest {
                Rest::Progress(progress) => {
                    progress.start();
                    Some(Arc::clone(progress))
                }
                Rest::Nothing | Rest::Stream(_) => None,
            };
            let bytes = TrackedBytes { bytes, _guard: this.guard.take(), progress };
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut this.rest {
            Rest::Nothing => {}
            Rest::Progress(progress) => ready!(progress.poll_finished(cx)),
            Rest::Stream(stream) => {
                if let Some(bytes) = ready!(stream.as_mut().poll_next(cx)) {
                    let bytes = TrackedBytes { bytes, _guard: None, progress: None };
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                this.rest = Rest::Nothing;
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && matches!(self.rest, Rest::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Stream(_) => SizeHint::default(),
            Rest::Nothing | Rest::Progress(_) => {
                SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
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
