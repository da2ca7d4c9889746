//! The one table from a reason to a status, a code and a sentence.

use http::StatusCode;

use super::{ErrorResponse, Rejection as R, UpstreamFailure as O};

/// Status, Graph's code, sentence.
pub(super) type Row = (StatusCode, &'static str, &'static str);

pub(super) fn row(error_response: ErrorResponse) -> Row {
    match error_response {
        ErrorResponse::Rejected(reason) | ErrorResponse::Shut(reason, _) => rejected(reason),
        ErrorResponse::Upstream(O::Timeout | O::FirstByte | O::ConnectTimeout) => {
            (StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", "Microsoft Graph did not answer in time.")
        }
        ErrorResponse::Upstream(O::NoSocket) => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceNotAvailable", "Too many connections are open.")
        }
        ErrorResponse::Upstream(O::Dns | O::Connect | O::Tls | O::Reset) => {
            (StatusCode::BAD_GATEWAY, "BadGateway", "Microsoft Graph could not be reached.")
        }
        ErrorResponse::Upstream(_) | ErrorResponse::Unscrubbable(_) => {
            (StatusCode::BAD_GATEWAY, "BadGateway", "Microsoft Graph's answer could not be used.")
        }
        ErrorResponse::Unreadable(status) => {
            (status, code_for(status), "Microsoft Graph refused the request.")
        }
    }
}

/// The code that Graph's clients know for a status.
fn code_for(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "InvalidAuthenticationToken",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        503 => "ServiceNotAvailable",
        504 => "GatewayTimeout",
        400..500 => "BadRequest",
        _ => "UnknownError",
    }
}

fn rejected(reason: R) -> Row {
    let (status, code, message) = match reason {
        R::Path => (404, "NotFound", "Requested API is not supported. Please check the path."),
        R::PercentInPath => (400, "BadRequest", "The path must not hold percent-encoded characters."),
        R::FlowId => {
            (400, "BadRequest", "The user flow id must be 1 to 128 of the characters A-Z a-z 0-9 _ -.")
        }
        R::Query => (400, "BadRequest", QUERY),
        R::Method => (405, "MethodNotAllowed", "This resource answers GET and HEAD."),
        R::Body => (400, "BadRequest", "The request must not have a body."),
        R::Accept => (
            406,
            "NotAcceptable",
            "The answer is application/json with odata.metadata none, minimal or full.",
        ),
        R::NoToken => (401, "InvalidAuthenticationToken", "Access token is empty."),
        R::Scheme => (401, "InvalidAuthenticationToken", "The Authorization scheme must be Bearer."),
        R::TokenForm => (401, "InvalidAuthenticationToken", "The access token is not well formed."),
        R::SeveralTokens => {
            (400, "BadRequest", "The request must carry one access token, in one Authorization header.")
        }
        R::Host => (400, "BadRequest", "The request must name one host, in one Host header."),
        R::Connection => {
            (400, "BadRequest", "Connection must not name Host, Authorization or Content-Length.")
        }
        R::Expectation => (417, "ExpectationFailed", "The only expectation that is met is 100-continue."),
        R::Loop => (508, "LoopDetected", "The request has passed through this cache before."),
        R::TargetTooLong => (414, "UriTooLong", "The request target is too long."),
        R::HeadersTooLarge => {
            (431, "RequestHeaderFieldsTooLarge", "The request's header fields are too large.")
        }
        R::OnlyIfCached => {
            (504, "GatewayTimeout", "Nothing fresh is stored, and Microsoft Graph was not to be asked.")
        }
        R::Connections => (503, "ServiceNotAvailable", "Too many connections are open."),
        R::AddressConnections => {
            (503, "ServiceNotAvailable", "Too many connections are open from this address.")
        }
        R::Malformed | R::Handshake => (400, "BadRequest", "The request is not well formed."),
        R::Flood => (429, "TooManyRequests", "The connection brings too much beside requests."),
        R::Slow => (408, "RequestTimeout", "The request took too long to come."),
        R::Overloaded => (503, "ServiceNotAvailable", "Too many requests are waiting for Microsoft Graph."),
        R::BytesInFlight => (503, "ServiceNotAvailable", "Too many answers are on their way."),
        R::ThrottleGate => (
            429,
            "TooManyRequests",
            "Microsoft Graph throttles this application; it is not asked until then.",
        ),
        R::Breaker => {
            (503, "ServiceNotAvailable", "Microsoft Graph failed repeatedly; it is not called until then.")
        }
        R::UnprovenBudget => (
            429,
            "TooManyRequests",
            "Too many requests from this address carried an access token that Microsoft Graph refused.",
        ),
        R::TokenRefused => {
            (401, "InvalidAuthenticationToken", "Microsoft Graph refused this access token a moment ago.")
        }
        R::Deadline => (504, "GatewayTimeout", "The request was not answered in time."),
        R::Panic => (500, "InternalServerError", "The request met a fault in the cache."),
    };
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, message)
}

const QUERY: &str = "The query may hold $expand and $select, each once. $expand lists postFederationSignup, \
                     postAttributeCollection and, on beta, preTokenIssuance, each with an optional nested $select.";
