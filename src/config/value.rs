//! Values as written in a source, and the trait of rules for values.
//!
//! A rule parses a value, writes it as TOML, and describes the accepted values. Rules do not know keys.

use toml::de::{DeArray, DeValue};

use super::redaction::{base_of, echo_text, redacted};
use super::reference::ValueForm;

/// A value of a file or an environment variable, before a rule is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawValue {
    /// A string. The only kind in an environment variable.
    Text(String),
    /// An integer.
    Number(i128),
    /// An array of strings.
    List(Vec<String>),
    /// Description of any other value, which no rule accepts.
    Other(String),
}

/// Rule for the values of a key.
pub(super) trait Rule {
    /// Type of a parsed value.
    type Value;

    /// Parses a value. Returns `None` if the rule does not accept it.
    fn parse(&self, raw: &RawValue) -> Option<Self::Value>;

    /// Writes a value as TOML, such that parsing it returns the same value.
    fn write(&self, value: &Self::Value) -> String;

    /// Describes the accepted values, as the end of a sentence that begins with "expected".
    fn accepted(&self) -> String;

    /// Returns the accepted values in machine-readable form, for the generated reference.
    fn form(&self) -> ValueForm;

    /// Returns the text to print in place of a value that may be a secret.
    fn redact(&self, _value: &Self::Value) -> Option<String> {
        None
    }

    /// Renders a refused value for a message.
    fn echo(&self, raw: &RawValue) -> String {
        raw.echo()
    }
}

impl RawValue {
    /// Converts a value of a TOML document.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Self::Number(number),
                Err(_) => Self::Other("a very large number".to_owned()),
            },
            DeValue::Array(items) => match strings(items) {
                Some(items) => Self::List(items),
                None => Self::Other("an array that holds more than strings".to_owned()),
            },
            DeValue::Float(number) => Self::Other(number.to_string()),
            DeValue::Boolean(flag) => Self::Other(flag.to_string()),
            DeValue::Datetime(_) => Self::Other("a date".to_owned()),
            DeValue::Table(_) => Self::Other("an empty table".to_owned()),
        }
    }

    /// Renders the value for a message: one short line, redacted if the value may be a secret.
    pub(super) fn echo(&self) -> String {
        match self {
            Self::Text(text) => echo_text(text),
            Self::Number(number) => number.to_string(),
            Self::List(items) => {
                let shown: Vec<_> = items.iter().take(SHOWN_ITEMS).map(|item| echo_text(item)).collect();
                let more = if items.len() > SHOWN_ITEMS { ", ..." } else { "" };
                format!("[{}{more}]", shown.join(", "))
            }
            Self::Other(description) => format!("({description})"),
        }
    }

    /// Renders the length of the value for a message, in place of a value that may be a secret.
    pub(super) fn echo_length(&self) -> String {
        let count = |text: &str| text.chars().count();
        match self {
            Self::Text(text) => format!("(hidden: {} characters)", count(text)),
            Self::Number(number) => {
                format!("(hidden: a number of {} characters)", count(&number.to_string()))
            }
            Self::List(items) => {
                let characters: usize = items.iter().map(|item| count(item)).sum();
                format!("(hidden: an array of strings with {characters} characters)")
            }
            Self::Other(_) => "(hidden: a value that is not a string)".to_owned(),
        }
    }
}

/// Renders a URL for a message: scheme, host and port only. The rest may hold a key or a signature, and a text that is
/// no URL may be a secret.
pub(super) fn echo_url(raw: &RawValue) -> String {
    let RawValue::Text(text) = raw else { return raw.echo_length() };
    if text.is_empty() || redacted(text).is_some() {
        return echo_text(text);
    }
    match base_of(text).map(|base| text.split_at(base.len())) {
        Some((base, "")) => echo_text(base),
        Some((base, rest)) => {
            format!("{} (hidden: {} more characters)", echo_text(base), rest.chars().count())
        }
        None => raw.echo_length(),
    }
}

/// Writes a string as TOML.
pub(super) fn literal(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn strings(items: &DeArray<'_>) -> Option<Vec<String>> {
    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}

/// Items of a list that a message shows.
const SHOWN_ITEMS: usize = 8;
