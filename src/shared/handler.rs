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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::resource::ApiVersion;

    #[test]
    fn the_canonical_form_of_a_resource_is_parsed_as_the_same_resource() {
        let path = "/beta/identity/b2xUserFlows/B2X_1_a/apiConnectorConfiguration";
        let queries = [
            None,
            Some("$select=id"),
            Some("$expand=postAttributeCollection($select=id),postFederationSignup"),
        ];
        let accepts = [
            None,
            Some("application/json"),
            Some("application/json;odata.metadata=full;IEEE754Compatible=true"),
        ];
        for (query, accept) in queries.into_iter().flat_map(|query| accepts.map(|accept| (query, accept))) {
            let headers = |accept: Option<&str>| {
                let value = accept.map(|accept| (header::ACCEPT, HeaderValue::from_str(accept).unwrap()));
                HeaderMap::from_iter(value)
            };
            let resource = Resource::parse(path, query, &headers(accept), ApiVersion::V1).unwrap();
            let form = ResourceForm::new(&resource);
            let (path, query) = form
                .target
                .split_once('?')
                .map_or((&*form.target, None), |(path, query)| (path, Some(query)));
            let again = Resource::parse(path, query, &headers(Some(&form.accept)), ApiVersion::V1).unwrap();
            assert!(again == resource, "{form:?}");
        }
    }
}
