//! The answers to one question, told apart by what chose them (RFC 9111, section 4.1) and by their bytes: what a token
//! may be given is decided by the digest in its proof.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::grants::Proof;
use super::vary::{SecondaryKeyHasher, SelectingRequest};

/// At least one answer and at most eight, the newest first. Clones are cheap.
#[derive(Clone, Debug)]
pub enum Variants {
    /// Nearly always.
    One(Arc<Entry>),
    /// Two or more.
    Several(Arc<[Arc<Entry>]>),
}

impl Variants {
    /// One answer.
    pub fn of(entry: Arc<Entry>) -> Self {
        Self::One(entry)
    }

    /// The newest answer that fits a request (section 4) and that `proven` returns a proof for.
    pub fn find<P>(
        &self,
        secondary_key_hasher: &SecondaryKeyHasher,
        request: SelectingRequest<'_>,
        mut proven: impl FnMut(&Entry) -> Option<P>,
    ) -> Option<(&Arc<Entry>, P)> {
        let mut fitting =
            self.each().filter(|entry| secondary_key_hasher.fits(entry.secondary_key(), request));
        fitting.find_map(|entry| Some((entry, proven(entry)?)))
    }

    /// Whether this very answer is among them.
    pub fn have(&self, entry: &Arc<Entry>) -> bool {
        self.each().any(|known| Arc::ptr_eq(known, entry))
    }

    /// These with another answer, in place of the one with the same bytes for the same requests, and of `old`, which
    /// it renews. `None` where a newer one of these is there: an older question may be answered later (section 4).
    ///
    /// Answers to the same requests with other bytes stay beside it: tokens of one principal may be given different
    /// views for good, and each has a proof of its own digest. Where the bytes are news, because the token that
    /// brought them was given others before, or because nobody has been given these, the older answers are marked as
    /// superseded: every other token must ask Graph once. A token that asks and is given what it had before brings no
    /// news, so two views do not supersede each other in turn.
    ///
    /// `before` is the proof of the token that was given `entry`, as it was until now. Answers that were asked for
    /// longer than `keep` before `entry` are of no more use, and go.
    #[must_use]
    pub fn with(
        &self,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        before: Option<&Proof>,
        keep: Duration,
    ) -> Option<Self> {
        let is_newer = |known: &Entry| known.asked.is_after(entry.asked);
        let (mut others, mut rivals) = (Vec::with_capacity(VARIANTS_MAX), Vec::new());
        let mut is_current = false;
        for known in self.each() {
            let (overlap, same_bytes) = (overlap(known, entry), known.digest() == entry.digest());
            is_current |= overlap && same_bytes && !known.is_superseded();
            if old.is_some_and(|old| Arc::ptr_eq(old, known)) {
                continue;
            }
            if overlap && same_bytes {
                if is_newer(known) {
                    return None;
                }
                continue;
            }
            if overlap {
                rivals.push(known);
            }
            others.push(Arc::clone(known));
        }
        let is_news = match before {
            Some(before) if before.granted.is_after(entry.asked) => false,
            Some(before) => before.digest != entry.digest(),
            None => !is_current,
        };
        if !is_current && rivals.iter().any(|known| is_newer(known)) {
            entry.mark_superseded();
        }
        if is_news {
            let older = rivals.iter().filter(|known| !is_newer(known));
            older.for_each(|known| known.mark_superseded());
        }
        others.retain(|known| is_newer(known) || entry.asked.since(known.asked) < keep);
        others.truncate(VARIANTS_MAX - 1);
        let place =
            others.iter().position(|known| !known.asked.is_after(entry.asked)).unwrap_or(others.len());
        others.insert(place, Arc::clone(entry));
        Some(if others.len() == 1 { Self::One(Arc::clone(entry)) } else { Self::Several(others.into()) })
    }

    /// Each of them, the newest first.
    pub fn each(&self) -> std::slice::Iter<'_, Arc<Entry>> {
        match self {
            Self::One(entry) => std::slice::from_ref(entry).iter(),
            Self::Several(entries) => entries.iter(),
        }
    }

    /// Bytes that they take in memory, about.
    pub fn weight(&self) -> usize {
        self.each().map(|entry| entry.weight() + size_of::<Arc<Entry>>()).sum()
    }
}

/// Whether some request fits both answers. None does where both were chosen by the same fields with other values.
fn overlap(known: &Entry, entry: &Entry) -> bool {
    match (known.secondary_key(), entry.secondary_key()) {
        (Some(one), Some(other)) => one == other || !one.is_by_the_same(other),
        _ => true,
    }
}

/// Past that the one longest unasked for goes: a caller may send any value it likes.
const VARIANTS_MAX: usize = 8;

#[cfg(test)]
mod tests;
