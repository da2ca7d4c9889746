//! Reasons for the second attempt of a request to Graph.

use crate::support::labels::labels;

labels! {
    /// Reason for a retry of a request to Graph.
    pub enum Retry {
        /// A pooled connection was already closed, before any byte was received on it.
        StaleConnection = "stale-connection",
        /// Graph refused the stream before processing (HTTP/2 `REFUSED_STREAM`, or a graceful GOAWAY).
        RefusedStream = "refused-stream",
        /// Graph's 304 named another representation: the request was repeated without a condition.
        OtherRepresentation = "other-answer",
        /// The head of an HTTP/1.1 response had more than 100 fields. Later connections accept 1,024 fields.
        LargeHead = "large-head",
    }
}
