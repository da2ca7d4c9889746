//! How much was taken out of a body, by rule.

use crate::cache::outcome::ScrubbedField;
use crate::support::labels::Label;

/// Counts per [`ScrubbedField`].
///
/// A member counts once, and only if its value in the output is not the value that came in. What Graph has
/// masked itself therefore does not count, and neither does anything in a body that was scrubbed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedCounts([u64; FIELDS]);

impl RemovedCounts {
    /// How many members the rule altered.
    pub fn count(&self, field: ScrubbedField) -> u64 {
        self.0[field.index()]
    }

    /// How many members were altered.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The rules that altered something, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (ScrubbedField, u64)> + '_ {
        ScrubbedField::ALL.iter().map(|&field| (field, self.count(field))).filter(|&(_, count)| count > 0)
    }

    pub(super) fn add(&mut self, field: ScrubbedField) {
        self.0[field.index()] += 1;
    }
}

const FIELDS: usize = ScrubbedField::ALL.len();
