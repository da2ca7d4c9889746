//! The log: what is written, in which form, and what never is.

use crate::words::words;

/// What the log needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `log.format`; `None`: text on a terminal, JSON elsewhere.
    pub format: Option<Format>,
    /// `log.filter`: a level, or directives such as `info,connector_cache::origin=debug`.
    pub filter: String,
    /// `log.access`
    pub access: Access,
}

words! {
    /// The form of a log line.
    pub enum Format {
        /// One JSON object a line.
        Json = "json",
        /// For people at a terminal.
        Text = "text",
    }
}

words! {
    /// Which requests get an access line.
    pub enum Access {
        /// Every request.
        All = "all",
        /// All but fresh hits, which the metrics count.
        Misses = "misses",
        /// None.
        Off = "off",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { format: None, filter: "info".to_owned(), access: Access::Misses }
    }
}
