//! Error response of Graph, as it is passed on.

use http::{HeaderMap, StatusCode};

use crate::scrub::ScrubbedBody;

/// Error response of Graph without credentials.
#[derive(Debug)]
pub struct UpstreamErrorResponse {
    /// Graph's status.
    pub status: StatusCode,
    /// What of its header fields is passed on.
    pub headers: HeaderMap,
    /// Its body without credentials, where it could be read.
    pub body: Option<ScrubbedBody>,
}

impl UpstreamErrorResponse {
    /// Returns the bytes of memory that the response takes, about.
    pub(super) fn weight(&self) -> usize {
        let fields =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        size_of::<Self>() + fields + self.body.as_ref().map_or(0, ScrubbedBody::len)
    }
}
