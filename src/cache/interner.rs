//! Resources, each once: entries and proofs of many callers are of the same few.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::resource::Resource;

/// The resources that entries and proofs are of, as far as they are remembered.
#[derive(Debug, Default)]
pub(super) struct Interner(Mutex<HashSet<Arc<Resource>>>);

impl Interner {
    /// The one that is equal to `resource`: a known one, or itself, which is known from now on.
    ///
    /// Once so many are known as may be, those go that nobody else holds, and where these are few, all. Whatever is
    /// of one that went keeps it; who asks for its like meanwhile holds another.
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

/// Two megabytes of them, about.
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
    fn of_equals_the_first_is_held_by_all() {
        let (interner, first, other) = (Interner::default(), resource(1), resource(2));
        for resource in [&first, &other, &resource(1), &resource(2)] {
            let expected = if *resource == first { &first } else { &other };
            assert!(Arc::ptr_eq(&interner.intern(resource), expected));
        }
        assert_eq!(count(&interner), 2);
    }

    #[test]
    fn when_there_are_too_many_those_go_that_nobody_holds() {
        let (interner, held) = (Interner::default(), resource(0));
        interner.intern(&held);
        (1..MAX_INTERNED_RESOURCES).for_each(|flow| drop(interner.intern(&resource(flow))));
        assert_eq!(count(&interner), MAX_INTERNED_RESOURCES);
        interner.intern(&resource(MAX_INTERNED_RESOURCES));
        assert_eq!(count(&interner), 2, "the one that is held and the new one");
        assert!(Arc::ptr_eq(&interner.intern(&resource(0)), &held));
    }

    #[test]
    fn there_are_never_too_many_whoever_holds_them() {
        let interner = Interner::default();
        let held: Vec<_> = (0..=MAX_INTERNED_RESOURCES).map(resource).collect();
        for resource in &held {
            interner.intern(resource);
        }
        assert_eq!(count(&interner), 1);
    }
}
