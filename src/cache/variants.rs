//! Variants: the stored responses of one key. They differ in their secondary key (RFC 9111, section 4.1) or in their bytes.
//! The digest in a token's proof decides which bytes the token may receive.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::grants::Proof;
use super::vary::{SecondaryKeyHasher, SelectingRequest};

/// One to eight responses, the newest first. Clones are cheap.
#[derive(Clone, Debug)]
pub enum Variants {
    /// One response; nearly always the case.
    One(Arc<Entry>),
    /// Two or more responses.
    Several(Arc<[Arc<Entry>]>),
}

impl Variants {
    /// Creates variants of one response.
    pub fn single(entry: Arc<Entry>) -> Self {
        Self::One(entry)
    }

    /// Returns the newest response that matches a request (section 4) and for which `proven` returns a proof.
    pub fn find<P>(
        &self,
        hasher: &SecondaryKeyHasher,
        request: SelectingRequest<'_>,
        mut proven: impl FnMut(&Entry) -> Option<P>,
    ) -> Option<(&Arc<Entry>, P)> {
        let mut matching = self.entries().filter(|entry| hasher.matches(entry.secondary_key(), request));
        matching.find_map(|entry| Some((entry, proven(entry)?)))
    }

    /// Returns whether the variants contain this entry, by identity.
    pub fn contains(&self, entry: &Arc<Entry>) -> bool {
        self.entries().any(|known| Arc::ptr_eq(known, entry))
    }

    /// Returns the variants with another response, in place of the one with the same bytes for the same requests, and of
    /// `renewed`, which it renews. Returns `None` if a newer one of these is present: a response to an older request may
    /// arrive later (section 4).
    ///
    /// Responses to the same requests with other bytes stay: tokens of one principal may permanently receive different
    /// representations, and each token has a proof of its own digest. If the bytes are new, because the token received other
    /// bytes before, or because no current response has them, the older responses are marked as superseded: every other
    /// token must send one request to Graph. A token that receives the same bytes as before supersedes nothing, so two
    /// representations do not supersede each other alternately.
    ///
    /// `before` is the previous proof of the token that received `entry`. Responses that were requested more than
    /// `retention` before `entry` are no longer usable and are removed.
    #[must_use]
    pub fn with_entry(
        &self,
        entry: &Arc<Entry>,
        renewed: Option<&Arc<Entry>>,
        before: Option<&Proof>,
        retention: Duration,
    ) -> Option<Self> {
        let is_newer = |known: &Entry| known.requested_at.is_after(entry.requested_at);
        let (mut others, mut overlapping) = (Vec::with_capacity(MAX_VARIANTS), Vec::new());
        let mut is_current = false;
        for known in self.entries() {
            let (overlap, same_bytes) = (overlap(known, entry), known.digest() == entry.digest());
            is_current |= overlap && same_bytes && !known.is_superseded();
            if renewed.is_some_and(|renewed| Arc::ptr_eq(renewed, known)) {
                continue;
            }
            if overlap && same_bytes {
                if is_newer(known) {
                    return None;
                }
                continue;
            }
            if overlap {
                overlapping.push(known);
            }
            others.push(Arc::clone(known));
        }
        let has_new_content = match before {
            Some(before) if before.granted_at.is_after(entry.requested_at) => false,
            Some(before) => before.digest != entry.digest(),
            None => !is_current,
        };
        if !is_current && overlapping.iter().any(|known| is_newer(known)) {
            entry.mark_superseded();
        }
        if has_new_content {
            let older = overlapping.iter().filter(|known| !is_newer(known));
            older.for_each(|known| known.mark_superseded());
        }
        others.retain(|known| is_newer(known) || entry.requested_at.since(known.requested_at) < retention);
        others.truncate(MAX_VARIANTS - 1);
        let position = others
            .iter()
            .position(|known| !known.requested_at.is_after(entry.requested_at))
            .unwrap_or(others.len());
        others.insert(position, Arc::clone(entry));
        Some(if others.len() == 1 { Self::One(Arc::clone(entry)) } else { Self::Several(others.into()) })
    }

    /// Returns the entries, the newest first.
    pub fn entries(&self) -> std::slice::Iter<'_, Arc<Entry>> {
        match self {
            Self::One(entry) => std::slice::from_ref(entry).iter(),
            Self::Several(entries) => entries.iter(),
        }
    }

    /// Returns the approximate size in memory, bytes.
    pub fn weight(&self) -> usize {
        self.entries().map(|entry| entry.weight() + size_of::<Arc<Entry>>()).sum()
    }
}

/// Returns whether a request can match both responses. No request matches two responses with the same selecting fields and
/// different values.
fn overlap(known: &Entry, entry: &Entry) -> bool {
    match (known.secondary_key(), entry.secondary_key()) {
        (Some(one), Some(other)) => one == other || !one.has_same_fields(other),
        _ => true,
    }
}

/// Limit on responses of one key; the oldest is removed beyond it. Callers choose the values of selecting fields, so the
/// number of secondary keys is not bounded otherwise.
const MAX_VARIANTS: usize = 8;

#[cfg(test)]
mod tests;
