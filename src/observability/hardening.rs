//! Requests of the process to the kernel: no core dumps and no debugger, because its memory holds callers' tokens, and huge
//! pages only while they are worth their memory.

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

/// Allows or forbids transparent huge pages for memory that this process uses from now on (prctl(2), `PR_SET_THP_DISABLE`).
///
/// With huge pages the first access to an area of two megabytes allocates all of it, and needs one page fault instead of 512.
/// The allocator requests them (madvise(2), `MADV_HUGEPAGE`), so they take effect unless
/// `/sys/kernel/mm/transparent_hugepage/enabled` is `never`. The call fails on a kernel without huge pages.
pub fn allow_huge_pages(allowed: bool) -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_thp_disable(!allowed)?;
    #[cfg(not(target_os = "linux"))]
    let _ = allowed;
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
    fn huge_pages_are_forbidden_and_allowed_again() {
        for allowed in [false, true] {
            allow_huge_pages(allowed).unwrap();
            assert_eq!(nix::sys::prctl::get_thp_disable().unwrap(), !allowed);
        }
    }
}
