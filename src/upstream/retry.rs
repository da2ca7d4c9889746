//! Reasons for the second attempt of a request to Graph.

use crate::support::labels::labels;

labels! {
    /// Why a retry was made.
    pub enum Retry {
        /// A pooled connection turned out to be closed; nothing had been received on it.
        StaleConnection = "stale-connection",
        /// Graph refused the stream before it looked at it (HTTP/2 `REFUSED_STREAM`, or a graceful GOAWAY).
        RefusedStream = "refused-stream",
        /// Graph said 304 of something other than it was asked about: asked again, without a condition.
        OtherAnswer = "other-answer",
    }
}
