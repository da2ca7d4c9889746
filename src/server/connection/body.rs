//! The body of an answer, which is known to be unsent for as long as HTTP holds any of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::super::connection::h2_send_stall::BodyProgress;
use super::super::connection::state::ResponseGuard;

/// The body of an answer.
pub(super) struct TrackedBody {
    bytes: Option<Bytes>,
    ticket: Option<ResponseGuard>,
    hold: Option<Arc<BodyProgress>>,
}

impl TrackedBody {
    /// `bytes` answer the request that `ticket` stands for. With a `hold` the end is told only when they have gone.
    pub(super) fn new(bytes: Option<Bytes>, ticket: ResponseGuard, hold: Option<Arc<BodyProgress>>) -> Self {
        Self { bytes, ticket: Some(ticket), hold }
    }
}

impl Body for TrackedBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.bytes.take() {
            if let Some(hold) = &this.hold {
                hold.begin();
            }
            let piece = Piece { bytes, _ticket: this.ticket.take(), hold: this.hold.clone() };
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(hold) = &this.hold {
            ready!(hold.poll_end(cx));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.hold.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// What HTTP holds of an answer until it is written.
pub(super) struct Piece {
    bytes: Bytes,
    _ticket: Option<ResponseGuard>,
    hold: Option<Arc<BodyProgress>>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(hold) = &self.hold {
            hold.take(count);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(hold) = &self.hold {
            hold.end();
        }
    }
}
