//! Removal by an operator's purge.

use super::Store;
use crate::cache::grants::{Grants, Remaining};
use crate::cache::key::EntryKey;
use crate::cache::outcome::Eviction;
use crate::cache::purge::PurgeSelector;

impl Store {
    /// Removes the selected entries and proofs, and revokes the selected leases. Returns the number of removed entries.
    ///
    /// For every request the purge is one point in time: a request that began before this function returns stores nothing
    /// that is selected. Other requests continue meanwhile: no lock is held for longer than one entry or one token takes.
    pub fn purge(&self, selector: &PurgeSelector) -> u64 {
        let _purging = self.leases.begin_purge(selector);
        for (token_hash, grant) in &self.grants {
            if selector.selects_caller(Some(&grant.claims)) {
                self.remove_proofs(&token_hash, |grant| purge_grant(selector, grant));
            }
        }
        let mut purged = 0;
        for (key, kept) in &self.entries {
            if selector.selects_resource(&key.resource) && kept.is_selected(selector) {
                purged += u64::from(self.purge_entry(&key));
            }
        }
        self.generations.advance_all();
        purged
    }

    /// Returns the number of entries that [`Self::purge`] would remove now.
    pub fn count(&self, selector: &PurgeSelector) -> u64 {
        let selected = self
            .entries
            .iter()
            .filter(|(key, kept)| selector.selects_resource(&key.resource) && kept.is_selected(selector));
        selected.count() as u64
    }

    /// Removes the responses of a key. Returns whether there were any.
    fn purge_entry(&self, key: &EntryKey) -> bool {
        let _guard = self.lock_entries(&key.resource);
        let Some(kept) = self.entries.get(key) else { return false };
        kept.mark_evicted(Eviction::Purge);
        self.entries.invalidate(key);
        true
    }

    /// Removes everything, and returns the number of entries. Called after the wall clock was set back, because no stored age
    /// is reliable then.
    pub fn clear(&self) -> u64 {
        self.purge(&PurgeSelector::default())
    }
}

fn purge_grant(selector: &PurgeSelector, grant: &Grants) -> Remaining {
    let selected = |resource: &_| selector.selects_resource(resource);
    grant.purge(selected)
}
