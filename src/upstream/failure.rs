//! Reasons why Graph sent no usable response.

use http::StatusCode;

use crate::http::error::ErrorBody;
use crate::support::byte_budget::BudgetExhausted;
use crate::support::labels::{Label, labels};

labels! {
    /// Reason why Graph sent no usable response: the label of `origin_errors_total`.
    pub enum UpstreamFailure {
        /// The host name of Graph did not resolve to an address.
        Dns = "dns",
        /// No connection could be made.
        Connect = "connect",
        /// The forward proxy of `HTTPS_PROXY` requires other credentials (407).
        ProxyAuth = "proxy-auth",
        /// This machine has no file descriptor, port or memory left for a connection.
        NoSocket = "no-socket",
        /// No connection was made within `graph.connect_timeout`.
        ConnectTimeout = "connect-timeout",
        /// The certificate of Graph is not signed by a trusted root, or cannot be verified for another reason.
        TlsUntrusted = "tls-untrusted",
        /// The certificate of Graph is for another host name.
        TlsName = "tls-name",
        /// The certificate of Graph has expired or is not valid yet.
        TlsExpired = "tls-expired",
        /// The TLS handshake failed for another reason than the certificate of Graph.
        Tls = "tls",
        /// The connection ended before a response began.
        Reset = "reset",
        /// No response began within `graph.first_byte_timeout`.
        FirstByte = "first-byte-timeout",
        /// The response was not complete within `graph.timeout`.
        Timeout = "timeout",
        /// The connection ended within the response.
        Truncated = "truncated",
        /// The response is not valid HTTP.
        Protocol = "protocol",
        /// The content coding of the response was not requested, or its content cannot be decoded.
        Encoding = "encoding",
        /// The body is larger than `graph.max_body`, as received or decoded.
        TooLarge = "too-large",
        /// The media type of a 200 is not JSON.
        ContentType = "content-type",
        /// The response is a redirect. The proxy follows none.
        Redirect = "redirect",
        /// The status is a success other than 200 and 204, or a 304 to an unconditional request.
        Status = "unexpected-status",
        /// The body could not be scrubbed.
        Unscrubbable = "unscrubbable",
    }
}

impl UpstreamFailure {
    /// Returns whether the failure is found in a response whose status is counted, too. A timeout and invalid HTTP occur before
    /// and after the status, and count as before.
    pub fn follows_status(self) -> bool {
        match self {
            Self::Truncated
            | Self::Encoding
            | Self::TooLarge
            | Self::ContentType
            | Self::Redirect
            | Self::Status
            | Self::Unscrubbable => true,
            Self::Dns
            | Self::Connect
            | Self::ProxyAuth
            | Self::NoSocket
            | Self::ConnectTimeout
            | Self::TlsUntrusted
            | Self::TlsName
            | Self::TlsExpired
            | Self::Tls
            | Self::Reset
            | Self::FirstByte
            | Self::Timeout
            | Self::Protocol => false,
        }
    }

    /// Returns status, code and message of the response to the caller. The message ends with the reason.
    pub fn error(self) -> ErrorBody {
        self.error_with_reason(self.as_str())
    }

    /// Returns status, code and message of the response to the caller. `reason` is this reason or a more exact one.
    pub fn error_with_reason(self, reason: &'static str) -> ErrorBody {
        let (status, code, message) = match self {
            Self::Timeout | Self::FirstByte | Self::ConnectTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", "Microsoft Graph did not respond in time")
            }
            Self::NoSocket => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceNotAvailable",
                "The cache cannot open another connection to Microsoft Graph",
            ),
            Self::Dns
            | Self::Connect
            | Self::ProxyAuth
            | Self::TlsUntrusted
            | Self::TlsName
            | Self::TlsExpired
            | Self::Tls
            | Self::Reset => (StatusCode::BAD_GATEWAY, "BadGateway", "Microsoft Graph could not be reached"),
            _ => (StatusCode::BAD_GATEWAY, "BadGateway", "Microsoft Graph's response could not be used"),
        };
        ErrorBody { status, code, message: format!("{message} ({reason}).").into() }
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
