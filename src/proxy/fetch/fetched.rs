//! Result of a fetch.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::UpstreamErrorResponse;
use crate::cache::entry::{Entry, RevalidationFailure};
use crate::cache::freshness::ErrorSource;
use crate::cache::outcome::NotStored;
use crate::proxy::error_response::ErrorResponse;
use crate::support::clock::Now;
use crate::upstream::UpstreamFailure;

/// Result of a fetch. Cheap to clone: each request that waits gets one.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// Graph responded 200. The entry was stored, or was not for this reason.
    Full(Arc<Entry>, Result<(), NotStored>),
    /// Graph responded 304: the stored entry is valid. It was stored again, or was not for this reason.
    Revalidated(Arc<Entry>, Result<(), NotStored>),
    /// Another replica had the response in the shared tier, and a proof of this token from this time. It is stored.
    Shared(Arc<Entry>, Now),
    /// Graph responded 204: the property is null. The header fields go to the caller.
    NoContent(Arc<HeaderMap>),
    /// Graph responded with an error.
    UpstreamError(Arc<UpstreamErrorResponse>),
    /// Graph responded 401 to this token a few seconds ago: the same response, without another request.
    RecentUnauthorized(Arc<UpstreamErrorResponse>),
    /// Graph gave no response that could go to the caller.
    Failed(ErrorResponse),
}

impl Fetched {
    /// Returns the status of Graph's response, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Full(..) => Some(StatusCode::OK),
            Self::Revalidated(..) => Some(StatusCode::NOT_MODIFIED),
            Self::NoContent(_) => Some(StatusCode::NO_CONTENT),
            Self::UpstreamError(error) | Self::RecentUnauthorized(error) => Some(error.status),
            Self::Shared(..) | Self::Failed(_) => None,
        }
    }

    /// Returns the entry that Graph sent or confirmed, if it was stored.
    pub(super) fn stored_entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Full(entry, Ok(())) | Self::Revalidated(entry, Ok(())) => Some(entry),
            _ => None,
        }
    }

    /// Returns the failure of a revalidation that was sent to Graph. `None` if Graph sent or confirmed the response.
    pub fn revalidation_failure(&self) -> Option<RevalidationFailure> {
        match self {
            Self::Full(..) | Self::Revalidated(..) | Self::Shared(..) | Self::RecentUnauthorized(_) => None,
            Self::NoContent(_) => Some(RevalidationFailure::NoContent),
            Self::UpstreamError(_) | Self::Failed(_) => Some(match self.error_source() {
                Some(ErrorSource::Upstream) => RevalidationFailure::Outage,
                Some(ErrorSource::Local) | None => RevalidationFailure::Other,
            }),
        }
    }

    /// Returns the source of a failure for which a stale entry may be used. `None` if Graph responded: a 401, 403 or 404 is
    /// a response.
    ///
    /// A rejection by a breaker or throttle is a failure of Graph, because each rejects only for failures in the scope of
    /// the token itself (see [`crate::upstream::breaker`]).
    pub fn error_source(&self) -> Option<ErrorSource> {
        match self {
            Self::Full(..)
            | Self::Revalidated(..)
            | Self::Shared(..)
            | Self::NoContent(_)
            | Self::RecentUnauthorized(_) => None,
            Self::UpstreamError(error) => {
                let status = error.status;
                let failed = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                failed.then_some(ErrorSource::Upstream)
            }
            Self::Failed(
                ErrorResponse::Rejected(_)
                | ErrorResponse::Invalid(_)
                | ErrorResponse::Upstream(UpstreamFailure::NoSocket),
            ) => Some(ErrorSource::Local),
            Self::Failed(
                ErrorResponse::Upstream(_)
                | ErrorResponse::Shut(..)
                | ErrorResponse::Unscrubbable(_)
                | ErrorResponse::Unreadable(_),
            ) => Some(ErrorSource::Upstream),
        }
    }
}
