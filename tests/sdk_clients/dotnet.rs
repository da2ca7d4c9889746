//! Requests of Graph's SDK for .NET 5.x, with the header fields of captured requests.

use std::time::Duration;

use connector_cache::cache::freshness::ClientDirectives;
use connector_cache::fake_graph::{FakeGraph, Options, SIGN_UP};

use crate::common::client::{self, Response};
use crate::common::proxy::{Proxy, path};

/// Sends a GET with the fields that `GraphClientFactory` and its handlers add to every request.
async fn get(proxy: &Proxy, token: &str) -> Response {
    let headers = [
        ("authorization", &*format!("Bearer {token}")),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br"),
        ("cache-control", "no-store, no-cache"),
        ("client-request-id", CLIENT_REQUEST_ID),
        (
            "sdkversion",
            "graph-dotnet-beta/5.99.0, graph-dotnet-core/3.2.4 (featureUsage=00000002; hostOS=Linux; hostArch=x64; runtimeEnvironment=.NET 8.0.11)",
        ),
        ("user-agent", "kiota-dotnet/1.17.2"),
    ];
    client::get(proxy.data, &path(SIGN_UP), &headers).await
}

fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or_default()
}

#[tokio::test]
async fn no_store_on_every_request_does_not_prevent_hits() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    assert_eq!(
        cache_status(&get(&proxy, &token).await),
        "connector-cache; fwd=uri-miss; fwd-status=200; stored"
    );
    proxy.clock.advance(Duration::from_secs(1));
    let hit = get(&proxy, &token).await;
    assert_eq!((hit.status, cache_status(&hit)), (200, "connector-cache; hit; ttl=299"));
    assert_eq!(hit.header("client-request-id"), Some(CLIENT_REQUEST_ID));
    assert_eq!(graph.calls(), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn with_client_directives_honored_there_are_no_hits() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let honor = ClientDirectives::Honor;
    let proxy = Proxy::with(&graph.url(), |config| config.freshness.client_directives = honor).await;
    let token = graph.token().mint();
    for calls in 1..=2 {
        assert_eq!(
            cache_status(&get(&proxy, &token).await),
            "connector-cache; fwd=uri-miss; fwd-status=200; detail=no-store"
        );
        assert_eq!(graph.calls(), calls);
    }
    proxy.stop().await;
}

const CLIENT_REQUEST_ID: &str = "7c2b4f0e-51f9-4c6d-a5b6-2f0e1d3c4b5a";
