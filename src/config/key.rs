//! Name and descriptions of one configuration key.

/// Name and descriptions of a key. Its rule and its default are arguments of the reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Dotted name.
    pub(super) name: &'static str,
    /// One or more sentences: effect, unit, and what happens at the limit.
    pub(super) help: &'static str,
    /// Example value, as TOML, of a key without a default.
    pub(super) sample: Option<&'static str>,
    /// Sentences that hold only in the Helm chart.
    pub(super) chart_note: &'static str,
    /// Default of the Helm chart, as TOML, where it differs from the built-in one.
    pub(super) chart_default: Option<&'static str>,
}

/// Describes a key.
pub(super) const fn key(name: &'static str, help: &'static str) -> Key {
    Key { name, help, sample: None, chart_note: "", chart_default: None }
}

impl Key {
    /// Adds an example value, as TOML, for a key without a default.
    pub(super) const fn sample(self, toml: &'static str) -> Self {
        Self { sample: Some(toml), ..self }
    }

    /// Adds sentences that hold only in the Helm chart.
    pub(super) const fn chart_note(self, note: &'static str) -> Self {
        Self { chart_note: note, ..self }
    }

    /// Sets a default for the Helm chart, as TOML, that differs from the built-in one.
    pub(super) const fn chart_default(self, toml: &'static str) -> Self {
        Self { chart_default: Some(toml), ..self }
    }
}
