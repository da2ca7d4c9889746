//! Entry point of the simulation: the same names, seals and judgement as with Redis, over a map in memory.
//!
//! Only connections and their delays are replaced. The log has no events, and the time is the clock of the tier.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use redis::Value;

use super::event::{LogId, Position};
use super::fill::FillResult;
use super::lease::{FillLease, LEASE_LIFE_MS};
use super::read::{SharedFetch, SharedHit};
use super::service::SharedTier;
use super::writer::SealedWrite;
use crate::auth::{Claims, Token};
use crate::resource::Resource;
use crate::support::clock::Now;

/// Values of the store with the time at which each ends, Unix milliseconds.
#[derive(Debug, Default)]
pub struct MemoryStore(HashMap<String, (Vec<u8>, u64)>);

impl MemoryStore {
    fn get(&mut self, name: &str, now: Now) -> Value {
        match self.0.get(name) {
            Some((value, ends)) if *ends > now.unix_millis() => Value::BulkString(value.clone()),
            Some(_) => {
                self.0.remove(name);
                Value::Nil
            }
            None => Value::Nil,
        }
    }

    fn set(&mut self, name: String, value: Vec<u8>, life_ms: u64, now: Now) {
        self.0.insert(name, (value, now.unix_millis() + life_ms));
    }

    /// Removes the values whose time to live has passed.
    pub fn expire(&mut self, now: Now) {
        self.0.retain(|_, (_, ends)| *ends > now.unix_millis());
    }
}

impl SharedTier {
    /// Begins a log without events.
    pub fn begin_log(&self) {
        if let Some(tier) = &self.tier {
            tier.index().begin(Position { generation: 1, id: LogId::default() });
        }
    }

    /// Begins the use of the store in a fetch, as [`SharedTier::begin`] does with a connection.
    pub fn begin_in_memory(
        &self,
        claims: &Claims,
        resource: &Arc<Resource>,
        token: &Token,
    ) -> Option<SharedFetch> {
        Some(SharedFetch::new(self.tier.as_ref()?, claims, resource, token, false))
    }

    /// Writes what is queued, and releases fill leases, as the writer does.
    pub fn write_to(&self, store: &mut MemoryStore) {
        let Some(tier) = &self.tier else { return };
        let now = tier.clock.now();
        if let Ok(mut queue) = tier.writes.receiver.try_lock() {
            while let Ok((job, _permit)) = queue.try_recv() {
                let Ok(SealedWrite { names, entry, proof, lives: [entry_life, proof_life], fill }) =
                    tier.seal(*job)
                else {
                    continue;
                };
                store.set(names.entry, entry, entry_life, now);
                store.set(names.proof, proof, proof_life, now);
                if let Some(lease) = fill.and_then(FillLease::into_name) {
                    store.0.remove(&lease);
                }
            }
        }
        if let Ok(mut queue) = tier.writes.release_receiver.try_lock() {
            while let Ok(name) = queue.try_recv() {
                store.0.remove(&name);
            }
        }
    }
}

impl SharedFetch {
    /// Reads and judges entry and proof, as [`SharedFetch::read`] does.
    pub fn read_from(
        &mut self,
        store: &mut MemoryStore,
        is_fresh: impl Fn(&SharedHit) -> bool,
    ) -> Option<SharedHit> {
        let now = self.tier.clock.now();
        // The log is read continuously.
        self.tier.facts.record_log_read(Instant::now());
        let values =
            [&self.names.entry, &self.names.proof, &self.names.lease].map(|name| store.get(name, now));
        self.judge(values.into(), false, is_fresh).ok()
    }

    /// Returns whether another replica had the fill lease at the last read.
    pub fn is_fill_lease_taken(&self) -> bool {
        self.is_taken()
    }

    /// Takes the fill lease, as [`SharedFetch::take_fill_lease`] does.
    pub fn take_fill_lease_in(&mut self, store: &mut MemoryStore) -> FillResult {
        let (now, name) = (self.tier.clock.now(), self.names.lease.clone());
        if store.get(&name, now) != Value::Nil {
            return FillResult::Taken;
        }
        store.set(name.clone(), vec![1], LEASE_LIFE_MS, now);
        let releases = self.tier.writes.releases();
        self.keep_fill_lease(FillLease::new(name, Instant::now(), releases));
        FillResult::Proceed
    }
}
