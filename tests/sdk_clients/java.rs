//! Requests of Java clients, with the header fields of captured requests.

use connector_cache::fake_graph::{FakeGraph, Options};

use crate::common::client;
use crate::common::proxy::{Proxy, path};

#[tokio::test]
async fn the_sdk_and_the_http_client_of_the_jdk_share_an_entry() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let authorization = format!("Bearer {token}");
    let target = path(connector_cache::fake_graph::SIGN_UP);
    let clients: [&[(&str, &str)]; 3] = [
        // msgraph-sdk-java, on OkHttp.
        &[
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("client-request-id", "0b5f6c1e-2b7e-4c5d-9d0a-2a5b7e6c9f10"),
            ("sdkversion", "graph-java-beta/6.40.0 (featureUsage=7)"),
            ("user-agent", "okhttp/4.12.0"),
        ],
        // HttpURLConnection before Java 19: `.2` is no qvalue, and `*` is no media range.
        &[("accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"), ("user-agent", "Java/17.0.12")],
        // HttpURLConnection from Java 19 on.
        &[("accept", "*/*"), ("user-agent", "Java/21.0.4")],
    ];
    for fields in clients {
        let mut fields = fields.to_vec();
        fields.push(("authorization", &authorization));
        let response = client::get(proxy.data, &target, &fields).await;
        assert_eq!(response.status, 200, "{fields:?}: {}", response.text());
    }
    assert_eq!(graph.calls(), 1);
    proxy.stop().await;
}
