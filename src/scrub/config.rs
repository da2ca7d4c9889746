//! What an operator can choose about scrubbing.

use crate::words::words;

/// The section `scrub` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What stands in the place of a removed value. Any text; it is escaped for JSON and for URLs.
    pub mask: String,
    /// What becomes of the user name in an authentication configuration.
    pub usernames: Usernames,
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
            usernames: Usernames::Mask,
            extra_fields: Vec::new(),
            // The public ones of a Logic Apps trigger URL; its `sig` is the credential.
            keep_query: ["api-version", "sp", "sv", "se"].map(str::to_owned).to_vec(),
        }
    }
}

words! {
    /// What becomes of the user name in an authentication configuration.
    pub enum Usernames {
        /// It is masked: it is half of a Basic credential.
        Mask = "mask",
        /// A user name that is a string is kept.
        Keep = "keep",
    }
}
