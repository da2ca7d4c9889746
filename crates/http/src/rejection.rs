//! Reasons why a request is refused without a call to Graph, each with its status, code and message.

use http::StatusCode;

use super::error::ErrorBody;
use connector_cache_support::labels::labels;

labels! {
    /// Why a request was refused before Graph was asked: the label of `rejected_total`.
    pub enum Rejection {
        /// The path is not one of ours.
        Path = "path",
        /// The path has a percent sign; none of ours needs one.
        PercentInPath = "percent-in-path",
        /// The flow id is not 1 to 128 of `A-Z a-z 0-9 _ -`.
        FlowId = "flow-id",
        /// The query is not one that we can forward as it was meant.
        Query = "query",
        /// The method is neither GET nor HEAD.
        Method = "method",
        /// The request has a body.
        Body = "body",
        /// No media type that we can answer with is accepted.
        Accept = "accept",
        /// There is no `Authorization`.
        NoToken = "no-token",
        /// The scheme is not Bearer.
        Scheme = "not-bearer",
        /// There is more than one `Authorization`, or a comma in it.
        SeveralTokens = "several-tokens",
        /// The token has characters that RFC 6750, section 2.1 does not allow, or is too long.
        TokenForm = "token-form",
        /// `Host` is missing, doubled, or differs from `:authority`.
        Host = "host",
        /// `Connection` names a field that must reach us.
        Connection = "connection",
        /// `Expect` asks for something unknown.
        Expectation = "expectation",
        /// The request has been through us before.
        Loop = "loop",
        /// The request target is longer than `limits.target_bytes`.
        TargetTooLong = "target-too-long",
        /// The header section is larger than `limits.header_bytes`.
        HeadersTooLarge = "headers-too-large",
        /// The caller wants an answer from memory alone (`only-if-cached`), and there is none.
        OnlyIfCached = "only-if-cached",
        /// As many requests as `limits.origin_requests` allows are on their way to Graph.
        Overloaded = "overloaded",
        /// As many bytes as `limits.bytes_in_flight` allows are on their way.
        BytesInFlight = "bytes-in-flight",
        /// Graph asked that this application, or this token, leaves it alone for a while.
        ThrottleGate = "throttle-gate",
        /// Graph failed repeatedly in the scope of the request; one request a second checks whether it still fails.
        Breaker = "breaker",
        /// The caller's address has sent too many tokens that Graph refused.
        UnprovenBudget = "unproven-budget",
        /// Graph refused this very token a few seconds ago; the answer is the same.
        TokenRefused = "token-refused",
        /// The request was not answered within `limits.request_timeout`.
        Deadline = "deadline",
        /// A fault of ours.
        Panic = "panic",
    }
}

impl Rejection {
    /// Status, code and message of the response.
    pub fn error(self) -> ErrorBody {
        let (status, code, message) = match self {
            Self::Path => (404, "NotFound", "Requested API is not supported. Please check the path."),
            Self::PercentInPath => (400, "BadRequest", "The path must not hold percent-encoded characters."),
            Self::FlowId => {
                (400, "BadRequest", "The user flow id must be 1 to 128 of the characters A-Z a-z 0-9 _ -.")
            }
            Self::Query => (400, "BadRequest", QUERY),
            Self::Method => (405, "MethodNotAllowed", "This resource answers GET and HEAD."),
            Self::Body => (400, "BadRequest", "The request must not have a body."),
            Self::Accept => (
                406,
                "NotAcceptable",
                "The answer is application/json with odata.metadata none, minimal or full.",
            ),
            Self::NoToken => (401, "InvalidAuthenticationToken", "Access token is empty."),
            Self::Scheme => (401, "InvalidAuthenticationToken", "The Authorization scheme must be Bearer."),
            Self::TokenForm => (401, "InvalidAuthenticationToken", "The access token is not well formed."),
            Self::SeveralTokens => {
                (400, "BadRequest", "The request must carry one access token, in one Authorization header.")
            }
            Self::Host => (400, "BadRequest", "The request must name one host, in one Host header."),
            Self::Connection => {
                (400, "BadRequest", "Connection must not name Host, Authorization or Content-Length.")
            }
            Self::Expectation => {
                (417, "ExpectationFailed", "The only expectation that is met is 100-continue.")
            }
            Self::Loop => (508, "LoopDetected", "The request has passed through this cache before."),
            Self::TargetTooLong => (414, "UriTooLong", "The request target is too long."),
            Self::HeadersTooLarge => {
                (431, "RequestHeaderFieldsTooLarge", "The request's header fields are too large.")
            }
            Self::OnlyIfCached => {
                (504, "GatewayTimeout", "Nothing fresh is stored, and Microsoft Graph was not to be asked.")
            }
            Self::Overloaded => {
                (503, "ServiceNotAvailable", "Too many requests are waiting for Microsoft Graph.")
            }
            Self::BytesInFlight => (503, "ServiceNotAvailable", "Too many answers are on their way."),
            Self::ThrottleGate => (
                429,
                "TooManyRequests",
                "Microsoft Graph throttles this application; it is not asked until then.",
            ),
            Self::Breaker => (
                503,
                "ServiceNotAvailable",
                "Microsoft Graph failed repeatedly; it is not called until then.",
            ),
            Self::UnprovenBudget => (
                429,
                "TooManyRequests",
                "Too many requests from this address carried an access token that Microsoft Graph refused.",
            ),
            Self::TokenRefused => {
                (401, "InvalidAuthenticationToken", "Microsoft Graph refused this access token a moment ago.")
            }
            Self::Deadline => (504, "GatewayTimeout", "The request was not answered in time."),
            Self::Panic => (500, "InternalServerError", "The request met a fault in the cache."),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ErrorBody { status, code, message }
    }
}

const QUERY: &str = "The query may hold $expand and $select, each once. $expand lists postFederationSignup, \
                     postAttributeCollection and, on beta, preTokenIssuance, each with an optional nested $select.";
