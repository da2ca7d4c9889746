//! End of a connection: its reason, and the lingering close.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::preflight::PreflightError;
use crate::server::rejection::ConnRejection;

/// Reason for the end of a connection.
pub(super) enum CloseReason {
    /// The end that the protocol provides, or a close by the peer.
    Normal,
    /// An error of hyper.
    Http(hyper::Error),
    /// A timeout other than the idle timeout.
    Timeout,
    /// The peer does not take its responses, and the byte budget of its address is exhausted.
    BudgetExhausted,
}

impl CloseReason {
    /// Returns the rejection that the connection counts as, if this end is one.
    pub(super) fn rejection(&self, preflight_error: Option<PreflightError>) -> Option<ConnRejection> {
        match (self, preflight_error) {
            (_, Some(PreflightError::TargetTooLong)) => Some(ConnRejection::TargetTooLong),
            (_, Some(PreflightError::BareLineFeed)) => Some(ConnRejection::Malformed),
            (_, Some(PreflightError::Flood)) => Some(ConnRejection::Flood),
            (Self::Http(error), None) if error.is_parse_too_large() => Some(ConnRejection::HeadersTooLarge),
            (Self::Http(error), None) if error.is_parse() => Some(ConnRejection::Malformed),
            (Self::Http(error), None) => h2_rejection(error),
            (Self::Timeout, None) => Some(ConnRejection::Slow),
            (Self::BudgetExhausted, None) => Some(ConnRejection::BytesInFlight),
            (Self::Normal, None) => None,
        }
    }
}

/// Returns the rejection of an HTTP/2 connection that this side ended because of an error of the peer.
fn h2_rejection(error: &hyper::Error) -> Option<ConnRejection> {
    let error = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match error.reason()? {
        _ if error.is_remote() => None,
        h2::Reason::ENHANCE_YOUR_CALM => Some(ConnRejection::Flood),
        _ => Some(ConnRejection::Malformed),
    }
}

/// Closes the sending side, and reads until the peer closes the connection (RFC 9112, section 9.6). A close with
/// unread bytes resets the connection, and the reset can overtake the response that explains the rejection.
pub(super) async fn lingering_close<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) -> io::Result<()> {
    io.shutdown().await?;
    // On the heap: inside this future the buffer would increase the size of every connection's task.
    let mut space = vec![0; 4096];
    let mut left = MAX_LINGERING_BYTES;
    while left > 0 {
        match io.read(&mut space).await? {
            0 => break,
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}

/// Time for a rejected peer to read its response.
pub(super) const LINGERING_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// More than the longest head that is rejected. A peer that sends more may be reset.
const MAX_LINGERING_BYTES: usize = 256 << 10;
