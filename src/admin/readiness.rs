//! Whether the process wants requests: a latch that start and drain set and the probe reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Clones share one latch. It goes from starting to ready to draining, and never back.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// What the latch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not everything listens yet.
    Starting = 0,
    /// Requests are welcome.
    Ready = 1,
    /// The process is about to end.
    Draining = 2,
}

impl Readiness {
    /// Everything listens. Has no effect on a process that drains.
    pub fn ready(&self) {
        self.0.fetch_max(State::Ready as u8, Relaxed);
    }

    /// The process is about to end.
    pub fn drain(&self) {
        self.0.fetch_max(State::Draining as u8, Relaxed);
    }

    /// What the latch says.
    pub fn state(&self) -> State {
        match self.0.load(Relaxed) {
            0 => State::Starting,
            1 => State::Ready,
            _ => State::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_drains_does_not_become_ready() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), State::Starting);
        readiness.ready();
        assert_eq!(readiness.state(), State::Ready);
        readiness.clone().drain();
        readiness.ready();
        assert_eq!(readiness.state(), State::Draining);
    }
}
