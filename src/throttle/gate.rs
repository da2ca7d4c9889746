//! One gate: open, closed for a while, tried by one request, opened by and by.

use std::time::Duration;

use crate::clock::Now;

/// The state of a gate. New ones are open.
#[derive(Debug, Default)]
pub(super) struct Gate {
    phase: Phase,
    failures_in_a_row: u32,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Open,
    /// Until the deadline nobody passes.
    Closed { since: Now, wait: Duration },
    /// One request is on its way to see.
    Probing,
    /// So many may be on their way at once; as many good answers widen it.
    Ramp { limit: u32, under_way: u32, good: u32 },
}

impl Gate {
    /// Passes, or says how long to wait.
    pub(super) fn enter(&mut self, now: Now) -> Result<(), Duration> {
        match &mut self.phase {
            Phase::Open => Ok(()),
            Phase::Closed { since, wait } => {
                let left = wait.saturating_sub(now.since(*since));
                if !left.is_zero() {
                    return Err(left);
                }
                self.phase = Phase::Probing;
                Ok(())
            }
            Phase::Probing => Err(A_MOMENT),
            Phase::Ramp { limit, under_way, .. } => {
                if under_way >= limit {
                    return Err(A_MOMENT);
                }
                *under_way += 1;
                Ok(())
            }
        }
    }

    /// A request that passed was answered well.
    pub(super) fn answered(&mut self) {
        self.failures_in_a_row = 0;
        match &mut self.phase {
            Phase::Open | Phase::Closed { .. } => {}
            Phase::Probing => self.phase = Phase::Ramp { limit: FIRST, under_way: 0, good: 0 },
            Phase::Ramp { limit, under_way, good } => {
                *under_way = under_way.saturating_sub(1);
                *good += 1;
                if *good >= *limit {
                    (*limit, *good) = (*limit * WIDER, 0);
                }
                if *limit > WIDE_OPEN {
                    self.phase = Phase::Open;
                }
            }
        }
    }

    /// Says whether one would have to wait, for those who may not open a gate.
    pub(super) fn look(&self, now: Now) -> Result<(), Duration> {
        match self.phase {
            Phase::Closed { since, wait } => {
                let left = wait.saturating_sub(now.since(since));
                if left.is_zero() { Ok(()) } else { Err(left) }
            }
            Phase::Probing => Err(A_MOMENT),
            Phase::Open | Phase::Ramp { .. } => Ok(()),
        }
    }

    /// A request that passed failed. A row of failures that count closes the gate; any keeps it closed while
    /// it is being opened.
    pub(super) fn failed(&mut self, now: Now, counts: bool) {
        self.failures_in_a_row += u32::from(counts);
        let tender = matches!(self.phase, Phase::Probing | Phase::Ramp { .. });
        if tender || (counts && matches!(self.phase, Phase::Open) && self.failures_in_a_row >= FAILURES) {
            self.close(now, A_MOMENT);
        }
    }

    /// A request that passed is over, and says nothing about the gate: a probe may be sent again.
    pub(super) fn over(&mut self, now: Now) {
        match &mut self.phase {
            Phase::Open | Phase::Closed { .. } => {}
            Phase::Probing => self.close(now, Duration::ZERO),
            Phase::Ramp { under_way, .. } => *under_way = under_way.saturating_sub(1),
        }
    }

    /// Nobody passes for so long. A wait that ends later stays.
    pub(super) fn close(&mut self, now: Now, wait: Duration) {
        let left = match self.phase {
            Phase::Closed { since, wait } => wait.saturating_sub(now.since(since)),
            _ => Duration::ZERO,
        };
        self.phase = Phase::Closed { since: now, wait: wait.max(left) };
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }
}

/// Between two probes, and what a caller is told to wait while one is under way.
const A_MOMENT: Duration = Duration::from_secs(1);
/// In a row, before a gate closes.
const FAILURES: u32 = 5;
/// Once a probe was answered. Callers that are sent away come back a second later, all at once: one, eight,
/// thirty-two and then everybody are let in within four seconds, however many they are.
const FIRST: u32 = 8;
const WIDER: u32 = 4;
/// As many at once are no ramp any more.
const WIDE_OPEN: u32 = 64;
