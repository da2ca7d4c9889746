//! Resource usage of a process, as the system reports it.

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A running process, by its id.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Returns its resident memory, KiB.
    pub(crate) fn resident_kib(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Returns the number of its open descriptors. Only root can read it, because the process is not dumpable.
    pub(crate) fn open_files(self) -> Option<usize> {
        fs::read_dir(format!("/proc/{}/fd", self.0)).ok().map(Iterator::count)
    }

    /// Returns its processor time so far, in hundredths of a second: `utime` and `stime` of proc(5).
    pub(crate) fn ticks(self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum()
    }
}

/// Raises the open-file limit of this process and its children. Returns false if the system does not allow it.
pub(crate) fn raise_open_file_limit(files: u64) -> bool {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    soft >= files || setrlimit(Resource::RLIMIT_NOFILE, files.min(hard), hard).is_ok() && hard >= files
}
