//! Settings in force, as the console shows them. A reload of the configuration replaces them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

/// The settings, which the reload and the console share.
#[derive(Clone, Debug)]
pub struct ShownSettings(Arc<ArcSwap<Versioned>>);

#[derive(Debug)]
struct Versioned {
    /// Number of reloads that replaced the settings.
    version: u64,
    settings: Value,
}

impl ShownSettings {
    /// Wraps the settings of the start.
    pub fn new(settings: Value) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Versioned { version: 0, settings })))
    }

    /// Replaces the settings after a reload.
    pub fn replace(&self, settings: Value) {
        let version = self.version() + 1;
        self.0.store(Arc::new(Versioned { version, settings }));
    }

    /// Returns the number of the present settings, by which a page notices new ones.
    pub fn version(&self) -> u64 {
        self.0.load().version
    }

    /// Returns the settings: an array of objects.
    pub fn to_json(&self) -> Value {
        self.0.load().settings.clone()
    }
}

impl Default for ShownSettings {
    fn default() -> Self {
        Self::new(Value::Array(Vec::new()))
    }
}
