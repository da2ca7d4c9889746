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

/// A renewal that wrote an old certificate: every handshake would fail.
#[tokio::test]
async fn a_certificate_that_is_expired_or_early_is_refused_on_reload_and_the_old_one_stays() {
    let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
    let [old, new] = [Authority::new(), Authority::new()];
    old.until(2040).write_pem(dir.path());
    let serve = start(&origin, dir.path()).await;
    for (count, invalid) in [(1, new.expired()), (2, new.starting(2090))] {
        invalid.write_pem(dir.path());
        serve.hang_up();
        reloads(&serve, "failure", count).await;
        assert!(connects(&serve, &old).await, "the certificate in use stays");
        assert!((end_of_certificate(&serve).await - 2_208_988_800.0).abs() < 1.0);
    }
    new.right().write_pem(dir.path());
    serve.hang_up();
    reloads(&serve, "success", 1).await;
    assert!(connects(&serve, &new).await);
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let refused = |text: &str| {
        let is_refused = |line: &&String| line.contains("are refused") && line.contains(text);
        out.iter().filter(is_refused).count()
    };
    assert_eq!(refused("expired at 2001-01-01T00:00:00Z. Write a valid certificate"), 1, "{out:?}");
    assert_eq!(refused("is not valid before 2090-01-01T00:00:00Z. It is used from then on"), 1, "{out:?}");
}

#[tokio::test]
async fn a_start_with_an_expired_certificate_goes_on_with_an_error_and_a_later_one_replaces_it() {
    let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
    let authority = Authority::new();
    authority.expired().write_pem(dir.path());
    let serve = start(&origin, dir.path()).await;
    assert!(!connects(&serve, &authority).await);
    assert_eq!(serve.look("/readyz").await.status, 200);
    authority.right().write_pem(dir.path());
    serve.hang_up();
    reloads(&serve, "success", 1).await;
    assert!(connects(&serve, &authority).await);
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let is_error = |line: &&String| {
        line.contains("\"level\":\"ERROR\"")
            && line.contains("listen.tls.certificate: the certificate (")
            && line.contains("expired at 2001-01-01T00:00:00Z: callers refuse each connection")
    };
    assert_eq!(out.iter().filter(is_error).count(), 1, "{out:?}");
}

/// Runs `check`. Returns the exit code and standard error.
fn check(env: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_connector-cache"));
    let output = command.arg("check").env_clear().envs(env.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const CERTIFICATE: &str = "CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE";
const KEY: &str = "CONNECTOR_CACHE__LISTEN__TLS__KEY";
const CLIENT_CA: &str = "CONNECTOR_CACHE__LISTEN__TLS__CLIENT_CA";
const GRAPH_CA: &str = "CONNECTOR_CACHE__GRAPH__CA_FILE";

#[test]
fn check_fails_for_a_server_certificate_outside_of_its_validity_period() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    for (certified, text) in [
        (authority.expired(), "expired at 2001-01-01T00:00:00Z"),
        (authority.starting(2090), "is not valid before 2090-01-01T00:00:00Z"),
    ] {
        let (certificate, key) = certified.write_pem(dir.path());
        let (code, err) = check(&[(CERTIFICATE, &certificate), (KEY, &key)]);
        let begin = "connector-cache: error: listen.tls.certificate: the certificate (";
        assert!(err.starts_with(begin) && err.contains("certificate.pem, line 1)"), "{err}");
        assert!(
            err.contains(text) && err.contains("Write a valid certificate and its key to the files"),
            "{err}"
        );
        assert_eq!(code, Some(1));
    }
    let (certificate, key) = authority.right().write_pem(dir.path());
    assert_eq!(check(&[(CERTIFICATE, &certificate), (KEY, &key)]), (Some(0), String::new()));
}

#[test]
fn check_warns_about_each_other_certificate_outside_of_its_validity_period() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.right().write_pem(dir.path());
    let old_root = Authority::expired_root().write_pem(dir.path());
    let chain = [std::fs::read(&certificate).unwrap(), std::fs::read(&old_root).unwrap()].concat();
    std::fs::write(&certificate, chain).unwrap();
    let files: [(&str, &Path); 4] =
        [(CERTIFICATE, &certificate), (KEY, &key), (CLIENT_CA, &old_root), (GRAPH_CA, &old_root)];
    let (code, err) = check(&files);
    let warnings: Vec<_> = err.lines().collect();
    for (warning, part) in warnings.iter().zip([
        "listen.tls.certificate: a certificate of the chain (",
        "listen.tls.client_ca: a certificate authority (",
        "graph.ca_file: a certificate authority (",
    ]) {
        assert!(warning.starts_with(&format!("connector-cache: warning: {part}")), "{err}");
        assert!(warning.contains("expired at 2001-01-01T00:00:00Z"), "{err}");
    }
    assert_eq!((code, warnings.len()), (Some(0), 3), "{err}");
}
