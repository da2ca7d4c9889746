//! Interface to the parts that an event of another replica changes.

use std::time::Duration;

use crate::auth::{ClaimHash, Principal};
use crate::cache::purge::PurgeSelector;
use crate::resource::Resource;

/// Canonical form of a resource, which is equal on all replicas.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceForm {
    /// Path and query of the request to Graph.
    pub target: String,
    /// `Accept` of the request to Graph.
    pub accept: String,
}

impl ResourceForm {
    /// Returns the canonical form of a resource.
    pub fn new(resource: &Resource) -> Self {
        let accept = String::from_utf8_lossy(resource.accept().as_bytes()).into_owned();
        Self { target: resource.target(), accept }
    }
}

/// Applies events of other replicas to the store and the circuit breakers of this process.
pub trait EventHandler: Send + Sync {
    /// Removes the selected entries and proofs.
    fn purge(&self, selector: &PurgeSelector);

    /// Removes the entries and proofs of a principal, for one resource or for all.
    fn withdraw(&self, principal: Principal, resource: Option<&ResourceForm>);

    /// Removes the entries of a principal for a resource, because a caller demanded a newer response. Proofs stay.
    fn renew(&self, principal: Principal, resource: &ResourceForm);

    /// Closes the throttle gate of an application for `wait`.
    fn throttle(&self, application: ClaimHash, wait: Duration);

    /// Removes everything, because events are missing that the process has not applied.
    fn clear(&self);
}
