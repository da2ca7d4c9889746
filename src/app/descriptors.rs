//! File descriptors: the limit of the process, and how many connections of callers fit into it.
//!
//! A socket that cannot be opened is a miss that fails, or a probe that nobody answers. So callers get what is left
//! after the connections to Graph, the admin port and the files of the process itself.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The open-file limit of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    limit: usize,
}

/// What descriptors are needed for beside connections of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// `limits.origin_requests`: each may have a connection to Graph.
    pub origin_requests: usize,
    /// Connections of the admin port.
    pub admin: usize,
    /// Threads that serve connections.
    pub threads: usize,
}

/// Raises the soft limit of open files to the hard limit. To be called before anything is opened.
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

    /// The limit.
    pub fn limit(self) -> usize {
        self.limit
    }

    /// Returns how many connections of callers fit. Below the reserve a quarter of the limit is theirs all the same.
    pub fn connections(self, demand: &Demand) -> usize {
        let Demand { origin_requests, admin, threads } = *demand;
        let reserve = [origin_requests, CONNECTING, admin, REPLACED, threads * OF_A_THREAD, OWN_FILES];
        let reserve = reserve.into_iter().fold(0, usize::saturating_add);
        self.limit.saturating_sub(reserve).max(self.limit / 4).max(1)
    }
}

/// Attempts to connect to Graph that run beside others: several addresses of one name are tried, and one connection
/// is kept at hand.
const CONNECTING: usize = 32;
/// Connections of the admin port that were replaced and are not closed yet.
const REPLACED: usize = 32;
/// The event queue of a runtime: epoll(7), eventfd(2), and what wakes it on a signal.
const OF_A_THREAD: usize = 4;
/// Standard streams, listeners, files that are looked at, the resolver, the collector of spans.
const OWN_FILES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_get_what_is_left_and_a_quarter_at_least() {
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
    fn the_limit_is_raised_as_far_as_it_may_be() {
        raise_limit().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(Descriptors::current().unwrap().limit(), usize::try_from(hard).unwrap());
    }
}
