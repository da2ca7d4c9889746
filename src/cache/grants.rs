//! What the store knows of a token that Graph has said 200 to.
//!
//! Most tokens ask for a few resources. An application's may ask for a thousand, and each answer adds a proof: so
//! proofs are changed where they lie, looked through without a look at the resources themselves, and weighed as they
//! come and go.
//!
//! A proof that is withdrawn leaves the grant itself, not only the store: a writer that still holds the grant cannot put
//! the proof back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::ContentDigest;
use crate::auth::Claims;
use crate::resource::Resource;
use crate::support::clock::Now;

/// Graph's 200 to one token for one resource, or its 304 about what it had given to that token.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Time at which Graph was asked.
    pub granted: Now,
    /// Digest of the bytes that Graph gave to the token.
    pub digest: ContentDigest,
}

/// A token's claims, read once, and its proofs.
#[derive(Debug)]
pub struct Grants {
    /// What the token says.
    pub claims: Claims,
    proofs: Mutex<Proofs>,
    /// Set when all proofs were withdrawn: the grant is on its way out of the store.
    revoked: AtomicBool,
}

#[derive(Debug, Default)]
struct Proofs {
    /// The newest last.
    list: VecDeque<Item>,
    /// Bytes of all of them.
    weight: usize,
}

#[derive(Debug)]
struct Item {
    resource: Arc<Resource>,
    proof: Proof,
    /// Of the resource. Two that differ may have one.
    digest: u32,
    /// Hash of the request fields that selected the answer (RFC 9111, section 4.1); 0 if none did.
    selector: u32,
}

impl Grants {
    /// A token that nothing has been granted to yet.
    pub fn new(claims: &Claims) -> Self {
        Self { claims: *claims, proofs: Mutex::default(), revoked: AtomicBool::new(false) }
    }

    /// The newest proof for a resource, live or not.
    pub fn proof(&self, resource: &Resource) -> Option<Proof> {
        let proofs = self.proofs();
        Some(proofs.list.get(proofs.find(resource, digest(resource))?)?.proof)
    }

    /// The proof for a resource that has this digest. Where request fields select answers, a token has one for each.
    pub fn proof_of(&self, resource: &Resource, given: ContentDigest) -> Option<Proof> {
        let (proofs, digest) = (self.proofs(), digest(resource));
        let mut own = proofs.list.iter().rev().filter(|item| item.is_for(resource, digest));
        own.find(|item| item.proof.digest == given).map(|item| item.proof)
    }

    /// The proof for a resource that an answer with this selector would replace.
    pub fn proof_before(&self, resource: &Resource, selector: u32) -> Option<Proof> {
        let (proofs, digest) = (self.proofs(), digest(resource));
        let mut own = proofs.list.iter().rev().filter(|item| item.is_for(resource, digest));
        own.find(|item| item.is_replaced_by(selector)).map(|item| item.proof)
    }

    /// Adds a proof; of two that replace each other the later stays. Past `most` the oldest goes, as it does past eight of
    /// one resource. Returns whether a proof was lost that is not renewed by this one.
    pub fn add(&self, resource: &Arc<Resource>, proof: Proof, selector: u32, most: usize) -> bool {
        let item = Item { resource: Arc::clone(resource), proof, digest: digest(resource), selector };
        let mut proofs = self.proofs();
        let replaced = |known: &Item| known.is_for(resource, item.digest) && known.is_replaced_by(selector);
        let is_later = |known: &Item| replaced(known) && known.proof.granted.is_after(proof.granted);
        if proofs.list.iter().any(is_later) {
            return false;
        }
        let mut lost = false;
        while let Some(at) = proofs.list.iter().position(replaced) {
            lost |= proofs.take(at).is_some_and(|known| known.proof.digest != proof.digest);
        }
        while proofs.list.len() >= most.max(1) {
            lost |= proofs.take(0).is_some();
        }
        let own = |known: &Item| known.is_for(resource, item.digest);
        if selector != 0 && proofs.list.iter().filter(|known| own(known)).count() >= OF_ONE_RESOURCE {
            let oldest = proofs.list.iter().position(own);
            lost |= oldest.and_then(|at| proofs.take(at)).is_some();
        }
        proofs.push(item);
        lost
    }

    /// Takes the proofs for a resource away.
    pub fn remove(&self, resource: &Resource) -> Remaining {
        let digest = digest(resource);
        self.remove_where(|item| item.is_for(resource, digest))
    }

    /// Takes the proofs away for the resources that are selected.
    pub fn purge(&self, selected: impl Fn(&Resource) -> bool) -> Remaining {
        self.remove_where(|item| selected(&item.resource))
    }

    /// Takes all proofs away, for good: nothing can be added any more.
    pub fn revoke(&self) {
        let mut proofs = self.proofs();
        self.revoked.store(true, SeqCst);
        *proofs = Proofs::default();
    }

    /// Whether all proofs were withdrawn. Such a grant is none.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(SeqCst)
    }

    /// Bytes that it takes in memory, about. Resources are counted here too: their entry may be gone.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.proofs().weight
    }

    fn remove_where(&self, goes: impl Fn(&Item) -> bool) -> Remaining {
        let mut proofs = self.proofs();
        let (before, mut removed) = (proofs.list.len(), 0);
        proofs.list.retain(|item| {
            let goes = goes(item);
            removed += if goes { item.weight() } else { 0 };
            !goes
        });
        proofs.weight -= removed;
        match proofs.list.len() {
            after if after == before => Remaining::All,
            0 => {
                self.revoked.store(true, SeqCst);
                Remaining::None
            }
            _ => Remaining::Some,
        }
    }

    fn proofs(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of a token's proofs after some were to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// There was nothing to take away.
    All,
    /// Some proofs are gone.
    Some,
    /// The last proof is gone: the grant is revoked, and as good as none.
    None,
}

impl Proofs {
    /// The newest for a resource.
    fn find(&self, resource: &Resource, digest: u32) -> Option<usize> {
        self.list.iter().rposition(|item| item.is_for(resource, digest))
    }

    fn take(&mut self, at: usize) -> Option<Item> {
        let item = self.list.remove(at)?;
        self.weight -= item.weight();
        Some(item)
    }

    /// There are as many lists as the cache has room for, and most are short: room is made by an eighth at a time.
    fn push(&mut self, item: Item) {
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact((self.list.len() / 8).max(1));
        }
        self.weight += item.weight();
        self.list.push_back(item);
    }
}

impl Item {
    fn is_for(&self, resource: &Resource, digest: u32) -> bool {
        self.digest == digest && *self.resource == *resource
    }

    /// Whether an answer with this selector takes the place of the one that was proven: no request is left that would
    /// be answered with the old one and not with the new one.
    fn is_replaced_by(&self, selector: u32) -> bool {
        self.selector == selector || self.selector == 0 || selector == 0
    }

    fn weight(&self) -> usize {
        self.resource.weight() + size_of::<Self>()
    }
}

/// Half of it is enough to pass nearly all others by, and keeps an item small.
fn digest(resource: &Resource) -> u32 {
    let [a, b, c, d, ..] = resource.digest().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Proofs that one token may have for one resource: as many answers are kept beside each other.
const OF_ONE_RESOURCE: usize = 8;

#[cfg(test)]
mod tests;
