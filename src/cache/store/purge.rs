//! What an operator takes out of the store.

use super::Store;
use crate::cache::grants::{Grants, Remaining};
use crate::cache::key::EntryKey;
use crate::cache::outcome::Eviction;
use crate::cache::purge::PurgeSelector;
use crate::support::sabotage::sabotaged;

impl Store {
    /// Drops what an operator selects, entries and proofs, and revokes what is on its way. Returns the entries' number.
    ///
    /// To all others it is one point in time: a request that began before this returns stores nothing that is selected.
    /// What is not selected goes on meanwhile: no lock is held for longer than one entry, or one grant, takes.
    pub fn purge(&self, selector: &PurgeSelector) -> u64 {
        let _purging = sabotaged!(PurgeMissesNewcomers, None, Some(self.leases.begin_purge(selector)));
        for (token_hash, grant) in &self.grants {
            if selector.selects_caller(Some(&grant.claims)) {
                sabotaged!(PurgeMissesNewcomers, self.leases.revoke_by_purge(&token_hash, selector));
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
        self.metrics.purged.inc_by(purged);
        purged
    }

    /// Drops the answers of a key. Returns whether there were any.
    fn purge_entry(&self, key: &EntryKey) -> bool {
        let _guard = self.lock_entries(&key.resource);
        let Some(kept) = self.entries.get(key) else { return false };
        kept.mark_evicted(Eviction::Purge);
        self.entries.invalidate(key);
        true
    }

    /// Drops everything: the wall clock was set back, so no age can be trusted.
    pub fn clear(&self) {
        self.purge(&PurgeSelector::default());
    }
}

fn purge_grant(selector: &PurgeSelector, grant: &Grants) -> Remaining {
    let selected = |resource: &_| selector.selects_resource(resource);
    sabotaged!(
        PurgeTakesTooMuch,
        match grant.purge(selected) {
            Remaining::All => return Remaining::All,
            Remaining::Some => return grant.purge(|_| true),
            Remaining::None => return Remaining::None,
        }
    );
    grant.purge(selected)
}
