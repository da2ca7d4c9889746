//! The keys: by what an answer is found, and by what a question under way is.
//!
//! Both are typed: no part is joined to another as text, none has a default, none shows itself in `Debug`.

use std::sync::Arc;

use crate::auth::{Principal, TokenHash};
use crate::resource::Resource;

/// Finds an answer: whose, and to what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey {
    /// The group of callers that may look at it, each with a proof of its own.
    pub principal: Principal,
    /// The question.
    pub resource: Arc<Resource>,
}

impl EntryKey {
    /// The key of a principal's answer.
    pub fn new(principal: Principal, resource: &Arc<Resource>) -> Self {
        let resource = resource.clone();
        Self { principal, resource }
    }
}

/// Finds a question under way. It is the token's own: nobody waits on a stranger's (promise 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoalesceKey {
    /// The token that asks.
    pub fingerprint: TokenHash,
    /// The question.
    pub resource: Arc<Resource>,
    /// The number of its ticket: who asks after a purge, or after Graph's "no", waits on nothing from before.
    pub lease: u64,
}
