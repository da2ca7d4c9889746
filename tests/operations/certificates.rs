//! F62: certificates of a process that runs.

use std::path::Path;

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::token;
use crate::settings::reloads;

/// Returns whether a handshake succeeds for a client that trusts this root alone.
async fn connects(serve: &Serve, trusted: &Authority) -> bool {
    connect(serve, trusted).await.is_ok()
}

async fn connect(serve: &Serve, trusted: &Authority) -> std::io::Result<Client> {
    Client::connect_tls(serve.data, trusted.client_config(&["http/1.1"]), "localhost").await
}

async fn end_of_certificate(serve: &Serve) -> f64 {
    serve.series("connector_cache_certificate_not_after_timestamp_seconds{use=\"listen\"}").await
}

async fn start(origin: &OriginServer, dir: &Path) -> Serve {
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", origin.url()),
        ("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", certificate.to_str().unwrap().to_owned()),
        ("CONNECTOR_CACHE__LISTEN__TLS__KEY", key.to_str().unwrap().to_owned()),
    ];
    Serve::start(&env.each_ref().map(|(name, value)| (*name, value.as_str()))).await
}

#[tokio::test]
async fn f62_sighup_loads_a_new_certificate_and_refuses_a_broken_or_half_written_one() {
    let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
    origin.any(Reply::json("{}"));
    let [old, new, newer] = [Authority::new(), Authority::new(), Authority::new()];
    let (certificate, key) = old.until(2040).write_pem(dir.path());
    let serve = start(&origin, dir.path()).await;
    let mut connected = connect(&serve, &old).await.unwrap();
    assert!((end_of_certificate(&serve).await - 2_208_988_800.0).abs() < 1.0);

    new.until(2050).write_pem(dir.path());
    serve.hang_up();
    reloads(&serve, "success", 1).await;
    assert!(connects(&serve, &new).await && !connects(&serve, &old).await, "new handshakes use the new pair");
    assert!(
        (end_of_certificate(&serve).await - 2_524_608_000.0).abs() < 1.0,
        "the metric has the expiry of the new certificate"
    );
    let authorization = format!("Bearer {}", token::mint("a"));
    let response = connected.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
    assert_eq!(response.status, 200, "an open connection continues");

    newer.until(2060).write_pem(dir.path());
    let whole = [std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap()];
    let half = &whole[0][..whole[0].len() / 2];
    for (count, broken) in [(1, &b"garbage"[..]), (2, half), (3, b"")] {
        std::fs::write(&certificate, broken).unwrap();
        serve.hang_up();
        reloads(&serve, "failure", count).await;
        assert!(connects(&serve, &new).await, "the pair in use stays");
        assert!((end_of_certificate(&serve).await - 2_524_608_000.0).abs() < 1.0);
    }
    std::fs::write(&certificate, &whole[0]).unwrap();
    serve.hang_up();
    reloads(&serve, "success", 2).await;
    assert!(connects(&serve, &newer).await, "the complete file is loaded");
    assert!((end_of_certificate(&serve).await - 2_840_140_800.0).abs() < 1.0);
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let refused = |line: &&String| line.contains("refused") && line.contains("certificate.pem");
    assert_eq!(out.iter().filter(refused).count(), 3, "{out:?}");
}

#[tokio::test]
async fn f62_a_changed_certificate_is_loaded_without_a_signal() {
    let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
    let [old, new] = [Authority::new(), Authority::new()];
    old.right().write_pem(dir.path());
    let serve = start(&origin, dir.path()).await;
    new.right().write_pem(dir.path());
    // Two polls, five seconds apart.
    let noticed = async { while connects(&serve, &old).await {} };
    tokio::time::timeout(std::time::Duration::from_secs(40), noticed).await.unwrap();
    reloads(&serve, "success", 1).await;
    assert!(connects(&serve, &new).await);
    assert!(serve.stop().await.0.success());
}
