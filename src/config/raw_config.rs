//! Values of the file and the environment, before any rule is applied. The environment overrides the file.
//!
//! The reader takes the value of each key once; the remaining values belong to unknown keys.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::value::RawValue;

/// Values by key.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    /// By dotted key.
    file: BTreeMap<String, GivenValue>,
    /// By name of the variable; only names that begin with [`PREFIX`].
    env: BTreeMap<String, GivenValue>,
}

/// A value and its source.
#[derive(Clone, Debug)]
pub(super) struct GivenValue {
    pub(super) value: RawValue,
    pub(super) source: ValueSource,
}

/// Source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ValueSource {
    /// The built-in default.
    Default,
    /// A file.
    File {
        /// Path of the file as given, escaped.
        path: String,
        /// Line number, from 1.
        line: usize,
    },
    /// The environment variable of this name, escaped.
    Env(String),
}

impl RawConfig {
    /// Parses the text of the file, if there is a file, and selects the variables with [`PREFIX`].
    pub(super) fn parse(
        file: Option<(&Path, io::Result<String>)>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<String>> {
        let mut raw = Self::default();
        for (name, value) in env.filter(|(name, _)| name.starts_with(PREFIX)) {
            let source = ValueSource::Env(escape(&name));
            raw.env.insert(name, GivenValue { value: RawValue::Text(value), source });
        }
        if let Some((path, text)) = file {
            let shown = escape(&path.to_string_lossy());
            let text = text.map_err(|error| vec![format!("{shown}: the file cannot be read: {error}")])?;
            raw.file = parse_file(&shown, &text)?;
        }
        Ok(raw)
    }

    /// Removes and returns the value of a key. The environment takes precedence over the file.
    pub(super) fn take(&mut self, key: &str) -> Option<GivenValue> {
        let in_file = self.file.remove(key);
        self.env.remove(&variable(key)).or(in_file)
    }

    /// Returns the values that were not taken, by key as spelled in the file or the environment.
    pub(super) fn remaining(self) -> impl Iterator<Item = (String, GivenValue)> {
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

/// Returns the environment variable of a key: `CONNECTOR_CACHE__CACHE__PROOF_TTL` for `cache.proof_ttl`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn parse_file(path: &str, text: &str) -> Result<BTreeMap<String, GivenValue>, Vec<String>> {
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // The error's `Display` quotes the line, which may hold a secret.
        let describe = |error: toml::de::Error| match error.span() {
            Some(span) => format!("{path}:{}: not TOML: {}", line(span.start), one_line(error.message())),
            None => format!("{path}: not TOML: {}", one_line(error.message())),
        };
        return Err(errors.into_iter().map(describe).collect());
    }
    let mut values = BTreeMap::new();
    flatten(table.get_ref(), "", &mut |key, value, offset| {
        let source = ValueSource::File { path: path.to_owned(), line: line(offset) };
        values.insert(key, GivenValue { value: RawValue::from_toml(value), source });
    });
    Ok(values)
}

/// Visits every value but tables with keys, with its dotted key and its offset.
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

/// Prefix of environment variables. The two underscores distinguish them from the variables that Kubernetes sets for a
/// Service `connector-cache`.
pub(super) const PREFIX: &str = "CONNECTOR_CACHE__";
