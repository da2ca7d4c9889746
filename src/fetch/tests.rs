//! What counts as an outage, and what a question holds of its caller.

use http::Method;

use super::*;
use crate::cache::status::Bypass;
use crate::identity::{Identity, Secrets};
use crate::ids::Ids;
use crate::resource::{ApiVersion, Resource};

#[test]
fn an_outage_is_that_graph_could_not_answer_and_never_that_it_would_not() {
    let refused = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap();
        Fetched::Refused(Arc::new(Refusal { status, headers: HeaderMap::new(), body: None }))
    };
    for status in [400, 401, 403, 404, 405, 406, 410, 428, 451] {
        assert!(!refused(status).is_outage(), "{status}");
    }
    for status in [429, 500, 501, 502, 503, 504, 509] {
        assert!(refused(status).is_outage(), "{status}");
    }
    assert!(Fetched::Failed(Problem::Origin(OriginFault::Reset)).is_outage());
}

#[test]
fn t17_a_question_keeps_its_callers_fields_without_the_token_and_shows_none() {
    let secrets = Secrets::random().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("secret"));
    let path = "/beta/identity/b2xUserFlows/x/apiConnectorConfiguration";
    let (request, ()) = http::Request::builder().method(Method::GET).uri(path).body(()).unwrap().into_parts();
    let question = Question {
        resource: Arc::new(Resource::parse(path, None, &headers, ApiVersion::Beta).unwrap()),
        identity: Identity::of(&headers, &secrets).unwrap(),
        claims: Err(Bypass::Opaque),
        unproven: None,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        no_store: false,
        headers: CallerFields::default(),
        stored: None,
        ids: Ids::of(&request.headers),
    };
    let question = question.of_caller(&headers, None);
    assert!(!question.presented().headers.contains_key(header::AUTHORIZATION));
    assert!(question.presented().headers.contains_key(header::ACCEPT_LANGUAGE));
    let shown = format!("{question:?}");
    assert!(!shown.contains("secret") && shown.contains("CallerFields(<redacted>)"), "{shown}");
}
