//! The command `check`: everything about a configuration that can be known without binding a port or calling Graph.

use super::warnings::{Machine, Warning, warnings};
use super::{App, StartError};
use crate::config::Config;
use crate::server::Workers;
use crate::support::clock::Clock;

/// Reads every file that the configuration names, as a start does, and returns the warnings. Fails for the reason for which
/// a start would fail.
pub fn check(config: &Config, cores: usize) -> Result<Vec<Warning>, StartError> {
    App::with_workers(Workers::default(), config.clone(), Clock::system())?.read_files()?;
    Ok(warnings(config, &Machine::current(config.server.threads.unwrap_or(cores))))
}
