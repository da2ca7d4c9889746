//! The configuration: built-in defaults, below a TOML file, below the environment.
//!
//! Each part owns the struct of what it is told; here they are filled and checked together, once. A part
//! never sees a file or a variable, and nothing here knows what a value is for.

use std::fmt;
use std::path::Path;

use crate::cache::{flight, freshness, store};
use crate::resource::ApiVersion;
use crate::{admin, origin, refresh, scrub, server, telemetry, trace, unproven_limit, waiting_requests};

mod base_url;
mod change;
#[cfg(feature = "otlp")]
mod endpoint;
mod layers;
mod nearest;
mod parts;
mod print;
mod reader;
mod rules;
mod sources;
mod value;

pub use change::{Changes, LIVE};
use layers::Layers;
use reader::{Reader, Setting};
pub use sources::Sources;

/// All that can be configured. `config/default.toml` describes every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `listen.*`, `server.*`, `drain.*`, and `limits.*` of callers.
    pub server: server::Config,
    /// `admin.*`
    pub admin: admin::Config,
    /// `graph.*`
    pub origin: origin::Config,
    /// `graph.default_version`: of paths that name none.
    pub default_version: ApiVersion,
    /// `cache.max_bytes`
    pub store: store::Config,
    /// `cache.*` but for the size.
    pub freshness: freshness::Config,
    /// `limits.followers`, `limits.follower_wait`
    pub flight: flight::Config,
    /// `limits.unproven_*`
    pub unproven: unproven_limit::Config,
    /// Requests that wait for Graph.
    pub waiting: waiting_requests::Config,
    /// `limits.bytes_in_flight`: bodies that come from Graph and large answers on their way out, together.
    pub bytes_in_flight: usize,
    /// `limits.refreshes_per_token`
    pub refresh: refresh::Config,
    /// `scrub.*`
    pub scrub: scrub::Config,
    /// `log.*`
    pub telemetry: telemetry::Config,
    /// `telemetry.*`
    pub trace: trace::Config,
}

impl Config {
    /// Reads the file, if one is named, and the variables `CONNECTOR_CACHE__<SECTION>__<KEY>` of `env`.
    ///
    /// Fails with every problem that was found, not only the first: a value out of its bounds, values that
    /// do not go together, a key that does not exist, a file that cannot be read or is not TOML.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Effective::load(file, env).map(|effective| effective.config)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: server::Config::default(),
            admin: admin::Config::default(),
            origin: origin::Config::default(),
            default_version: ApiVersion::Beta,
            store: store::Config::default(),
            freshness: freshness::Config::default(),
            flight: flight::Config::default(),
            unproven: unproven_limit::Config::default(),
            waiting: waiting_requests::Config::default(),
            bytes_in_flight: 64 << 20,
            refresh: refresh::Config::default(),
            scrub: scrub::Config::default(),
            telemetry: telemetry::Config::default(),
            trace: trace::Config::default(),
        }
    }
}

/// A configuration and where each of its values comes from.
///
/// Displayed, it is TOML with the sources as comments; loaded as a file, that gives the same configuration.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The configuration.
    pub config: Config,
    settings: Vec<Setting>,
}

impl Effective {
    /// As [`Config::load`].
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Sources::new(file.map(Path::to_owned), env).load()
    }

    /// Reads every key.
    fn read(layers: Layers) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(layers);
        let server = parts::server(&mut reader);
        let config = Config {
            admin: parts::admin(&mut reader, server.address),
            server,
            origin: parts::origin(&mut reader),
            default_version: parts::default_version(&mut reader),
            freshness: parts::freshness(&mut reader),
            store: parts::store(&mut reader),
            flight: parts::flight(&mut reader),
            unproven: parts::unproven(&mut reader),
            waiting: parts::waiting(&mut reader),
            bytes_in_flight: parts::bytes_in_flight(&mut reader),
            refresh: parts::refresh(&mut reader),
            scrub: parts::scrub(&mut reader),
            telemetry: parts::telemetry(&mut reader),
            trace: parts::trace(&mut reader),
        };
        parts::shared(&mut reader);
        let settings = reader.finish().map_err(ConfigError)?;
        Ok(Self { config, settings })
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(&self.settings, f)
    }
}

/// Why a configuration was refused: one line for each problem, naming source, key, value and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
