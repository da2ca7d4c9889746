//! A value as somebody wrote it, and what a rule for values is.
//!
//! Every rule reads a value, writes it back as TOML, and says in words what it accepts. Nothing here knows
//! a key.

use toml::de::{DeArray, DeValue};

/// A value as it stands in a file or an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// A string. All that an environment variable can hold.
    Text(String),
    /// An integer.
    Number(i128),
    /// An array of strings.
    List(Vec<String>),
    /// Anything else, described: no rule accepts it.
    Other(String),
}

/// What a key accepts.
pub(super) trait Rule {
    /// What a value becomes.
    type Value;

    /// Reads a value; `None` when it is not accepted.
    fn read(&self, raw: &Raw) -> Option<Self::Value>;

    /// Writes a value as TOML. Reading that gives the value again.
    fn write(&self, value: &Self::Value) -> String;

    /// What is accepted, as the rest of a sentence after "expected".
    fn accepted(&self) -> String;

    /// The text that stands for a value that may be a secret. Such a value is never printed.
    fn hide(&self, _value: &Self::Value) -> Option<String> {
        None
    }

    /// A value that is refused, for a message.
    fn echo(&self, raw: &Raw) -> String {
        raw.echo()
    }
}

impl Raw {
    /// The value of a TOML document.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
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

    /// The value for a message: on one line, short, and hidden where it may be a secret.
    pub(super) fn echo(&self) -> String {
        match self {
            Self::Text(text) => echo(text),
            Self::Number(number) => number.to_string(),
            Self::List(items) => {
                let shown: Vec<_> = items.iter().take(SHOWN_ITEMS).map(|item| echo(item)).collect();
                let more = if items.len() > SHOWN_ITEMS { ", ..." } else { "" };
                format!("[{}{more}]", shown.join(", "))
            }
            Self::Other(description) => format!("({description})"),
        }
    }

    /// The length of the value for a message, in the place of a value that may be a secret.
    pub(super) fn echo_hidden(&self) -> String {
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

/// A string as TOML.
pub(super) fn literal(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Whether this is key material or a token, put where its file's name should be.
pub(super) fn is_secret(text: &str) -> bool {
    text.contains("-----BEGIN") || text.starts_with("eyJ")
}

/// What a message says in the place of a value that it should not show.
pub(super) fn hidden(text: &str) -> Option<&'static str> {
    // An at sign may end the user info of a URL, however broken the URL is.
    (is_secret(text) || text.contains('@')).then_some("(hidden: it may hold a secret)")
}

/// A URL for a message: scheme, host and port alone. A key or a signature may be in the rest, and text that is no URL
/// may be a secret itself.
pub(super) fn echo_url(raw: &Raw) -> String {
    let Raw::Text(text) = raw else { return raw.echo_hidden() };
    if text.is_empty() || hidden(text).is_some() {
        return echo(text);
    }
    match base_of(text).map(|base| text.split_at(base.len())) {
        Some((base, "")) => echo(base),
        Some((base, rest)) => format!("{} (hidden: {} characters more)", echo(base), rest.chars().count()),
        None => raw.echo_hidden(),
    }
}

/// Scheme, host and port of a URL, if they look like ones.
fn base_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_scheme =
        (1..=MAX_SCHEME).contains(&scheme.len()) && scheme.bytes().all(|b| b.is_ascii_lowercase());
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-[]:".contains(&b));
    let is_port = port.len() <= MAX_PORT && port.bytes().all(|b| b.is_ascii_digit());
    (is_scheme && is_host && is_port).then(|| &url[..scheme.len() + "://".len() + authority.len()])
}

fn echo(text: &str) -> String {
    if let Some(hidden) = hidden(text) {
        return hidden.to_owned();
    }
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn strings(items: &DeArray<'_>) -> Option<Vec<String>> {
    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}

/// Letters of a scheme that may be meant, and digits of a port.
const MAX_SCHEME: usize = 8;
const MAX_PORT: usize = 5;
/// A message stays readable.
const SHOWN_CHARS: usize = 80;
/// Likewise.
const SHOWN_ITEMS: usize = 8;
