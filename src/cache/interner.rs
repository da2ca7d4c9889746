//! Interner of resources: entries and proofs of many tokens share the same few resources.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::key::KeyHasher;
use crate::resource::Resource;

/// Set of known resources, bounded.
#[derive(Debug, Default)]
pub(super) struct Interner(Mutex<HashSet<Arc<Resource>, KeyHasher>>);

impl Interner {
    /// Returns the known resource that equals `resource`, or adds `resource` and returns it.
    ///
    /// At the limit the interner drops the resources without another reference, and if more than half remain, all of them.
    /// Entries and proofs keep their references; a later equal resource is then a second copy.
    pub(super) fn intern(&self, resource: &Arc<Resource>) -> Arc<Resource> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(resource) {
            return Arc::clone(known);
        }
        if known.len() >= MAX_INTERNED_RESOURCES {
            known.retain(|known| Arc::strong_count(known) > 1);
            if known.len() > MAX_INTERNED_RESOURCES / 2 {
                known.clear();
            }
        }
        known.insert(Arc::clone(resource));
        Arc::clone(resource)
    }
}

/// About 2 MB.
const MAX_INTERNED_RESOURCES: usize = 10_000;

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::resource::ApiVersion;

    fn resource(flow: usize) -> Arc<Resource> {
        let path = format!("/beta/identity/b2xUserFlows/flow{flow}/apiConnectorConfiguration");
        Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
    }

    fn count(interner: &Interner) -> usize {
        interner.0.lock().unwrap().len()
    }

    #[test]
    fn equal_resources_share_the_first_one() {
        let (interner, first, other) = (Interner::default(), resource(1), resource(2));
        for resource in [&first, &other, &resource(1), &resource(2)] {
            let expected = if *resource == first { &first } else { &other };
            assert!(Arc::ptr_eq(&interner.intern(resource), expected));
        }
        assert_eq!(count(&interner), 2);
    }

    #[test]
    fn at_the_limit_resources_without_another_reference_are_dropped() {
        let (interner, held) = (Interner::default(), resource(0));
        interner.intern(&held);
        (1..MAX_INTERNED_RESOURCES).for_each(|flow| drop(interner.intern(&resource(flow))));
        assert_eq!(count(&interner), MAX_INTERNED_RESOURCES);
        interner.intern(&resource(MAX_INTERNED_RESOURCES));
        assert_eq!(count(&interner), 2, "the referenced one and the new one");
        assert!(Arc::ptr_eq(&interner.intern(&resource(0)), &held));
    }

    #[test]
    fn the_limit_holds_even_if_every_resource_is_referenced() {
        let interner = Interner::default();
        let held: Vec<_> = (0..=MAX_INTERNED_RESOURCES).map(resource).collect();
        for resource in &held {
            interner.intern(resource);
        }
        assert_eq!(count(&interner), 1);
    }
}
