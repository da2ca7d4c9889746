//! Five incidents, played with a proxy before an upstream server. An operator recognises each by the first sentence of the console
//! and by the command `status`, and both name the section of the runbook.

use std::process::{Command, Stdio};
use std::time::Duration;

use connector_cache::config::Config;
use connector_cache::server::TlsFiles;
use serde_json::Value;

use crate::common::client::get;
use crate::common::origin::{OriginServer, closed_port};
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::tls::Authority;
use crate::common::{token, within};
use crate::console::Stream;

/// Sends requests until the first sentence of the console is the expected one, then compares `status`.
async fn recognised(proxy: &Proxy, (sentence, section): (&str, &str), mut load: impl AsyncFnMut()) {
    let (mut stream, _) = Stream::open(proxy.admin).await;
    let first = within(sentence, async {
        loop {
            load().await;
            let first = stream.frame().await["state"]["banner"][0].clone();
            if first["text"].as_str().is_some_and(|text| text.contains(sentence)) {
                return first;
            }
        }
    })
    .await;
    assert_eq!(first["section"], section, "{first}");
    let runbook = get(proxy.admin, "/console/runbook.md", &[]).await;
    assert!(runbook.text().contains(&format!("\n## {section}\n")));
    let (code, text) = status(proxy).await;
    assert_eq!(code, Some(1), "{text}");
    let lines: Vec<_> = text.lines().skip(1).take(2).collect();
    assert!(lines[0].contains(sentence), "{text}");
    let link = format!("    {section}: docs/runbook.md#{}", section.to_lowercase());
    assert_eq!(lines[1], link, "{text}");
}

/// Runs `connector-cache status`. Returns its exit code and its output.
async fn status(proxy: &Proxy) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connector-cache"));
    command.args(["status", "--admin", &format!("http://{}", proxy.admin)]).env_clear().stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the command", output).await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Reads a flow with the tokens of several users of one application.
async fn read_as_users(proxy: &Proxy, users: usize) {
    for user in 0..users {
        proxy.read(&token::mint(&format!("user-{user}"))).await;
    }
}

#[tokio::test]
async fn nothing_needs_attention_while_responses_come_from_memory() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let proxy = Proxy::before(&origin.url()).await;
    read_as_users(&proxy, 20).await;
    read_as_users(&proxy, 20).await;
    let (mut stream, _) = Stream::open(proxy.admin).await;
    stream.frame().await;
    assert_eq!(stream.frame().await["state"]["banner"], Value::Array(vec![]));
    let (code, text) = status(&proxy).await;
    assert_eq!(code, Some(0), "{text}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_storm_of_429_is_recognised() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let [proven, unproven] = [Proxy::before(&origin.url()).await, Proxy::before(&origin.url()).await];
    read_as_users(&proven, 5).await;
    origin.any(Reply::json("{}").with_status(429).header("retry-after", "60"));
    let mut flow = 0;
    recognised(&proven, ("Graph throttles 1 application, ", "ConnectorCacheThrottled"), async || {
        flow += 1;
        proven.get(&path(&format!("B2X_1_{flow}")), &token::mint("user-0")).await;
    })
    .await;
    // A token without a proof closes the gate for itself alone.
    let expected = ("Graph throttles 5 unproven tokens, ", "ConnectorCacheThrottled");
    recognised(&unproven, expected, async || read_as_users(&unproven, 5).await).await;
    proven.stop().await;
    unproven.stop().await;
}

#[tokio::test]
async fn an_outage_of_graph_is_recognised_by_5xx_and_by_failed_connections() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}").with_status(500));
    for url in [origin.url(), format!("http://{}", closed_port())] {
        let proxy = Proxy::before(&url).await;
        let expected = ("Graph fails: ", "ConnectorCacheGraphFails");
        recognised(&proxy, expected, async || read_as_users(&proxy, 5).await).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn one_failed_request_without_a_success_is_recognised_with_its_reason() {
    let origin = OriginServer::start().await;
    origin.any(Reply::status(200).header("content-type", "text/html").body("<html>"));
    for (url, reason) in [(format!("http://{}", closed_port()), "connect"), (origin.url(), "content-type")] {
        let proxy = Proxy::before(&url).await;
        assert_eq!(proxy.read(&token::mint("ada")).await.status, 502);
        let sentence = format!("Graph fails: 1 of 1 calls of the last minute, mostly {reason}.");
        recognised(&proxy, (&sentence, "ConnectorCacheGraphFails"), async || ()).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn an_expired_certificate_is_recognised_before_and_after_its_end() {
    let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
    let (certificate, key) = Authority::new().until(2040).write_pem(dir.path());
    let proxy = Proxy::with(&origin.url(), |config: &mut Config| {
        config.server.tls = Some(TlsFiles { certificate, key, client_ca: None });
    })
    .await;
    let end = get(proxy.admin, "/console/data", &[]).await.json()["state"]["certificate_not_after"].clone();
    let now = proxy.clock.now().unix_seconds();
    let left = Duration::from_secs(end.as_u64().unwrap() - now);
    for (time, sentence, section) in [
        (
            left.saturating_sub(Duration::from_hours(240)),
            "The certificate ends in 10 days.",
            "ConnectorCacheCertificateEnds",
        ),
        (Duration::from_hours(216), "The certificate ends in 24 h.", "ConnectorCacheCertificateEndsNow"),
        (Duration::from_hours(24), "The certificate has expired.", "ConnectorCacheCertificateExpired"),
    ] {
        proxy.clock.advance(time);
        recognised(&proxy, (sentence, section), async || ()).await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn opaque_tokens_are_recognised() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let proxy = Proxy::before(&origin.url()).await;
    let sentence = "have a token that may not use the cache, mostly token-opaque.";
    recognised(&proxy, (sentence, "ConnectorCacheBypass"), async || {
        for number in 0..5 {
            proxy.read(&format!("opaque-token-{number}")).await;
        }
    })
    .await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_memory_that_is_too_small_is_recognised() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json(format!(r#"{{"displayName":"{}"}}"#, "x".repeat(4_000))));
    let proxy = Proxy::with(&origin.url(), |config: &mut Config| config.store.max_bytes = 64 << 10).await;
    let (ada, mut flow) = (token::mint("ada"), 0);
    recognised(&proxy, ("Memory is full: ", "ConnectorCacheFull"), async || {
        for _ in 0..20 {
            flow += 1;
            proxy.get(&path(&format!("B2X_1_{flow}")), &ada).await;
        }
    })
    .await;
    proxy.stop().await;
}
