//! What an operator takes out of the store.

use super::Store;
use crate::cache::grants::{Grants, Remaining};
use crate::cache::key::EntryKey;
use crate::cache::outcome::Eviction;
use crate::cache::purge::PurgeSelector;

impl Store {
    /// Drops what an operator selects, entries and proofs, and revokes what is on its way. Returns the entries' number.
    ///
    /// To all others it is one point in time: a request that began before this returns stores nothing that is selected.
    /// What is not selected goes on meanwhile: no lock is held for longer than one entry, or one grant, takes.
    pub fn purge(&self, selection: &PurgeSelector) -> u64 {
        let _purging = self.leases.purge(selection);
        for (fingerprint, grant) in &self.grants {
            if selection.selects_caller(Some(&grant.claims)) {
                self.take_proofs(&fingerprint, |grant| purge_grant(selection, grant));
            }
        }
        let mut purged = 0;
        for (key, kept) in &self.entries {
            if selection.selects_resource(&key.resource) && kept.is_selected(selection) {
                purged += u64::from(self.purge_entry(&key));
            }
        }
        self.generations.end_all();
        self.metrics.purged.inc_by(purged);
        purged
    }

    /// Drops the answers of a key. Returns whether there were any.
    fn purge_entry(&self, key: &EntryKey) -> bool {
        let _turn = self.turn(&key.resource);
        let Some(kept) = self.entries.get(key) else { return false };
        kept.leaves_by(Eviction::Purge);
        self.entries.invalidate(key);
        true
    }

    /// Drops everything: the wall clock was set back, so no age can be trusted.
    pub fn forget(&self) {
        self.purge(&PurgeSelector::default());
    }
}

fn purge_grant(selection: &PurgeSelector, grant: &Grants) -> Remaining {
    let selected = |resource: &_| selection.selects_resource(resource);
    grant.purge(selected)
}
