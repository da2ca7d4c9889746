//! Writer thread of the log, so that no request waits for the reader of the log.
//!
//! Lines go through a bounded queue. A line is dropped and counted if the queue is full or if the output fails. The module
//! does not know the format of a line.
//!
//! `tracing-appender` does not fit: its guard prints to standard output when the writer is stuck, and then blocks for ever
//! if standard output is the log; it does not count lines that the output refuses. docs/architecture.md has the comparison.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Accepts lines, each in one write, and never waits. Clones write to the same log.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: SyncSender<Vec<u8>>,
    dropped: DroppedLines,
}

/// Guard of the writer thread. Dropping it writes the lines that are left, for at most one second.
#[derive(Debug)]
pub struct Guard {
    writer: Writer,
    stop: Arc<AtomicBool>,
    stopped: Receiver<()>,
}

/// Count of dropped lines. Clones read the same count.
#[derive(Clone, Debug, Default)]
pub struct DroppedLines(Arc<AtomicU64>);

impl DroppedLines {
    /// Returns the number of dropped lines.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Guard {
    /// Returns the count of lines that were dropped because the reader of the log was too slow or gone.
    pub fn dropped_lines(&self) -> DroppedLines {
        self.writer.dropped.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // An empty line wakes a waiting thread. If the queue is full, the thread is not waiting.
        let _ = self.writer.queue.try_send(Vec::new());
        // The thread sends nothing: it drops its end when it is done. A thread that is stuck in a write is abandoned.
        let _ = self.stopped.recv_timeout(FLUSH_TIMEOUT);
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
        write_lines(&lines, &stop, &dropped, out);
        drop(running);
    })?;
    Ok((writer, guard))
}

/// Writes lines until `stop` is set and none is left. Lines that wait together are written in one batch.
fn write_lines(lines: &Receiver<Vec<u8>>, stop: &AtomicBool, dropped: &DroppedLines, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let first = if stop.load(Ordering::Acquire) { lines.try_recv().ok() } else { lines.recv().ok() };
        let Some(first) = first else { return };
        batch.clear();
        batch.extend_from_slice(&first);
        let mut count = u64::from(!first.is_empty());
        while batch.len() < MAX_BATCH_BYTES
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

/// Lines in the queue. A typical line takes less than a kilobyte.
pub(super) const QUEUE_LINES: usize = 8_192;
/// Size at which a batch is written: the capacity of a pipe on Linux.
const MAX_BATCH_BYTES: usize = 64 << 10;
/// Time for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
