//! PEM files of certificates and keys (RFC 7468), read without a gap.
//!
//! The parser of rustls skips each section that it does not recognize, so that a trust anchor can be missing without a
//! message: after a byte order mark, after blanks, or with a label such as `TRUSTED CERTIFICATE`. This parser reads the
//! variants that have one meaning, and refuses the others with their line.
//!
//! Read: a byte order mark of UTF-8, CRLF, blanks around lines, `X509 CERTIFICATE`, and text between sections. Ignored beside
//! certificates: sections of keys and parameters, since some servers want one file for both.

mod sections;

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::sections::{Section, sections};

/// A certificate and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemCertificate {
    /// Line of its BEGIN, from 1.
    pub line: usize,
    /// The certificate; only its PEM encoding has been checked.
    pub der: CertificateDer<'static>,
}

/// Problem of a PEM file. The text contains no part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemError {
    /// Line, from 1; `None` for a problem of the whole file.
    line: Option<usize>,
    problem: String,
}

impl PemError {
    fn at(line: usize, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: problem.into() }
    }

    fn of_file(problem: &str) -> Self {
        Self { line: None, problem: problem.to_owned() }
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for PemError {}

/// Reads all certificates of a file; at least one.
pub fn certificates(bytes: &[u8]) -> Result<Vec<PemCertificate>, PemError> {
    let mut certificates = Vec::new();
    for section in sections(bytes)? {
        match section.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                let der = CertificateDer::from_pem_slice(&section.normalized("CERTIFICATE"));
                let der = der.map_err(|_| section.invalid())?;
                certificates.push(PemCertificate { line: section.line, der });
            }
            label if is_key(label) || IGNORED.contains(&label) => {}
            "TRUSTED CERTIFICATE" => {
                let problem = "TRUSTED CERTIFICATE is a format of OpenSSL with trust settings, which cannot be used here: \
                               convert it with `openssl x509 -in FILE -out FILE`";
                return Err(PemError::at(section.line, problem));
            }
            label => return Err(unexpected(&section, label, "CERTIFICATE")),
        }
    }
    if certificates.is_empty() {
        Err(PemError::of_file("it contains no certificate"))
    } else {
        Ok(certificates)
    }
}

/// Reads the private key of a file; exactly one.
pub fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let mut key = None;
    for section in sections(bytes)? {
        match section.label.as_str() {
            label if label.contains("ENCRYPTED") || section.is_encrypted() => {
                return Err(PemError::at(
                    section.line,
                    "the key is encrypted, and there is no passphrase for it",
                ));
            }
            label if is_key(label) => {
                let read = PrivateKeyDer::from_pem_slice(&section.normalized(label));
                let read = read.map_err(|_| section.invalid())?;
                if key.replace(read).is_some() {
                    return Err(PemError::at(section.line, "a second private key"));
                }
            }
            label if IGNORED.contains(&label) || label.ends_with("CERTIFICATE") => {}
            label => return Err(unexpected(&section, label, "PRIVATE KEY")),
        }
    }
    key.ok_or_else(|| PemError::of_file("it contains no private key"))
}

fn is_key(label: &str) -> bool {
    matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY")
}

fn unexpected(section: &Section, label: &str, expected: &str) -> PemError {
    PemError::at(section.line, format!("a section {label:?}: expected {expected}"))
}

/// Labels of sections that belong neither to certificates nor to keys in use here.
const IGNORED: [&str; 4] = ["EC PARAMETERS", "DH PARAMETERS", "PUBLIC KEY", "ENCRYPTED PRIVATE KEY"];

#[cfg(test)]
mod tests;
