//! Proofs of one token: the records of Graph's 200 responses to it.
//!
//! Most tokens request a few resources. A token of an application may request a thousand, and each response adds a proof.
//! Proofs are therefore changed in place, searched by a digest of the resource, and their weight is updated with each
//! change.
//!
//! A revoked proof is removed from the grants themselves, not only from the store: a writer that still holds a reference to
//! the grants cannot restore it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::entry::ContentDigest;
use crate::auth::Claims;
use crate::resource::Resource;
use crate::support::clock::Now;

/// Record of Graph's 200 to one token for one resource, or of a 304 that confirms an earlier 200 to the same token.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Time at which the request was sent to Graph.
    pub granted_at: Now,
    /// Digest of the bytes that Graph sent to the token.
    pub digest: ContentDigest,
}

/// A token's claims and its proofs.
#[derive(Debug)]
pub struct Grants {
    /// Claims of the token, parsed once.
    pub claims: Claims,
    proofs: Mutex<Proofs>,
    /// True once all proofs are revoked. The store treats revoked grants as absent and removes them.
    revoked: AtomicBool,
}

#[derive(Debug, Default)]
struct Proofs {
    /// Proofs in order of addition, the newest last.
    list: VecDeque<ProofRecord>,
    /// Size of all proofs, bytes.
    weight: usize,
    /// Size that the store counts, bytes: at least `weight`, and rarely changed.
    counted: usize,
    /// Last insertion into the store: the size that it counted, and its time.
    inserted: Option<(usize, Now)>,
}

#[derive(Debug)]
struct ProofRecord {
    resource: Arc<Resource>,
    proof: Proof,
    /// Digest of the resource. Different resources may have equal digests.
    digest: u32,
    /// Hash of the selecting request fields (RFC 9111, section 4.1); 0 if there are none.
    selector: u32,
}

impl Grants {
    /// Creates grants without proofs.
    pub fn new(claims: &Claims) -> Self {
        Self { claims: claims.clone(), proofs: Mutex::default(), revoked: AtomicBool::new(false) }
    }

    /// Returns the newest proof for a resource, live or expired.
    pub fn newest_proof(&self, resource: &Resource) -> Option<Proof> {
        let proofs = self.proofs();
        Some(proofs.list.get(proofs.find(resource, digest(resource))?)?.proof)
    }

    /// Returns the proof for a resource with this content digest. If request fields select responses, a token has one proof
    /// for each response.
    pub fn proof_for_content(&self, resource: &Resource, content: ContentDigest) -> Option<Proof> {
        let (proofs, digest) = (self.proofs(), digest(resource));
        let mut own = proofs.list.iter().rev().filter(|item| item.matches_resource(resource, digest));
        own.find(|item| item.proof.digest == content).map(|item| item.proof)
    }

    /// Returns the proof for a resource that a response with this selector would replace.
    pub fn proof_replaced_by(&self, resource: &Resource, selector: u32) -> Option<Proof> {
        let (proofs, digest) = (self.proofs(), digest(resource));
        let mut own = proofs.list.iter().rev().filter(|item| item.matches_resource(resource, digest));
        own.find(|item| item.is_replaced_by(selector)).map(|item| item.proof)
    }

    /// Adds a proof. Of two proofs that replace each other the later one stays. Removes the oldest proof beyond `max_proofs`,
    /// and beyond eight for one resource. Returns whether a removed proof was for other content than the new one.
    pub fn add(&self, resource: &Arc<Resource>, proof: Proof, selector: u32, max_proofs: usize) -> bool {
        let item = ProofRecord { resource: Arc::clone(resource), proof, digest: digest(resource), selector };
        let mut proofs = self.proofs();
        let replaced = |known: &ProofRecord| {
            known.matches_resource(resource, item.digest) && known.is_replaced_by(selector)
        };
        let is_later =
            |known: &ProofRecord| replaced(known) && known.proof.granted_at.is_after(proof.granted_at);
        if proofs.list.iter().any(is_later) {
            return false;
        }
        let mut lost = false;
        while let Some(at) = proofs.list.iter().position(replaced) {
            lost |= proofs.take(at).is_some_and(|known| known.proof.digest != proof.digest);
        }
        while proofs.list.len() >= max_proofs.max(1) {
            lost |= proofs.take(0).is_some();
        }
        let own = |known: &ProofRecord| known.matches_resource(resource, item.digest);
        if selector != 0 && proofs.list.iter().filter(|known| own(known)).count() >= MAX_PROOFS_PER_RESOURCE {
            let oldest = proofs.list.iter().position(own);
            lost |= oldest.and_then(|at| proofs.take(at)).is_some();
        }
        proofs.push(item);
        lost
    }

    /// Removes the proofs for a resource.
    pub fn remove(&self, resource: &Resource) -> Remaining {
        let digest = digest(resource);
        self.remove_where(|item| item.matches_resource(resource, digest))
    }

    /// Removes the proofs for a resource with this content digest.
    pub fn remove_content(&self, resource: &Resource, content: ContentDigest) -> Remaining {
        let digest = digest(resource);
        self.remove_where(|item| item.matches_resource(resource, digest) && item.proof.digest == content)
    }

    /// Removes the proofs for the selected resources.
    pub fn purge(&self, selected: impl Fn(&Resource) -> bool) -> Remaining {
        self.remove_where(|item| selected(&item.resource))
    }

    /// Removes all proofs and marks the grants as revoked.
    pub fn revoke(&self) {
        let mut proofs = self.proofs();
        self.revoked.store(true, SeqCst);
        *proofs = Proofs::default();
    }

    /// Returns whether all proofs are revoked. The store treats such grants as absent.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(SeqCst)
    }

    /// Returns the approximate size in memory, bytes. It includes the resources, because their entries may be evicted
    /// earlier. It grows in steps of an eighth, so that the store need not count each proof.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.proofs().counted
    }

    /// Returns whether the store must insert the grants again after a proof was added at `now`: their size has changed, or the
    /// last insertion is older than `max_age`. An insertion is assumed to follow.
    pub fn needs_insertion(&self, now: Now, max_age: Duration) -> bool {
        let mut proofs = self.proofs();
        let counted = proofs.counted;
        let is_inserted =
            proofs.inserted.is_some_and(|(known, at)| known == counted && now.since(at) < max_age);
        if !is_inserted {
            proofs.inserted = Some((counted, now));
        }
        !is_inserted
    }

    fn remove_where(&self, is_removed: impl Fn(&ProofRecord) -> bool) -> Remaining {
        let mut proofs = self.proofs();
        let (before, mut removed) = (proofs.list.len(), 0);
        proofs.list.retain(|item| {
            let is_removed = is_removed(item);
            removed += if is_removed { item.weight() } else { 0 };
            !is_removed
        });
        proofs.subtract(removed);
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

/// Effect of a removal on a token's proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// No proof matched; all remain.
    All,
    /// Proofs were removed; others remain.
    Some,
    /// The last proof was removed, and the grants are revoked.
    None,
}

impl Proofs {
    /// Returns the position of the newest proof for a resource.
    fn find(&self, resource: &Resource, digest: u32) -> Option<usize> {
        self.list.iter().rposition(|item| item.matches_resource(resource, digest))
    }

    fn take(&mut self, at: usize) -> Option<ProofRecord> {
        let item = self.list.remove(at)?;
        self.subtract(item.weight());
        Some(item)
    }

    fn subtract(&mut self, removed: usize) {
        self.weight -= removed;
        if self.weight < self.counted / 4 * 3 {
            self.counted = self.weight + self.weight / 8;
        }
    }

    /// Appends a proof. The list grows by an eighth, because there are as many lists as tokens and most lists are short.
    fn push(&mut self, item: ProofRecord) {
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact((self.list.len() / 8).max(1));
        }
        self.weight += item.weight();
        if self.weight > self.counted {
            self.counted = self.weight + self.weight / 8;
        }
        self.list.push_back(item);
    }
}

impl ProofRecord {
    fn matches_resource(&self, resource: &Resource, digest: u32) -> bool {
        self.digest == digest && *self.resource == *resource
    }

    /// Returns whether a response with this selector replaces the proven one: every request that selects the old response
    /// then selects the new one.
    fn is_replaced_by(&self, selector: u32) -> bool {
        self.selector == selector || self.selector == 0 || selector == 0
    }

    fn weight(&self) -> usize {
        self.resource.weight() + size_of::<Self>()
    }
}

/// Returns half of the resource's digest. Half is enough to skip nearly all other resources, and keeps records small.
fn digest(resource: &Resource) -> u32 {
    let [a, b, c, d, ..] = resource.digest().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Limit on proofs of one token for one resource. It equals the limit on variants of one key.
const MAX_PROOFS_PER_RESOURCE: usize = 8;

#[cfg(test)]
mod tests;
