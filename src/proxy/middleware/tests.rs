use super::*;
use crate::cache::outcome::Outcome;
use crate::http::cache_status::CacheStatus;
use crate::http::ids::{CLIENT_REQUEST_ID, REQUEST_ID, parse_guid};
use crate::observability::metrics::MethodLabel;
use crate::proxy::response;
use crate::support::clock::Clock;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::future::pending;

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// Handler whose path selects the behaviour.
struct Stub;

impl Handler for Stub {
    type Prepared = String;

    fn lookup(&self, request: &RequestView<'_>, _: &Ids, _: &Arc<RuntimeConfig>) -> Lookup<String> {
        match request.head.uri.path() {
            "/panic-at-once" => panic!("with a secret"),
            "/at-once" => Lookup::Ready(stub_response()),
            path => Lookup::Continue(path.to_owned()),
        }
    }

    async fn respond(&self, path: String, _: HeaderMap, _: &Ids, _: SocketAddr) -> HandlerResponse {
        match &*path {
            "/panic" => panic!("with a secret"),
            "/never" => pending().await,
            _ => stub_response(),
        }
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        response::error_response(error_response, ids, &CacheStatus::default(), Clock::system().now())
    }
}

fn stub_response() -> HandlerResponse {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"a\":1}")));
    response.headers_mut().insert("x-own", HeaderValue::from_static("1"));
    HandlerResponse {
        response,
        has_common_headers: false,
        outcome: Outcome::Hit,
        reason: None,
        token_tag: None,
    }
}

fn stack() -> (RequestStack<Stub>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let stack = RequestStack::new(Arc::new(Stub), Arc::clone(&metrics), RuntimeConfig::default().into_live());
    (stack, metrics)
}

/// Responds to a request as a connection does, in one part or in two.
async fn respond(stack: &RequestStack<Stub>, head: Parts, has_body: bool) -> Response {
    match stack.try_respond(&head, has_body, &PEER.into()) {
        ControlFlow::Break(response) => response,
        ControlFlow::Continue(pending) => {
            stack.respond(pending, head, has_body.then_some(()), PEER.into()).await
        }
    }
}

/// Returns the response to a request without a body, if it needs no waiting.
fn respond_at_once(stack: &RequestStack<Stub>, head: &Parts) -> Option<Response> {
    stack.try_respond(head, false, &PEER.into()).break_value()
}

fn request(method: Method, path: &str) -> Parts {
    Request::builder().method(method).uri(path).header("host", "a").body(()).unwrap().into_parts().0
}

fn get(path: &str) -> Parts {
    request(Method::GET, path)
}

async fn body(response: Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn all_responses_have_the_ids_and_nosniff() {
    let (stack, _) = stack();
    let mut head = get("/");
    let theirs = HeaderValue::from_static("B6A0C1DE-0c1f-4f0e-9d6a-0123456789ab");
    head.headers.insert(CLIENT_REQUEST_ID, theirs.clone());
    let response = respond(&stack, head.clone(), false).await;
    assert_eq!(response.headers()[CLIENT_REQUEST_ID], theirs);
    assert!(parse_guid(&response.headers()[REQUEST_ID]).is_some());
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(!response.headers().contains_key("server"));
}

#[tokio::test]
async fn an_id_that_is_no_guid_is_replaced() {
    let (stack, _) = stack();
    let mut head = get("/");
    head.headers.insert(CLIENT_REQUEST_ID, HeaderValue::from_static("<script>"));
    let response = respond(&stack, head.clone(), false).await;
    assert!(parse_guid(&response.headers()[CLIENT_REQUEST_ID]).is_some());
}

#[tokio::test]
async fn line_83_head_has_the_fields_of_get_and_no_body() {
    let (stack, _) = stack();
    let response = respond(&stack, request(Method::HEAD, "/"), false).await;
    assert_eq!(
        (&response.headers()["content-length"], &response.headers()["x-own"]),
        (&"7".parse().unwrap(), &"1".parse().unwrap())
    );
    assert!(body(response).await.is_empty());
}

#[tokio::test]
async fn f60_a_panic_is_a_500_without_its_message() {
    let (stack, metrics) = stack();
    let response = respond(&stack, get("/panic"), false).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!String::from_utf8_lossy(&body(response).await).contains("secret"));
    assert_eq!(metrics.rejected.get(Rejection::Panic), 1);
    assert_eq!(metrics.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_ends_at_its_deadline() {
    let (stack, metrics) = stack();
    let start = tokio::time::Instant::now();
    let response = respond(&stack, get("/never"), false).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(metrics.rejected.get(Rejection::Deadline), 1);
}

#[tokio::test]
async fn a_refused_message_never_reaches_the_handler() {
    let (stack, metrics) = stack();
    let response = respond(&stack, get("/panic"), true).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(metrics.rejected.get(Rejection::Body), 1);
    assert_eq!(metrics.rejected.get(Rejection::Panic), 0);
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_counted_once() {
    let (stack, metrics) = stack();
    let head = get("/never");
    assert!(respond(&stack, head.clone(), false).now_or_never().is_none());
    assert_eq!(metrics.in_flight(), 0);
    let hung_up = StatusCode::from_u16(499).unwrap();
    assert_eq!(metrics.requests(MethodLabel::Get, hung_up, Outcome::None), 1);
}

#[tokio::test]
async fn a_response_is_counted_by_method_status_and_outcome() {
    let (stack, metrics) = stack();
    respond(&stack, get("/"), false).await;
    assert_eq!(metrics.requests(MethodLabel::Get, StatusCode::OK, Outcome::Hit), 1);
}

#[test]
fn a_response_of_the_lookup_has_common_headers_and_is_counted() {
    let (stack, metrics) = stack();
    let response = respond_at_once(&stack, &request(Method::HEAD, "/at-once")).unwrap();
    assert!(parse_guid(&response.headers()[REQUEST_ID]).is_some());
    assert_eq!(response.headers()["content-length"], "7");
    assert_eq!(metrics.requests(MethodLabel::Head, StatusCode::OK, Outcome::Hit), 1);
    assert_eq!(metrics.in_flight(), 0);
}

#[test]
fn a_request_that_must_wait_is_not_counted_before_it_does() {
    let (stack, metrics) = stack();
    assert!(respond_at_once(&stack, &get("/")).is_none());
    assert!(
        respond_at_once(&stack, &request(Method::POST, "/at-once")).is_none(),
        "it is rejected by the second part"
    );
    assert_eq!(metrics.requests_by_outcome(Outcome::Hit) + metrics.requests_by_outcome(Outcome::None), 0);
}

#[test]
fn a_panic_in_the_lookup_is_a_500_for_one_caller() {
    let (stack, metrics) = stack();
    let response = respond_at_once(&stack, &get("/panic-at-once")).unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(metrics.rejected.get(Rejection::Panic), 1);
    assert_eq!(respond_at_once(&stack, &get("/at-once")).unwrap().status(), StatusCode::OK);
}

/// Row E9: an endpoint for spans that samples one request in 1,000 must not make all hits slow.
#[cfg(feature = "otlp")]
#[test]
fn a_tracer_takes_no_hit_off_the_fast_path_and_a_sampled_hit_has_one_span() {
    use crate::observability::tracing_export::Config;
    let url = url::Url::parse("http://collector:4318").unwrap();
    for (one_in, spans) in [(0, 0), (1, 1)] {
        let config = Config { endpoint: Some(url.clone()), one_in };
        let (stack, metrics) = stack();
        let (tracer, queue) = Tracer::new(&config, false, &url, &metrics);
        let (stack, mut queue) = (stack.traced(tracer), queue.unwrap());
        assert_eq!(respond_at_once(&stack, &get("/at-once")).unwrap().status(), StatusCode::OK);
        let names: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok()).map(|span| span.name).collect();
        assert_eq!(names, vec!["GET"; spans], "one in {one_in}");
    }
}
