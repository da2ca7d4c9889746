//! Number of masked values of a body, by rule.

use crate::ScrubbedField;
use connector_cache_support::labels::Label;

/// Counts per [`ScrubbedField`].
///
/// A member counts once, and only if its value in the output differs from the input. So values that Graph has masked
/// itself do not count, and a body that was scrubbed before counts nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedCounts([u64; FIELDS]);

impl RemovedCounts {
    /// Returns the number of members that the rule changed.
    pub fn count(&self, field: ScrubbedField) -> u64 {
        self.0[field.index()]
    }

    /// Returns the number of changed members.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the rules that changed a member, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (ScrubbedField, u64)> + '_ {
        ScrubbedField::ALL.iter().map(|&field| (field, self.count(field))).filter(|&(_, count)| count > 0)
    }

    pub(super) fn add(&mut self, field: ScrubbedField) {
        self.0[field.index()] += 1;
    }
}

const FIELDS: usize = ScrubbedField::ALL.len();
