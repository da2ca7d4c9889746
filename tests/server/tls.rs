//! TLS on the data port.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connector_cache::server::ConnRejection;
use connector_cache::server::{Config, ServerLimits, TlsFiles};
use connector_cache::support::watched_files::ReloadResult;
use connector_cache::support::watched_files::{ReloadTrigger, Reloadable as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::raw::Raw;
use crate::stub::{Running, config, patient, start_with};

/// A directory with the files of `listen.tls`.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a new self-signed pair. Returns the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(self.path("tls.crt"), certificate.pem()).unwrap();
        fs::write(self.path("tls.key"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    async fn start(&self, client_ca: Option<PathBuf>, limits: ServerLimits) -> Running {
        let files = TlsFiles { certificate: self.path("tls.crt"), key: self.path("tls.key"), client_ca };
        start_with(Config { tls: Some(files), ..config(limits) }).await
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    alpn: &[u8],
    identity: Option<Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut client = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
    };
    client.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(server.address).await?;
    TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

#[tokio::test]
async fn both_versions_are_offered() {
    let disk = Disk::new();
    let certificate = disk.renew();
    let server = disk.start(None, patient()).await;
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let stream = connect(&server, &certificate, alpn, None).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    }
    let stream = connect(&server, &certificate, b"http/1.1", None).await.unwrap();
    assert_eq!(Raw::over(stream).get("/a").await.body, "/a");
}

#[tokio::test]
async fn f62_new_handshakes_use_a_new_pair_and_never_a_broken_one() {
    let disk = Disk::new();
    let old = disk.renew();
    let server = disk.start(None, patient()).await;
    let tls = server.tls.clone().unwrap();
    let mut before = Raw::over(connect(&server, &old, b"http/1.1", None).await.unwrap());
    let new = disk.renew();
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    assert!(
        connect(&server, &old, b"http/1.1", None).await.is_err(),
        "the old certificate is not used any more"
    );
    connect(&server, &new, b"http/1.1", None).await.unwrap();
    assert_eq!(before.get("/a").await.body, "/a", "an open connection continues");
    fs::write(disk.path("tls.crt"), "half").unwrap();
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Failure));
    connect(&server, &new, b"http/1.1", None).await.unwrap();
}

#[tokio::test]
async fn f54_a_handshake_that_stalls_is_closed() {
    let disk = Disk::new();
    disk.renew();
    let server =
        disk.start(None, ServerLimits { tls_timeout: Duration::from_millis(100), ..patient() }).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send([0x16, 3, 1]).await;
    assert_eq!(raw.rest_text().await, "");
    assert_eq!(server.rejected(ConnRejection::Slow), 1);
}

#[tokio::test]
async fn f54_a_thousand_half_open_handshakes_are_closed_and_block_no_caller() {
    let disk = Disk::new();
    let certificate = disk.renew();
    let server =
        disk.start(None, ServerLimits { tls_timeout: Duration::from_millis(500), ..patient() }).await;
    let mut half_open = Vec::new();
    for _ in 0..1_000 {
        let mut raw = Raw::connect(server.address).await;
        raw.send([0x16, 3, 1]).await;
        half_open.push(raw);
    }
    let stream = connect(&server, &certificate, b"http/1.1", None).await.unwrap();
    assert_eq!(Raw::over(stream).get("/a").await.body, "/a");
    for mut raw in half_open {
        assert_eq!(raw.rest_text().await, "");
    }
    assert_eq!(server.rejected(ConnRejection::Slow), 1_000);
}

#[tokio::test]
async fn f54_a_caller_without_sni_is_served() {
    let disk = Disk::new();
    let certificate = disk.renew();
    let server = disk.start(None, patient()).await;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = builder.with_root_certificates(roots).with_no_client_auth();
    client.enable_sni = false;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, tcp).await.unwrap();
    assert_eq!(Raw::over(stream).get("/a").await.body, "/a");
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_no_handshake() {
    let disk = Disk::new();
    disk.renew();
    let server = disk.start(None, patient()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(crate::raw::get("/a")).await;
    raw.rest().await;
    assert_eq!(server.rejected(ConnRejection::Handshake), 1);
    assert_eq!(server.stub.paths(), [""; 0]);
}

#[tokio::test]
async fn with_a_client_ca_only_callers_with_its_certificates_are_served() {
    let disk = Disk::new();
    let certificate = disk.renew();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(disk.path("ca.crt"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let key = KeyPair::generate().unwrap();
    let ours = CertificateParams::new(vec!["caller".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let server = disk.start(Some(disk.path("ca.crt")), patient()).await;

    let identity = Some((vec![ours.der().clone()], key));
    let stream = connect(&server, &certificate, b"http/1.1", identity).await.unwrap();
    assert_eq!(Raw::over(stream).get("/a").await.body, "/a");
    // With TLS 1.3 a client learns of its rejection only after the handshake.
    if let Ok(stream) = connect(&server, &certificate, b"http/1.1", None).await {
        let mut raw = Raw::over(stream);
        raw.send(crate::raw::get("/b")).await;
        assert_eq!(raw.rest_text().await, "");
    }
    assert_eq!(server.stub.paths(), ["/a"]);
}
