//! Asks for one key after another, and remembers what was said: the values, their sources, the problems.
//!
//! A key is known because it was asked for; there is no second list of keys to keep in step.

use super::layers::{GivenValue, PREFIX, RawConfig, ValueSource, variable};
use super::suggestions::nearest;
use super::value::{Raw, Rule, hidden};

/// One pass over all keys.
#[derive(Debug)]
pub(super) struct Reader {
    layers: RawConfig,
    settings: Vec<Setting>,
    refused: Vec<&'static str>,
    problems: Vec<String>,
}

/// A key, what it is set to, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: &'static str,
    /// As TOML; `None` when it is not set.
    pub(super) value: Option<String>,
    /// The text to print in place of a value that may be a secret.
    pub(super) hidden: Option<String>,
    pub(super) source: ValueSource,
}

impl Reader {
    pub(super) fn new(layers: RawConfig) -> Self {
        Self { layers, settings: Vec::new(), refused: Vec::new(), problems: Vec::new() }
    }

    /// The value of a key that always has one.
    pub(super) fn get<R: Rule>(&mut self, key: &'static str, rule: &R, default: R::Value) -> R::Value {
        let (value, source) = self.given(key, rule).unwrap_or((default, ValueSource::Default));
        self.settings.push(Setting {
            key,
            value: Some(rule.write(&value)),
            hidden: rule.hide(&value),
            source,
        });
        value
    }

    /// The value of a key that need not be set.
    pub(super) fn get_optional<R: Rule>(&mut self, key: &'static str, rule: &R) -> Option<R::Value> {
        let (value, source) = match self.given(key, rule) {
            Some((value, source)) => (Some(value), source),
            None => (None, ValueSource::Default),
        };
        let written = value.as_ref().map(|value| rule.write(value));
        let hidden = value.as_ref().and_then(|value| rule.hide(value));
        self.settings.push(Setting { key, value: written, hidden, source });
        value
    }

    /// A key that is known, and refused when it is set. Its value is not shown.
    pub(super) fn refuse(&mut self, key: &'static str, why: &str) {
        if let Some(given) = self.layers.take(key) {
            self.problems.push(format!("{}: {key} is refused: {why}", given.source));
        }
        self.settings.push(Setting { key, value: None, hidden: None, source: ValueSource::Default });
    }

    /// Two values that do not go together. Silent when one of them was refused for itself.
    pub(super) fn conflict(&mut self, keys: [&'static str; 2], rule: &str) {
        if keys.iter().any(|key| self.refused.contains(key)) {
            return;
        }
        let of_keys = self.settings.iter().filter(|setting| keys.contains(&setting.key));
        let said: Vec<_> = of_keys
            .map(|Setting { key, value, hidden: hint, source }| match (hint, value) {
                (Some(hint), _) => format!("{key} = {hint} ({source})"),
                (None, Some(value)) => format!("{key} = {} ({source})", hidden(value).unwrap_or(value)),
                (None, None) => format!("{key} is not set"),
            })
            .collect();
        self.problems.push(format!("{}: {rule}", said.join(", ")));
    }

    /// All settings in the order they were asked for, or all problems.
    pub(super) fn finish(self) -> Result<Vec<Setting>, Vec<String>> {
        let mut problems = self.problems;
        let known: Vec<_> = self.settings.iter().map(|setting| setting.key).collect();
        problems.extend(self.layers.rest().filter_map(|(name, given)| unknown(&known, &name, &given)));
        if problems.is_empty() { Ok(self.settings) } else { Err(problems) }
    }

    fn given<R: Rule>(&mut self, key: &'static str, rule: &R) -> Option<(R::Value, ValueSource)> {
        let GivenValue { raw, source } = self.layers.take(key)?;
        let value = rule.read(&raw);
        if value.is_none() {
            self.refused.push(key);
            let (value, accepted) = (rule.echo(&raw), rule.accepted());
            self.problems.push(format!("{source}: {key} = {value} is refused: expected {accepted}"));
        }
        value.map(|value| (value, source))
    }
}

/// The problem with a key that nobody asked for. A known table without keys is none.
fn unknown(known: &[&'static str], name: &str, given: &GivenValue) -> Option<String> {
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
        _ if matches!(&given.raw, Raw::Other(what) if what == "an empty table") => None,
        _ => Some(format!("{source}: {name} is a table of keys, not a key")),
    }
}

fn hint(nearest: Option<String>) -> String {
    match nearest {
        Some(key) => format!("did you mean {key}?"),
        None => "`connector-cache check` without a file prints every key".to_owned(),
    }
}
