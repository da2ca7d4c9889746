//! Rules for texts: labels, addresses, short texts, lists of names, log filters.

use std::marker::PhantomData;
use std::net::SocketAddr;

use toml::de::DeValue;

use crate::config::reference::ValueForm;
use crate::config::value::{RawValue, Rule, literal};
use crate::observability::logging;
use crate::support::labels::Label;

/// One spelling of a closed set of labels.
pub(in crate::config) struct OneOf<L>(PhantomData<L>);

impl<L> OneOf<L> {
    pub(in crate::config) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<L: Label> Rule for OneOf<L> {
    type Value = L;

    fn parse(&self, raw: &RawValue) -> Option<L> {
        let RawValue::Text(text) = raw else { return None };
        L::ALL.iter().copied().find(|label| label.as_str() == text)
    }

    fn write(&self, value: &L) -> String {
        literal(value.as_str())
    }

    fn form(&self) -> ValueForm {
        ValueForm::OneOf(L::ALL.iter().map(|label| label.as_str()).collect())
    }

    fn accepted(&self) -> String {
        L::ALL.iter().map(|label| literal(label.as_str())).collect::<Vec<_>>().join(" or ")
    }
}

/// An IP address and a port to listen on.
pub(in crate::config) struct SocketAddress;

impl Rule for SocketAddress {
    type Value = SocketAddr;

    fn parse(&self, raw: &RawValue) -> Option<SocketAddr> {
        let RawValue::Text(text) = raw else { return None };
        text.parse().ok()
    }

    fn write(&self, value: &SocketAddr) -> String {
        literal(&value.to_string())
    }

    fn form(&self) -> ValueForm {
        ValueForm::SocketAddress
    }

    fn accepted(&self) -> String {
        "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned()
    }
}

/// A short text.
pub(in crate::config) struct ShortText;

impl Rule for ShortText {
    type Value = String;

    fn parse(&self, raw: &RawValue) -> Option<String> {
        let RawValue::Text(text) = raw else { return None };
        is_plain(text, MAX_TEXT_CHARS).then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn form(&self) -> ValueForm {
        ValueForm::Text { max_chars: MAX_TEXT_CHARS }
    }

    fn accepted(&self) -> String {
        format!("1 to {MAX_TEXT_CHARS} characters, none of them a control character")
    }
}

/// A list of names: an array, or a text with commas between the names.
pub(in crate::config) struct NameList;

impl Rule for NameList {
    type Value = Vec<String>;

    fn parse(&self, raw: &RawValue) -> Option<Vec<String>> {
        let names = match raw {
            RawValue::List(names) => names.clone(),
            RawValue::Text(text) if text.starts_with('[') => {
                let RawValue::List(names) = RawValue::from_toml(DeValue::parse(text).ok()?.get_ref()) else {
                    return None;
                };
                names
            }
            RawValue::Text(text) if text.is_empty() => Vec::new(),
            RawValue::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            _ => return None,
        };
        let good = names.len() <= MAX_NAMES && names.iter().all(|name| is_plain(name, MAX_TEXT_CHARS));
        good.then_some(names)
    }

    fn write(&self, value: &Vec<String>) -> String {
        format!("[{}]", value.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "))
    }

    fn form(&self) -> ValueForm {
        ValueForm::Names { max_names: MAX_NAMES, max_chars: MAX_TEXT_CHARS }
    }

    fn accepted(&self) -> String {
        format!(
            "an array of at most {MAX_NAMES} names of 1 to {MAX_TEXT_CHARS} characters, such as [\"a\", \"b\"]"
        )
    }
}

/// A filter of log lines.
pub(in crate::config) struct LogFilter;

impl Rule for LogFilter {
    type Value = String;

    fn parse(&self, raw: &RawValue) -> Option<String> {
        let RawValue::Text(text) = raw else { return None };
        (is_plain(text, MAX_FILTER_CHARS) && logging::parse_filter(text).is_some()).then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn form(&self) -> ValueForm {
        ValueForm::LogFilter
    }

    fn accepted(&self) -> String {
        "a level (error, warn, info, debug, trace, off) or directives such as \
         \"info,connector_cache::upstream=debug\""
            .to_owned()
    }
}

/// Returns whether a text has 1 to `max_chars` characters and no control characters.
pub(super) fn is_plain(text: &str, max_chars: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max_chars && !text.chars().any(char::is_control)
}

/// Length of a log filter.
const MAX_FILTER_CHARS: usize = 4096;
/// Length of a mask, or of the name of a JSON member.
const MAX_TEXT_CHARS: usize = 128;
/// Number of names in a list. The scrubber compares each with every member of every response.
const MAX_NAMES: usize = 256;
