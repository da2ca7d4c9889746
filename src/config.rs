//! The configuration: built-in defaults, below a TOML file, below the environment.
//!
//! Each part owns the struct of what it is told; here they are filled and checked together, once. A part
//! never sees a file or a variable, and nothing here knows what a value is for.

use std::fmt;
use std::path::Path;

use crate::cache::{coalesce, freshness, store};
use crate::observability::{logging, tracing_export};
use crate::proxy::{refresh_limit, waiting_requests};
use crate::resource::ApiVersion;
use crate::upstream::unproven_limit;
use crate::{admin, scrub, server, upstream};

mod base_url;
mod builder;
mod change;
#[cfg(feature = "otlp")]
mod endpoint;
mod layers;
mod print;
mod reader;
mod rules;
mod sources;
mod suggestions;
mod value;

pub use change::{Changes, LIVE};
use layers::RawConfig;
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
    pub origin: upstream::Config,
    /// `graph.default_version`: of paths that name none.
    pub default_version: ApiVersion,
    /// `cache.max_bytes`
    pub store: store::Config,
    /// `cache.*` but for the size.
    pub freshness: freshness::Config,
    /// `limits.followers`, `limits.follower_wait`
    pub flight: coalesce::Config,
    /// `limits.unproven_*`
    pub unproven: unproven_limit::Config,
    /// Requests that wait for Graph.
    pub waiting: waiting_requests::Config,
    /// `limits.bytes_in_flight`: bodies that come from Graph and large answers on their way out, together.
    pub bytes_in_flight: usize,
    /// `limits.refreshes_per_token`
    pub refresh: refresh_limit::Config,
    /// `scrub.*`
    pub scrub: scrub::Config,
    /// `log.*`
    pub telemetry: logging::Config,
    /// `telemetry.*`
    pub trace: tracing_export::Config,
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
            origin: upstream::Config::default(),
            default_version: ApiVersion::Beta,
            store: store::Config::default(),
            freshness: freshness::Config::default(),
            flight: coalesce::Config::default(),
            unproven: unproven_limit::Config::default(),
            waiting: waiting_requests::Config::default(),
            bytes_in_flight: 64 << 20,
            refresh: refresh_limit::Config::default(),
            scrub: scrub::Config::default(),
            telemetry: logging::Config::default(),
            trace: tracing_export::Config::default(),
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
    fn read(layers: RawConfig) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(layers);
        let server = builder::server(&mut reader);
        let config = Config {
            admin: builder::admin(&mut reader, server.address),
            server,
            origin: builder::origin(&mut reader),
            default_version: builder::default_version(&mut reader),
            freshness: builder::freshness(&mut reader),
            store: builder::store(&mut reader),
            flight: builder::flight(&mut reader),
            unproven: builder::unproven(&mut reader),
            waiting: builder::waiting(&mut reader),
            bytes_in_flight: builder::bytes_in_flight(&mut reader),
            refresh: builder::refresh(&mut reader),
            scrub: builder::scrub(&mut reader),
            telemetry: builder::telemetry(&mut reader),
            trace: builder::trace(&mut reader),
        };
        builder::shared(&mut reader);
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
