//! One request to Graph, decided: fault, token, throttle, permission, route, flow, in Graph's order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, Method, Response, StatusCode};
use serde_json::json;

use super::answer::{Answer, Body, Wish};
use super::body::configuration;
use super::caller::Caller;
use super::clock::Now;
use super::directory::Directory;
use super::faults::Faults;
use super::issuer::{Issuer, Rejection};
use super::question::{Question, Unasked};
use super::record::Record;
use super::sample::Planted;
use super::throttle::Throttle;

/// Everything that Graph knows.
pub(crate) struct Graph {
    pub(crate) issuer: Arc<Issuer>,
    now: Now,
    state: Mutex<State>,
}

/// What changes while Graph runs.
pub(crate) struct State {
    pub(crate) directory: Directory,
    pub(crate) planted: Planted,
    pub(crate) throttle: Throttle,
    pub(crate) faults: Faults,
    pub(crate) record: Record,
}

impl Graph {
    pub(crate) fn new(issuer: Arc<Issuer>, now: Now, directory: Directory, planted: Planted) -> Self {
        let (throttle, faults, record) = (Throttle::new(), Faults::default(), Record::default());
        Self { issuer, now, state: Mutex::new(State { directory, planted, throttle, faults, record }) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request, after the latency that is set.
    pub(crate) async fn answer(&self, parts: &Parts) -> Response<Body> {
        let latency = {
            let mut state = self.state();
            state.record.add(parts);
            state.faults.latency()
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let now = (self.now)();
        let answer = self.decide(parts, now).unwrap_or_else(|refusal| refusal);
        answer.into_response(&Wish::of(&parts.headers), now)
    }

    /// The answer, or the refusal that comes before it.
    fn decide(&self, parts: &Parts, now: SystemTime) -> Result<Answer, Answer> {
        let mut state = self.state();
        if let Some(status) = state.faults.take() {
            return Err(failure(status, &state, now));
        }
        let token = bearer(parts);
        let caller =
            token.ok_or(Rejection::Missing).and_then(|token| self.issuer.assess(token)).map_err(refuse)?;
        if !state.directory.has_tenant(&caller.tenant) {
            let message = "The identity of the calling application could not be established.";
            return Err(unauthorized("Authorization_IdentityNotFound", message, ""));
        }
        if let Some(left) = state.throttle.count(&caller.app, &caller.tenant, now) {
            return Err(throttled(&caller, &state.throttle, now, left));
        }
        if parts.method != Method::GET {
            let message = "Specified HTTP method is not allowed for the request target.";
            return Err(Answer::error(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", message)
                .with(ALLOW, "GET"));
        }
        let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let question = Question::parse(parts.uri.path(), parts.uri.query().unwrap_or_default(), accept);
        let question = question.map_err(|why| match why {
            Unasked::Path => not_found("Requested API is not supported. Please check the path."),
            Unasked::Query(message) => Answer::error(StatusCode::BAD_REQUEST, "BadRequest", message),
        })?;
        if !caller.reads_user_flows() {
            let message = "Insufficient privileges to complete the operation.";
            return Err(Answer::error(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message));
        }
        let who = [token.unwrap_or_default(), &caller.object];
        if who.iter().any(|who| state.directory.is_denied(who, &question.flow)) {
            let message = "The caller may not read this user flow.";
            return Err(Answer::error(StatusCode::FORBIDDEN, "Forbidden", message));
        }
        let flow = state.directory.flow(&caller.tenant, &question.flow);
        let flow = flow.ok_or_else(|| not_found(&format!("Resource '{}' does not exist.", question.flow)))?;
        Ok(Answer::data(configuration(&question, flow), question.metadata))
    }
}

/// The token of the one `Authorization` line. Two lines are as good as none.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut lines = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn refuse(why: Rejection) -> Answer {
    let message = match why {
        Rejection::Missing => "Access token is empty.",
        Rejection::Malformed => "CompactToken parsing failed with error code: 80049217",
        Rejection::Signature => "Access token validation failure. Invalid signature.",
        Rejection::Audience => "Access token validation failure. Invalid audience.",
        Rejection::Expired => "Lifetime validation failed, the token is expired.",
        Rejection::NotYetValid => "Lifetime validation failed, the token is not yet valid.",
        Rejection::Revoked(at) => return challenge(at),
    };
    unauthorized("InvalidAuthenticationToken", message, "")
}

/// The claims challenge of continuous access evaluation: only a token issued after `revoked_at` will do.
fn challenge(revoked_at: u64) -> Answer {
    let event = "InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp";
    let claims = json!({"access_token": {"nbf": {"essential": true, "value": revoked_at.to_string()}}});
    // Padded, as in the captures: the SDKs' decoders want it.
    let claims = STANDARD.encode(claims.to_string());
    let more = format!(
        ", error=\"insufficient_claims\", claims=\"{claims}\", errorDescription=\"Continuous access evaluation \
         resulted in claims challenge with result: {event}\""
    );
    let message = format!("Continuous access evaluation resulted in challenge with result: {event}");
    unauthorized("InvalidAuthenticationToken", &message, &more)
}

fn unauthorized(code: &'static str, message: &str, more: &str) -> Answer {
    let line = format!(
        "Bearer realm=\"\", authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize, \
         client_id=\"00000003-0000-0000-c000-000000000000\"{more}"
    );
    Answer::error(StatusCode::UNAUTHORIZED, code, message).with(WWW_AUTHENTICATE, &line)
}

fn not_found(message: &str) -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "ResourceNotFound", message)
}

fn throttled(caller: &Caller, throttle: &Throttle, now: SystemTime, left: Duration) -> Answer {
    let scope = format!("Tenant_Application/ReadWrite/{}/{}", caller.app, caller.tenant);
    too_many(throttle, now, left).with(THROTTLE_SCOPE, &scope).with(THROTTLE_INFORMATION, "CPIMThrottle")
}

fn too_many(throttle: &Throttle, now: SystemTime, left: Duration) -> Answer {
    let message = "Too many requests. Please retry after the time in Retry-After.";
    come_back(Answer::error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message), throttle, now, left)
}

/// A failure on demand. 429 and 503 say when to come back, the others do not.
fn failure(status: StatusCode, state: &State, now: SystemTime) -> Answer {
    let (throttle, wait) = (&state.throttle, state.faults.wait());
    let code = match status {
        StatusCode::UNAUTHORIZED => {
            return unauthorized("InvalidAuthenticationToken", "Access token is empty.", "");
        }
        StatusCode::TOO_MANY_REQUESTS => return too_many(throttle, now, wait),
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::FORBIDDEN => "Authorization_RequestDenied",
        StatusCode::NOT_FOUND | StatusCode::GONE => "ResourceNotFound",
        StatusCode::INTERNAL_SERVER_ERROR => "InternalServerError",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceNotAvailable",
        _ => "UnknownError",
    };
    let answer = Answer::error(status, code, status.canonical_reason().unwrap_or_default());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return come_back(answer, throttle, now, wait);
    }
    answer
}

fn come_back(answer: Answer, throttle: &Throttle, now: SystemTime, left: Duration) -> Answer {
    match throttle.form().value(now, left) {
        Some(value) => answer.with(RETRY_AFTER, &value),
        None => answer,
    }
}

const THROTTLE_SCOPE: HeaderName = HeaderName::from_static("x-ms-throttle-scope");
const THROTTLE_INFORMATION: HeaderName = HeaderName::from_static("x-ms-throttle-information");
