//! `HTTPS_PROXY` and `NO_PROXY`, in a process of its own: no test changes the environment that all share.

use crate::common::client::Response;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::token;
use crate::common::tunnel::Tunnel;
use crate::harness::{BODY, ok};

/// Sends one request through a proxy process with these variables. Returns the response and the whole log.
async fn fetch_through_proxy(
    origin: &OriginServer,
    authority: &Authority,
    variables: &[(&str, &str)],
) -> (Response, String) {
    origin.any(ok());
    let directory = tempfile::tempdir().unwrap();
    let (url, roots) = (origin.url_by_name(), authority.write_pem(directory.path()));
    let mut env =
        vec![("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()), ("CONNECTOR_CACHE__LOG__FILTER", "trace")];
    if url.starts_with("https") {
        env.push(("CONNECTOR_CACHE__GRAPH__CA_FILE", roots.to_str().unwrap()));
    }
    env.extend(variables);
    let serve = Serve::start(&env).await;
    let response = serve.get(&path("B2X_1_x"), &token::mint("a")).await;
    let (status, out, err) = serve.stop().await;
    assert!(status.success());
    (response, [out, err].concat().join("\n"))
}

async fn origin(authority: &Authority) -> OriginServer {
    OriginServer::start_tls(authority.right().server_config()).await
}

#[tokio::test]
async fn https_proxy_is_used_and_never_sees_the_token() {
    let (authority, tunnel) = (Authority::new(), Tunnel::start().await);
    let origin = origin(&authority).await;
    let url = format!("http://{}", tunnel.address());
    let (response, _) = fetch_through_proxy(&origin, &authority, &[("HTTPS_PROXY", &url)]).await;
    assert_eq!((response.status, response.text()), (200, BODY));
    let tunnel_requests = tunnel.requests();
    let port = origin.address().port();
    assert_eq!(tunnel_requests.len(), 1);
    assert_eq!(tunnel_requests[0].first_line, format!("CONNECT localhost:{port} HTTP/1.1"));
    assert!(
        !format!("{:?}", tunnel_requests[0].fields).contains("Bearer"),
        "{:?}",
        tunnel_requests[0].fields
    );
}

#[tokio::test]
async fn the_credentials_of_https_proxy_reach_it_and_nothing_else() {
    let (authority, tunnel) = (Authority::new(), Tunnel::start().await);
    let origin = origin(&authority).await;
    let url = format!("http://user:hunter2@{}", tunnel.address());
    let (response, log) = fetch_through_proxy(&origin, &authority, &[("https_proxy", &url)]).await;
    assert_eq!(response.status, 200);
    assert_eq!(tunnel.requests()[0].get("proxy-authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    assert_eq!(origin.seen()[0].header("proxy-authorization"), None);
    assert!(!log.contains("hunter2") && !log.contains("dXNlcjpodW50ZXIy"), "{log}");
}

#[tokio::test]
async fn no_proxy_exempts_the_origin() {
    let (authority, tunnel) = (Authority::new(), Tunnel::start().await);
    let origin = origin(&authority).await;
    let url = format!("http://{}", tunnel.address());
    for exempt in ["localhost", "example.org, localhost", "*"] {
        let env = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", exempt)];
        let (response, _) = fetch_through_proxy(&origin, &authority, &env).await;
        assert_eq!((response.status, tunnel.requests().len()), (200, 0), "{exempt}");
    }
}

#[tokio::test]
async fn http_proxy_does_not_concern_an_origin_under_tls() {
    let (authority, tunnel) = (Authority::new(), Tunnel::start().await);
    let origin = origin(&authority).await;
    let url = format!("http://{}", tunnel.address());
    let (response, _) = fetch_through_proxy(&origin, &authority, &[("HTTP_PROXY", &url)]).await;
    assert_eq!((response.status, tunnel.requests().len()), (200, 0));
}

#[tokio::test]
async fn no_proxy_leads_to_a_plain_origin_on_loopback() {
    let (authority, tunnel, origin) = (Authority::new(), Tunnel::start().await, OriginServer::start().await);
    let url = format!("http://{}", tunnel.address());
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        let (response, _) = fetch_through_proxy(&origin, &authority, &[(name, &url)]).await;
        assert_eq!((response.status, tunnel.requests().len()), (200, 0), "{name}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_502_and_the_origin_gets_no_connection() {
    let authority = Authority::new();
    let origin = origin(&authority).await;
    for (status, detail) in [(407, "proxy-auth"), (403, "connect"), (502, "connect")] {
        let tunnel = Tunnel::answering(status).await;
        let url = format!("http://{}", tunnel.address());
        let (response, _) = fetch_through_proxy(&origin, &authority, &[("HTTPS_PROXY", &url)]).await;
        let expected = format!("connector-cache; fwd=uri-miss; detail={detail}");
        let cache_status = response.header("cache-status");
        assert_eq!((response.status, cache_status), (502, Some(expected.as_str())), "{status}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_refused_at_the_start_without_its_credentials() {
    let binary = env!("CARGO_BIN_EXE_connector-cache");
    for url in ["socks5://user:hunter2@127.0.0.1:1", "https://user:hunter2@127.0.0.1:1"] {
        let mut command = std::process::Command::new(binary);
        command.arg("serve").env_clear().env("HTTPS_PROXY", url);
        command.env("CONNECTOR_CACHE__LISTEN__ADDRESS", "127.0.0.1:0");
        let output = command.env("CONNECTOR_CACHE__ADMIN__ADDRESS", "127.0.0.1:0").output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{url}");
        let output = [output.stdout, output.stderr].concat();
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains("expected a proxy of the form http://host:port"), "{output}");
        assert!(!output.contains("hunter2"), "{output}");
    }
}
