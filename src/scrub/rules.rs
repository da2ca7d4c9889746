//! The configuration, made ready for the walker.

use serde_json::Value;

use super::config::{Config, Usernames};
use super::names::Names;
use super::url::Targets;

/// What the walker consults.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The mask as a JSON string, quotes included.
    pub(super) mask: String,
    pub(super) usernames: Usernames,
    pub(super) names: Names,
    pub(super) targets: Targets,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            mask: Value::from(config.mask.as_str()).to_string(),
            usernames: config.usernames,
            names: Names::new(&config.extra_fields),
            targets: Targets::new(&config.mask, &config.keep_query),
        }
    }
}
