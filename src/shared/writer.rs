//! Queue of writes: bounded in count and bytes. A write that does not fit is dropped and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Pipeline;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::fill::FillLease;
use super::names::ValueNames;
use super::record::{ProofRecord, Stamp, encode_entry};
use super::seal::{OVERHEAD_BYTES, seal};
use super::state::{Operation, OperationResult};
use super::store::Fault;
use super::tier::Tier;
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

#[derive(Debug)]
enum Job {
    Write(Box<WriteJob>, OwnedSemaphorePermit),
    Release(String),
}

/// Queue of writes, and the limit of reads at one time.
#[derive(Debug)]
pub(super) struct WriteQueue {
    sender: mpsc::Sender<Job>,
    receiver: Arc<Mutex<mpsc::Receiver<Job>>>,
    bytes: Arc<Semaphore>,
    reads: Semaphore,
}

impl Default for WriteQueue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_JOBS);
        let receiver = Arc::new(Mutex::new(receiver));
        Self {
            sender,
            receiver,
            bytes: Arc::new(Semaphore::new(MAX_BYTES)),
            reads: Semaphore::new(MAX_READS),
        }
    }
}

impl WriteQueue {
    /// Adds a write.
    pub(super) fn push(&self, tier: &Tier, job: WriteJob) {
        let weight = u32::try_from(job.entry.weight()).unwrap_or(u32::MAX);
        let queued = match Arc::clone(&self.bytes).try_acquire_many_owned(weight) {
            Ok(permit) => self.sender.try_send(Job::Write(Box::new(job), permit)).is_ok(),
            Err(_) => false,
        };
        if !queued {
            tier.drop_write(OperationResult::Skipped);
        }
    }

    /// Adds the release of a fill lease. If the queue is full, the lease ends by its time to live.
    pub(super) fn push_release(&self, name: String) {
        let _ = self.sender.try_send(Job::Release(name));
    }

    /// Returns a permit for one read, unless too many are in flight.
    pub(super) fn try_begin_read(&self) -> Option<SemaphorePermit<'_>> {
        self.reads.try_acquire().ok()
    }
}

/// Starts the tasks that write.
pub(super) fn start(tier: &Arc<Tier>) -> Vec<AbortOnDropHandle<()>> {
    let task = |_| {
        let (tier, receiver) = (Arc::clone(tier), Arc::clone(&tier.writes.receiver));
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let job = receiver.lock().await.recv().await;
                match job {
                    Some(Job::Write(job, _permit)) => tier.write(*job).await,
                    Some(Job::Release(name)) => tier.release(&name).await,
                    None => return,
                }
            }
        }))
    };
    (0..WRITERS).map(task).collect()
}

impl Tier {
    async fn write(&self, job: WriteJob) {
        let WriteJob { names, stamp, entry, digest, entry_life, proof_life, fill } = job;
        let plain = encode_entry(stamp, &entry);
        if plain.len() + OVERHEAD_BYTES > self.config.max_value {
            return self.drop_write(OperationResult::Skipped);
        }
        let proof = ProofRecord { stamp, digest }.encode();
        let sealed = (seal(&self.secrets, &names.entry, plain), seal(&self.secrets, &names.proof, proof));
        let (Some(entry), Some(proof)) = sealed else { return self.drop_write(OperationResult::Error) };
        let mut commands = Pipeline::new();
        commands.cmd("SET").arg(&names.entry).arg(entry).arg("PX").arg(millis(entry_life));
        commands.cmd("SET").arg(&names.proof).arg(proof).arg("PX").arg(millis(proof_life));
        if let Some(lease) = fill.and_then(FillLease::into_name) {
            commands.cmd("DEL").arg(lease);
        }
        let started = Instant::now();
        // No caller waits: a write may take longer than a read, but not as long as a stalled server would let it.
        let result =
            self.store.send_all(&names.entry, &commands, self.config.timeout.max(WRITE_TIMEOUT)).await;
        if result != Err(Fault::Unavailable) {
            self.metrics.observe(Operation::Write, started.elapsed());
        }
        match result {
            Ok(()) => self.metrics.count(Operation::Write, OperationResult::Ok),
            Err(fault) => self.drop_write(self.result_of(fault)),
        }
    }

    async fn release(&self, name: &str) {
        let mut commands = Pipeline::new();
        commands.cmd("DEL").arg(name);
        // A lease that is not released ends by its time to live.
        let _ = self.store.send_all(name, &commands, self.config.timeout).await;
    }

    fn drop_write(&self, result: OperationResult) {
        self.metrics.count(Operation::Write, result);
        self.metrics.count_dropped_write();
    }
}

fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

const WRITERS: usize = 8;
const MAX_JOBS: usize = 1024;
/// Entries that wait are in the local store as well, mostly; the limit is for those that were evicted meanwhile.
const MAX_BYTES: usize = 16 << 20;
/// Reads in flight. A flood of unknown tokens reads no more than this at one time.
const MAX_READS: usize = 1024;
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);
