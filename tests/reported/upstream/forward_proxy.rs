//! `HTTPS_PROXY`, `NO_PROXY` and CONNECT. The proxy runs as a process, so that no test changes the environment of another.

use std::process::{Command, Output};

use super::BODY;
use crate::common::client::Response;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::token;
use crate::common::tunnel::Tunnel;

/// Response to one request through a process with these variables, its log, and the sum of each reason of
/// `origin_errors_total` that a test reads.
struct Fetched {
    response: Response,
    log: String,
    proxy_auth_errors: f64,
}

async fn fetch(url: &str, authority: &Authority, variables: &[(&str, &str)]) -> Fetched {
    let directory = tempfile::tempdir().unwrap();
    let roots = authority.write_pem(directory.path());
    let mut env = vec![
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url),
        ("CONNECTOR_CACHE__GRAPH__CA_FILE", roots.to_str().unwrap()),
    ];
    env.extend(variables);
    let serve = Serve::start(&env).await;
    let response = serve.get(&path("B2X_1_x"), &token::mint("a")).await;
    let proxy_auth_errors = serve.series(r#"connector_cache_origin_errors_total{reason="proxy-auth"}"#).await;
    let (status, out, err) = serve.stop().await;
    assert!(status.success());
    Fetched { response, log: [out, err].concat().join("\n"), proxy_auth_errors }
}

async fn origin(authority: &Authority) -> OriginServer {
    let origin = OriginServer::start_tls(authority.right().server_config()).await;
    origin.any(Reply::json(BODY));
    origin
}

/// Runs a command of the binary with one variable more than it needs.
fn run(command: &str, name: &str, value: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_connector-cache"));
    process.arg(command).env_clear().env(name, value);
    process.env("CONNECTOR_CACHE__LISTEN__ADDRESS", "127.0.0.1:0");
    process.env("CONNECTOR_CACHE__ADMIN__ADDRESS", "127.0.0.1:0").output().unwrap()
}

#[test]
fn d2_a_proxy_variable_that_cannot_be_read_is_refused_at_start_and_by_check() {
    let values = [
        "http://user:p ss@host:1",
        "http://user:hunter2@host:1\n",
        " http://host:1",
        "\"http://user:hunter2@host:1\"",
        "'http://host:1'",
        "htp://user:hunter2@host:1",
        "http://user:hunter2@host:65536",
        "http://host:0",
        "http://host:port",
        "http://",
        "host:1:2",
        "socks5://user:hunter2@host:1",
        "https://user:hunter2@host:1",
        "http://user:hunt#er2@host:1",
    ];
    for value in values {
        for command in ["check", "serve"] {
            let output = run(command, "HTTPS_PROXY", value);
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(64), "{value:?} {command}: {text}");
            assert!(text.contains("HTTPS_PROXY: "), "{text}");
            assert!(text.contains("expected a proxy of the form http://host:port"), "{text}");
            assert!(!text.contains("hunt") && !text.contains("p ss"), "{text}");
        }
    }
    for name in ["https_proxy", "ALL_PROXY", "all_proxy"] {
        let output = run("check", name, "htp://host:1");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&format!("{name}: ")), "{text}");
        assert_eq!(output.status.code(), Some(64), "{name}");
    }
    for value in ["", "http://host:1", "host:1", "HTTP://host", "http://us%40er:p%20ss@[::1]:1/"] {
        assert_eq!(run("check", "HTTPS_PROXY", value).status.code(), Some(0), "{value:?}");
    }
}

#[tokio::test]
async fn d2_a_proxy_without_a_scheme_and_with_encoded_credentials_is_used() {
    let (authority, tunnel) = (Authority::new(), Tunnel::start().await);
    let origin = origin(&authority).await;
    let value = format!("us%40er:p%20ss@{}", tunnel.address());
    let variables = [("HTTPS_PROXY", ""), ("https_proxy", ""), ("ALL_PROXY", value.as_str())];
    let fetched = fetch(&origin.url_by_name(), &authority, &variables).await;
    assert_eq!((fetched.response.status, tunnel.requests().len()), (200, 1));
    assert_eq!(tunnel.requests()[0].get("proxy-authorization"), Some("Basic dXNAZXI6cCBzcw=="));
}

#[tokio::test]
async fn d3_no_proxy_matches_host_and_port_and_address_and_port() {
    let (authority, tunnel) = (Authority::new(), Tunnel::start().await);
    let origin = origin(&authority).await;
    let (proxy, port) = (format!("http://{}", tunnel.address()), origin.address().port());
    let (name, address) = (origin.url_by_name(), origin.url());
    for (url, exempt) in [
        (&name, format!("localhost:{port}")),
        (&name, format!("example.org , LocalHost.:{port}")),
        (&name, "*.localhost".to_owned()),
        (&address, format!("127.0.0.1:{port}")),
        (&address, "127.0.0.0/8".to_owned()),
    ] {
        let fetched = fetch(url, &authority, &[("HTTPS_PROXY", &proxy), ("NO_PROXY", &exempt)]).await;
        assert_eq!((fetched.response.status, tunnel.requests().len()), (200, 0), "{exempt}");
    }
    for (url, other) in [(&name, "localhost:443"), (&address, "127.0.0.1:443"), (&address, "127.0.0.2/32")] {
        let before = tunnel.requests().len();
        let fetched = fetch(url, &authority, &[("HTTPS_PROXY", &proxy), ("NO_PROXY", other)]).await;
        assert_eq!((fetched.response.status, tunnel.requests().len()), (200, before + 1), "{other}");
    }
}

#[tokio::test]
async fn d4_any_2xx_to_connect_opens_the_tunnel() {
    let authority = Authority::new();
    let origin = origin(&authority).await;
    for status in [200, 201, 204, 299] {
        let tunnel = Tunnel::answering(status).await;
        let proxy = format!("http://{}", tunnel.address());
        let fetched = fetch(&origin.url_by_name(), &authority, &[("HTTPS_PROXY", &proxy)]).await;
        assert_eq!((fetched.response.status, tunnel.requests().len()), (200, 1), "{status}");
    }
}

#[tokio::test]
async fn d4_a_status_of_the_proxy_other_than_2xx_is_named_in_the_log() {
    let authority = Authority::new();
    let origin = origin(&authority).await;
    for (status, detail, counted) in [(407, "proxy-auth", 1.0), (403, "connect", 0.0), (302, "connect", 0.0)]
    {
        let tunnel = Tunnel::answering(status).await;
        let proxy = format!("http://user:hunter2@{}", tunnel.address());
        let fetched = fetch(&origin.url_by_name(), &authority, &[("HTTPS_PROXY", &proxy)]).await;
        let expected = format!("connector-cache; fwd=uri-miss; detail={detail}");
        let cache_status = fetched.response.header("cache-status");
        assert_eq!((fetched.response.status, cache_status), (502, Some(expected.as_str())));
        assert_eq!(fetched.proxy_auth_errors > 0.0, counted > 0.0, "{status}");
        let is_named = |line: &str| line.contains("HTTPS_PROXY") && line.contains(&status.to_string());
        assert!(fetched.log.lines().any(is_named), "{status}: {}", fetched.log);
        assert!(!fetched.log.contains("hunter2"), "{}", fetched.log);
    }
}
