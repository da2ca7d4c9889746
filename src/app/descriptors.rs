//! File descriptors: the limit of the process, and the connections of callers that fit into it.
//!
//! Without a free descriptor a miss fails and a probe gets no response. Therefore connections of callers get only the
//! descriptors that remain after the connections to Graph, the admin port and the files of the process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The open-file limit of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    limit: usize,
}

/// Descriptors that the process needs in addition to the connections of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// `limits.origin_requests`: each may use a connection to Graph.
    pub origin_requests: usize,
    /// Connections of the admin port.
    pub admin: usize,
    /// Threads that serve connections.
    pub threads: usize,
}

/// Raises the soft limit of open files to the hard limit. Call it before any file is opened.
pub fn raise_limit() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) }
}

impl Descriptors {
    /// Reads the limit of this process.
    pub fn current() -> nix::Result<Self> {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { limit: usize::try_from(soft).unwrap_or(usize::MAX) })
    }

    /// Returns the limit.
    pub fn limit(self) -> usize {
        self.limit
    }

    /// Returns the number of connections of callers that fit beside `demand`: at least a quarter of the limit.
    pub fn connections(self, demand: &Demand) -> usize {
        let Demand { origin_requests, admin, threads } = *demand;
        let reserve = [
            origin_requests,
            CONNECT_ATTEMPTS,
            admin,
            REPLACED_ADMIN_CONNECTIONS,
            threads * DESCRIPTORS_PER_THREAD,
            OWN_FILES,
        ];
        let reserve = reserve.into_iter().fold(0, usize::saturating_add);
        self.limit.saturating_sub(reserve).max(self.limit / 4).max(1)
    }
}

/// Additional attempts to connect to Graph: the addresses of a name are tried in parallel, and one idle connection is kept
/// ready.
const CONNECT_ATTEMPTS: usize = 32;
/// Connections of the admin port that were replaced and are not yet closed.
const REPLACED_ADMIN_CONNECTIONS: usize = 32;
/// Event queue of a runtime: epoll(7), eventfd(2), and the descriptors that wake it on a signal.
const DESCRIPTORS_PER_THREAD: usize = 4;
/// Standard streams, listeners, watched files, the resolver, the collector of spans.
const OWN_FILES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_get_the_remaining_descriptors_and_at_least_a_quarter() {
        let demand = Demand { origin_requests: 256, admin: 128, threads: 2 };
        let connections = |limit| Descriptors { limit }.connections(&demand);
        assert_eq!(connections(1_024), 1_024 - 256 - 32 - 128 - 32 - 8 - 64);
        assert_eq!(connections(600), 150);
        assert_eq!((connections(64), connections(3)), (16, 1));
        assert!(connections(1 << 20) > 1_000_000);
        let all = Demand { origin_requests: usize::MAX, ..demand };
        assert_eq!(Descriptors { limit: 1_024 }.connections(&all), 256);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        raise_limit().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(Descriptors::current().unwrap().limit(), usize::try_from(hard).unwrap());
    }
}
