//! The configuration, compiled for the walker.

use serde_json::Value;
use url::Url;

use super::config::{Config, UnknownPolicy, UsernamePolicy};
use super::link::TrustedLinks;
use super::names::MemberNames;
use super::schema::ValueClass;
use super::text;
use super::url::TargetUrlRules;
use super::values;

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

/// The result of checking one string.
pub(super) enum MemberAction {
    /// The string has the format of its class.
    Keep,
    /// Parts of the string are credentials; this is the string with masks in their place.
    Replace(String),
    /// The string does not have the format of its class.
    Mask,
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

    /// Checks a string against the class of its member.
    pub(super) fn check(&self, class: ValueClass, text: &str) -> MemberAction {
        let form = |holds: bool| if holds { MemberAction::Keep } else { MemberAction::Mask };
        match class {
            ValueClass::Text => match text::mask_credentials(text, self) {
                None => MemberAction::Keep,
                Some(clean) => MemberAction::Replace(clean),
            },
            ValueClass::Url => match self.target_urls.scrub(text) {
                Some(clean) if clean == text => MemberAction::Keep,
                Some(clean) => MemberAction::Replace(clean.into_owned()),
                None => MemberAction::Mask,
            },
            ValueClass::Identifier => {
                let is_clean = || values::is_identifier(text) && text::mask_credentials(text, self).is_none();
                form(values::is_guid(text) || is_clean())
            }
            ValueClass::RequestId => form(values::is_request_id(text)),
            ValueClass::Date => form(values::is_date(text)),
            ValueClass::Thumbprint => form(values::is_thumbprint(text)),
            ValueClass::Number => form(values::is_whole_number(text)),
            ValueClass::Count => form(values::is_count(text)),
            ValueClass::Flag => MemberAction::Mask,
            ValueClass::TypeName => form(values::is_type_name(text) && !values::has_random_word(text)),
            ValueClass::ActionTitle => form(values::is_graph_name(text) && !values::has_random_word(text)),
            ValueClass::Link => form(self.links.is_link(text) && !values::has_random_word(text)),
        }
    }
}
