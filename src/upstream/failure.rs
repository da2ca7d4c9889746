//! Reasons why Graph sent no usable response.

use http::StatusCode;

use crate::http::error::ErrorBody;
use crate::support::byte_budget::BudgetExhausted;
use crate::support::labels::labels;

labels! {
    /// Why Graph's answer could not be had or used: the label of `origin_errors_total`.
    pub enum UpstreamFailure {
        /// The name did not resolve.
        Dns = "dns",
        /// No connection could be made.
        Connect = "connect",
        /// This machine has no descriptor, port or memory left for a connection.
        NoSocket = "no-socket",
        /// No connection within `graph.connect_timeout`.
        ConnectTimeout = "connect-timeout",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The connection broke before an answer began.
        Reset = "reset",
        /// No answer began within `graph.first_byte_timeout`.
        FirstByte = "first-byte-timeout",
        /// No whole answer within `graph.timeout`.
        Timeout = "timeout",
        /// The answer broke off.
        Truncated = "truncated",
        /// The answer is not HTTP as it should be.
        Protocol = "protocol",
        /// A content coding that was not asked for, or that does not decode.
        Encoding = "encoding",
        /// The decoded body is larger than `graph.max_body`.
        TooLarge = "too-large",
        /// A 200 whose body is not JSON by its media type.
        ContentType = "content-type",
        /// A redirect; none is followed.
        Redirect = "redirect",
        /// A success that is no 200, or an unsolicited 304.
        Status = "unexpected-status",
        /// The body could not be scrubbed.
        Unscrubbable = "unscrubbable",
    }
}

impl UpstreamFailure {
    /// Status, code and message of the response to the caller.
    pub fn error(self) -> ErrorBody {
        let (status, code, message) = match self {
            Self::Timeout | Self::FirstByte | Self::ConnectTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", "Microsoft Graph did not answer in time.")
            }
            Self::NoSocket => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceNotAvailable", "Too many connections are open.")
            }
            Self::Dns | Self::Connect | Self::Tls | Self::Reset => {
                (StatusCode::BAD_GATEWAY, "BadGateway", "Microsoft Graph could not be reached.")
            }
            _ => (StatusCode::BAD_GATEWAY, "BadGateway", "Microsoft Graph's answer could not be used."),
        };
        ErrorBody { status, code, message }
    }
}

/// Error of a request to Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Graph sent no usable response.
    Failed(UpstreamFailure),
    /// `limits.bytes_in_flight` has no room for the response.
    BudgetExhausted,
}

impl From<UpstreamFailure> for RequestError {
    fn from(failure: UpstreamFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<BudgetExhausted> for RequestError {
    fn from(_: BudgetExhausted) -> Self {
        Self::BudgetExhausted
    }
}
