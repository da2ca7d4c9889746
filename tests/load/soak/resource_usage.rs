//! Memory and descriptors of the process, twice a second.

use std::time::{Duration, Instant};

use crate::common::within;
use crate::process::Process;

/// Readings, oldest first.
pub(super) struct ResourceUsage {
    process: Process,
    began: Instant,
    at_start: Option<usize>,
    readings: Vec<(f64, u64, Option<usize>)>,
}

impl ResourceUsage {
    pub(super) fn new(id: u32) -> Self {
        let process = Process(id);
        Self { process, began: Instant::now(), at_start: process.open_files(), readings: Vec::new() }
    }

    pub(super) fn read(&mut self) {
        let at = self.began.elapsed().as_secs_f64();
        self.readings.push((at, self.process.resident_kib(), self.process.open_files()));
    }

    /// Waits until the process has closed what callers and Graph have left.
    pub(super) async fn settle(&self) {
        within("the descriptors of an idle process to be as few as at the start", async {
            while self.process.open_files() > self.at_start.map(|start| start + SLACK) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// Returns a summary for the reader of the output.
    pub(super) fn report(&self) -> String {
        let (_, resident, _) = self.readings[self.readings.len() - 1];
        let most = self.readings.iter().filter_map(|(_, _, open)| *open).max();
        let shown = |open: Option<usize>| open.map_or("unknown".to_owned(), |open| open.to_string());
        format!(
            "memory: {resident} KiB at the end, {:+.1} KiB a second over the second half\n\
             descriptors: {} at the start, {} at most, {} after it",
            self.slope(),
            shown(self.at_start),
            shown(most),
            shown(self.process.open_files()),
        )
    }

    /// Fails if memory rises in the second half of the test. The first half warms up.
    pub(super) fn check(&self) {
        let half = &self.readings[self.readings.len() / 2..];
        let (first, last) = half.split_at(half.len() / 2);
        let mean = |part: &[(f64, u64, Option<usize>)]| {
            part.iter().map(|(_, resident, _)| *resident as f64).sum::<f64>() / part.len().max(1) as f64
        };
        let (before, after) = (mean(first), mean(last));
        assert!(after < before * 1.1 + 4096.0, "memory rises: {before:.0} KiB, then {after:.0} KiB");
    }

    /// Returns the rise of memory, KiB a second, by least squares over the second half.
    fn slope(&self) -> f64 {
        let half = &self.readings[self.readings.len() / 2..];
        let count = half.len() as f64;
        let (mean_at, mean) = half
            .iter()
            .fold((0.0, 0.0), |(at, kib), reading| (at + reading.0 / count, kib + reading.1 as f64 / count));
        let (mut up, mut down) = (0.0, 0.0);
        for (at, kib, _) in half {
            up += (at - mean_at) * (*kib as f64 - mean);
            down += (at - mean_at).powi(2);
        }
        if down == 0.0 { 0.0 } else { up / down }
    }
}

/// Descriptors of the runtime, whose number varies.
const SLACK: usize = 4;
