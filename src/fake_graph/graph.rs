//! The processing of one request: fault, token, throttle, permission, route and flow, in Graph's order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, Method, Response, StatusCode};
use serde_json::json;

use super::body::configuration;
use super::caller::VerifiedCaller;
use super::clock::NowFn;
use super::directory::Directory;
use super::faults::Faults;
use super::issuer::{InvalidToken, Issuer};
use super::request::{ConfigurationRequest, UnsupportedRequest};
use super::request_log::RequestLog;
use super::response::{ChunkedBody, GraphResponse, ResponsePreferences};
use super::sample::PlantedSecrets;
use super::throttle::Throttle;

/// The stand-in's shared parts.
pub(crate) struct GraphService {
    pub(crate) issuer: Arc<Issuer>,
    now: NowFn,
    state: Mutex<GraphState>,
}

/// Mutable state.
pub(crate) struct GraphState {
    pub(crate) directory: Directory,
    pub(crate) planted: PlantedSecrets,
    pub(crate) throttle: Throttle,
    pub(crate) faults: Faults,
    pub(crate) record: RequestLog,
}

impl GraphService {
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        now: NowFn,
        directory: Directory,
        planted: PlantedSecrets,
    ) -> Self {
        let (throttle, faults, record) = (Throttle::new(), Faults::default(), RequestLog::default());
        Self { issuer, now, state: Mutex::new(GraphState { directory, planted, throttle, faults, record }) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, GraphState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Responds to a request after the configured latency.
    pub(crate) async fn respond(&self, parts: &Parts) -> Response<ChunkedBody> {
        let latency = {
            let mut state = self.state();
            state.record.add(parts);
            state.faults.latency()
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let now = (self.now)();
        let response = self.process(parts, now).unwrap_or_else(|error_response| error_response);
        response.into_response(&ResponsePreferences::from_headers(&parts.headers), now)
    }

    /// Returns the response. `Err` is an error response, for an early return by `?`.
    fn process(&self, parts: &Parts, now: SystemTime) -> Result<GraphResponse, GraphResponse> {
        let mut state = self.state();
        if let Some(status) = state.faults.take() {
            return Err(failure(status, &state, now));
        }
        let token = bearer(parts);
        let caller = token
            .ok_or(InvalidToken::Missing)
            .and_then(|token| self.issuer.verify(token))
            .map_err(unauthorized_for)?;
        if !state.directory.has_tenant(&caller.tenant) {
            let message = "The identity of the calling application could not be established.";
            return Err(unauthorized("Authorization_IdentityNotFound", message, ""));
        }
        if let Some(left) = state.throttle.count(&caller.app, &caller.tenant, now) {
            return Err(throttled(&caller, &state.throttle, now, left));
        }
        if parts.method != Method::GET {
            let message = "Specified HTTP method is not allowed for the request target.";
            return Err(GraphResponse::error(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", message)
                .with(ALLOW, "GET"));
        }
        let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request =
            ConfigurationRequest::parse(parts.uri.path(), parts.uri.query().unwrap_or_default(), accept);
        let request = request.map_err(|error| match error {
            UnsupportedRequest::UnknownRoute => {
                not_found("Requested API is not supported. Please check the path.")
            }
            UnsupportedRequest::InvalidQuery(message) => {
                GraphResponse::error(StatusCode::BAD_REQUEST, "BadRequest", message)
            }
        })?;
        if !caller.reads_user_flows() {
            let message = "Insufficient privileges to complete the operation.";
            return Err(GraphResponse::error(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message));
        }
        let subject = [token.unwrap_or_default(), &caller.object];
        if subject.iter().any(|subject| state.directory.is_denied(subject, &request.flow)) {
            let message = "The caller may not read this user flow.";
            return Err(GraphResponse::error(StatusCode::FORBIDDEN, "Forbidden", message));
        }
        let flow = state.directory.flow(&caller.tenant, request.kind, &request.flow);
        let flow = flow.ok_or_else(|| not_found(&format!("Resource '{}' does not exist.", request.flow)))?;
        Ok(GraphResponse::data(configuration(&request, flow), request.metadata, request.numbers_as_strings))
    }
}

/// Returns the token of the only `Authorization` line. Two lines count as none.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut lines = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn unauthorized_for(error: InvalidToken) -> GraphResponse {
    let message = match error {
        InvalidToken::Missing => "Access token is empty.",
        InvalidToken::Malformed => "CompactToken parsing failed with error code: 80049217",
        InvalidToken::Signature => "Access token validation failure. Invalid signature.",
        InvalidToken::Audience => "Access token validation failure. Invalid audience.",
        InvalidToken::Expired => "Lifetime validation failed, the token is expired.",
        InvalidToken::NotYetValid => "Lifetime validation failed, the token is not yet valid.",
        InvalidToken::Revoked(at) => return challenge(at),
    };
    unauthorized("InvalidAuthenticationToken", message, "")
}

/// Returns the claims challenge of continuous access evaluation, which requires a token issued after `revoked_at`.
fn challenge(revoked_at: u64) -> GraphResponse {
    let event = "InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp";
    let claims = json!({"access_token": {"nbf": {"essential": true, "value": revoked_at.to_string()}}});
    // Padded, as in the captures: the SDKs' decoders need the padding.
    let claims = STANDARD.encode(claims.to_string());
    let more = format!(
        ", error=\"insufficient_claims\", claims=\"{claims}\", errorDescription=\"Continuous access evaluation \
         resulted in claims challenge with result: {event}\""
    );
    let message = format!("Continuous access evaluation resulted in challenge with result: {event}");
    unauthorized("InvalidAuthenticationToken", &message, &more)
}

fn unauthorized(code: &'static str, message: &str, more: &str) -> GraphResponse {
    let line = format!(
        "Bearer realm=\"\", authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize, \
         client_id=\"00000003-0000-0000-c000-000000000000\"{more}"
    );
    GraphResponse::error(StatusCode::UNAUTHORIZED, code, message).with(WWW_AUTHENTICATE, &line)
}

fn not_found(message: &str) -> GraphResponse {
    GraphResponse::error(StatusCode::NOT_FOUND, "ResourceNotFound", message)
}

fn throttled(caller: &VerifiedCaller, throttle: &Throttle, now: SystemTime, left: Duration) -> GraphResponse {
    let scope = format!("Tenant_Application/ReadWrite/{}/{}", caller.app, caller.tenant);
    too_many_requests(throttle, now, left)
        .with(THROTTLE_SCOPE, &scope)
        .with(THROTTLE_INFORMATION, "CPIMThrottle")
}

fn too_many_requests(throttle: &Throttle, now: SystemTime, left: Duration) -> GraphResponse {
    let message = "Too many requests. Please retry after the time in Retry-After.";
    add_retry_after(
        GraphResponse::error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message),
        throttle,
        now,
        left,
    )
}

/// Returns the response for an injected failure. 429 and 503 have `Retry-After`.
fn failure(status: StatusCode, state: &GraphState, now: SystemTime) -> GraphResponse {
    let (throttle, wait) = (&state.throttle, state.faults.wait());
    let code = match status {
        StatusCode::UNAUTHORIZED => {
            return unauthorized("InvalidAuthenticationToken", "Access token is empty.", "");
        }
        StatusCode::TOO_MANY_REQUESTS => return too_many_requests(throttle, now, wait),
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::FORBIDDEN => "Authorization_RequestDenied",
        StatusCode::NOT_FOUND | StatusCode::GONE => "ResourceNotFound",
        StatusCode::INTERNAL_SERVER_ERROR => "InternalServerError",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceNotAvailable",
        _ => "UnknownError",
    };
    let response = GraphResponse::error(status, code, status.canonical_reason().unwrap_or_default());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return add_retry_after(response, throttle, now, wait);
    }
    response
}

fn add_retry_after(
    response: GraphResponse,
    throttle: &Throttle,
    now: SystemTime,
    left: Duration,
) -> GraphResponse {
    match throttle.form().value(now, left) {
        Some(value) => response.with(RETRY_AFTER, &value),
        None => response,
    }
}

const THROTTLE_SCOPE: HeaderName = HeaderName::from_static("x-ms-throttle-scope");
const THROTTLE_INFORMATION: HeaderName = HeaderName::from_static("x-ms-throttle-information");
