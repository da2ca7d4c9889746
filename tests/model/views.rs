//! What Graph shows: to each view of a principal's a content of its own, which stays until it changes.
//!
//! Graph may answer two tokens of one principal differently, by whatever it likes: groups, authentication context,
//! device, time. Here each token has a view, which a story changes, and so it does the contents.

use std::collections::HashMap;

use super::resource::Resource;
use super::tokens::Token;

/// The views of the tokens, and what each shows.
#[derive(Debug, Default)]
pub struct Views {
    of: HashMap<usize, u8>,
    /// Serial of the body that a view of a principal's was given last.
    current: HashMap<(usize, u8, Resource), usize>,
}

impl Views {
    /// From now on Graph answers `who` as all others of its principal that have this view.
    pub fn set(&mut self, who: usize, view: u8) {
        self.of.insert(who, view);
    }

    /// The contents of a resource change, or of all.
    pub fn change(&mut self, what: Option<&Resource>) {
        self.current.retain(|(_, _, known), _| what.is_some_and(|what| what != known));
    }

    /// Serial of the body that is shown now: a known one, or `serial`, which is new.
    pub fn show(&mut self, (who, token): (usize, &Token), what: &Resource, serial: usize) -> usize {
        *self.current.entry(self.key(who, token, what)).or_insert(serial)
    }

    /// This body is shown from now on.
    pub fn put(&mut self, (who, token): (usize, &Token), what: &Resource, body: usize) {
        self.current.insert(self.key(who, token, what), body);
    }

    fn key(&self, who: usize, token: &Token, what: &Resource) -> (usize, u8, Resource) {
        (token.principal, self.of.get(&who).copied().unwrap_or_default(), what.clone())
    }
}
