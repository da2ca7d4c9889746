//! Requests of the process to the kernel: no core dumps and no debugger, because its memory holds callers' tokens, and no
//! huge pages.

/// Prevents core files, and access to the memory by other processes of the same user.
///
/// On Linux the process becomes not dumpable (prctl(2), `PR_SET_DUMPABLE`): ptrace attaches only with `CAP_SYS_PTRACE`,
/// and most of `/proc/PID` belongs to root. On all systems the size of a core file is limited to zero, because some core
/// patterns ignore the first setting. `main` calls this first, before the process holds a secret.
pub fn harden() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)
}

/// Disables transparent huge pages for this process (prctl(2), `PR_SET_THP_DISABLE`).
///
/// With huge pages the first access to an area of two megabytes allocates all of it: an idle process would hold twice the
/// memory that it needs, and `cache.max_bytes` would limit less. Hits do not become faster with them. The allocator asks
/// for none either; this is for kernels with `transparent_hugepage/enabled` set to `always`.
pub fn disable_huge_pages() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_thp_disable(true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_file() {
        harden().unwrap();
        let core = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE).unwrap();
        assert_eq!(core, (0, 0));
        #[cfg(target_os = "linux")]
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn huge_pages_are_disabled() {
        disable_huge_pages().unwrap();
        assert!(nix::sys::prctl::get_thp_disable().unwrap());
    }
}
