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
    pub fn purge(&self, selection: &PurgeSelector) -> u64 {
        let _purging = sabotaged!(PurgeMissesNewcomers, None, Some(self.leases.purge(selection)));
        for (fingerprint, grant) in &self.grants {
            if selection.selects_caller(Some(&grant.claims)) {
                sabotaged!(PurgeMissesNewcomers, self.leases.revoke_by_purge(&fingerprint, selection));
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

    /// Drops everything after the wall clock was set back: no age can be trusted. Returns the number of entries.
    pub fn forget(&self) -> u64 {
        self.purge(&PurgeSelector::default())
    }
}

fn purge_grant(selection: &PurgeSelector, grant: &Grants) -> Remaining {
    let selected = |resource: &_| selection.selects_resource(resource);
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
