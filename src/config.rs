//! Configuration: environment variables override a TOML file, and the file overrides built-in defaults.
//!
//! Each module owns its `Config` struct with the defaults. The [schema](self::schema) reads all keys into these structs and
//! checks them together. The modules do not read files or variables, and this module does not use the values.

use std::fmt;
use std::path::Path;

use crate::cache::{coalesce, freshness, store};
use crate::observability::{logging, tracing_export};
use crate::proxy::{refresh_limit, waiting_requests};
use crate::resource::ApiVersion;
use crate::upstream::unproven_limit;
use crate::{admin, scrub, server, shared, upstream};

mod change;
mod json_schema;
mod key;
mod print;
mod raw_config;
mod reader;
mod redaction;
mod reference;
mod rules;
mod runtime;
mod schema;
mod sources;
mod suggestions;
mod value;

pub use change::Changes;
use raw_config::RawConfig;
use reader::{ConfigReader, Setting};
pub use reference::{KeyReference, ValueForm};
pub use runtime::LIVE;
pub use sources::Sources;

/// Settings of all modules. `docs/configuration.md` describes every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `listen.*`, `server.*`, `drain.*`, and `limits.*` of callers' connections.
    pub server: server::Config,
    /// `admin.*`
    pub admin: admin::Config,
    /// `graph.*` and `limits.origin_requests`
    pub upstream: upstream::Config,
    /// `graph.default_version`
    pub default_version: ApiVersion,
    /// `cache.max_bytes` and `limits.proofs_per_token`
    pub store: store::Config,
    /// `cache.*` but `cache.max_bytes`
    pub freshness: freshness::Config,
    /// `limits.followers`, `limits.follower_wait`
    pub coalesce: coalesce::Config,
    /// `limits.unproven_*`
    pub unproven_limit: unproven_limit::Config,
    /// `limits.waiting_*`
    pub waiting_requests: waiting_requests::Config,
    /// `limits.bytes_in_flight`, in bytes.
    pub bytes_in_flight: usize,
    /// `limits.refreshes_per_token`
    pub refresh_limit: refresh_limit::Config,
    /// `scrub.*`
    pub scrub: scrub::Config,
    /// `log.*`
    pub logging: logging::Config,
    /// `telemetry.*`
    pub tracing_export: tracing_export::Config,
    /// `shared.*`
    pub shared: shared::Config,
}

impl Config {
    /// Reads the file, if a path is given, and the variables `CONNECTOR_CACHE__<SECTION>__<KEY>` of `env`.
    ///
    /// Fails with every problem, not only the first: a value out of bounds, contradicting values, an unknown key, a file
    /// that cannot be read or is not TOML.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        EffectiveConfig::load(file, env).map(|effective| effective.config)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: server::Config::default(),
            admin: admin::Config::default(),
            upstream: upstream::Config::default(),
            default_version: ApiVersion::Beta,
            store: store::Config::default(),
            freshness: freshness::Config::default(),
            coalesce: coalesce::Config::default(),
            unproven_limit: unproven_limit::Config::default(),
            waiting_requests: waiting_requests::Config::default(),
            bytes_in_flight: 64 << 20,
            refresh_limit: refresh_limit::Config::default(),
            scrub: scrub::Config::default(),
            logging: logging::Config::default(),
            tracing_export: tracing_export::Config::default(),
            shared: shared::Config::default(),
        }
    }
}

/// A configuration with the source of each value.
///
/// Its `Display` writes TOML with the sources as comments. Loading that text results in the same configuration.
#[derive(Clone, Debug)]
pub struct EffectiveConfig {
    /// The configuration.
    pub config: Config,
    settings: Vec<Setting>,
}

impl EffectiveConfig {
    /// Reads the sources as [`Config::load`] does.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Sources::new(file.map(Path::to_owned), env).load()
    }

    /// Returns each setting as an object: its name, its value unless it may be a secret, its source.
    pub fn settings(&self) -> Vec<serde_json::Value> {
        self.settings.iter().map(Setting::to_json).collect()
    }

    /// Returns each setting in force as [`Self::settings`] does, with the value that waits for a restart, if there is one.
    /// `started` is the configuration of the start, whose values of keys that are not live stay.
    pub fn settings_in_force(&self, started: &Self) -> Vec<serde_json::Value> {
        let of_start = |new: &Setting| started.settings.iter().find(|old| old.key.name == new.key.name);
        let one = |new: &Setting| {
            let is_live = LIVE.contains(&new.key.name);
            let used = of_start(new).filter(|_| !is_live).unwrap_or(new);
            let waits = used.value != new.value;
            let pending = waits.then(|| new.shown().unwrap_or_else(|| "not set".to_owned()));
            let mut setting = used.to_json();
            setting["pending"] = pending.into();
            setting
        };
        self.settings.iter().map(one).collect()
    }

    /// Reads and checks every key, and the variables of a forward proxy.
    fn from_raw(raw: RawConfig, proxy_variables: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut reader = ConfigReader::new(raw);
        let r = &mut reader;
        let (server, upstream) = (schema::server::read(r), schema::graph::read(r, proxy_variables));
        let config = Config {
            admin: schema::admin::read(r, server.address),
            server,
            default_version: schema::graph::default_version(r),
            freshness: schema::cache::freshness(r),
            store: schema::cache::store(r),
            coalesce: schema::limits::coalescing(r, upstream.timeout),
            upstream,
            unproven_limit: schema::limits::unproven(r),
            waiting_requests: schema::limits::waiting(r),
            bytes_in_flight: schema::limits::bytes_in_flight(r),
            refresh_limit: schema::limits::refresh(r),
            scrub: schema::scrub::read(r),
            logging: schema::observability::logging(r),
            tracing_export: schema::observability::tracing_export(r),
            shared: schema::shared::read(r),
        };
        let settings = reader.finish().map_err(ConfigError)?;
        Ok(Self { config, settings })
    }
}

impl fmt::Display for EffectiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(&self.settings, f)
    }
}

/// Parses an argument of the command line by the rule of `shared.url`.
pub fn parse_store_url(argument: &str, text: &str) -> Result<shared::Endpoint, ConfigError> {
    let raw = value::RawValue::Text(text.to_owned());
    value::Rule::parse(&rules::StoreUrl, &raw).ok_or_else(|| {
        let shown = value::Rule::echo(&rules::StoreUrl, &raw);
        let accepted = value::Rule::accepted(&rules::StoreUrl);
        ConfigError(vec![format!("{argument} = {shown} is refused: expected {accepted}")])
    })
}

/// Problems of a refused configuration: one line for each, with source, key, value and accepted values.
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
