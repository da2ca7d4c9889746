//! Events of other replicas, applied to the store and the breakers of this process.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use super::Proxy;
use crate::auth::{ClaimHash, Principal};
use crate::cache::purge::PurgeSelector;
use crate::resource::Resource;
use crate::shared::{EventHandler, ResourceForm};

impl Proxy {
    /// Parses the canonical form of a resource.
    fn parse_resource(&self, form: &ResourceForm) -> Option<Arc<Resource>> {
        let (path, query) = match form.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*form.target, None),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(&form.accept).ok()?);
        Resource::parse(path, query, &headers, self.inner().default_version).ok().map(Arc::new)
    }
}

impl EventHandler for Proxy {
    fn purge(&self, selector: &PurgeSelector) {
        let fetcher = &self.inner().fetcher;
        if *selector == PurgeSelector::default() {
            fetcher.refused.clear();
        }
        fetcher.metrics.purged.inc_by(fetcher.store.purge(selector));
    }

    fn withdraw(&self, principal: Principal, resource: Option<&ResourceForm>) {
        match resource.map(|form| self.parse_resource(form)) {
            None => self.inner().fetcher.store.withdraw(principal, None),
            Some(Some(resource)) => self.inner().fetcher.store.withdraw(principal, Some(&resource)),
            // A newer version may know resources that this one does not; they are not stored here.
            Some(None) => {}
        }
    }

    fn renew(&self, principal: Principal, resource: &ResourceForm) {
        if let Some(resource) = self.parse_resource(resource) {
            self.inner().fetcher.store.renew(principal, &resource);
        }
    }

    fn throttle(&self, application: ClaimHash, wait: Duration) {
        self.inner().fetcher.breakers.throttle(application, wait);
    }

    fn clear(&self) {
        let fetcher = &self.inner().fetcher;
        fetcher.metrics.purged.inc_by(fetcher.store.clear());
    }
}
