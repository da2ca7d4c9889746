//! Files that are reloaded when they change.
//!
//! A change that polling finds may be half written, so it is used once two polls have read the same content. Content
//! that was used or rejected once is not read again until it changes.

mod shown;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

pub use self::shown::DisplayPath;
use crate::labels::labels;

labels! {
    /// Result of a reload.
    pub enum ReloadResult {
        /// The new files are in use.
        Success = "success",
        /// The new files are invalid; the old ones stay in use.
        Failure = "failure",
    }
}

/// A part of the process that can reload its files.
pub trait Reloadable: Send + Sync {
    /// Reloads the files if they have changed. Invalid content is rejected, and the previous content stays in use.
    /// Returns `None` if there is no change. Blocks on the file system.
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult>;
}

/// The reason for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadTrigger {
    /// An explicit request; the files are complete.
    Requested,
    /// The polling interval has passed.
    Poll,
}

/// A group of files that are reloaded together.
#[derive(Debug)]
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    last_read: Mutex<LastRead>,
}

#[derive(Debug, Default)]
struct LastRead {
    last_digest: FileDigest,
    applied_digest: FileDigest,
}

/// The content of a file. Zeroized when it is dropped.
pub type SecretBytes = Zeroizing<Vec<u8>>;

/// A file that cannot be read.
#[derive(Debug)]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// The error of the system.
    pub reason: io::Error,
}

impl WatchedFiles {
    /// Creates the group without reading the files.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, last_read: Mutex::default() }
    }

    /// Reads the content of each file and marks it as used.
    pub fn read(&self) -> Result<Vec<SecretBytes>, ReadError> {
        let contents = self.read_all();
        let digest = compute_digest(&contents);
        *self.lock() = LastRead { last_digest: digest, applied_digest: digest };
        contents
    }

    /// Reads the content of each file if it has changed and can be used now.
    pub fn read_if_changed(&self, trigger: ReloadTrigger) -> Option<Result<Vec<SecretBytes>, ReadError>> {
        let contents = self.read_all();
        let digest = compute_digest(&contents);
        let mut last_read = self.lock();
        let is_unchanged = std::mem::replace(&mut last_read.last_digest, digest) == digest;
        if digest == last_read.applied_digest || !(is_unchanged || trigger == ReloadTrigger::Requested) {
            return None;
        }
        last_read.applied_digest = digest;
        Some(contents)
    }

    fn read_all(&self) -> Result<Vec<SecretBytes>, ReadError> {
        let read = |path: &PathBuf| match std::fs::read(path) {
            Ok(bytes) => Ok(Zeroizing::new(bytes)),
            Err(reason) => Err(ReadError { path: path.clone(), reason }),
        };
        self.paths.iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, LastRead> {
        self.last_read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", DisplayPath(&self.path), self.reason)
    }
}

impl std::error::Error for ReadError {}

fn compute_digest(contents: &Result<Vec<SecretBytes>, ReadError>) -> FileDigest {
    let Ok(files) = contents else { return UNREADABLE_DIGEST };
    let mut context = Context::new(&SHA256);
    for file in files {
        context.update(&file.len().to_be_bytes());
        context.update(file);
    }
    context.finish().as_ref().try_into().unwrap_or(UNREADABLE_DIGEST)
}

type FileDigest = [u8; 32];

/// The digest of files that cannot be read.
const UNREADABLE_DIGEST: FileDigest = [0; 32];

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: Option<Result<Vec<SecretBytes>, ReadError>>) -> Option<Vec<String>> {
        let read = |file: &SecretBytes| String::from_utf8(file.to_vec()).unwrap();
        found.map(|contents| contents.map_or(vec!["unreadable".to_owned()], |c| c.iter().map(read).collect()))
    }

    #[test]
    fn f62_a_file_that_is_being_written_is_used_once_it_stops_changing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old").unwrap();
        let files = WatchedFiles::new(vec![file.path().to_owned()]);
        files.read().unwrap();
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Poll)), None);
        for half in ["", "n", "ne"] {
            std::fs::write(file.path(), half).unwrap();
            assert_eq!(texts(files.read_if_changed(ReloadTrigger::Poll)), None, "{half:?} may be half of it");
        }
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Poll)), None);
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Poll)), Some(vec!["new".to_owned()]));
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Poll)), None, "only once");
    }

    #[test]
    fn a_requested_reload_uses_a_changed_file_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = WatchedFiles::new(vec![file.path().to_owned()]);
        files.read().unwrap();
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Requested)), Some(vec!["new".to_owned()]));
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Requested)), None);
    }

    #[test]
    fn a_file_that_appears_and_disappears_is_reported_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let files = WatchedFiles::new(vec![path.clone()]);
        assert!(files.read().is_err());
        std::fs::write(&path, "there").unwrap();
        assert_eq!(texts(files.read_if_changed(ReloadTrigger::Requested)), Some(vec!["there".to_owned()]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            texts(files.read_if_changed(ReloadTrigger::Requested)),
            Some(vec!["unreadable".to_owned()])
        );
    }
}
