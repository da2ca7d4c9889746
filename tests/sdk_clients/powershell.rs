//! Requests of Microsoft Graph PowerShell 2.x, with the spelling and the header fields of captured requests.

use connector_cache::fake_graph::{FakeGraph, Options, SIGN_UP};

use crate::common::client;
use crate::common::proxy::Proxy;

/// Fields of the generated cmdlets.
const FIELDS: [(&str, &str); 7] = [
    ("accept", "application/json"),
    ("accept-encoding", "gzip"),
    ("cache-control", "no-store, no-cache"),
    ("client-request-id", "3d2c7f0a-7c5b-4a35-8a3e-6f4f3f0f9b11"),
    ("featureflag", "00000043"),
    ("sdkversion", "graph-powershell-beta/2.25.0"),
    (
        "user-agent",
        "Mozilla/5.0 (Linux; Debian GNU/Linux 12 (bookworm); en-US) PowerShell/7.4.6 Get-MgBetaIdentityB2XUserFlowApiConnectorConfiguration",
    ),
];

#[tokio::test]
async fn property_names_in_pascal_case_share_the_entry_of_other_callers() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let (proxy, token) = (Proxy::before(&graph.url()).await, graph.token().mint());
    let authorization = format!("Bearer {token}");
    let mut fields = FIELDS.to_vec();
    fields.push(("authorization", &authorization));
    let flow = format!("/beta/identity/b2xUserFlows/{SIGN_UP}/apiConnectorConfiguration");
    let expand = |text: &str| format!("{flow}?{text}");
    let mut seen = Vec::new();
    for query in [
        "$expand=PostFederationSignup,PostAttributeCollection",
        "%24expand=PostFederationSignup%2CPostAttributeCollection",
        "$expand=postFederationSignup,%20postAttributeCollection",
    ] {
        let response = client::get(proxy.data, &expand(query), &fields).await;
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        seen.push(response.header("cache-status").unwrap().to_owned());
    }
    assert_eq!(seen[0], "connector-cache; fwd=uri-miss; fwd-status=200; stored");
    assert!(seen[1..].iter().all(|status| status.starts_with("connector-cache; hit")), "{seen:?}");
    assert_eq!(graph.calls(), 1);
    proxy.stop().await;
}
