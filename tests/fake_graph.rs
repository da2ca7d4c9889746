//! The fake Graph behaves as Graph does, seen over its socket.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, reason = "a failed step of a helper is a failed test")]

mod common;

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::{self, Client, H2, Response};
use common::tls::Authority;
use connector_cache::fake_graph::{
    BARE, CONTOSO, FABRIKAM, FakeGraph, Flow, Options, RetryAfterForm, SIGN_UP, Step, connector, forgery,
    user_id,
};
use flate2::read::GzDecoder;
use http::StatusCode;

const EXPAND: &str = "$expand=postFederationSignup,postAttributeCollection,preTokenIssuance";

fn graph() -> FakeGraph {
    FakeGraph::start(Options::default()).unwrap()
}

fn path(flow: &str) -> String {
    format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration?{EXPAND}")
}

async fn ask(graph: &FakeGraph, token: &str, flow: &str) -> Response {
    client::get(graph.address(), &path(flow), &[("authorization", &format!("Bearer {token}"))]).await
}

async fn request_with(graph: &FakeGraph, headers: &[(&str, &str)]) -> Response {
    let token = format!("Bearer {}", graph.token().mint());
    let all: Vec<_> =
        [("authorization", token.as_str())].into_iter().chain(headers.iter().copied()).collect();
    client::get(graph.address(), &path(SIGN_UP), &all).await
}

fn code(answer: &Response) -> String {
    answer.json()["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_accepted() {
    let graph = graph();
    let answer = ask(&graph, &graph.token().mint(), SIGN_UP).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["postFederationSignup"]["displayName"], "Fraud check");
}

#[tokio::test]
async fn an_app_is_accepted_without_a_user() {
    let graph = graph();
    assert_eq!(ask(&graph, &graph.token().app("daemon").mint(), SIGN_UP).await.status, 200);
}

#[tokio::test]
async fn a_forged_token_is_refused_with_a_challenge() {
    let graph = graph();
    let answer = ask(&graph, &forgery::forged(&graph.token().mint()), SIGN_UP).await;
    assert_eq!((answer.status, code(&answer).as_str()), (401, "InvalidAuthenticationToken"));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer realm=\"\", authorization_uri="));
}

#[tokio::test]
async fn a_revoked_token_gets_a_claims_challenge() {
    let graph = graph();
    let token = graph.token().mint();
    graph.revoke(&token);
    let answer = ask(&graph, &token, SIGN_UP).await;
    let line = answer.header("www-authenticate").unwrap();
    assert!(line.contains(", error=\"insufficient_claims\", claims=\""), "{line}");
    let claims = line.split("claims=\"").nth(1).unwrap().split('"').next().unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&STANDARD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["access_token"]["nbf"]["essential"], true);
}

#[tokio::test]
async fn a_revoked_user_needs_a_new_token() {
    let graph = graph();
    let before = graph.token().mint();
    graph.revoke_user_tokens(CONTOSO, "ada");
    assert_eq!(ask(&graph, &before, SIGN_UP).await.status, 401);
    assert_eq!(ask(&graph, &graph.token().mint(), SIGN_UP).await.status, 200);
}

#[tokio::test]
async fn a_token_ends_when_the_given_clock_says_so() {
    let seconds = Arc::new(AtomicU64::new(1_800_000_000));
    let shown = Arc::clone(&seconds);
    let now = Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed)));
    let graph = FakeGraph::start(Options { now, ..Options::default() }).unwrap();
    let token = graph.token().expires_in(Duration::from_secs(100)).mint();
    assert_eq!(ask(&graph, &token, SIGN_UP).await.header("date"), Some("Fri, 15 Jan 2027 08:00:00 GMT"));
    seconds.fetch_add(100, Ordering::Relaxed);
    assert_eq!(ask(&graph, &token, SIGN_UP).await.status, 401);
}

#[tokio::test]
async fn a_token_without_the_permission_is_denied() {
    let graph = graph();
    let answer = ask(&graph, &graph.token().via("mail").scopes(&["User.Read"]).mint(), SIGN_UP).await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "Authorization_RequestDenied"));
}

#[tokio::test]
async fn one_flow_can_be_denied_to_one_user() {
    let graph = graph();
    graph.deny(&user_id(CONTOSO, "ada"), SIGN_UP);
    let token = graph.token().mint();
    let answer = ask(&graph, &token, SIGN_UP).await;
    assert_eq!((answer.status, code(&answer).as_str()), (403, "Forbidden"));
    assert_eq!(ask(&graph, &token, BARE).await.status, 200);
}

#[tokio::test]
async fn the_same_flow_id_is_another_flow_in_another_tenant() {
    let graph = graph();
    let ours = ask(&graph, &graph.token().mint(), SIGN_UP).await;
    let theirs = ask(&graph, &graph.token().tenant(FABRIKAM).mint(), SIGN_UP).await;
    assert_ne!(ours.json()["postFederationSignup"]["id"], theirs.json()["postFederationSignup"]["id"]);
}

#[tokio::test]
async fn flows_come_and_go() {
    let graph = graph();
    let token = graph.token().mint();
    assert_eq!(code(&ask(&graph, &token, "B2X_1_new").await), "ResourceNotFound");
    let secret = graph.plant("password");
    let added = connector::basic("New", "https://api.example", "user", &secret);
    graph.put_flow(CONTOSO, Flow::new("B2X_1_new").connector(Step::PostFederationSignup, added));
    assert!(ask(&graph, &token, "B2X_1_new").await.text().contains(&secret));
    graph.remove_flow(CONTOSO, "B2X_1_new");
    assert_eq!(ask(&graph, &token, "B2X_1_new").await.status, 404);
}

#[tokio::test]
async fn an_unknown_step_is_a_bad_request() {
    let graph = graph();
    let authorization = format!("Bearer {}", graph.token().mint());
    let path = path(SIGN_UP).replace("beta", "v1.0");
    let answer = client::get(graph.address(), &path, &[("authorization", &authorization)]).await;
    assert_eq!((answer.status, code(&answer).as_str()), (400, "BadRequest"));
}

#[tokio::test]
async fn every_planted_secret_is_served_somewhere() {
    let graph = graph();
    let mut bodies = String::new();
    for (tenant, flows) in graph.tenants() {
        let token = graph.token().tenant(&tenant).mint();
        for flow in flows {
            let steps = "postFederationSignup,postAttributeCollection,preTokenIssuance";
            let (kind, id) = (flow.kind(), flow.id());
            let path = format!("/beta/identity/{kind}/{id}/apiConnectorConfiguration?$expand={steps}");
            let authorization = format!("Bearer {token}");
            let answer = client::get(graph.address(), &path, &[("authorization", &authorization)]).await;
            bodies += answer.text();
        }
    }
    let secrets = graph.planted_secrets();
    assert!(secrets.len() > 30);
    assert_eq!(secrets.iter().find(|secret| !bodies.contains(secret.as_str())), None);
}

#[tokio::test]
async fn the_headers_are_those_of_graph() {
    let graph = graph();
    let answer = request_with(&graph, &[]).await;
    let expected = [
        ("transfer-encoding", "chunked"),
        ("cache-control", "no-cache"),
        (
            "content-type",
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        ),
        ("vary", "Accept-Encoding"),
        ("odata-version", "4.0"),
        ("location", "https://graph.microsoft.com"),
        ("strict-transport-security", "max-age=31536000"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("x-ms-ags-diagnostic").is_some());
}

#[tokio::test]
async fn the_callers_request_id_is_echoed_and_otherwise_made_up() {
    let graph = graph();
    let given = request_with(&graph, &[("client-request-id", "mine")]).await;
    assert_eq!(given.header("client-request-id"), Some("mine"));
    let made = request_with(&graph, &[]).await;
    assert_eq!(made.header("client-request-id"), made.header("request-id"));
}

#[tokio::test]
async fn gzip_is_sent_when_it_is_accepted() {
    let graph = graph();
    let answer = request_with(&graph, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("{\"@odata.context\""));
    assert_eq!(
        request_with(&graph, &[("accept-encoding", "gzip;q=0")]).await.header("content-encoding"),
        None
    );
}

#[tokio::test]
async fn an_app_is_throttled_by_itself() {
    let graph = graph();
    graph.set_throttle(Some(1));
    graph.set_retry_after_form(RetryAfterForm::Fractional);
    let token = graph.token().mint();
    assert_eq!(ask(&graph, &token, SIGN_UP).await.status, 200);
    let answer = ask(&graph, &token, SIGN_UP).await;
    assert_eq!((answer.status, code(&answer).as_str()), (429, "TooManyRequests"));
    assert!(answer.header("retry-after").unwrap().contains('.'));
    assert_eq!(ask(&graph, &graph.token().via("mail").mint(), SIGN_UP).await.status, 200);
}

#[tokio::test]
async fn failures_end_by_count_or_by_healing() {
    let graph = graph();
    let token = graph.token().mint();
    graph.fail_next(1, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&graph, &token, SIGN_UP).await.status, 503);
    assert_eq!(ask(&graph, &token, SIGN_UP).await.status, 200);
    graph.fail_all(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(ask(&graph, &token, SIGN_UP).await.status, 500);
    graph.heal();
    assert_eq!(ask(&graph, &token, SIGN_UP).await.status, 200);
}

#[tokio::test]
async fn latency_comes_before_the_answer() {
    let graph = graph();
    graph.set_latency(Duration::from_millis(50));
    let asked = Instant::now();
    request_with(&graph, &[]).await;
    assert!(asked.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn calls_are_counted_as_they_begin() {
    let graph = graph();
    graph.set_latency(Duration::from_hours(1));
    let mut client = Client::connect(graph.address()).await;
    client.send_get(&path(SIGN_UP), &[]).await.unwrap();
    common::within("the call", graph.wait_for_calls(1)).await;
    assert_eq!((graph.calls(), graph.calls_for_flow(SIGN_UP), graph.calls_for_flow(BARE)), (1, 1, 0));
}

#[tokio::test]
async fn what_arrived_is_recorded_and_its_token_not_shown() {
    let graph = graph();
    request_with(&graph, &[("traceparent", "00-aa")]).await;
    let requests = graph.requests();
    assert_eq!(requests[0].target, path(SIGN_UP).as_str());
    assert_eq!(requests[0].headers["traceparent"], "00-aa");
    assert!(!format!("{requests:?}").contains("Bearer"));
}

#[tokio::test]
async fn http_2_is_spoken_with_prior_knowledge() {
    let graph = graph();
    let client = H2::connect(graph.address()).await;
    let authorization = format!("Bearer {}", graph.token().mint());
    let answer = client.get(&path(SIGN_UP), &[("authorization", &authorization)]).await.unwrap();
    assert_eq!((answer.status, graph.requests()[0].version), (200, http::Version::HTTP_2));
}

#[tokio::test]
async fn tls_speaks_what_the_client_prefers() {
    let root = Authority::new();
    let tls = Some(root.right().server_config());
    let graph = FakeGraph::start(Options { tls, ..Options::default() }).unwrap();
    assert!(graph.url().starts_with("https://127.0.0.1:"));
    let config = root.client_config(&["h2"]);
    let second = H2::connect_tls(graph.address(), config, "localhost").await.unwrap();
    assert_eq!(second.get("/", &[]).await.unwrap().status, 401);
    let config = root.client_config(&["http/1.1"]);
    let mut first = Client::connect_tls(graph.address(), config, "localhost").await.unwrap();
    assert_eq!(first.get("/", &[]).await.status, 401);
}

#[tokio::test]
async fn a_stopped_sandbox_ends_its_connections_and_frees_its_port() {
    let graph = graph();
    let address = graph.address();
    let mut client = Client::connect(address).await;
    client.get("/", &[]).await;
    graph.stop().await;
    client.ended().await;
    let listener = Some(std::net::TcpListener::bind(address).unwrap());
    assert_eq!(FakeGraph::start(Options { listener, ..Options::default() }).unwrap().address(), address);
}
