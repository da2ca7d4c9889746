//! States of the scopes with failures or throttles, bounded in number.
//!
//! Most of the time no scope has a state: a request then searches nothing.

use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// States by scope. The least recently used one beyond the limit is removed.
#[derive(Debug)]
pub(super) struct ScopeStates<K: Hash + Eq + Send + Sync + 'static, S: Send + 'static> {
    states: Cache<K, Arc<Mutex<S>>>,
    /// True from the first state on. Set before that state is inserted.
    has_states: AtomicBool,
}

impl<K: Hash + Eq + Send + Sync + 'static, S: Default + Send + 'static> ScopeStates<K, S> {
    /// Creates an empty table of at most `max` states.
    pub(super) fn new(max: u64) -> Self {
        let builder = Cache::builder().max_capacity(max).time_to_idle(MAX_IDLE_TIME);
        let states = builder.eviction_policy(EvictionPolicy::lru()).build();
        Self { states, has_states: AtomicBool::new(false) }
    }

    /// Returns the state of a scope, if it has one.
    pub(super) fn get(&self, scope: &K) -> Option<Arc<Mutex<S>>> {
        if self.has_states.load(SeqCst) { self.states.get(scope) } else { None }
    }

    /// Returns the state of a scope, or a new one.
    pub(super) fn get_or_default(&self, scope: K) -> Arc<Mutex<S>> {
        self.has_states.store(true, SeqCst);
        self.states.get_with(scope, Arc::default)
    }

    /// Removes all states.
    pub(super) fn clear(&self) {
        self.states.invalidate_all();
    }

    /// Returns all states in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Arc<K>, Arc<Mutex<S>>)> + '_ {
        self.states.iter()
    }

    /// Returns the number of states after all pending removals.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.states.run_pending_tasks();
        self.states.entry_count()
    }
}

/// Time after which an unused state is removed: longer than any `Retry-After` that is accepted.
const MAX_IDLE_TIME: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_a_state_from_its_first_use_until_all_are_removed() {
        let states = ScopeStates::<u8, u8>::new(10);
        assert!(states.get(&1).is_none());
        let state = states.get_or_default(1);
        assert!(states.get(&1).is_some_and(|found| Arc::ptr_eq(&found, &state)));
        assert!(states.get(&2).is_none());
        states.clear();
        assert!(states.get(&1).is_none());
    }
}
