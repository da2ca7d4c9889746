//! Where values come from: a file below, the environment above it.
//!
//! A key is taken out once. What is left over in the end is unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::value::Raw;

/// What was given, by key.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    /// By dotted key.
    file: BTreeMap<String, GivenValue>,
    /// By the variable's name; only names with our prefix.
    env: BTreeMap<String, GivenValue>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct GivenValue {
    pub(super) raw: Raw,
    pub(super) source: ValueSource,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ValueSource {
    /// Nowhere: it is built in.
    Default,
    /// In a file.
    File {
        /// The file's path as it was given, escaped.
        path: String,
        /// From 1.
        line: usize,
    },
    /// In the environment variable of this name, escaped.
    Env(String),
}

impl RawConfig {
    /// Takes the file's text, if there is a file, and picks our variables out of the environment.
    pub(super) fn read(
        file: Option<(&Path, io::Result<String>)>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<String>> {
        let mut layers = Self::default();
        for (name, value) in env.filter(|(name, _)| name.starts_with(PREFIX)) {
            let source = ValueSource::Env(escape(&name));
            layers.env.insert(name, GivenValue { raw: Raw::Text(value), source });
        }
        if let Some((path, text)) = file {
            let shown = escape(&path.to_string_lossy());
            let text = text.map_err(|error| vec![format!("{shown}: the file cannot be read: {error}")])?;
            layers.file = parse(&shown, &text)?;
        }
        Ok(layers)
    }

    /// Takes the value of a key. The environment wins.
    pub(super) fn take(&mut self, key: &str) -> Option<GivenValue> {
        let below = self.file.remove(key);
        self.env.remove(&variable(key)).or(below)
    }

    /// What was not taken: the key as the file or the environment spells it, and its value.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, GivenValue)> {
        self.file.into_iter().chain(self.env)
    }
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => write!(f, "env {name}"),
        }
    }
}

/// The environment variable of a key: `cache.proof_ttl` is `CONNECTOR_CACHE__CACHE__PROOF_TTL`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn parse(path: &str, text: &str) -> Result<BTreeMap<String, GivenValue>, Vec<String>> {
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // Not the error's own Display: it quotes the line, and a secret may be in it.
        let say = |error: toml::de::Error| match error.span() {
            Some(span) => format!("{path}:{}: not TOML: {}", line(span.start), one_line(error.message())),
            None => format!("{path}: not TOML: {}", one_line(error.message())),
        };
        return Err(errors.into_iter().map(say).collect());
    }
    let mut found = BTreeMap::new();
    flatten(table.get_ref(), "", &mut |key, value, offset| {
        let source = ValueSource::File { path: path.to_owned(), line: line(offset) };
        found.insert(key, GivenValue { raw: Raw::of(value), source });
    });
    Ok(found)
}

/// Visits every value that is not a table with keys, under its dotted key.
fn flatten(table: &DeTable<'_>, prefix: &str, visit: &mut impl FnMut(String, &DeValue<'_>, usize)) {
    for (name, value) in table {
        let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name_text = name.get_ref();
        let part = if name_text.chars().all(bare) { name_text.to_string() } else { format!("{name_text:?}") };
        let key = if prefix.is_empty() { part } else { format!("{prefix}.{part}") };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(inner, &key, visit),
            other => visit(key, other, name.span().start),
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    text.escape_debug().to_string()
}

/// Two underscores: the variables that Kubernetes makes for a Service `connector-cache` have one.
pub(super) const PREFIX: &str = "CONNECTOR_CACHE__";
