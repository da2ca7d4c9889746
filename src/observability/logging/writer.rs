//! The thread that writes the log, so that no request waits for whoever reads it.
//!
//! Lines go through a queue of bounded length. What it has no room for is dropped and counted, and so is what
//! cannot be written. It knows nothing of what is in a line.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Takes lines, each in one write, and never waits. Clones write to the same log.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: SyncSender<Vec<u8>>,
    dropped: DroppedLines,
}

/// Keeps the log going. Dropped, it writes what is left, for a second at the most.
#[derive(Debug)]
pub struct Guard {
    writer: Writer,
    stop: Arc<AtomicBool>,
    stopped: Receiver<()>,
}

/// A count of lines that goes on counting. Clones read the same count.
#[derive(Clone, Debug, Default)]
pub struct DroppedLines(Arc<AtomicU64>);

impl DroppedLines {
    /// Lines dropped so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Guard {
    /// The count of lines that were dropped because their reader was too slow, or gone.
    pub fn dropped_lines(&self) -> DroppedLines {
        self.writer.dropped.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // An empty line wakes a thread that waits. Where the queue is full, it does not wait.
        let _ = self.writer.queue.try_send(Vec::new());
        // Nothing is ever sent: the thread hangs up when it is done. One that is stuck in a write is left behind.
        let _ = self.stopped.recv_timeout(LAST_LINES);
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(line.to_vec()).is_err() {
            self.dropped.add(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Starts the thread that writes to `out`.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Writer, Guard)> {
    let (queue, lines) = sync_channel(QUEUE_LINES);
    let (running, stopped) = sync_channel(0);
    let writer = Writer { queue, dropped: DroppedLines::default() };
    let (stop, dropped) = (Arc::new(AtomicBool::new(false)), writer.dropped.clone());
    let guard = Guard { writer: writer.clone(), stop: Arc::clone(&stop), stopped };
    Builder::new().name("log".to_owned()).spawn(move || {
        work(&lines, &stop, &dropped, out);
        drop(running);
    })?;
    Ok((writer, guard))
}

/// Writes lines, as many at a time as there are, until it is told to stop and none is left.
fn work(lines: &Receiver<Vec<u8>>, stop: &AtomicBool, dropped: &DroppedLines, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let first = if stop.load(Ordering::Acquire) { lines.try_recv().ok() } else { lines.recv().ok() };
        let Some(first) = first else { return };
        batch.clear();
        batch.extend_from_slice(&first);
        let mut count = u64::from(!first.is_empty());
        while batch.len() < BATCH_BYTES
            && let Ok(line) = lines.try_recv()
        {
            batch.extend_from_slice(&line);
            count += u64::from(!line.is_empty());
        }
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            dropped.add(count);
        }
    }
}

/// What may wait for the thread. A line takes less than a kilobyte as a rule.
pub(super) const QUEUE_LINES: usize = 8_192;
/// Written at one time: what a pipe holds.
const BATCH_BYTES: usize = 64 << 10;
/// For what is left at the end.
const LAST_LINES: Duration = Duration::from_secs(1);
