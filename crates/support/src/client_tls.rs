//! TLS configuration of connections to Graph: root certificates and protocol versions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::pem::{self, PemCertificate};
use crate::watched_files::DisplayPath;

/// Error in the root certificates.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file of `graph.ca_file` cannot be used.
    #[error("graph.ca_file: {path}: expected a readable file of PEM certificates: {reason}", path = DisplayPath(path))]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// Neither the platform nor `graph.ca_file` has root certificates.
    #[error("no root certificates: install the package ca-certificates, or set graph.ca_file")]
    None,
    /// The cryptography provider does not support TLS 1.2 and 1.3.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Creates a configuration for TLS 1.2 and 1.3 with the platform's root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR`
/// apply) and those of the file `extra`.
pub fn client_config(extra: Option<&Path>) -> Result<ClientConfig, RootsError> {
    let mut roots = platform_roots();
    if let Some(path) = extra {
        add_roots(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(RootsError::None);
    }
    with_roots(roots)
}

/// Returns the platform's root certificates, as many as can be read.
pub fn platform_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Platforms contain some certificates that do not parse; they are skipped.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Creates a configuration without root certificates, for a URL with `http`: no peer is trusted.
pub fn config_without_roots() -> Result<ClientConfig, RootsError> {
    with_roots(RootCertStore::empty())
}

/// Creates a configuration for other clients of this process: with the platform's root certificates if `tls` is set.
pub fn platform_config(tls: bool) -> Result<ClientConfig, RootsError> {
    if tls { client_config(None) } else { config_without_roots() }
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig, RootsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn read(path: &Path) -> Result<Vec<PemCertificate>, RootsError> {
    let bad = |reason: String| RootsError::File { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    pem::certificates(&bytes).map_err(|error| bad(error.to_string()))
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), RootsError> {
    for PemCertificate { line, der } in read(path)? {
        let reason = |error: rustls::Error| format!("line {line}: the certificate cannot be used: {error}");
        roots.add(der).map_err(|error| RootsError::File { path: path.to_owned(), reason: reason(error) })?;
    }
    Ok(())
}
