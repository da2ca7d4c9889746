//! TLS of connections to the store.
//!
//! The configuration is built once: the client library would read the platform's root certificates at each connection, and
//! fail if they cannot be read, even with a CA file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::shared::config::Config;
use crate::support::client_tls::platform_roots;
use crate::support::pem;
use crate::support::watched_files::DisplayPath;

/// Error in the files of `shared.ca_file`, `shared.certificate` and `shared.key`.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{key}: {}: expected a readable PEM file: {reason}", DisplayPath(path))]
    File {
        /// Configuration key.
        key: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// There is no root certificate.
    #[error(
        "shared.url uses TLS, and there is no root certificate: install ca-certificates, or set shared.ca_file"
    )]
    NoRoots,
    /// Certificate and key do not belong together, or TLS cannot be set up.
    #[error("shared.certificate and shared.key cannot be used: {0}")]
    Identity(#[from] rustls::Error),
}

/// Builds the configuration: TLS 1.2 and 1.3 with the platform's roots and those of the CA file, and the client's certificate.
pub(super) fn client_config(config: &Config) -> Result<ClientConfig, TlsError> {
    let mut roots = platform_roots();
    if let Some(path) = &config.ca_file {
        let error = |reason: String| file_error("shared.ca_file", path, reason);
        let certificates = pem::certificates(&read("shared.ca_file", path)?);
        for certificate in certificates.map_err(|reason| error(reason.to_string()))? {
            roots.add(certificate.der).map_err(|reason| error(reason.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = pem::certificates(&read("shared.certificate", certificate)?)
        .map_err(|reason| file_error("shared.certificate", certificate, reason.to_string()))?;
    let key = pem::private_key(&read("shared.key", key)?)
        .map_err(|reason| file_error("shared.key", key, reason.to_string()))?;
    Ok(builder.with_client_auth_cert(chain.into_iter().map(|certificate| certificate.der).collect(), key)?)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|reason| file_error(key, path, reason.to_string()))
}

fn file_error(key: &'static str, path: &Path, reason: String) -> TlsError {
    TlsError::File { key, path: path.to_owned(), reason }
}
