//! Classification of failed requests to Graph, from the chain of an error's sources.

use std::error::Error;
use std::io;

use super::dns::ResolveError;
use super::error_chain::find;
use super::forward_proxy::tunnel::TunnelError;
use super::happy_eyeballs::{BoxError, ConnectTimeout};
use super::reuse::ReuseGuard;
use crate::support::labels::Label;
use crate::upstream::Retry;
use crate::upstream::UpstreamFailure;

/// Error of a request without a response.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// No connection was made.
    #[error("the connection failed")]
    Connect(#[source] BoxError),
    /// The connection ended, or the response is not valid HTTP.
    #[error(transparent)]
    Http(hyper::Error),
}

/// Error of one attempt.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// Graph did not process the request, so it may be sent once more.
    Retryable(Retry),
    /// No further attempt.
    Final(UpstreamFailure),
}

impl AttemptError {
    /// Returns the failure that the error counts as if there is no further attempt.
    pub(super) fn into_failure(self) -> UpstreamFailure {
        match self {
            Self::Retryable(Retry::LargeHead) => UpstreamFailure::Protocol,
            Self::Retryable(_) => UpstreamFailure::Reset,
            Self::Final(failure) => failure,
        }
    }

    /// Returns the label of the error.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Retryable(reason) => reason.as_str(),
            Self::Final(failure) => failure.as_str(),
        }
    }
}

/// Classifies an attempt without a response. A GET may be repeated if the server did not process it, or if it was sent on a
/// pooled connection that ended without a response byte (RFC 9110, section 9.2.2; RFC 9113, section 8.7). Any other retry
/// would multiply the load of an overloaded server.
pub(super) fn classify_attempt(error: &SendError, reuse: &ReuseGuard<'_>) -> AttemptError {
    let error = match error {
        SendError::Connect(error) => return AttemptError::Final(classify_connect_error(&**error)),
        SendError::Http(error) => error,
    };
    if is_unprocessed(error) {
        if find::<h2::Error>(error).is_some_and(h2::Error::is_go_away) {
            // The connection accepts no further stream, and the pool may notice later than the retry.
            reuse.close_when_idle();
        }
        return AttemptError::Retryable(Retry::RefusedStream);
    }
    match classify_http_error(error) {
        // The connection ended before hyper sent the request.
        UpstreamFailure::Reset if error.is_canceled() => AttemptError::Retryable(Retry::StaleConnection),
        UpstreamFailure::Reset if reuse.was_stale() && !has_http2_reason(error) => {
            AttemptError::Retryable(Retry::StaleConnection)
        }
        failure => AttemptError::Final(failure),
    }
}

/// Classifies a request on a connection without a response.
fn classify_http_error(error: &hyper::Error) -> UpstreamFailure {
    if error.is_parse() || error.is_parse_too_large() {
        return UpstreamFailure::Protocol;
    }
    match find::<h2::Error>(error) {
        Some(error) if error.is_io() || error.is_go_away() || error.is_reset() => UpstreamFailure::Reset,
        Some(_) => UpstreamFailure::Protocol,
        None => UpstreamFailure::Reset,
    }
}

/// Classifies an error in a body: invalid chunks, or a truncated body whatever the cause.
pub(super) fn classify_body_error(error: &hyper::Error) -> UpstreamFailure {
    let is_bad =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    let bad_chunks = find::<io::Error>(error).is_some_and(is_bad);
    if error.is_parse() || bad_chunks { UpstreamFailure::Protocol } else { UpstreamFailure::Truncated }
}

/// Returns whether Graph declares that it did not process the request (RFC 9113, section 8.7).
///
/// h2 attaches a GOAWAY of the peer to the streams above its last stream id and to streams that were never opened, whatever
/// the error code. The other streams of the connection end with an I/O error when the connection ends.
fn is_unprocessed(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        error.is_remote() && (error.reason() == Some(h2::Reason::REFUSED_STREAM) || error.is_go_away())
    })
}

/// Returns whether Graph ended the stream or the connection by a frame with an error code, which is a response byte.
fn has_http2_reason(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| error.reason().is_some())
}

/// Classifies the failure of a connection.
pub(super) fn classify_connect_error(error: &(dyn Error + 'static)) -> UpstreamFailure {
    if find::<io::Error>(error).is_some_and(is_exhausted) {
        UpstreamFailure::NoSocket
    } else if find::<TunnelError>(error).is_some_and(TunnelError::requires_credentials) {
        UpstreamFailure::ProxyAuth
    } else if find::<ConnectTimeout>(error).is_some() {
        UpstreamFailure::ConnectTimeout
    } else if find::<ResolveError>(error).is_some() {
        UpstreamFailure::Dns
    } else if let Some(error) = find::<rustls::Error>(error) {
        classify_tls_error(error)
    } else {
        UpstreamFailure::Connect
    }
}

/// Classifies the failure of a handshake.
fn classify_tls_error(error: &rustls::Error) -> UpstreamFailure {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. },
        ) => UpstreamFailure::TlsExpired,
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            UpstreamFailure::TlsName
        }
        rustls::Error::InvalidCertificate(_) => UpstreamFailure::TlsUntrusted,
        _ => UpstreamFailure::Tls,
    }
}

/// Returns whether this machine has no descriptor, port or memory for a connection. Graph is not the cause.
fn is_exhausted(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| exhausted.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_descriptors_and_ports_of_this_machine_are_no_failure_of_graph() {
        use nix::errno::Errno;
        for (errno, exhausted) in
            [(Errno::EMFILE, true), (Errno::EADDRNOTAVAIL, true), (Errno::ECONNREFUSED, false)]
        {
            assert_eq!(is_exhausted(&io::Error::from_raw_os_error(errno as i32)), exhausted, "{errno}");
        }
    }
}
