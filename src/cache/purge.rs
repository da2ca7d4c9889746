//! What a purge selects.

use crate::auth::{ClaimHash, Claims};
use crate::resource::Resource;

/// A subset of what the cache holds. `None` stands for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeSelector {
    /// Resources of this flow.
    pub flow: Option<String>,
    /// What belongs to tokens of this tenant.
    pub tenant: Option<ClaimHash>,
    /// What belongs to tokens that have this subject as `oid` or as `sub`.
    pub subject: Option<ClaimHash>,
}

impl PurgeSelector {
    /// Whether the purge takes what a token with these claims was given for a resource. A token whose claims cannot be
    /// read has neither tenant nor subject.
    pub fn selects(&self, claims: Option<&Claims>, resource: &Resource) -> bool {
        self.selects_resource(resource) && self.selects_caller(claims)
    }

    /// Whether the purge takes what is of a resource, whoever was given it.
    pub fn selects_resource(&self, resource: &Resource) -> bool {
        self.flow.as_deref().is_none_or(|flow| resource.flow() == flow)
    }

    /// Whether the purge takes what belongs to a token with these claims, whatever it is of.
    pub fn selects_caller(&self, claims: Option<&Claims>) -> bool {
        let names = claims.map(|claims| (claims.tenant, claims.subjects));
        self.selects_names(names)
    }

    /// Whether the purge takes what belongs to this tenant and these subjects.
    pub fn selects_names(&self, names: Option<(ClaimHash, [ClaimHash; 2])>) -> bool {
        self.tenant.is_none_or(|wanted| names.is_some_and(|(tenant, _)| tenant == wanted))
            && self.subject.is_none_or(|wanted| names.is_some_and(|(_, own)| own.contains(&wanted)))
    }
}
