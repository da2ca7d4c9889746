//! Proofs of one token: the records of Graph's 200 responses to it.
//!
//! Most tokens request a few resources. A token of an application may request a thousand, and each response adds a proof.
//! Proofs are therefore changed in place, and their weight is updated with each change. A search reads the digests of the
//! resources, which are side by side: of the proofs themselves each would be in a cache line of its own.
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
    /// Digest of the resource of each proof, in the same order. Different resources may have equal digests.
    digests: VecDeque<u32>,
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
        self.proofs().of(resource).next_back().map(|(_, item)| item.proof)
    }

    /// Returns the proof for a resource with this content digest. If request fields select responses, a token has one proof
    /// for each response.
    pub fn proof_for_content(&self, resource: &Resource, content: ContentDigest) -> Option<Proof> {
        let proofs = self.proofs();
        proofs.of(resource).rev().map(|(_, item)| item.proof).find(|proof| proof.digest == content)
    }

    /// Returns the proof for a resource that a response with this selector would replace.
    pub fn proof_replaced_by(&self, resource: &Resource, selector: u32) -> Option<Proof> {
        let proofs = self.proofs();
        proofs.of(resource).rev().find(|(_, item)| item.is_replaced_by(selector)).map(|(_, item)| item.proof)
    }

    /// Adds a proof. Of two proofs that replace each other the later one stays. Removes the oldest proof beyond `max_proofs`,
    /// and beyond eight for one resource. Returns whether a removed proof was for other content than the new one.
    pub fn add(&self, resource: &Arc<Resource>, proof: Proof, selector: u32, max_proofs: usize) -> bool {
        let item = ProofRecord { resource: Arc::clone(resource), proof, selector };
        let mut proofs = self.proofs();
        let mut lost = false;
        // Most responses are for a resource without a proof: one search finds none.
        if proofs.of(resource).next().is_some() {
            let is_later = |known: &ProofRecord| known.proof.granted_at.is_after(proof.granted_at);
            if proofs.of(resource).any(|(_, known)| known.is_replaced_by(selector) && is_later(known)) {
                return false;
            }
            while let Some(at) = proofs.find_replaced(resource, selector) {
                lost |= proofs.take(at).is_some_and(|known| known.proof.digest != proof.digest);
            }
        }
        while proofs.list.len() >= max_proofs.max(1) {
            lost |= proofs.take(0).is_some();
        }
        if selector != 0 && proofs.of(resource).count() >= MAX_PROOFS_PER_RESOURCE {
            let oldest = proofs.of(resource).next().map(|(at, _)| at);
            lost |= oldest.and_then(|at| proofs.take(at)).is_some();
        }
        proofs.push(item);
        lost
    }

    /// Removes the proofs for a resource.
    pub fn remove(&self, resource: &Resource) -> Remaining {
        self.remove_where(|item| *item.resource == *resource)
    }

    /// Removes the proofs for a resource with this content digest.
    pub fn remove_content(&self, resource: &Resource, content: ContentDigest) -> Remaining {
        self.remove_where(|item| *item.resource == *resource && item.proof.digest == content)
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
    /// earlier. It grows in steps of an eighth, at least of two proofs, so that the store need not count each proof.
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
        if proofs.list.len() < before {
            proofs.digests = proofs.list.iter().map(|item| digest(&item.resource)).collect();
            proofs.subtract(removed);
        }
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
    /// Returns the proofs for a resource with their positions, the oldest first.
    fn of<'a>(
        &'a self,
        resource: &'a Resource,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a ProofRecord)> + 'a {
        let (first, second) = self.digests.as_slices();
        let digest = digest(resource);
        let same_digest =
            positions(first, digest).chain(positions(second, digest).map(move |at| first.len() + at));
        let found = same_digest.filter_map(|at| Some((at, self.list.get(at)?)));
        found.filter(|(_, item)| *item.resource == *resource)
    }

    /// Returns the position of the oldest proof that a response with this selector replaces.
    fn find_replaced(&self, resource: &Resource, selector: u32) -> Option<usize> {
        self.of(resource).find(|(_, known)| known.is_replaced_by(selector)).map(|(at, _)| at)
    }

    fn take(&mut self, at: usize) -> Option<ProofRecord> {
        let item = self.list.remove(at)?;
        self.digests.remove(at);
        self.subtract(item.weight());
        Some(item)
    }

    fn subtract(&mut self, removed: usize) {
        self.weight -= removed;
        if self.weight < self.counted / 4 * 3 {
            self.counted = self.weight + self.weight / 8;
        }
    }

    /// Appends a proof. The list grows by an eighth, because there are as many lists as tokens and most lists are short. From
    /// the second proof on it grows by two at least.
    fn push(&mut self, item: ProofRecord) {
        if self.list.len() == self.list.capacity() {
            let more = (self.list.len() / 8).max(if self.list.is_empty() { 1 } else { 2 });
            self.list.reserve_exact(more);
            self.digests.reserve_exact(more);
        }
        self.weight += item.weight();
        if self.weight > self.counted {
            // At least one further proof: most tokens have few, and an insertion costs more than a proof.
            self.counted = self.weight + (self.weight / 8).max(item.weight());
        }
        self.digests.push_back(digest(&item.resource));
        self.list.push_back(item);
    }
}

impl ProofRecord {
    /// Returns whether a response with this selector replaces the proven one: every request that selects the old response
    /// then selects the new one.
    fn is_replaced_by(&self, selector: u32) -> bool {
        self.selector == selector || self.selector == 0 || selector == 0
    }

    fn weight(&self) -> usize {
        self.resource.weight() + size_of::<Self>() + size_of::<u32>()
    }
}

/// Returns half of the resource's digest. Half is enough to skip nearly all other resources, and keeps records small.
fn digest(resource: &Resource) -> u32 {
    let [a, b, c, d, ..] = resource.digest().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Returns the positions of a digest. Blocks without it are skipped by comparisons that the compiler vectorises.
fn positions(digests: &[u32], wanted: u32) -> impl DoubleEndedIterator<Item = usize> {
    let has_wanted = move |block: &[u32]| {
        let same = block.iter().map(|known| u32::from(*known == wanted));
        same.sum::<u32>() > 0
    };
    let blocks = digests.chunks(DIGESTS_PER_BLOCK).enumerate();
    blocks.filter(move |(_, block)| has_wanted(block)).flat_map(move |(number, block)| {
        let start = number * DIGESTS_PER_BLOCK;
        let same = block.iter().enumerate().filter(move |(_, known)| **known == wanted);
        same.map(move |(at, _)| start + at)
    })
}

/// Digests that are compared without a branch in between.
const DIGESTS_PER_BLOCK: usize = 32;
/// Limit on proofs of one token for one resource. It equals the limit on variants of one key.
const MAX_PROOFS_PER_RESOURCE: usize = 8;

#[cfg(test)]
mod tests;
