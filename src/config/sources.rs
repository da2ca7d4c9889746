//! Where a configuration comes from, for as long as the process runs.

use std::io;
use std::path::PathBuf;

use super::layers::{PREFIX, RawConfig};
use super::{ConfigError, Effective};
use crate::support::watched_files::{ReadError, ReloadTrigger, SecretBytes, WatchedFiles};

/// A file, where one is named, and the environment as it was at the start.
#[derive(Debug)]
pub struct Sources {
    file: Option<PathBuf>,
    files: WatchedFiles,
    env: Vec<(String, String)>,
}

impl Sources {
    /// Nothing is read yet. Of `env` the variables `CONNECTOR_CACHE__<SECTION>__<KEY>` count.
    pub fn new(file: Option<PathBuf>, env: impl Iterator<Item = (String, String)>) -> Self {
        let files = WatchedFiles::new(file.iter().cloned().collect());
        Self { file, files, env: env.filter(|(name, _)| name.starts_with(PREFIX)).collect() }
    }

    /// The configuration, or every problem that was found.
    pub fn load(&self) -> Result<Effective, ConfigError> {
        self.parse(self.files.read())
    }

    /// The configuration, where its file is new and now to be judged.
    pub fn changed(&self, trigger: ReloadTrigger) -> Option<Result<Effective, ConfigError>> {
        self.files.read_if_changed(trigger).map(|contents| self.parse(contents))
    }

    fn parse(&self, contents: Result<Vec<SecretBytes>, ReadError>) -> Result<Effective, ConfigError> {
        let text = contents.map_err(|error| error.reason).and_then(|contents| {
            let bytes = contents.first().map(|bytes| bytes.to_vec()).unwrap_or_default();
            let not_text = "stream did not contain valid UTF-8";
            String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, not_text))
        });
        let file = self.file.as_deref().map(|path| (path, text));
        Effective::read(RawConfig::read(file, self.env.iter().cloned()).map_err(ConfigError)?)
    }
}
