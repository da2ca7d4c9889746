//! TLS of callers: client certificates that end, and probes of the port.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connector_cache::server::{ConnRejection, TlsFiles};
use connector_cache::support::labels::Label;
use rustls::ClientConfig;

use crate::common::client::{Client, H2};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::{token, within};

const BODY: &str = r#"{"postFederationSignup":null,"postAttributeCollection":null}"#;

/// The files of `listen.tls` with a certificate of `root`, and with `clients` as the roots of callers.
fn tls_files(dir: &Path, root: &Authority, clients: Option<&Authority>) -> TlsFiles {
    let (certificate, key) = root.right().write_pem(dir);
    let client_ca = clients.map(|clients| clients.write_pem(dir));
    TlsFiles { certificate, key, client_ca }
}

async fn start(dir: &Path, root: &Authority, clients: Option<&Authority>) -> (OriginServer, Proxy) {
    let origin = OriginServer::start().await;
    origin.any(Reply::json(BODY));
    let files = tls_files(dir, root, clients);
    let proxy = Proxy::with(&origin.url(), |config| config.server.tls = Some(files)).await;
    (origin, proxy)
}

/// Returns whether the server responds to a client with this configuration. With TLS 1.3 a client notices a refused
/// certificate only after the handshake.
async fn is_served(address: std::net::SocketAddr, config: &Arc<ClientConfig>) -> bool {
    let authorization = format!("Bearer {}", token::mint("a"));
    let Ok(mut client) = Client::connect_tls(address, Arc::clone(config), "localhost").await else {
        return false;
    };
    let target = path("B2X_1_x");
    let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: {authorization}\r\n\r\n");
    client.send(head).await.is_ok() && client.response().await.is_ok_and(|response| response.status == 200)
}

#[tokio::test]
async fn e2_connections_and_sessions_end_with_the_client_certificate() {
    let (dir, root) = (tempfile::tempdir().unwrap(), Authority::new());
    let (_origin, proxy) = start(dir.path(), &root, Some(&root)).await;
    let shown = root.ending_after(Duration::from_secs(4));
    let config = root.client_config_showing(&shown, &["http/1.1"]);
    assert!(is_served(proxy.data, &config).await);
    assert!(is_served(proxy.data, &config).await, "a second connection, which would resume the session");
    let mut open = Client::connect_tls(proxy.data, Arc::clone(&config), "localhost").await.unwrap();
    let authorization = format!("Bearer {}", token::mint("a"));
    let fields = [("authorization", authorization.as_str())];
    assert_eq!(open.get(&path("B2X_1_x"), &fields).await.status, 200);
    let http2 = root.client_config_showing(&shown, &["h2"]);
    let streams = H2::connect_tls(proxy.data, http2, "localhost").await.unwrap();
    assert_eq!(streams.get(&path("B2X_1_x"), &fields).await.unwrap().status, 200);

    open.ended().await;
    within("the end of the HTTP/2 connection", async {
        while streams.get(&path("B2X_1_x"), &fields).await.is_ok() {}
    })
    .await;
    assert!(!is_served(proxy.data, &config).await, "the certificate has ended");
    proxy.stop().await;
}

#[tokio::test]
async fn e2_a_session_does_not_resume_under_a_client_ca_that_was_removed() {
    let (dir, root, old, new) =
        (tempfile::tempdir().unwrap(), Authority::new(), Authority::new(), Authority::new());
    let origin = OriginServer::start().await;
    origin.any(Reply::json(BODY));
    let files = tls_files(dir.path(), &root, Some(&old));
    let client_ca = files.client_ca.unwrap();
    let url = origin.url();
    let serve = Serve::start(&[
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", &url),
        ("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", files.certificate.to_str().unwrap()),
        ("CONNECTOR_CACHE__LISTEN__TLS__KEY", files.key.to_str().unwrap()),
        ("CONNECTOR_CACHE__LISTEN__TLS__CLIENT_CA", client_ca.to_str().unwrap()),
    ])
    .await;
    let config = root.client_config_showing(&old.right(), &["http/1.1"]);
    assert!(is_served(serve.data, &config).await);
    std::fs::write(&client_ca, new.pem()).unwrap();
    serve.hang_up();
    within("the reload", async {
        while serve.series(r#"connector_cache_config_reloads_total{result="success"}"#).await < 1.0 {}
    })
    .await;
    assert!(!is_served(serve.data, &config).await, "the root of the session was removed");
    assert!(is_served(serve.data, &root.client_config_showing(&new.right(), &["http/1.1"])).await);
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn e5_a_connection_that_closes_before_its_first_byte_is_no_failed_handshake() {
    let (dir, root) = (tempfile::tempdir().unwrap(), Authority::new());
    let (_origin, proxy) = start(dir.path(), &root, None).await;
    for _ in 0..10 {
        drop(Client::connect(proxy.data).await);
        Client::connect(proxy.data).await.reset();
    }
    let mut half = Client::connect(proxy.data).await;
    half.send([22, 3, 1]).await.unwrap();
    drop(half);
    let series =
        format!("connector_cache_rejected_total{{reason=\"{}\"}}", ConnRejection::Handshake.as_str());
    within("the failed handshake", async { while proxy.series(&series).await < 1.0 {} }).await;
    assert!(is_served(proxy.data, &root.client_config(&["http/1.1"])).await);
    assert!((proxy.series(&series).await - 1.0).abs() < 0.1, "only the handshake that had begun is counted");
    proxy.stop().await;
}
