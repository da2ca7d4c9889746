//! Contents at Graph: each view of a principal has its own content, which stays until it changes.
//!
//! Graph may send two tokens of one principal different bodies, for example by group, authentication context, device or
//! time. Here each token has a view. A story changes views and contents.

use std::collections::HashMap;

use super::resource::Resource;
use super::tokens::Token;

/// Views of the tokens, and the content of each view.
#[derive(Debug, Default)]
pub struct Views {
    of: HashMap<usize, u8>,
    /// Serial of the last body of a view of a principal.
    current: HashMap<(usize, u8, Resource), usize>,
}

impl Views {
    /// Gives `who` this view from now on.
    pub fn set(&mut self, who: usize, view: u8) {
        self.of.insert(who, view);
    }

    /// Changes the contents of a resource, or of all.
    pub fn change(&mut self, what: Option<&Resource>) {
        self.current.retain(|(_, _, known), _| what.is_some_and(|what| what != known));
    }

    /// Returns the serial of the current body: a known serial, or `serial` as a new body.
    pub fn show(&mut self, (who, token): (usize, &Token), what: &Resource, serial: usize) -> usize {
        *self.current.entry(self.key(who, token, what)).or_insert(serial)
    }

    /// Makes this the current body.
    pub fn put(&mut self, (who, token): (usize, &Token), what: &Resource, body: usize) {
        self.current.insert(self.key(who, token, what), body);
    }

    fn key(&self, who: usize, token: &Token, what: &Resource) -> (usize, u8, Resource) {
        (token.principal, self.of.get(&who).copied().unwrap_or_default(), what.clone())
    }
}
