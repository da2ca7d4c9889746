//! Options for scrubbing.

use connector_cache_support::labels::labels;

/// The section `scrub` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The text that replaces a removed value. Any text; it is escaped for JSON and for URLs.
    pub mask: String,
    /// Treatment of the user name in an authentication configuration.
    pub usernames: UsernamePolicy,
    /// Treatment of strings that Graph's schema does not know.
    pub unknown: UnknownPolicy,
    /// Further members whose text may pass, beside those of the schema. Compared exactly. Credentials in the text are
    /// still masked.
    pub allow_fields: Vec<String>,
    /// Further member names whose values are masked in any position. Compared without case and without characters that
    /// are neither letter nor digit; a name without letters and digits matches nothing.
    pub extra_fields: Vec<String>,
    /// Query parameters of a target URL whose values are public. Compared exactly, percent-decoded.
    pub keep_query: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mask: "******".to_owned(),
            usernames: UsernamePolicy::Mask,
            unknown: UnknownPolicy::Mask,
            allow_fields: Vec::new(),
            extra_fields: Vec::new(),
            // The public parameters of a Logic Apps trigger URL; its `sig` is the credential.
            keep_query: ["api-version", "sp", "sv", "se"].map(str::to_owned).to_vec(),
        }
    }
}

labels! {
    /// Treatment of the user name in an authentication configuration.
    pub enum UsernamePolicy {
        /// The user name is masked: it is half of a Basic credential.
        Mask = "mask",
        /// A user name that is a string is kept.
        Keep = "keep",
    }
}

labels! {
    /// Treatment of strings that Graph's schema does not know.
    pub enum UnknownPolicy {
        /// Unknown strings are masked: a string passes only if the schema says that it is not a credential.
        Mask = "mask",
        /// Unknown strings pass, except under a credential word, as in version 0.1. In both modes authentication
        /// configurations keep only their known members.
        Keep = "keep",
    }
}
