//! Machine-readable reference of all keys, from which `make docs` generates documentation and chart values.

use super::{EffectiveConfig, LIVE};

/// Reference of one key.
#[derive(Clone, Debug)]
pub struct KeyReference {
    /// Dotted name.
    pub name: &'static str,
    /// One or more sentences in Markdown: effect, unit, and what happens at the limit.
    pub help: &'static str,
    /// Default, as TOML; `None` for a key that is not set by default.
    pub default: Option<String>,
    /// Example value, as TOML, of a key without a default.
    pub sample: Option<&'static str>,
    /// Accepted values.
    pub form: ValueForm,
    /// True if a reload applies a new value; otherwise a restart is needed.
    pub is_live: bool,
    /// Sentences that hold only in the Helm chart; may be empty.
    pub chart_note: &'static str,
    /// Default of the Helm chart, as TOML, where it differs from the built-in one.
    pub chart_default: Option<&'static str>,
}

/// Accepted values of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// An integer within bounds.
    Integer {
        /// Minimum.
        min: String,
        /// Maximum.
        max: String,
    },
    /// A size such as `32KiB`, or a number of bytes, within bounds.
    Size {
        /// Minimum.
        min: String,
        /// Maximum.
        max: String,
    },
    /// A duration with its unit, within bounds.
    Duration {
        /// Minimum.
        min: String,
        /// Maximum.
        max: String,
    },
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// An IP address and a port.
    SocketAddress,
    /// The base URL of Graph.
    BaseUrl,
    /// The base URL of a collector.
    CollectorUrl,
    /// The path of a file.
    Path,
    /// A short text.
    Text {
        /// Maximum of characters.
        max_chars: usize,
    },
    /// A list of names.
    Names {
        /// Maximum of names.
        max_names: usize,
        /// Maximum of characters of a name.
        max_chars: usize,
    },
    /// A filter for log lines.
    LogFilter,
    /// No value: the key is reserved.
    Refused,
    /// The URL of the shared tier's servers, or an array of URLs.
    StoreUrl,
    /// The begin of key names.
    KeyPrefix {
        /// Maximum of characters.
        max_chars: usize,
    },
}

impl EffectiveConfig {
    /// Returns the reference of every key, in the order of the schema. Defaults are the effective values.
    pub fn reference(&self) -> Vec<KeyReference> {
        let reference = |setting: &super::Setting| KeyReference {
            name: setting.key.name,
            help: setting.key.help,
            default: setting.value.clone(),
            sample: setting.key.sample,
            form: setting.form.clone(),
            is_live: LIVE.contains(&setting.key.name),
            chart_note: setting.key.chart_note,
            chart_default: setting.key.chart_default,
        };
        self.settings.iter().map(reference).collect()
    }
}
