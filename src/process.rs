//! What the process denies to others on its machine: its memory holds callers' tokens.

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
}
