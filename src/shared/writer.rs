//! Writer of queued entries and proofs. A write that fails is dropped and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Pipeline;
use tokio_util::task::AbortOnDropHandle;

use super::lease::FillLease;
use super::names::ValueNames;
use super::record::{ProofRecord, encode_entry};
use super::seal::{OVERHEAD_BYTES, seal};
use super::state::{Operation, OperationResult};
use super::store::Fault;
use super::tier::Tier;
use super::writes::WriteJob;
use crate::support::clock::millis;

/// Entry and proof, sealed.
pub(super) struct SealedWrite {
    pub(super) names: ValueNames,
    pub(super) entry: Vec<u8>,
    pub(super) proof: Vec<u8>,
    /// Times to live of entry and proof, milliseconds.
    pub(super) lives: [u64; 2],
    pub(super) fill: Option<FillLease>,
}

/// Starts the tasks that write.
pub(super) fn start(tier: &Arc<Tier>) -> Vec<AbortOnDropHandle<()>> {
    let writer = |_| {
        let tier = Arc::clone(tier);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let job = tier.writes.receiver.lock().await.recv().await;
                let Some((job, _permit)) = job else { return };
                tier.write(*job).await;
            }
        }))
    };
    let releases = Arc::clone(tier);
    let releases = tokio::spawn(async move {
        while let Some(name) = releases.writes.release_receiver.lock().await.recv().await {
            releases.release(&name).await;
        }
    });
    (0..WRITERS).map(writer).chain([AbortOnDropHandle::new(releases)]).collect()
}

impl Tier {
    async fn write(&self, job: WriteJob) {
        let SealedWrite { names, entry, proof, lives: [entry_life, proof_life], fill } = match self.seal(job)
        {
            Ok(sealed) => sealed,
            Err(result) => return self.drop_write(result),
        };
        let mut commands = Pipeline::new();
        commands.cmd("SET").arg(&names.entry).arg(entry).arg("PX").arg(entry_life);
        commands.cmd("SET").arg(&names.proof).arg(proof).arg("PX").arg(proof_life);
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

    /// Encodes and seals entry and proof.
    pub(super) fn seal(&self, job: WriteJob) -> Result<SealedWrite, OperationResult> {
        let WriteJob { names, stamp, entry, digest, entry_life, proof_life, fill } = job;
        let plain = encode_entry(stamp, &entry);
        if plain.len() + OVERHEAD_BYTES > self.config.max_value {
            return Err(OperationResult::Skipped);
        }
        let proof = ProofRecord { stamp, digest }.encode();
        let sealed = (seal(&self.secrets, &names.entry, plain), seal(&self.secrets, &names.proof, proof));
        let (Some(entry), Some(proof)) = sealed else { return Err(OperationResult::Error) };
        Ok(SealedWrite {
            names,
            entry,
            proof,
            lives: [entry_life, proof_life].map(|life| millis(life).max(1)),
            fill,
        })
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

const WRITERS: usize = 8;
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);
