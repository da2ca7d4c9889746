//! Reasons why a request is refused without a call to Graph, each with its status, code and message.

use http::StatusCode;

use super::error::ErrorBody;
use connector_cache_support::labels::labels;

labels! {
    /// Reason why a request was refused without a request to Graph: the label of `rejected_total`.
    pub enum Rejection {
        /// The path is not a path of the resource.
        Path = "path",
        /// The path has a percent sign. No path of the resource needs one.
        PercentInPath = "percent-in-path",
        /// The flow id is not 1 to 128 of `A-Z a-z 0-9 _ -`.
        FlowId = "flow-id",
        /// The query has an option that the resource does not support, or is ambiguous.
        Query = "query",
        /// The method is neither GET nor HEAD.
        Method = "method",
        /// The request has a body with content, or its end is unknown.
        Body = "body",
        /// `Accept` allows no media type of the resource.
        Accept = "accept",
        /// `Authorization` is missing.
        NoToken = "no-token",
        /// The scheme is not Bearer.
        Scheme = "not-bearer",
        /// `Authorization` has several lines, or a comma.
        SeveralTokens = "several-tokens",
        /// The token has characters that RFC 6750, section 2.1 does not allow, or is too long.
        TokenForm = "token-form",
        /// `Host` is missing, repeated or invalid, or differs from `:authority`.
        Host = "host",
        /// `Connection` names a field that is not limited to one connection, such as `Authorization`.
        Connection = "connection",
        /// `Expect` has another expectation than `100-continue`.
        Expectation = "expectation",
        /// The request has passed through a proxy of this kind before.
        Loop = "loop",
        /// The request target is longer than `limits.target_bytes`.
        TargetTooLong = "target-too-long",
        /// The header section is larger than `limits.header_bytes`.
        HeadersTooLarge = "headers-too-large",
        /// The caller accepts only a stored response (`only-if-cached`), and no usable response is stored.
        OnlyIfCached = "only-if-cached",
        /// The number of requests to Graph, or of requests that wait for Graph, has reached its limit (`limits.*`).
        Overloaded = "overloaded",
        /// The bytes in transit have reached `limits.bytes_in_flight`, or the share of the caller's address.
        BytesInFlight = "bytes-in-flight",
        /// Graph throttles this application, or this token (429): no request is sent before `Retry-After` is over, for ten minutes at most.
        ThrottleGate = "throttle-gate",
        /// Graph failed repeatedly in the scope of the request; one request a second checks whether it still fails.
        Breaker = "breaker",
        /// The caller's address has sent too many tokens to which Graph responded 401.
        UnprovenBudget = "unproven-budget",
        /// Graph responded 401 to this token a few seconds ago. The response is the same.
        TokenRefused = "token-refused",
        /// No response was ready within `limits.request_timeout`.
        Deadline = "deadline",
        /// An internal error of the proxy.
        Panic = "panic",
    }
}

impl Rejection {
    /// Returns status, code and message of the response.
    pub fn error(self) -> ErrorBody {
        let (status, code, message) = match self {
            Self::Path => (404, "NotFound", PATH),
            Self::PercentInPath => {
                (400, "BadRequest", "The path must not contain percent-encoded characters.")
            }
            Self::FlowId => {
                (400, "BadRequest", "The user flow id must have 1 to 128 characters: A-Z a-z 0-9 _ -.")
            }
            Self::Query => (400, "BadRequest", QUERY),
            Self::Method => (405, "MethodNotAllowed", "This resource supports GET and HEAD only."),
            Self::Body => (400, "BadRequest", "The request must not have a body."),
            Self::Accept => (
                406,
                "NotAcceptable",
                "Accept must allow application/json, with odata.metadata none, minimal or full, and IEEE754Compatible \
                 true or false.",
            ),
            Self::NoToken => (401, "InvalidAuthenticationToken", NO_TOKEN),
            Self::Scheme => (401, "InvalidAuthenticationToken", "The Authorization scheme must be Bearer."),
            Self::TokenForm => (401, "InvalidAuthenticationToken", "The access token is not well formed."),
            Self::SeveralTokens => {
                (400, "BadRequest", "The request must carry one access token, in one Authorization header.")
            }
            Self::Host => (400, "BadRequest", "The request must name one host, in one Host header."),
            Self::Connection => {
                (400, "BadRequest", "Connection must not name Host, Authorization or Content-Length.")
            }
            Self::Expectation => (417, "ExpectationFailed", "Expect must be 100-continue."),
            Self::Loop => (508, "LoopDetected", "The request has passed through this cache before."),
            Self::TargetTooLong => (414, "UriTooLong", "The request target is too long."),
            Self::HeadersTooLarge => {
                (431, "RequestHeaderFieldsTooLarge", "The request's header fields are too large.")
            }
            Self::OnlyIfCached => (
                504,
                "GatewayTimeout",
                "No fresh response is stored, and only-if-cached forbids a request to Microsoft Graph.",
            ),
            Self::Overloaded => {
                (503, "ServiceNotAvailable", "Too many requests are waiting for Microsoft Graph.")
            }
            Self::BytesInFlight => {
                (503, "ServiceNotAvailable", "Too many bytes are in transit. Retry later.")
            }
            Self::ThrottleGate => (
                429,
                "TooManyRequests",
                "Microsoft Graph throttles this application. Retry after the time in Retry-After.",
            ),
            Self::Breaker => (
                503,
                "ServiceNotAvailable",
                "Microsoft Graph failed repeatedly. Retry after the time in Retry-After.",
            ),
            Self::UnprovenBudget => (
                429,
                "TooManyRequests",
                "Too many requests from this address carried an access token that Microsoft Graph refused.",
            ),
            Self::TokenRefused => {
                (401, "InvalidAuthenticationToken", "Microsoft Graph refused this access token a moment ago.")
            }
            Self::Deadline => (504, "GatewayTimeout", "No response was ready in time."),
            Self::Panic => {
                (500, "InternalServerError", "The request failed because of an internal error of the cache.")
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ErrorBody { status, code, message: message.into() }
    }
}

// The first sentence of each is the one of Graph.
const PATH: &str = "Requested API is not supported. Please check the path. Expected \
                    /VERSION/identity/b2xUserFlows/ID/apiConnectorConfiguration, with VERSION v1.0 or beta; on beta also \
                    b2cUserFlows.";
const NO_TOKEN: &str = "Access token is empty. Authorization is missing or has no token: send \"Authorization: Bearer TOKEN\" \
                        with a token for Microsoft Graph.";
const QUERY: &str = "The query may contain $expand and $select, each once. $expand lists postFederationSignup, \
                     postAttributeCollection and, on beta, preTokenIssuance, each with an optional nested $select.";
