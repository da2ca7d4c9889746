//! Body of a response that is sent in pieces, as they become available.
//!
//! Responses of the data port are complete before they are sent, so [`Response`] has a body in one piece. A service that
//! streams attaches a [`StreamedBody`] to the extensions of its response. Only the asynchronous part of a
//! [`Service`](super::Service) may do so: the path of a hit does not read the extensions.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;

use crate::http::error::Response;

/// Pieces of a body. Each is written to the socket as soon as it is available.
pub(super) type BodyStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// Extension of a response whose body is a stream. Clones share the stream; the first reader takes it.
#[derive(Clone)]
pub struct StreamedBody(Arc<Mutex<Option<BodyStream>>>);

impl StreamedBody {
    /// Wraps the pieces of a body. The stream is dropped when the connection ends.
    pub fn new(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(pieces)))))
    }

    /// Removes the stream from a response that has one.
    pub(super) fn take_from(response: &mut Response) -> Option<BodyStream> {
        let body = response.extensions_mut().remove::<Self>()?;
        body.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
