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

/// Does what the path says.
struct Stub;

impl Handler for Stub {
    fn try_handle_sync(&self, asked: &RequestView<'_>, _: &Ids) -> Option<HandlerResponse> {
        match asked.head.uri.path() {
            "/panic-at-once" => panic!("with a secret"),
            "/at-once" => Some(told()),
            _ => None,
        }
    }

    async fn handle(&self, request: &Parts, _: HeaderMap, _: &Ids, _: SocketAddr) -> HandlerResponse {
        match request.uri.path() {
            "/panic" => panic!("with a secret"),
            "/never" => pending().await,
            _ => told(),
        }
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        response::error_response(error_response, ids, &CacheStatus::default(), Clock::system().now())
    }
}

fn told() -> HandlerResponse {
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
    let stack =
        RequestStack::new(Arc::new(Stub), Arc::clone(&metrics), AccessLog::All, &ServerLimits::default());
    (stack, metrics)
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
async fn every_answer_carries_the_ids_and_nosniff() {
    let (stack, _) = stack();
    let mut asked = get("/");
    let theirs = HeaderValue::from_static("B6A0C1DE-0c1f-4f0e-9d6a-0123456789ab");
    asked.headers.insert(CLIENT_REQUEST_ID, theirs.clone());
    let response = stack.respond(asked.clone(), false, PEER).await;
    assert_eq!(response.headers()[CLIENT_REQUEST_ID], theirs);
    assert!(parse_guid(&response.headers()[REQUEST_ID]).is_some());
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(!response.headers().contains_key("server"));
}

#[tokio::test]
async fn an_id_that_is_no_guid_is_replaced() {
    let (stack, _) = stack();
    let mut asked = get("/");
    asked.headers.insert(CLIENT_REQUEST_ID, HeaderValue::from_static("<script>"));
    let response = stack.respond(asked.clone(), false, PEER).await;
    assert!(parse_guid(&response.headers()[CLIENT_REQUEST_ID]).is_some());
}

#[tokio::test]
async fn line_83_head_has_the_fields_of_get_and_no_body() {
    let (stack, _) = stack();
    let response = stack.respond(request(Method::HEAD, "/"), false, PEER).await;
    assert_eq!(
        (&response.headers()["content-length"], &response.headers()["x-own"]),
        (&"7".parse().unwrap(), &"1".parse().unwrap())
    );
    assert!(body(response).await.is_empty());
}

#[tokio::test]
async fn f60_a_panic_is_a_500_without_its_message() {
    let (stack, metrics) = stack();
    let response = stack.respond(get("/panic"), false, PEER).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!String::from_utf8_lossy(&body(response).await).contains("secret"));
    assert_eq!(metrics.rejected.get(Rejection::Panic), 1);
    assert_eq!(metrics.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_ends_at_its_deadline() {
    let (stack, metrics) = stack();
    let start = tokio::time::Instant::now();
    let response = stack.respond(get("/never"), false, PEER).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(metrics.rejected.get(Rejection::Deadline), 1);
}

#[tokio::test]
async fn a_refused_message_never_reaches_the_handler() {
    let (stack, metrics) = stack();
    let response = stack.respond(get("/panic"), true, PEER).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(metrics.rejected.get(Rejection::Body), 1);
    assert_eq!(metrics.rejected.get(Rejection::Panic), 0);
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_counted_once() {
    let (stack, metrics) = stack();
    let asked = get("/never");
    assert!(stack.respond(asked.clone(), false, PEER).now_or_never().is_none());
    assert_eq!(metrics.in_flight(), 0);
    let hung_up = StatusCode::from_u16(499).unwrap();
    assert_eq!(metrics.requests(MethodLabel::Get, hung_up, Outcome::None), 1);
}

#[tokio::test]
async fn an_answer_is_counted_by_method_status_and_outcome() {
    let (stack, metrics) = stack();
    stack.respond(get("/"), false, PEER).await;
    assert_eq!(metrics.requests(MethodLabel::Get, StatusCode::OK, Outcome::Hit), 1);
}

#[test]
fn what_is_answered_at_once_is_dressed_and_counted_like_all_else() {
    let (stack, metrics) = stack();
    let response = stack.try_respond(&request(Method::HEAD, "/at-once"), PEER.ip()).unwrap();
    assert!(parse_guid(&response.headers()[REQUEST_ID]).is_some());
    assert_eq!(response.headers()["content-length"], "7");
    assert_eq!(metrics.requests(MethodLabel::Head, StatusCode::OK, Outcome::Hit), 1);
    assert_eq!(metrics.in_flight(), 0);
}

#[test]
fn what_cannot_be_answered_at_once_leaves_no_trace() {
    let (stack, metrics) = stack();
    assert!(stack.try_respond(&get("/"), PEER.ip()).is_none());
    assert!(
        stack.try_respond(&request(Method::POST, "/at-once"), PEER.ip()).is_none(),
        "it is refused elsewhere"
    );
    assert_eq!(metrics.answered(Outcome::Hit) + metrics.answered(Outcome::None), 0);
}

#[test]
fn a_panic_at_once_is_a_500_for_one_caller() {
    let (stack, metrics) = stack();
    let response = stack.try_respond(&get("/panic-at-once"), PEER.ip()).unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(metrics.rejected.get(Rejection::Panic), 1);
    assert_eq!(stack.try_respond(&get("/at-once"), PEER.ip()).unwrap().status(), StatusCode::OK);
}
