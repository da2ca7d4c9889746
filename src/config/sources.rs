//! Sources of the configuration, which a running process reads again.

use std::io;
use std::path::{Path, PathBuf};

use super::raw_config::{PREFIX, RawConfig};
use super::{ConfigError, EffectiveConfig};
use crate::support::watched_files::{ReadError, ReloadTrigger, SecretBytes, WatchedFiles};
use crate::upstream::ForwardProxy;

/// An optional file, and the environment at the start of the process.
#[derive(Debug)]
pub struct Sources {
    file: Option<PathBuf>,
    files: WatchedFiles,
    env: Vec<(String, String)>,
    /// Variables of a forward proxy. They belong to no key.
    proxy_variables: Vec<(String, String)>,
}

impl Sources {
    /// Keeps the path, the variables `CONNECTOR_CACHE__<SECTION>__<KEY>` of `env` and those of a forward proxy. Does not read
    /// the file.
    pub fn new(file: Option<PathBuf>, env: impl Iterator<Item = (String, String)>) -> Self {
        let files = WatchedFiles::new(file.iter().cloned().collect());
        let is_known = |name: &str| name.starts_with(PREFIX) || ForwardProxy::is_variable(name);
        let (env, proxy_variables) =
            env.filter(|(name, _)| is_known(name)).partition(|(name, _)| name.starts_with(PREFIX));
        Self { file, files, env, proxy_variables }
    }

    /// Returns the path of the file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the configuration. Fails with every problem that was found.
    pub fn load(&self) -> Result<EffectiveConfig, ConfigError> {
        self.parse(self.files.read())
    }

    /// Reads the configuration if its file has changed and is due for a check; otherwise returns `None`.
    pub fn changed(&self, trigger: ReloadTrigger) -> Option<Result<EffectiveConfig, ConfigError>> {
        self.files.read_if_changed(trigger).map(|contents| self.parse(contents))
    }

    fn parse(&self, contents: Result<Vec<SecretBytes>, ReadError>) -> Result<EffectiveConfig, ConfigError> {
        let text = contents.map_err(|error| error.reason).and_then(|contents| {
            let bytes = contents.first().map(|bytes| bytes.to_vec()).unwrap_or_default();
            let not_text = "stream did not contain valid UTF-8";
            String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, not_text))
        });
        let file = self.file.as_deref().map(|path| (path, text));
        let raw = RawConfig::parse(file, self.env.iter().cloned()).map_err(ConfigError)?;
        EffectiveConfig::from_raw(raw, &self.proxy_variables)
    }
}
