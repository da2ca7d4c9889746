//! Comparison of configurations: keys that a reload applies, and keys that need a restart.

use super::EffectiveConfig;
use super::runtime::LIVE;

/// Keys with different values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that the reload applies.
    pub live: Vec<&'static str>,
    /// Keys that the next start applies.
    pub restart: Vec<&'static str>,
}

impl EffectiveConfig {
    /// Returns the keys that change when this configuration replaces `running` in a process that started with `started`.
    pub fn changes(&self, running: &Self, started: &Self) -> Changes {
        let differs = |key: &str, other: &Self| self.value(key) != other.value(key);
        let keys = || self.settings.iter().map(|setting| setting.key.name);
        Changes {
            live: keys().filter(|key| LIVE.contains(key) && differs(key, running)).collect(),
            restart: keys().filter(|key| !LIVE.contains(key) && differs(key, started)).collect(),
        }
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.key.name == key)?.value.as_deref()
    }
}
