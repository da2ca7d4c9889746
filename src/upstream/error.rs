//! What went wrong on the way to Graph, read off the chain of an error's sources.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;

use super::connection::ReuseGuard;
use super::connector::ConnectTimeout;
use super::dns::Unresolved;
use crate::support::labels::Label;
use crate::upstream::Retry;
use crate::upstream::UpstreamFailure;

/// An attempt that failed, and whether nothing was received in a way that allows another.
#[derive(Debug)]
pub(super) enum ConnectFailure {
    Again(Retry),
    Final(UpstreamFailure),
}

impl ConnectFailure {
    /// What it counts as when there is no further attempt.
    pub(super) fn fault(self) -> UpstreamFailure {
        match self {
            Self::Again(_) => UpstreamFailure::Reset,
            Self::Final(fault) => fault,
        }
    }

    /// The one word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Again(reason) => reason.as_str(),
            Self::Final(fault) => fault.as_str(),
        }
    }
}

/// A GET may be asked again when the server refused to look at it, or when the connection came from the pool
/// and ended without a word (RFC 9110, section 9.2.2; RFC 9113, section 8.7). Any other retry would multiply the
/// load of a server in trouble.
pub(super) fn failure(error: &legacy::Error, reuse: &ReuseGuard<'_>) -> ConnectFailure {
    if refused_unseen(error) {
        return ConnectFailure::Again(Retry::RefusedStream);
    }
    match of(error) {
        UpstreamFailure::Reset if reuse.was_stale() && !has_reason(error) => {
            ConnectFailure::Again(Retry::StaleConnection)
        }
        fault => ConnectFailure::Final(fault),
    }
}

/// The fault of a request that brought no answer.
pub(super) fn of(error: &legacy::Error) -> UpstreamFailure {
    if error.is_connect() {
        return of_connecting(error);
    }
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse() || error.is_parse_too_large() => UpstreamFailure::Protocol,
        Some(error) => match find::<h2::Error>(error) {
            Some(error) if error.is_io() || error.is_go_away() || error.is_reset() => UpstreamFailure::Reset,
            Some(_) => UpstreamFailure::Protocol,
            None => UpstreamFailure::Reset,
        },
        None => UpstreamFailure::Reset,
    }
}

/// The fault of a body: chunks that are none, or an answer that is not whole, whatever broke it off.
pub(super) fn of_body(error: &hyper::Error) -> UpstreamFailure {
    let is_bad =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    let bad_chunks = find::<io::Error>(error).is_some_and(is_bad);
    if error.is_parse() || bad_chunks { UpstreamFailure::Protocol } else { UpstreamFailure::Truncated }
}

/// Whether Graph said that it did nothing with the request (RFC 9113, section 8.7).
pub(super) fn refused_unseen(error: &legacy::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

/// Whether Graph ended the stream or the connection by a frame that says why: then it has spoken.
pub(super) fn has_reason(error: &legacy::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| error.reason().is_some())
}

fn of_connecting(error: &legacy::Error) -> UpstreamFailure {
    let is_tls = |error: &io::Error| {
        error.get_ref().is_some_and(<dyn Error + Send + Sync + 'static>::is::<rustls::Error>)
    };
    if find::<io::Error>(error).is_some_and(is_exhausted) {
        UpstreamFailure::NoSocket
    } else if find::<ConnectTimeout>(error).is_some() {
        UpstreamFailure::ConnectTimeout
    } else if find::<Unresolved>(error).is_some() {
        UpstreamFailure::Dns
    } else if find::<rustls::Error>(error).is_some() || find::<io::Error>(error).is_some_and(is_tls) {
        UpstreamFailure::Tls
    } else {
        UpstreamFailure::Connect
    }
}

/// Whether this machine has run out of what a connection needs. That says nothing about Graph.
fn is_exhausted(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let lacking = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| lacking.contains(&Errno::from_raw(code)))
}

/// The first error of a type in a chain. An `io::Error` hides what it wraps from `source`, so it is looked into.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_descriptors_is_no_fault_of_graph() {
        use nix::errno::Errno;
        for (errno, exhausted) in
            [(Errno::EMFILE, true), (Errno::EADDRNOTAVAIL, true), (Errno::ECONNREFUSED, false)]
        {
            assert_eq!(is_exhausted(&io::Error::from_raw_os_error(errno as i32)), exhausted, "{errno}");
        }
    }
}
