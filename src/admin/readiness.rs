//! Readiness of the process: a latch that start and drain set, and `/readyz` reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Latch from starting to ready to draining, which never goes back. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// State of the latch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// Not all ports are listening.
    Starting = 0,
    /// The process accepts requests.
    Ready = 1,
    /// The process is about to end.
    Draining = 2,
}

impl Readiness {
    /// Records that all ports are listening. Has no effect on a process that drains.
    pub fn set_ready(&self) {
        self.0.fetch_max(ReadinessState::Ready as u8, Relaxed);
    }

    /// Records that the process is about to end.
    pub fn set_draining(&self) {
        self.0.fetch_max(ReadinessState::Draining as u8, Relaxed);
    }

    /// Returns the state of the latch.
    pub fn state(&self) -> ReadinessState {
        match self.0.load(Relaxed) {
            0 => ReadinessState::Starting,
            1 => ReadinessState::Ready,
            _ => ReadinessState::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_drains_does_not_become_ready() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), ReadinessState::Starting);
        readiness.set_ready();
        assert_eq!(readiness.state(), ReadinessState::Ready);
        readiness.clone().set_draining();
        readiness.set_ready();
        assert_eq!(readiness.state(), ReadinessState::Draining);
    }
}
