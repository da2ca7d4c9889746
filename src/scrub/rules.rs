//! The configuration, compiled for the walker.

use serde_json::Value;
use url::Url;

use super::config::{Config, UnknownPolicy, UsernamePolicy};
use super::link::TrustedLinks;
use super::names::MemberNames;
use super::url::TargetUrlRules;

/// The rules of the walker.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The mask as text.
    pub(super) mask_text: String,
    /// The mask as a JSON string, quotes included.
    pub(super) mask: String,
    pub(super) usernames: UsernamePolicy,
    pub(super) unknown: UnknownPolicy,
    pub(super) names: MemberNames,
    pub(super) target_urls: TargetUrlRules,
    pub(super) links: TrustedLinks,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            mask_text: config.mask.clone(),
            mask: Value::from(config.mask.as_str()).to_string(),
            usernames: config.usernames,
            unknown: config.unknown,
            names: MemberNames::new(config),
            target_urls: TargetUrlRules::new(&config.mask, &config.keep_query),
            links: TrustedLinks::default(),
        }
    }

    /// Also accepts links to this server, beside those to Graph's own hosts.
    pub(super) fn trust(&mut self, base_url: &Url) {
        self.links.trust(base_url);
    }
}
