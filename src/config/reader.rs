//! Reader of all keys: takes values from the sources, checks them, and collects settings and problems.
//!
//! Every key that the schema reads is a known key; there is no second list. A value that no key takes is an unknown key.

use super::key::Key;
use super::raw_config::{GivenValue, PREFIX, RawConfig, ValueSource, variable};
use super::redaction::redacted;
use super::reference::ValueForm;
use super::suggestions::nearest;
use super::value::{RawValue, Rule};

/// One pass over all keys.
#[derive(Debug)]
pub(super) struct ConfigReader {
    raw: RawConfig,
    settings: Vec<Setting>,
    refused: Vec<&'static str>,
    problems: Vec<String>,
}

/// A key with its effective value and the source of the value.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: Key,
    pub(super) form: ValueForm,
    /// As TOML; `None` without a value.
    pub(super) value: Option<String>,
    /// Text to print in place of a value that may be a secret.
    pub(super) redacted: Option<String>,
    pub(super) source: ValueSource,
}

impl Setting {
    /// Returns the value as text, or a hint if it may be a secret.
    pub(super) fn shown(&self) -> Option<String> {
        self.redacted.as_ref().map(|hint| format!("({hint})")).or_else(|| self.value.clone())
    }

    /// Returns name, value and source for the console and for JSON output.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.key.name,
            "value": self.shown(),
            "source": self.source.to_string(),
            "changed": !matches!(self.source, ValueSource::Default) && self.value.is_some(),
        })
    }
}

impl ConfigReader {
    pub(super) fn new(raw: RawConfig) -> Self {
        Self { raw, settings: Vec::new(), refused: Vec::new(), problems: Vec::new() }
    }

    /// Reads a key with a default.
    pub(super) fn get<R: Rule>(&mut self, key: Key, rule: &R, default: R::Value) -> R::Value {
        let (value, source) = self.take(key.name, rule).unwrap_or((default, ValueSource::Default));
        self.settings.push(Setting {
            key,
            form: rule.form(),
            value: Some(rule.write(&value)),
            redacted: rule.redact(&value),
            source,
        });
        value
    }

    /// Reads a key without a default.
    pub(super) fn get_optional<R: Rule>(&mut self, key: Key, rule: &R) -> Option<R::Value> {
        let (value, source) = match self.take(key.name, rule) {
            Some((value, source)) => (Some(value), source),
            None => (None, ValueSource::Default),
        };
        let written = value.as_ref().map(|value| rule.write(value));
        let redacted = value.as_ref().and_then(|value| rule.redact(value));
        self.settings.push(Setting { key, form: rule.form(), value: written, redacted, source });
        value
    }

    /// Registers a known key that may not be set. The message does not show its value.
    #[cfg(not(feature = "otlp"))]
    pub(super) fn refuse(&mut self, key: Key, reason: &str) {
        if let Some(given) = self.raw.take(key.name) {
            self.problems.push(format!("{}: {} is refused: {reason}", given.source, key.name));
        }
        let form = ValueForm::Refused;
        self.settings.push(Setting { key, form, value: None, redacted: None, source: ValueSource::Default });
    }

    /// Records a problem outside of the keys.
    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Records that two values contradict each other, unless one of them is already refused.
    pub(super) fn conflict(&mut self, keys: [&'static str; 2], rule: &str) {
        if keys.iter().any(|key| self.refused.contains(key)) {
            return;
        }
        let settings = self.settings.iter().filter(|setting| keys.contains(&setting.key.name));
        let values: Vec<_> = settings
            .map(|Setting { key: Key { name, .. }, value, redacted: hint, source, .. }| match (hint, value) {
                (Some(hint), _) => format!("{name} = {hint} ({source})"),
                (None, Some(value)) => format!("{name} = {} ({source})", redacted(value).unwrap_or(value)),
                (None, None) => format!("{name} is not set"),
            })
            .collect();
        self.problems.push(format!("{}: {rule}", values.join(", ")));
    }

    /// Returns all settings in the order of the schema, or all problems.
    pub(super) fn finish(self) -> Result<Vec<Setting>, Vec<String>> {
        let mut problems = self.problems;
        let known: Vec<_> = self.settings.iter().map(|setting| setting.key.name).collect();
        problems.extend(self.raw.remaining().filter_map(|(name, given)| unknown_key(&known, &name, &given)));
        if problems.is_empty() { Ok(self.settings) } else { Err(problems) }
    }

    /// Takes and parses the value of a key. Records a problem if its rule does not accept the value.
    fn take<R: Rule>(&mut self, name: &'static str, rule: &R) -> Option<(R::Value, ValueSource)> {
        let GivenValue { value: raw, source } = self.raw.take(name)?;
        let value = rule.parse(&raw);
        if value.is_none() {
            self.refused.push(name);
            let (shown, accepted) = (rule.echo(&raw), rule.accepted());
            self.problems.push(format!("{source}: {name} = {shown} is refused: expected {accepted}"));
        }
        value.map(|value| (value, source))
    }
}

/// Describes the problem with a key outside the schema. A known table without keys is no problem.
fn unknown_key(known: &[&'static str], name: &str, given: &GivenValue) -> Option<String> {
    let source = &given.source;
    let is_table =
        |name: &str| known.iter().any(|key| key.strip_prefix(name).is_some_and(|k| k.starts_with('.')));
    match source {
        ValueSource::Env(variable_name) => {
            let key = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase().replace("__", ".");
            let hint = hint(nearest(&key, known).map(variable));
            Some(format!("env {variable_name} is not a known key: {hint}"))
        }
        _ if !is_table(name) => {
            let hint = hint(nearest(name, known).map(str::to_owned));
            Some(format!("{source}: {name} is not a known key: {hint}"))
        }
        _ if matches!(&given.value, RawValue::Other(text) if text == "an empty table") => None,
        _ => Some(format!("{source}: {name} is a table of keys, not a key")),
    }
}

fn hint(nearest: Option<String>) -> String {
    match nearest {
        Some(key) => format!("did you mean {key}?"),
        None => "`connector-cache check` without a file prints every key".to_owned(),
    }
}
