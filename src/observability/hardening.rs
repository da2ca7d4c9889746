//! What the process asks of the kernel for itself: that nobody looks into its memory, which holds callers' tokens,
//! and that it is given no more of it than it touches.

/// Takes the process out of reach: no core file, and no look into its memory for others of the same user.
///
/// On Linux it becomes not dumpable (prctl(2), `PR_SET_DUMPABLE`): ptrace attaches only with `CAP_SYS_PTRACE`,
/// and most of `/proc/PID` belongs to root. Everywhere the size of a core file is limited to zero, for a
/// core pattern that ignores the first. To be called first in `main`, before there is anything to see.
pub fn harden() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)
}

/// Asks for memory in pages of the usual size alone (prctl(2), `PR_SET_THP_DISABLE`).
///
/// Where the kernel gives out huge ones, each first touch of two megabytes takes all of them: a process at rest would
/// hold twice what it needs, and `cache.max_bytes` would mean less. No hit is quicker for them. The allocator does
/// not ask for any either; this is for kernels that give them unasked.
pub fn small_pages() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_thp_disable(true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core() {
        harden().unwrap();
        let core = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE).unwrap();
        assert_eq!(core, (0, 0));
        #[cfg(target_os = "linux")]
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_comes_in_small_pages() {
        small_pages().unwrap();
        assert!(nix::sys::prctl::get_thp_disable().unwrap());
    }
}
