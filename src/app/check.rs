//! The command `check`: everything about a configuration that can be known without binding a port or calling Graph.

use std::path::PathBuf;

use super::warnings::{Machine, Warning, warnings};
use super::{App, StartError};
use crate::config::Config;
use crate::server::Workers;
use crate::support::clock::Clock;

/// Reads every file that the configuration names, as a start does, and returns the warnings. A file that does not exist is a
/// warning: the check may run on another machine than the proxy.
///
/// # Errors
/// [`StartError`] if a file that exists would prevent the start.
pub fn check(config: &Config, cores: usize) -> Result<Vec<Warning>, StartError> {
    let mut readable = config.clone();
    let missing = remove_missing_files(&mut readable);
    let clock = Clock::system();
    App::with_workers(Workers::default(), readable, clock.clone())?.read_files()?;
    let machine = Machine::current(config.server.threads.unwrap_or(cores));
    Ok(missing.into_iter().chain(warnings(config, &machine, clock.now())).collect())
}

/// Removes the settings with files that do not exist. The files of `listen.tls` are used together.
fn remove_missing_files(config: &mut Config) -> Vec<Warning> {
    let mut missing = Vec::new();
    let mut is_missing = |key, path: &PathBuf| {
        let is_missing = !path.exists();
        if is_missing {
            missing.push(Warning::MissingFile(key, path.clone()));
        }
        is_missing
    };
    if let Some(tls) = &config.server.tls {
        let client_ca = tls.client_ca.as_ref().map(|path| ("listen.tls.client_ca", path));
        let files = [("listen.tls.certificate", &tls.certificate), ("listen.tls.key", &tls.key)];
        if files.into_iter().chain(client_ca).filter(|(key, path)| is_missing(*key, path)).count() > 0 {
            config.server.tls = None;
        }
    }
    let shared = &config.shared;
    let files = [
        ("shared.secret_file", &shared.secret_file),
        ("shared.password_file", &shared.password_file),
        ("shared.ca_file", &shared.ca_file),
        ("shared.certificate", &shared.certificate),
        ("shared.key", &shared.key),
    ];
    let files = files.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?)));
    if files.filter(|(key, path)| is_missing(*key, path)).count() > 0 {
        config.shared.endpoint = None;
    }
    config.upstream.ca_file.take_if(|path| is_missing("graph.ca_file", path));
    config.admin.token_file.take_if(|path| is_missing("admin.token_file", path));
    missing
}
