//! F19: an origin server without a valid certificate of Graph gets no request.

use std::sync::Arc;

use connector_cache::upstream::UpstreamFailure;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::common::client;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::tls::Authority;
use crate::common::token;
use crate::harness::{BODY, Harness, STORED, cache_status, ok};

/// Sends a request through a proxy to an origin with this certificate. Returns the response, the origin and the proxy.
async fn fetch_from(
    trusted: &Authority,
    shown: Arc<ServerConfig>,
) -> (client::Response, OriginServer, Proxy) {
    let directory = tempfile::tempdir().unwrap();
    let roots = trusted.write_pem(directory.path());
    let origin = OriginServer::start_tls(shown).await;
    origin.any(ok());
    let proxy = Proxy::with(&origin.url_by_name(), |config| config.upstream.ca_file = Some(roots)).await;
    let response = proxy.get(&path("B2X_1_x"), &token::mint("a")).await;
    (response, origin, proxy)
}

async fn is_refused(trusted: &Authority, shown: Arc<ServerConfig>, reason: &str) {
    let (response, origin, proxy) = fetch_from(trusted, shown).await;
    let expected = format!("connector-cache; fwd=uri-miss; detail={reason}");
    assert_eq!((response.status, cache_status(&response)), (502, &*expected), "{}", response.text());
    let counted = format!("connector_cache_origin_errors_total{{reason=\"{reason}\"}}");
    assert!((proxy.series(&counted).await - 1.0).abs() < 0.1);
    assert_eq!((origin.connections(), origin.requests()), (1, 0), "the token was not sent");
    let again = proxy.get(&path("B2X_1_x"), &token::mint("a")).await;
    assert_eq!((again.status, origin.requests()), (502, 0));
    proxy.stop().await;
    origin.finish().await;
}

#[tokio::test]
async fn f19_the_right_certificate_is_trusted_by_the_file_of_graph_ca_file() {
    let authority = Authority::new();
    let (response, origin, proxy) = fetch_from(&authority, authority.right().server_config()).await;
    assert_eq!((response.status, cache_status(&response), response.text()), (200, STORED, BODY));
    let (host, token) = (format!("localhost:{}", origin.address().port()), token::mint("a"));
    let seen = origin.seen();
    assert_eq!(seen[0].header("host"), Some(host.as_str()));
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {token}").as_str()));
    proxy.stop().await;
}

#[tokio::test]
async fn f19_an_expired_certificate_is_refused() {
    let authority = Authority::new();
    is_refused(&authority, authority.expired().server_config(), "tls-expired").await;
}

#[tokio::test]
async fn f19_a_certificate_that_is_not_valid_yet_is_refused() {
    let authority = Authority::new();
    is_refused(&authority, authority.starting(2090).server_config(), "tls-expired").await;
}

/// A development server with a certificate that signs itself.
#[tokio::test]
async fn f19_a_certificate_that_signed_itself_is_refused() {
    is_refused(&Authority::new(), Authority::new().self_signed().server_config(), "tls-untrusted").await;
}

#[tokio::test]
async fn f19_a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    is_refused(&authority, authority.wrong_host().server_config(), "tls-name").await;
}

#[tokio::test]
async fn f19_a_certificate_of_an_unknown_root_is_refused() {
    is_refused(&Authority::new(), Authority::new().right().server_config(), "tls-untrusted").await;
}

#[tokio::test]
async fn f19_an_origin_that_requires_a_client_certificate_is_refused() {
    let authority = Authority::new();
    let demanding = authority.right().server_config_demanding(&authority);
    let (response, origin, proxy) = fetch_from(&authority, demanding).await;
    assert_eq!((response.status, origin.requests()), (502, 0));
    // Under TLS 1.3 the client learns of the rejection only after the handshake, when it reads from the connection.
    let errors = &proxy.upstream_metrics.errors;
    assert_eq!(errors.get(UpstreamFailure::Tls) + errors.get(UpstreamFailure::Reset), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn f19_an_origin_that_speaks_no_tls_is_refused() {
    let plain = OriginServer::start().await;
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 4096];
        let count = tokio::io::AsyncReadExt::read(&mut stream, &mut heard).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        heard[..count].to_vec()
    });
    let roots = authority.write_pem(directory.path());
    let proxy = Proxy::with(&url, |config| config.upstream.ca_file = Some(roots)).await;
    let response = proxy.get(&path("B2X_1_x"), &token::mint("a")).await;
    let expected = "connector-cache; fwd=uri-miss; detail=tls";
    assert_eq!((response.status, cache_status(&response)), (502, expected));
    let heard = answering.await.unwrap();
    assert!(!heard.windows(6).any(|part| part == b"Bearer"), "no token in plain text");
    proxy.stop().await;
    plain.finish().await;
}

#[tokio::test]
async fn f15_a_handshake_that_is_never_answered_is_a_504_after_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let roots = authority.write_pem(directory.path());
    let proxy = Proxy::with(&url, |config| {
        config.upstream.ca_file = Some(roots);
        config.upstream.connect_timeout = std::time::Duration::from_millis(300);
    })
    .await;
    let response = proxy.get(&path("B2X_1_x"), &token::mint("a")).await;
    let expected = "connector-cache; fwd=uri-miss; detail=connect-timeout";
    assert_eq!((response.status, cache_status(&response)), (504, expected));
    proxy.stop().await;
}

#[tokio::test]
async fn f03_a_tls_body_that_ends_without_close_notify_is_a_502() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let roots = authority.write_pem(directory.path());
    let origin = OriginServer::start_tls(authority.right().server_config()).await;
    let mut harness = Harness::before(origin, |config| config.upstream.ca_file = Some(roots)).await;
    // Without a length the body ends with the connection, which an attacker on the network can close.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let cut = crate::common::reply::Reply::raw(format!("{head}{BODY}")).cut_after(head.len() + BODY.len());
    harness.fails(cut, 502, UpstreamFailure::Truncated).await;
    harness.stop().await;
}
