//! Certificates for tests: valid ones, and each kind of an invalid one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use uuid::Uuid;

/// A root. A client that trusts one root does not know a second one.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, good for either end of a connection.
pub struct Certified {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    certificate_pem: String,
    key_pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Each root has its own name: a client finds a root by name, not by signature.
        params.distinguished_name.push(DnType::CommonName, format!("A test's root {}", Uuid::new_v4()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Good for `localhost` and 127.0.0.1.
    pub fn right(&self) -> Certified {
        self.certify(&["localhost", "127.0.0.1"])
    }

    /// Valid for another host.
    pub fn wrong_host(&self) -> Certified {
        self.certify(&["elsewhere.example"])
    }

    /// Good for `localhost` and 127.0.0.1 until the year 2001.
    pub fn expired(&self) -> Certified {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.issue(&params)
    }

    /// Good for `localhost` and 127.0.0.1 until the first day of this year.
    pub fn until(&self, year: i32) -> Certified {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        params.not_after = date_time_ymd(year, 1, 1);
        self.issue(&params)
    }

    /// Good for `localhost` and 127.0.0.1 from the first day of this year on.
    pub fn starting(&self, year: i32) -> Certified {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        (params.not_before, params.not_after) = (date_time_ymd(year, 1, 1), date_time_ymd(year + 1, 1, 1));
        self.issue(&params)
    }

    /// A root that a server shows as its own certificate.
    pub fn self_signed(&self) -> Certified {
        Certified {
            certificate: self.0.der().clone(),
            key: self.0.key().serialize_der(),
            certificate_pem: self.0.pem(),
            key_pem: self.0.key().serialize_pem(),
        }
    }

    /// Good for `localhost` and 127.0.0.1 for this time from now on.
    pub fn ending_after(&self, time: Duration) -> Certified {
        let mut params = Self::params(&["localhost", "127.0.0.1"]);
        params.not_after = (SystemTime::now() + time).into();
        self.issue(&params)
    }

    /// A root that was valid until the year 2001.
    pub fn expired_root() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "A test's old root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Good for a client, with this URI beside the DNS name.
    pub fn client(&self, name: &str, uri: &str) -> Certified {
        let mut params = Self::params(&[name]);
        params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri).unwrap()));
        self.issue(&params)
    }

    /// The root's certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Good for these hosts and addresses.
    pub fn certify(&self, names: &[&str]) -> Certified {
        self.issue(&Self::params(names))
    }

    /// A client that trusts this root alone, and offers these protocols in ALPN.
    pub fn client_config(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let config = ClientConfig::builder().with_root_certificates(self.roots()).with_no_client_auth();
        with_alpn(config, alpn)
    }

    /// The same client, which also shows a certificate.
    pub fn client_config_showing(&self, shown: &Certified, alpn: &[&str]) -> Arc<ClientConfig> {
        let config = ClientConfig::builder()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![shown.certificate.clone()], shown.key())
            .unwrap();
        with_alpn(config, alpn)
    }

    /// Writes the root's certificate to `root.pem` in `directory`.
    pub fn write_pem(&self, directory: &Path) -> PathBuf {
        write(directory, "root.pem", &self.0.pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    fn params(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params
    }

    fn issue(&self, params: &CertificateParams) -> Certified {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certified {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Certified {
    /// A server that shows this certificate, without ALPN.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key())
            .unwrap();
        Arc::new(config)
    }

    /// The same server, which speaks these protocols by ALPN.
    pub fn server_config_speaking(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.server_config());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The same server, which demands a certificate of `clients` from its peer.
    pub fn server_config_demanding(&self, clients: &Authority) -> Arc<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots())).build().unwrap();
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.certificate.clone()], self.key())
            .unwrap();
        Arc::new(config)
    }

    /// Certificate and key, for a server that chooses among several.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        let key = rustls::crypto::ring::sign::any_supported_type(&self.key()).unwrap();
        Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key))
    }

    /// Writes `certificate.pem` and `key.pem` into `directory`, over those that are there.
    pub fn write_pem(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let certificate = write(directory, "certificate.pem", &self.certificate_pem);
        let key = write(directory, "key.pem", &self.key_pem);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        (certificate, key)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

fn with_alpn(mut config: ClientConfig, alpn: &[&str]) -> Arc<ClientConfig> {
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}
