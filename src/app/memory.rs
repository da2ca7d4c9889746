//! Memory of the process: what the limits allow, and what the cgroup allows.

use std::fs;
use std::path::Path;

use crate::config::Config;

/// Returns the memory of the process in bytes if all limits are reached at the same time.
pub(super) fn worst_case(config: &Config) -> u64 {
    let connection = if config.server.tls.is_some() { TLS_CONNECTION_BYTES } else { CONNECTION_BYTES };
    let bytes = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let connections = connection.saturating_mul(bytes(config.server.limits.connections));
    [config.store.max_bytes, bytes(config.bytes_in_flight), bytes(config.waiting_requests.bytes), connections]
        .into_iter()
        .fold(PROCESS_BYTES, u64::saturating_add)
}

/// Returns the memory limit of the cgroup of this process in bytes. `None`: no limit, or no cgroup.
pub(super) fn cgroup_limit() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_of(&membership, Path::new("/sys/fs/cgroup"))
}

/// Returns the smallest limit of the cgroups in `membership` (cgroups(7), `/proc/PID/cgroup`) below `root`.
fn limit_of(membership: &str, root: &Path) -> Option<u64> {
    let limits = membership.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let (folder, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            return None;
        };
        // A container with a cgroup namespace sees its own cgroup at the root. Limits of the parents apply, too.
        let folders = Path::new(path).ancestors().map(|ancestor| folder.join(ancestor).join(file));
        folders.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
    });
    // Version 1 shows the lack of a limit as a number near 2^63.
    limits.min().filter(|limit| *limit < 1 << 60)
}

/// Memory of an active connection of a caller.
const CONNECTION_BYTES: u64 = 36 << 10;
/// The same with TLS.
const TLS_CONNECTION_BYTES: u64 = 44 << 10;
/// Memory of the process apart from its limits.
const PROCESS_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_of_the_own_and_the_parent_cgroups_applies() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "memory.max", "max\n");
        assert_eq!(limit_of("0::/\n", root), None, "no limit");
        write(root, "pods/memory.max", "1048576\n");
        write(root, "pods/one/memory.max", "max\n");
        assert_eq!(limit_of("0::/pods/one\n", root), Some(1_048_576));
        assert_eq!(limit_of("0::/elsewhere\n", root), None);
    }

    #[test]
    fn version_1_has_its_own_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit_of("5:cpu,cpuacct:/\n4:memory:/\n", root), None, "no limit");
        write(root, "memory/job/memory.limit_in_bytes", "2097152\n");
        assert_eq!(limit_of("5:cpu,cpuacct:/\n4:memory:/job\n", root), Some(2_097_152));
    }
}
