//! Whom to trust as Graph.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

use crate::support::watched_files::DisplayPath;

/// Why there are no roots of trust.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file of `graph.ca_file` is no use.
    #[error("graph.ca_file: {path}: expected a readable file of PEM certificates: {reason}", path = DisplayPath(path))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither the platform nor a file has any.
    #[error("no root certificates: install the package ca-certificates, or set graph.ca_file")]
    None,
    /// The provider does not speak TLS 1.2 and 1.3.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with the platform's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` count) and those of `extra`.
pub(super) fn client_config(extra: Option<&Path>) -> Result<ClientConfig, RootsError> {
    let mut roots = RootCertStore::empty();
    // A root that does not parse is of no use to anybody else either; platforms carry some.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra {
        for certificate in read(path)? {
            let bad =
                |error: rustls::Error| RootsError::File { path: path.to_owned(), reason: error.to_string() };
            roots.add(certificate).map_err(bad)?;
        }
    }
    if roots.is_empty() {
        return Err(RootsError::None);
    }
    with_roots(roots)
}

/// For an origin that is asked in plain text: nobody is trusted.
pub(super) fn no_roots() -> Result<ClientConfig, RootsError> {
    with_roots(RootCertStore::empty())
}

/// For whom else this process asks: with the platform's roots where TLS is spoken.
#[cfg(feature = "otlp")]
pub(crate) fn platform(tls: bool) -> Result<ClientConfig, RootsError> {
    if tls { client_config(None) } else { no_roots() }
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, RootsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let bad = |reason: String| RootsError::File { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() { Err(bad("it holds none".to_owned())) } else { Ok(certificates) }
}
