//! Sources of failures, and the data of the caller in a fetch request.

use http::{HeaderMap, HeaderValue, Method, header};

use super::*;
use crate::auth::Bypass;
use crate::auth::{HashKeys, Identity};
use crate::cache::freshness::ErrorSource;
use crate::http::ids::Ids;
use crate::proxy::runtime_config::RuntimeConfig;
use crate::resource::{ApiVersion, Resource};
use crate::support::labels::Label;
use crate::upstream::RequestError;
use crate::upstream::UpstreamFailure;

#[test]
fn a_failure_of_graph_is_an_error_and_an_error_response_of_graph_is_a_response() {
    let refused = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap();
        Fetched::UpstreamError(Arc::new(UpstreamErrorResponse {
            status,
            headers: HeaderMap::new(),
            body: None,
        }))
    };
    for status in [400, 401, 403, 404, 405, 406, 410, 428, 451] {
        assert_eq!(refused(status).error_source(), None, "{status}");
    }
    for status in [429, 500, 501, 502, 503, 504, 509] {
        assert_eq!(refused(status).error_source(), Some(ErrorSource::Upstream), "{status}");
    }
}

#[test]
fn a_failure_in_the_proxy_is_local_except_rejections_by_breakers() {
    for &reason in Rejection::ALL {
        let local = Fetched::Failed(ErrorResponse::Rejected(reason));
        assert_eq!(local.error_source(), Some(ErrorSource::Local), "{reason}");
    }
    for reason in [Rejection::Breaker, Rejection::ThrottleGate] {
        let own = Fetched::Failed(ErrorResponse::Shut(reason, 1));
        assert_eq!(own.error_source(), Some(ErrorSource::Upstream), "{reason}");
    }
    for &failure in UpstreamFailure::ALL {
        let failed = Fetched::Failed(ErrorResponse::Upstream(failure));
        let is_local = failure == UpstreamFailure::NoSocket;
        let source = if is_local { ErrorSource::Local } else { ErrorSource::Upstream };
        assert_eq!(failed.error_source(), Some(source), "{failure}");
        let outcome = call_outcome(&Err(RequestError::Failed(failure)), Clock::system().now());
        assert_eq!(outcome.is_none(), is_local, "{failure}");
    }
}

#[test]
fn t17_a_fetch_request_keeps_the_callers_fields_without_the_token_and_shows_none() {
    let hash_keys = HashKeys::random().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("secret"));
    let path = "/beta/identity/b2xUserFlows/x/apiConnectorConfiguration";
    let (request, ()) = http::Request::builder().method(Method::GET).uri(path).body(()).unwrap().into_parts();
    let fetch_request = FetchRequest {
        config: Arc::new(RuntimeConfig::default()),
        resource: Arc::new(Resource::parse(path, None, &headers, ApiVersion::Beta).unwrap()),
        identity: Identity::from_headers(&headers, &hash_keys).unwrap(),
        claims: Err(Bypass::Opaque),
        peer: (std::net::Ipv4Addr::LOCALHOST, 1).into(),
        is_proven: true,
        no_store: false,
        headers: CallerFields::new(headers),
        stored: None,
        is_background: false,
        ids: Ids::from_headers(&request.headers),
    };
    assert!(!fetch_request.selecting_request().headers.contains_key(header::AUTHORIZATION));
    assert!(fetch_request.selecting_request().headers.contains_key(header::ACCEPT_LANGUAGE));
    let shown = format!("{fetch_request:?}");
    assert!(!shown.contains("secret") && shown.contains("CallerFields(<redacted>)"), "{shown}");
}
