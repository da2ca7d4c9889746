//! Options for scrubbing.

use crate::support::labels::labels;

/// The section `scrub` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Text that replaces a removed value. Any text; it is escaped for JSON and for URLs.
    pub mask: String,
    /// Treatment of the user name in an authentication configuration.
    pub usernames: UsernamePolicy,
    /// Treatment of strings that Graph's schema does not know.
    pub unknown: UnknownPolicy,
    /// Members beside those of the schema whose text may pass. Compared exactly. Credentials inside the text are
    /// masked all the same.
    pub allow_fields: Vec<String>,
    /// Further member names whose values are masked wherever they occur. Compared without case and without
    /// anything that is neither letter nor digit; a name that has neither matches nothing.
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
            // The public ones of a Logic Apps trigger URL; its `sig` is the credential.
            keep_query: ["api-version", "sp", "sv", "se"].map(str::to_owned).to_vec(),
        }
    }
}

labels! {
    /// Treatment of the user name in an authentication configuration.
    pub enum UsernamePolicy {
        /// It is masked: it is half of a Basic credential.
        Mask = "mask",
        /// A user name that is a string is kept.
        Keep = "keep",
    }
}

labels! {
    /// Treatment of strings that Graph's schema does not know.
    pub enum UnknownPolicy {
        /// They are masked: a string passes only where the schema says that it is no credential.
        Mask = "mask",
        /// They pass unless a credential word names them, as in version 0.1. Authentication configurations keep
        /// their known members only, in both modes.
        Keep = "keep",
    }
}
