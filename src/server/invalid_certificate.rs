//! Certificates of the configured files outside of their validity period, as findings for the operator.

use std::fmt;
use std::path::{Path, PathBuf};

use super::cert_validity::{CertValidity, ValidityError};
use crate::support::pem::PemCertificate;
use crate::support::watched_files::DisplayPath;

/// A certificate outside of its validity period. Its text has the key, the file, the date and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCertificate {
    role: CertificateRole,
    path: PathBuf,
    line: usize,
    error: ValidityError,
}

/// Use of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateRole {
    /// First certificate of `listen.tls.certificate`.
    Server,
    /// Further certificate of `listen.tls.certificate`.
    Chain,
    /// Authority of `listen.tls.client_ca`.
    ClientCa,
    /// Authority of `graph.ca_file`.
    GraphCa,
}

impl CertificateRole {
    /// Returns the key of the file.
    fn key(self) -> &'static str {
        match self {
            Self::Server | Self::Chain => "listen.tls.certificate",
            Self::ClientCa => "listen.tls.client_ca",
            Self::GraphCa => "graph.ca_file",
        }
    }

    /// Returns the subject of the text.
    fn noun(self) -> &'static str {
        match self {
            Self::Server => "the certificate",
            Self::Chain => "a certificate of the chain",
            Self::ClientCa | Self::GraphCa => "a certificate authority",
        }
    }

    /// Returns the consequence and the next step.
    fn advice(self) -> &'static str {
        match self {
            Self::Server => {
                "callers refuse each connection. Write a valid certificate and its key to the files"
            }
            Self::Chain => {
                "callers that need it to verify the first certificate refuse each connection. Write the present chain \
                 of the issuer to the file"
            }
            // webpki takes only name and key of a trust anchor.
            Self::ClientCa | Self::GraphCa => {
                "the proxy still trusts it, because the validity period of a trust anchor is not checked. Remove it \
                 from the file, or replace it by its successor"
            }
        }
    }
}

impl InvalidCertificate {
    /// Finds the invalid certificates of one file at `now`, in seconds since the Unix epoch. `first` is the role of the first
    /// certificate, and `others` that of the others.
    pub(crate) fn find(
        [first, others]: [CertificateRole; 2],
        path: &Path,
        certificates: &[PemCertificate],
        now: u64,
    ) -> Vec<Self> {
        let roles = std::iter::once(first).chain(std::iter::repeat(others));
        let invalid = |(role, certificate): (CertificateRole, &PemCertificate)| {
            let error = CertValidity::from_der(&certificate.der)?.check(now).err()?;
            Some(Self { role, path: path.to_owned(), line: certificate.line, error })
        };
        roles.zip(certificates).filter_map(invalid).collect()
    }

    /// Returns whether no caller can connect.
    pub fn is_error(&self) -> bool {
        self.role == CertificateRole::Server
    }

    /// Logs the certificate.
    pub(crate) fn log(&self) {
        if self.is_error() {
            tracing::error!("{self}");
        } else {
            tracing::warn!("{self}");
        }
    }
}

impl fmt::Display for InvalidCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, path, line, error } = self;
        let (key, noun, path) = (role.key(), role.noun(), DisplayPath(path));
        write!(f, "{key}: {noun} ({path}, line {line}) {error}: {}", role.advice())
    }
}
