//! Check of one string against the class of its member.

use super::rules::Rules;
use super::schema::ValueClass;
use super::text;
use super::values;

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
            ValueClass::Link => form(self.links.is_link(text)),
        }
    }
}
