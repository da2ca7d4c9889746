//! Queue of writes: bounded in count and bytes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};

use super::lease::FillLease;
use super::names::ValueNames;
use super::record::Stamp;
use crate::cache::entry::{ContentDigest, Entry};

/// Entry and proof to write.
#[derive(Debug)]
pub(super) struct WriteJob {
    pub(super) names: ValueNames,
    pub(super) stamp: Stamp,
    pub(super) entry: Arc<Entry>,
    pub(super) digest: ContentDigest,
    pub(super) entry_life: Duration,
    pub(super) proof_life: Duration,
    pub(super) fill: Option<FillLease>,
}

/// A write, and its part of the bytes that may wait.
pub(super) type QueuedWrite = (Box<WriteJob>, OwnedSemaphorePermit);

/// Queues of writes and of released leases, and the limit of reads at one time.
#[derive(Debug)]
pub(super) struct WriteQueue {
    sender: mpsc::Sender<QueuedWrite>,
    pub(super) receiver: Arc<Mutex<mpsc::Receiver<QueuedWrite>>>,
    release_sender: mpsc::Sender<String>,
    pub(super) release_receiver: Arc<Mutex<mpsc::Receiver<String>>>,
    bytes: Arc<Semaphore>,
    reads: Semaphore,
}

impl Default for WriteQueue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_JOBS);
        let (release_sender, release_receiver) = mpsc::channel(MAX_JOBS);
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
            release_sender,
            release_receiver: Arc::new(Mutex::new(release_receiver)),
            bytes: Arc::new(Semaphore::new(MAX_BYTES)),
            reads: Semaphore::new(MAX_READS),
        }
    }
}

impl WriteQueue {
    /// Adds a write. Returns false if it does not fit.
    pub(super) fn push(&self, job: WriteJob) -> bool {
        let weight = u32::try_from(job.entry.weight()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(weight) else { return false };
        self.sender.try_send((Box::new(job), permit)).is_ok()
    }

    /// Returns the queue of released leases.
    pub(super) fn releases(&self) -> mpsc::Sender<String> {
        self.release_sender.clone()
    }

    /// Returns a permit for one read, unless too many are in flight.
    pub(super) fn try_begin_read(&self) -> Option<SemaphorePermit<'_>> {
        self.reads.try_acquire().ok()
    }
}

const MAX_JOBS: usize = 1024;
/// Entries that wait are in the local store as well, mostly; the limit is for those that were evicted meanwhile.
const MAX_BYTES: usize = 16 << 20;
/// Reads in flight. A flood of unknown tokens reads no more than this at one time.
const MAX_READS: usize = 1024;
