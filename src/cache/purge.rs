//! Selector of a purge.

use crate::auth::{CallerNames, ClaimHash, Claims};
use crate::resource::Resource;

/// Subset of the cache's entries and proofs. `None` matches any value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeSelector {
    /// Selects the resources of this flow.
    pub flow: Option<String>,
    /// Selects tokens of this tenant.
    pub tenant: Option<ClaimHash>,
    /// Selects tokens with this subject as `oid` or `sub`.
    pub subject: Option<ClaimHash>,
}

impl PurgeSelector {
    /// Returns whether the purge selects a resource and a token with these claims. A token without readable claims has
    /// neither tenant nor subject.
    pub fn selects(&self, claims: Option<&Claims>, resource: &Resource) -> bool {
        self.selects_resource(resource) && self.selects_caller(claims)
    }

    /// Returns whether the purge selects a resource, regardless of the token.
    pub fn selects_resource(&self, resource: &Resource) -> bool {
        self.flow.as_deref().is_none_or(|flow| resource.flow() == flow)
    }

    /// Returns whether the purge selects a token with these claims, regardless of the resource.
    pub fn selects_caller(&self, claims: Option<&Claims>) -> bool {
        self.selects_names(claims.map(|claims| &*claims.names))
    }

    /// Returns whether the purge selects these names.
    pub fn selects_names(&self, names: Option<&CallerNames>) -> bool {
        self.tenant.is_none_or(|wanted| names.is_some_and(|names| names.tenant == wanted))
            && self.subject.is_none_or(|wanted| names.is_some_and(|names| names.subjects.contains(&wanted)))
    }
}
