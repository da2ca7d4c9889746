//! No line of the log, no metric, no span and no error body has a token, a claim, a credential or a text of a caller.
//!
//! The process logs at TRACE, with an access line for every request.

use std::sync::Arc;

use connector_cache::fake_graph::{FakeGraph, Options};

use crate::common::collector::Collector;
use crate::common::origin::OriginServer;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::drive::Drive;

/// A process with the most verbose log.
async fn loud(format: &str, url: &str, roots: Option<&str>, collector: &Collector) -> Serve {
    let endpoint = collector.url();
    let mut env = vec![
        ("CONNECTOR_CACHE__TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("CONNECTOR_CACHE__LOG__FORMAT", format),
        ("CONNECTOR_CACHE__LOG__FILTER", "trace,h2=trace,hyper=trace,hyper_util=trace,rustls=trace"),
        ("CONNECTOR_CACHE__LOG__ACCESS", "all"),
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
    ];
    env.extend(roots.map(|roots| ("CONNECTOR_CACHE__GRAPH__CA_FILE", roots)));
    Serve::start(&env).await
}

/// Searches all that an operator can read.
async fn search(format: &str, drive: Drive<'_>) -> (usize, crate::canaries::Canaries) {
    let Drive { serve, canaries, answered } = drive;
    for place in ["/metrics", "/cache", "/", "/readyz"] {
        canaries.absent(place, serve.look(place).await.text());
    }
    assert!(
        serve.series(r#"connector_cache_rejected_total{reason="panic"}"#).await < 0.5,
        "{format}: a panic"
    );
    (answered, canaries)
}

/// Every request has its span, and none holds a canary.
async fn search_spans(collector: &Collector, answered: usize, canaries: &crate::canaries::Canaries) {
    let spans = collector.spans(answered).await;
    assert!(spans.iter().filter(|span| span.is_server).count() >= answered);
    for body in collector.bodies() {
        canaries.absent("the spans", &body);
    }
}

/// Every line is one, in its format, and none holds a canary.
fn search_log(format: &str, lines: &[String], answered: usize, canaries: &crate::canaries::Canaries) {
    let mut access = 0;
    for line in lines {
        canaries.absent("the log", line);
        let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
        assert!(!line.contains(odd), "{line:?}");
        if format == "json" {
            let parsed: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
            assert!(
                parsed.is_object() && parsed["time"].is_string() && parsed["level"].is_string(),
                "{line}"
            );
        } else {
            assert!(line.starts_with("20") && line[..24].ends_with('Z'), "{line}");
        }
        access += usize::from(line.contains("connector_cache::access"));
    }
    assert!(access >= answered, "{access} access lines of {answered} requests");
}

/// Stops the process and searches its output.
async fn search_output(format: &str, serve: Serve, answered: usize, canaries: &crate::canaries::Canaries) {
    let (status, out, err) = serve.stop().await;
    assert!(status.success());
    assert_eq!(err, Vec::<String>::new(), "standard error");
    search_log(format, &out, answered, canaries);
}

async fn nothing_leaks_before_graph(format: &str) {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let roots = authority.write_pem(directory.path());
    let tls = Some(Arc::clone(&authority.right().server_config()));
    let graph = FakeGraph::start(Options { tls, ..Options::default() }).unwrap();
    let collector = Collector::start().await;
    let serve = loud(format, &graph.url(), roots.to_str(), &collector).await;
    let mut drive = Drive::of(&serve);
    drive.through_graph(&graph).await;
    drive.with_odd_requests().await;
    let (answered, canaries) = search(format, drive).await;
    search_output(format, serve, answered, &canaries).await;
    search_spans(&collector, answered, &canaries).await;
}

async fn nothing_leaks_before_a_faulty_origin(format: &str) {
    let (origin, collector) = (OriginServer::start().await, Collector::start().await);
    let serve = loud(format, &origin.url(), None, &collector).await;
    let mut drive = Drive::of(&serve);
    drive.through_faults(&origin).await;
    drive.with_odd_requests().await;
    let (answered, canaries) = search(format, drive).await;
    search_output(format, serve, answered, &canaries).await;
    search_spans(&collector, answered, &canaries).await;
}

#[tokio::test]
async fn f64_nothing_leaks_before_graph_in_json() {
    nothing_leaks_before_graph("json").await;
}

#[tokio::test]
async fn f64_nothing_leaks_before_graph_in_text() {
    nothing_leaks_before_graph("text").await;
}

#[tokio::test]
async fn f64_nothing_leaks_before_a_faulty_origin_in_json() {
    nothing_leaks_before_a_faulty_origin("json").await;
}

#[tokio::test]
async fn f64_nothing_leaks_before_a_faulty_origin_in_text() {
    nothing_leaks_before_a_faulty_origin("text").await;
}

#[tokio::test]
async fn a_process_that_cannot_start_says_why_without_a_secret() {
    let binary = env!("CARGO_BIN_EXE_connector-cache");
    let output = std::process::Command::new(binary)
        .arg("serve")
        .env_clear()
        .env("CONNECTOR_CACHE__LOG__FILTER", "trace")
        .env("CONNECTOR_CACHE__GRAPH__BASE_URL", "https://user:hunter2@graph.microsoft.com")
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(said.contains("BASE_URL") && !said.contains("hunter2"), "{said}");
}
