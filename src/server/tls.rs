//! TLS certificates of a listener: loaded, checked, and reloaded while connections continue.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::TlsFiles;
use super::cert_validity::{CertValidity, ValidityError};
use super::invalid_certificate::{CertificateRole, InvalidCertificate};
use crate::observability::metrics::{Metrics, ReloadSource};
use crate::support::clock::Clock;
use crate::support::pem::{self, PemCertificate, PemError};
use crate::support::watched_files::ReloadResult;
use crate::support::watched_files::{
    DisplayPath, ReadError, ReloadTrigger, Reloadable, SecretBytes, WatchedFiles,
};

/// TLS configuration of a listener, which follows its files.
#[derive(Debug)]
pub struct Tls {
    paths: TlsFiles,
    files: WatchedFiles,
    config: RwLock<Arc<ServerConfig>>,
    reloads: Mutex<ReloadState>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// State between two reloads.
#[derive(Debug)]
struct ReloadState {
    /// Validity period of the certificate in use. `None`: unknown.
    validity: Option<CertValidity>,
    /// The present content of the files, which is refused until its certificate is valid.
    waiting: Option<LoadedFiles>,
}

/// Usable content of the files.
#[derive(Debug)]
struct LoadedFiles {
    config: ServerConfig,
    /// Validity period of the server's certificate. `None`: unknown.
    validity: Option<CertValidity>,
    /// Certificates outside of their validity period.
    invalid: Vec<InvalidCertificate>,
}

/// Error of the files of `listen.tls`.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read.
    Unreadable(ReadError),
    /// The file does not have the expected PEM content.
    Pem(PathBuf, PemError),
    /// There are no files.
    Missing,
    /// Certificate and key are valid by themselves but do not belong together.
    Pair(PathBuf, PathBuf, rustls::Error),
    /// No certificate of the file can sign client certificates.
    ClientCa(PathBuf, String),
    /// The server's certificate is outside of its validity period, and the one in use is better.
    Validity(PathBuf, ValidityError),
}

impl Tls {
    /// Loads the files, and sets the metric of the certificate's expiry.
    ///
    /// A certificate outside of its validity period is loaded: a start has no better one.
    pub fn load(paths: TlsFiles, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let watched = [&paths.certificate, &paths.key].into_iter().chain(&paths.client_ca);
        let files = WatchedFiles::new(watched.cloned().collect());
        let contents = files.read().map_err(Error::Unreadable)?;
        let LoadedFiles { config, validity, .. } = load_files(&paths, &contents, clock.now().unix_seconds())?;
        record_expiry(&metrics, validity);
        let reloads = Mutex::new(ReloadState { validity, waiting: None });
        Ok(Self { paths, files, config: RwLock::new(Arc::new(config)), reloads, clock, metrics })
    }

    /// Performs the TLS handshake. Returns `None` if the peer has closed the connection before its first byte, as a probe
    /// of the port does.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<Option<TlsStream<TcpStream>>> {
        match stream.peek(&mut [0]).await {
            Ok(1..) => {}
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        let config = Arc::clone(&*self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await.map(Some)
    }
}

impl Reloadable for Tls {
    /// Uses the changed files for new handshakes. If they are invalid, the previous certificate stays in use.
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let now = self.clock.now().unix_seconds();
        let mut state = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = if let Some(contents) = self.files.read_if_changed(trigger) {
            let contents = contents.map_err(Error::Unreadable);
            contents.and_then(|contents| load_files(&self.paths, &contents, now))
        } else {
            let old = state.validity;
            Ok(state.waiting.take_if(|waiting| may_replace(old, waiting.validity, now).is_ok())?)
        };
        state.waiting = None;
        let result = match loaded.and_then(|loaded| self.apply(loaded, &mut state, now)) {
            Ok(()) => ReloadResult::Success,
            Err(error) => {
                tracing::error!(%error, "new TLS certificates are refused; the old ones stay in use");
                ReloadResult::Failure
            }
        };
        self.metrics.record_reload(ReloadSource::Certificate, result);
        Some(result)
    }
}

impl Tls {
    /// Uses the files for new handshakes, unless the certificate in use is better. A refused certificate that is not valid yet
    /// waits for its time.
    fn apply(&self, loaded: LoadedFiles, state: &mut ReloadState, now: u64) -> Result<(), Error> {
        if let Err(error) = may_replace(state.validity, loaded.validity, now) {
            if matches!(error, ValidityError::NotYetValid(_)) {
                state.waiting = Some(loaded);
            }
            return Err(Error::Validity(self.paths.certificate.clone(), error));
        }
        record_expiry(&self.metrics, loaded.validity);
        state.validity = loaded.validity;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.config);
        tracing::info!("new TLS certificates are in use");
        loaded.invalid.iter().for_each(InvalidCertificate::log);
        Ok(())
    }
}

/// Checks whether a certificate may replace the one in use: it is valid, or not worse than an invalid one.
fn may_replace(old: Option<CertValidity>, new: Option<CertValidity>, now: u64) -> Result<(), ValidityError> {
    let check = |validity: Option<CertValidity>| validity.map_or(Ok(()), |validity| validity.check(now));
    match (check(new), check(old)) {
        (Err(new), Err(old)) if new.is_no_worse_than(old) => Ok(()),
        (result, _) => result,
    }
}

fn record_expiry(metrics: &Metrics, validity: Option<CertValidity>) {
    let expiry = validity.and_then(|validity| i64::try_from(validity.not_after).ok()).unwrap_or_default();
    metrics.certificate_not_after.with_label_values(&["listen"]).set(expiry);
}

/// Builds the configuration from the files' contents. `now`: seconds since the Unix epoch.
fn load_files(paths: &TlsFiles, contents: &[SecretBytes], now: u64) -> Result<LoadedFiles, Error> {
    let [certificate, key, client_ca @ ..] = contents else {
        return Err(Error::Missing);
    };
    let parse = |path: &PathBuf, contents: &SecretBytes| {
        pem::certificates(contents).map_err(|error| Error::Pem(path.clone(), error))
    };
    let chain = parse(&paths.certificate, certificate)?;
    let roles = [CertificateRole::Server, CertificateRole::Chain];
    let mut invalid = InvalidCertificate::find(roles, &paths.certificate, &chain, now);
    let validity = chain.first().and_then(|leaf| CertValidity::from_der(&leaf.der));
    let client_ca = match paths.client_ca.as_ref().zip(client_ca.first()) {
        Some((path, contents)) => {
            let authorities = parse(path, contents)?;
            invalid.extend(InvalidCertificate::find([CertificateRole::ClientCa; 2], path, &authorities, now));
            Some((path.as_path(), authorities))
        }
        None => None,
    };
    let config = server_config(paths, chain, key, client_ca)?;
    Ok(LoadedFiles { config, validity, invalid })
}

/// Builds the configuration from the certificates and the key. `client_ca`: file and content of `listen.tls.client_ca`.
fn server_config(
    paths: &TlsFiles,
    chain: Vec<PemCertificate>,
    key: &SecretBytes,
    client_ca: Option<(&Path, Vec<PemCertificate>)>,
) -> Result<ServerConfig, Error> {
    let chain: Vec<_> = chain.into_iter().map(|certificate| certificate.der).collect();
    let key = pem::private_key(key).map_err(|e| Error::Pem(paths.key.clone(), e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mismatch = |error| Error::Pair(paths.certificate.clone(), paths.key.clone(), error);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some((path, authorities)) => {
            let refuse = |error: &dyn std::fmt::Display| Error::ClientCa(path.to_owned(), error.to_string());
            let mut roots = RootCertStore::empty();
            for PemCertificate { line, der } in authorities {
                roots.add(der).map_err(|error| refuse(&format_args!("line {line}: {error}")))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| refuse(&error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(mismatch)?;
    if paths.client_ca.is_some() {
        // A resumed session keeps the client certificate of its first handshake and does not verify it again. Without
        // sessions no connection outlives a certificate or a root of clients.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns the client certificate of a connection, if the connection has one.
pub(super) fn client_certificate(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates()?.first().cloned()
}

/// Returns the time until the client certificate of a connection ends, if the connection has one.
pub(super) fn client_certificate_time_left(stream: &TlsStream<TcpStream>) -> Option<Duration> {
    let validity = CertValidity::from_der(stream.get_ref().1.peer_certificates()?.first()?)?;
    // notAfter is the last valid second.
    let end = UNIX_EPOCH + Duration::from_secs(validity.not_after + 1);
    Some(end.duration_since(SystemTime::now()).unwrap_or_default())
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Missing => f.write_str("listen.tls names no files"),
            Self::Pem(path, error) => {
                write!(f, "{} does not hold the expected PEM: {error}", DisplayPath(path))
            }
            Self::Pair(certificate, key, error) => {
                let (certificate, key) = (DisplayPath(certificate), DisplayPath(key));
                write!(f, "{certificate} and {key} cannot be used together: {error}")
            }
            Self::ClientCa(path, error) => {
                write!(
                    f,
                    "{} holds no certificate that can sign client certificates: {error}",
                    DisplayPath(path)
                )
            }
            Self::Validity(path, error) => {
                write!(f, "listen.tls.certificate: the certificate of {} {error}. ", DisplayPath(path))?;
                f.write_str(match error {
                    ValidityError::Expired(_) => "Write a valid certificate and its key to the files",
                    ValidityError::NotYetValid(_) => "It is used from then on",
                })
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
