//! Spans at the collector: their contents, and what they must not contain. No request waits for their export.

#![cfg(all(feature = "otlp", feature = "demo"))]

mod common;

use common::client;
use common::collector::{Collector, Span};
use common::origin::{OriginServer, closed_port};
use common::proxy::{Proxy, path};
use common::reply::Reply;
use common::serve::Serve;
use common::{token, within};
use connector_cache::config::Config;
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP, user_id};
use connector_cache::observability::metrics::SpanResult;
use url::Url;

const CALLERS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn sending_to(url: &Url) -> impl FnOnce(&mut Config) {
    let endpoint = Some(url.clone());
    move |config| config.tracing_export.endpoint = endpoint
}

async fn ask(proxy: &Proxy, token: &str, traceparent: Option<&str>) -> client::Response {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(traceparent.map(|value| ("traceparent", value)));
    client::get(proxy.data, &path("B2X_1_x"), &headers).await
}

fn of_server(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.is_server).collect()
}

fn of_client(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| !span.is_server).collect()
}

#[tokio::test]
async fn a_callers_trace_goes_on_through_the_proxy_to_graph() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    let id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    origin.any(Reply::json("{}").header("request-id", id));
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    ask(&proxy, &token::mint("ada"), Some(CALLERS)).await;
    let spans = collector.spans(2).await;
    let (server, client) = (of_server(&spans)[0], of_client(&spans)[0]);
    assert!(spans.iter().all(|span| span.trace == "4bf92f3577b34da6a3ce929d0e0e4736" && !span.failed));
    assert_eq!((server.parent.as_str(), &client.parent), ("00f067aa0ba902b7", &server.id));
    let sent = format!("00-{}-{}-01", client.trace, client.id);
    assert_eq!(origin.seen()[0].header("traceparent"), Some(sent.as_str()));
    assert!(client.nanoseconds > 0 && client.nanoseconds < server.nanoseconds);
    assert_eq!(client.attribute("http.response.header.request-id"), format!("[String({id:?})]"));
    proxy.stop().await;
}

#[tokio::test]
async fn spans_have_the_names_and_attributes_of_the_conventions() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    ask(&proxy, &token::mint("ada"), None).await;
    let spans = collector.spans(2).await;
    let route = "/{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration";
    let said = |span: &Span, attributes: &[(&str, &str)]| {
        assert_eq!(span.name, format!("GET {route}"));
        let expected = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(span.attributes, expected.collect());
    };
    let (method, scheme, version) =
        (("http.request.method", "GET"), ("url.scheme", "http"), ("network.protocol.version", "1.1"));
    let status = ("http.response.status_code", "200");
    said(
        of_server(&spans)[0],
        &[method, scheme, version, status, ("http.route", route), ("connector_cache.cache", "miss")],
    );
    let port = origin.address().port().to_string();
    let graph = [("server.address", "127.0.0.1"), ("server.port", port.as_str()), ("url.template", route)];
    said(of_client(&spans)[0], &[&[method, scheme, version, status], &graph[..]].concat());
    assert_eq!(of_server(&spans)[0].parent, "", "a trace of its own");
    proxy.stop().await;
}

#[tokio::test]
async fn the_route_of_a_span_has_the_kind_of_the_flow_in_its_canonical_spelling() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    proxy.get("/Beta/identity/B2CUserFlows/B2C_1_x/ApiConnectorConfiguration", &token::mint("ada")).await;
    let spans = collector.spans(2).await;
    let route = "/{version}/identity/b2cUserFlows/{id}/apiConnectorConfiguration";
    let (server, client) = (of_server(&spans)[0], of_client(&spans)[0]);
    assert_eq!((server.name.clone(), client.name.clone()), (format!("GET {route}"), format!("GET {route}")));
    assert_eq!((server.attribute("http.route"), client.attribute("url.template")), (route, route));
    proxy.stop().await;
}

#[tokio::test]
async fn a_hit_has_one_span_and_a_second_attempt_one_of_its_own() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    ask(&proxy, &token::mint("ada"), None).await;
    ask(&proxy, &token::mint("ada"), None).await;
    // The connection was used and is idle: a request on a connection that just ends is repeated on another one.
    origin.route("/beta", vec![Reply::hang_up(), Reply::json("{}")]);
    ask(&proxy, &token::mint("grace"), None).await;
    let spans = collector.spans(6).await;
    let caches: Vec<_> =
        of_server(&spans).iter().map(|span| span.attribute("connector_cache.cache")).collect();
    assert_eq!(caches, ["miss", "hit", "miss"]);
    let attempts: Vec<_> = of_client(&spans)
        .iter()
        .map(|span| (span.failed, span.attribute("error.type"), span.attribute("http.request.resend_count")))
        .collect();
    assert_eq!(attempts, [(false, "", ""), (true, "stale-connection", ""), (false, "", "1")]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_failure_has_its_reason_in_the_span() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    let whole = format!("{{\"a\":\"{}\"}}", "b".repeat(1000));
    // Each on its own connection: on a used connection the request would be repeated.
    origin.any(vec![
        Reply::json("{}").with_status(503),
        Reply::status(403).then_close(),
        Reply::reset(),
        Reply::json(whole).cut_after(500),
    ]);
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    for subject in ["a", "b", "c", "d"] {
        ask(&proxy, &token::mint(subject), None).await;
    }
    let spans = collector.spans(8).await;
    let said = |spans: Vec<&Span>| {
        let of = |span: &Span| (span.failed, span.attribute("error.type").to_owned());
        spans.into_iter().map(of).collect::<Vec<_>>()
    };
    let failed = |word: &str| (true, word.to_owned());
    assert_eq!(said(of_client(&spans)), ["503", "403", "reset", "truncated"].map(failed));
    assert_eq!(
        said(of_server(&spans)),
        [failed("503"), (false, String::new()), failed("reset"), failed("truncated")]
    );
    proxy.stop().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_and_one_that_is_refused_have_their_spans() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    origin.any(Reply::silence());
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    client::get(proxy.data, "/beta/users", &[]).await;
    let mut caller = client::Client::connect(proxy.data).await;
    caller.send_get(&path("B2X_1_x"), &[("authorization", "Bearer opaque")]).await.unwrap();
    origin.wait_for_requests(1).await;
    caller.reset();
    let spans = collector.spans(3).await;
    let (server, client) = (of_server(&spans), of_client(&spans));
    assert_eq!((server[0].name.as_str(), server[0].attribute("connector_cache.reason")), ("GET", "path"));
    assert_eq!(server[0].attribute("http.route"), "");
    assert_eq!(server[1].attribute("error.type"), "caller-hung-up");
    assert_eq!(server[1].attribute("http.response.status_code"), "");
    assert_eq!(client[0].attribute("error.type"), "cancelled");
    proxy.stop().await;
}

#[tokio::test]
async fn who_says_that_a_trace_is_not_wanted_is_heard() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), |config| {
        config.tracing_export.endpoint = Some(collector.url());
        config.tracing_export.one_in = 0;
    })
    .await;
    ask(&proxy, &token::mint("ada"), Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")).await;
    ask(&proxy, &token::mint("grace"), None).await;
    ask(&proxy, &token::mint("linus"), Some(CALLERS)).await;
    let seen = origin.seen();
    assert!(seen[0].header("traceparent").unwrap().ends_with("-00"), "it goes on to Graph as it came");
    assert_eq!(seen[1].header("traceparent"), None, "none is begun");
    proxy.stop().await;
    assert_eq!(collector.spans(2).await.len(), 2, "of the third alone");
}

#[tokio::test]
async fn no_span_names_a_token_a_flow_a_tenant_a_subject_or_a_credential() {
    let (graph, collector) = (FakeGraph::start(Options::default()).unwrap(), Collector::start().await);
    let proxy = Proxy::with(&graph.url(), sending_to(&collector.url())).await;
    let token = graph.token().mint();
    let mut secrets = graph.planted_secrets();
    secrets.extend([SIGN_UP, CONTOSO, &user_id(CONTOSO, "ada"), "canary"].map(str::to_owned));
    secrets.extend(token.split('.').map(str::to_owned));
    for target in [path(SIGN_UP), path(SIGN_UP), path("canary"), "/canary?canary=canary".to_owned()] {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("tracestate", "canary=canary"),
            ("baggage", "canary=canary"),
            ("user-agent", "canary"),
        ];
        client::get(proxy.data, &target, &headers).await;
    }
    collector.spans(6).await;
    for body in collector.bodies() {
        let found: Vec<_> = secrets.iter().filter(|secret| body.contains(*secret)).collect();
        assert!(found.is_empty(), "{found:?} in {body}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_silent_collector_delays_no_request() {
    let (origin, collector) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(Reply::json("{}"));
    collector.any(Reply::silence());
    let proxy = Proxy::with(&origin.url(), sending_to(&Url::parse(&collector.url()).unwrap())).await;
    let bearer = format!("Bearer {}", token::mint("ada"));
    let mut caller = client::Client::connect(proxy.data).await;
    caller.get(&path("B2X_1_x"), &[("authorization", &bearer)]).await;
    // A batch is in flight and gets no response.
    collector.wait_for_requests(1).await;
    for _ in 0..100 {
        let answer = caller.get(&path("B2X_1_x"), &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(proxy.metrics.spans.get(SpanResult::Sent), 0);
    proxy.stop().await;
}

#[tokio::test]
async fn spans_that_a_collector_does_not_take_are_counted_and_requests_go_on() {
    let (origin, collector) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(Reply::json("{}"));
    collector.any(Reply::status(503));
    let gone = Url::parse(&format!("http://{}", closed_port())).unwrap();
    for url in [Url::parse(&collector.url()).unwrap(), gone] {
        let proxy = Proxy::with(&origin.url(), sending_to(&url)).await;
        assert_eq!(ask(&proxy, &token::mint("ada"), None).await.status, 200);
        let metrics = std::sync::Arc::clone(&proxy.metrics);
        // What is left is sent at the end.
        proxy.stop().await;
        assert_eq!(metrics.spans.get(SpanResult::Refused), 2, "{url}");
    }
}

#[tokio::test]
async fn the_last_spans_are_sent_when_the_proxy_stops() {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), sending_to(&collector.url())).await;
    ask(&proxy, &token::mint("ada"), None).await;
    let metrics = std::sync::Arc::clone(&proxy.metrics);
    proxy.stop().await;
    assert_eq!(collector.spans(2).await.len(), 2);
    assert_eq!(metrics.spans.get(SpanResult::Sent), 2);
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_exported_and_a_callers_trace_is_continued() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let proxy = Proxy::before(&origin.url()).await;
    ask(&proxy, &token::mint("ada"), None).await;
    ask(&proxy, &token::mint("grace"), Some(CALLERS)).await;
    let seen = within("both", async { origin.seen() }).await;
    assert_eq!(seen[0].header("traceparent"), None);
    let sent = seen[1].header("traceparent").unwrap();
    assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent.ends_with("-01"), "{sent}");
    assert!(!sent.contains("00f067aa0ba902b7"));
    for result in [SpanResult::Sent, SpanResult::Dropped, SpanResult::Refused] {
        assert_eq!(proxy.metrics.spans.get(result), 0);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn the_standard_variables_of_the_environment_reach_the_collector() {
    use std::io::Read as _;

    let (origin, collector) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(Reply::json("{}"));
    collector.any(Reply::json("{}"));
    let (graph, endpoint) = (origin.url(), collector.url());
    let serve = Serve::start(&[
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", graph.as_str()),
        ("CONNECTOR_CACHE__TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20Y2FuYXJ5"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_SERVICE_NAME", "edge"),
    ])
    .await;
    serve.get(&path("B2X_1_x"), &token::mint("ada")).await;
    collector.wait_for_requests(1).await;
    let request = collector.seen().remove(0);
    assert_eq!(request.header("authorization"), Some("Basic Y2FuYXJ5"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    let mut body = String::new();
    flate2::read::GzDecoder::new(request.body.as_slice()).read_to_string(&mut body).unwrap();
    for attribute in [
        r#"{"key":"service.name","value":{"stringValue":"edge"}}"#,
        r#"{"key":"deployment.environment.name","value":{"stringValue":"test"}}"#,
    ] {
        assert_eq!(body.matches(attribute).count(), 1, "{attribute} in {body}");
    }
    let (status, out, err) = serve.stop().await;
    assert!(
        status.success() && !out.iter().chain(&err).any(|line| line.contains("Y2FuYXJ5")),
        "{out:?} {err:?}"
    );
}

#[tokio::test]
async fn a_batch_that_a_busy_collector_refuses_is_sent_again() {
    let (origin, collector) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(Reply::json("{}"));
    collector.any(vec![Reply::status(503), Reply::json("{}")]);
    let proxy = Proxy::with(&origin.url(), sending_to(&Url::parse(&collector.url()).unwrap())).await;
    ask(&proxy, &token::mint("ada"), None).await;
    collector.wait_for_requests(2).await;
    within("the response of the collector", async {
        while proxy.metrics.spans.get(SpanResult::Sent) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(proxy.metrics.spans.get(SpanResult::Refused), 0);
    let seen = collector.seen();
    assert_eq!(seen[0].body, seen[1].body);
    proxy.stop().await;
}
