//! Files that are read again when they change.
//!
//! A change that nobody told of may be half written, so it counts once two looks have found the same. What was judged
//! once, good or bad, is judged again only when it changes.

mod shown;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

pub use self::shown::ShownPath;
use crate::support::labels::labels;

labels! {
    /// Result of a reload.
    pub enum ReloadResult {
        /// The new files are in use.
        Success = "success",
        /// The new files are invalid; the old ones stay in use.
        Failure = "failure",
    }
}

/// Whoever has files, and takes what they hold into use.
pub trait Reloadable: Send + Sync {
    /// Looks at the files, and takes what is new in them into use if it is sound; otherwise what was in use stays.
    /// `None`: there is nothing new. Blocks on the file system.
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult>;
}

/// Why files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadTrigger {
    /// Somebody says that they are complete.
    Requested,
    /// It is time to.
    Poll,
}

/// Files that belong together.
#[derive(Debug)]
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    last: FileDigest,
    judged: FileDigest,
}

/// What a file holds. Wiped when it is dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// A file that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub reason: io::Error,
}

impl WatchedFiles {
    /// None of them is read yet.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: Mutex::default() }
    }

    /// What they hold, each by itself. That counts as judged.
    pub fn read(&self) -> Result<Vec<Secret>, Unreadable> {
        let contents = self.contents();
        let digest = digest(&contents);
        *self.lock() = Seen { last: digest, judged: digest };
        contents
    }

    /// What they hold, where it is new and now to be judged.
    pub fn changed(&self, trigger: ReloadTrigger) -> Option<Result<Vec<Secret>, Unreadable>> {
        let contents = self.contents();
        let digest = digest(&contents);
        let mut seen = self.lock();
        let is_still = std::mem::replace(&mut seen.last, digest) == digest;
        if digest == seen.judged || !(is_still || trigger == ReloadTrigger::Requested) {
            return None;
        }
        seen.judged = digest;
        Some(contents)
    }

    fn contents(&self) -> Result<Vec<Secret>, Unreadable> {
        let read = |path: &PathBuf| match std::fs::read(path) {
            Ok(bytes) => Ok(Zeroizing::new(bytes)),
            Err(reason) => Err(Unreadable { path: path.clone(), reason }),
        };
        self.paths.iter().map(read).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", ShownPath(&self.path), self.reason)
    }
}

impl std::error::Error for Unreadable {}

fn digest(contents: &Result<Vec<Secret>, Unreadable>) -> FileDigest {
    let Ok(files) = contents else { return UNREADABLE };
    let mut context = Context::new(&SHA256);
    for file in files {
        context.update(&file.len().to_be_bytes());
        context.update(file);
    }
    context.finish().as_ref().try_into().unwrap_or(UNREADABLE)
}

type FileDigest = [u8; 32];

/// The digest of files that cannot be read.
const UNREADABLE: FileDigest = [0; 32];

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: Option<Result<Vec<Secret>, Unreadable>>) -> Option<Vec<String>> {
        let read = |file: &Secret| String::from_utf8(file.to_vec()).unwrap();
        found.map(|contents| contents.map_or(vec!["unreadable".to_owned()], |c| c.iter().map(read).collect()))
    }

    #[test]
    fn f62_a_file_that_is_being_written_is_read_when_it_stands_still() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old").unwrap();
        let files = WatchedFiles::new(vec![file.path().to_owned()]);
        files.read().unwrap();
        assert_eq!(texts(files.changed(ReloadTrigger::Poll)), None);
        for half in ["", "n", "ne"] {
            std::fs::write(file.path(), half).unwrap();
            assert_eq!(texts(files.changed(ReloadTrigger::Poll)), None, "{half:?} may be half of it");
        }
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(texts(files.changed(ReloadTrigger::Poll)), None);
        assert_eq!(texts(files.changed(ReloadTrigger::Poll)), Some(vec!["new".to_owned()]));
        assert_eq!(texts(files.changed(ReloadTrigger::Poll)), None, "once is enough");
    }

    #[test]
    fn a_file_that_somebody_says_is_complete_is_read_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = WatchedFiles::new(vec![file.path().to_owned()]);
        files.read().unwrap();
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(texts(files.changed(ReloadTrigger::Requested)), Some(vec!["new".to_owned()]));
        assert_eq!(texts(files.changed(ReloadTrigger::Requested)), None);
    }

    #[test]
    fn a_file_that_comes_and_goes_is_told_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let files = WatchedFiles::new(vec![path.clone()]);
        assert!(files.read().is_err());
        std::fs::write(&path, "there").unwrap();
        assert_eq!(texts(files.changed(ReloadTrigger::Requested)), Some(vec!["there".to_owned()]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(texts(files.changed(ReloadTrigger::Requested)), Some(vec!["unreadable".to_owned()]));
    }
}
