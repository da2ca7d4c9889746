//! Check of the PEM files that a configuration names, for the command `check`.

use std::path::PathBuf;

use super::StartError;
use crate::config::Config;
use crate::server::tls::Tls;
use crate::support::client_tls;
use crate::upstream::SetupError;

/// Checks the certificates and keys as a start does. Returns the files that do not exist: the check may run on another
/// machine than the proxy. Files of one pair are checked if all exist.
///
/// # Errors
/// [`StartError`] if a file that exists would prevent the start.
pub fn check_files(config: &Config) -> Result<Vec<PathBuf>, StartError> {
    let mut missing = Vec::new();
    if let Some(files) = &config.server.tls {
        let paths = [&files.certificate, &files.key].into_iter().chain(&files.client_ca);
        missing.extend(paths.filter(|path| !path.exists()).cloned());
        if missing.is_empty() {
            Tls::check(files)?;
        }
    }
    if let Some(path) = &config.upstream.ca_file {
        if path.exists() {
            client_tls::check_roots(path).map_err(SetupError::from)?;
        } else {
            missing.push(path.clone());
        }
    }
    Ok(missing)
}
