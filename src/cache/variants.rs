//! The answers to one question, told apart by what chose them (RFC 9111, section 4.1).

use std::sync::Arc;

use super::entry::Entry;
use super::vary::{Chooser, Presented};
use crate::sabotage::sabotaged;

/// At least one answer and at most eight, the newest first, all chosen by the same fields of their requests. Clones
/// are cheap.
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

    /// The newest answer that fits a request (section 4).
    pub fn fitting(&self, chooser: &Chooser, request: Presented<'_>) -> Option<&Arc<Entry>> {
        self.each().find(|entry| chooser.fits(entry.chosen(), request))
    }

    /// Whether this very answer is among them.
    pub fn have(&self, entry: &Arc<Entry>) -> bool {
        self.each().any(|known| Arc::ptr_eq(known, entry))
    }

    /// These with another answer, in place of the one that fits the same requests and of `old`, which it renews.
    /// `None` where a newer one is there: an older question may be answered later (section 4). When Graph goes
    /// over to choosing by other fields, what was chosen before cannot be told apart any more, and goes.
    #[must_use]
    pub fn with(&self, entry: &Arc<Entry>, old: Option<&Arc<Entry>>) -> Option<Self> {
        let is_newer =
            |known: &Entry| sabotaged!(OlderReplacesNewer, false, known.asked.is_after(entry.asked));
        let mut others = Vec::with_capacity(VARIANTS_MAX);
        for known in self.each().filter(|known| old.is_none_or(|old| !Arc::ptr_eq(known, old))) {
            match (known.chosen(), entry.chosen()) {
                (Some(one), Some(other)) if one.is_by_the_same(other) && one != other => {
                    others.push(Arc::clone(known));
                }
                _ if is_newer(known) => return None,
                _ => {}
            }
        }
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

/// Past that the one longest unasked for goes: a caller may send any value it likes.
const VARIANTS_MAX: usize = 8;

#[cfg(test)]
mod tests;
