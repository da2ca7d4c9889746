//! JSON in, credentials out.

use crate::words::words;

/// What the scrubber needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `scrub.mask`: what stands where a credential stood.
    pub mask: String,
    /// `scrub.usernames`
    pub usernames: Usernames,
    /// `scrub.extra_fields`: names of members that are masked beside the known ones.
    pub extra_fields: Vec<String>,
    /// `scrub.keep_query`: query parameters of a target URL whose values stay.
    pub keep_query: Vec<String>,
}

words! {
    /// What becomes of the user name of an authentication configuration.
    pub enum Usernames {
        /// It is masked.
        Mask = "mask",
        /// It stays.
        Keep = "keep",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mask: "******".to_owned(),
            usernames: Usernames::Mask,
            extra_fields: Vec::new(),
            keep_query: ["api-version", "sp", "sv", "se"].map(str::to_owned).to_vec(),
        }
    }
}
