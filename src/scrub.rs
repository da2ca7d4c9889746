//! JSON in, credentials out.
//!
//! Nothing of an answer from Graph reaches a caller, the cache or a log before it has been through here.
//! The work is structural: the text must be UTF-8, `serde_json` decides that it is JSON, and only then a walker
//! copies it member by member and leaves out what the rules forbid. What is not understood does not pass.
//! This module knows no I/O and no HTTP, and it keeps nothing of what it reads.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

pub use self::config::{Config, Usernames};
pub use self::gzip::GzippedBody;
pub use self::removed::Removed;
use self::rules::Rules;
use self::walk::Walker;
use crate::cache::status::ScrubFailure;
use crate::words::Word;

mod config;
mod gzip;
mod json;
mod names;
mod output;
mod removed;
mod rules;
mod url;
mod walk;

/// The rules, made ready for use. One serves any number of bodies.
#[derive(Clone, Debug)]
pub struct Scrubber {
    rules: Rules,
    max_output: usize,
    policy: Vec<u8>,
}

impl Scrubber {
    /// Prepares the rules. `max_output` is the most bytes that a scrubbed body may have.
    pub fn new(config: &Config, max_output: usize) -> Self {
        Self { rules: Rules::new(config), max_output, policy: policy(config) }
    }

    /// Takes the credentials out of a body.
    ///
    /// The result is compact JSON: members keep their order, unknown and repeated members stay, and every
    /// scalar that is kept is the source's own bytes. A scrubbed body that is scrubbed again does not change.
    pub fn scrub(&self, raw: &[u8]) -> Result<Scrubbed, ScrubFailure> {
        let text = std::str::from_utf8(raw).map_err(|_| ScrubFailure::BadText)?;
        // Skipping in serde_json uses no recursion, so the depth of the input cannot hurt here.
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| ScrubFailure::BadJson)?;
        let (bytes, removed) = Walker::new(&self.rules, text, self.max_output).document()?;
        Ok(Scrubbed { body: ScrubbedBody(bytes.into()), removed })
    }

    /// Bytes that differ whenever the rules or their configuration differ. They go into entity tags, so that a
    /// change of policy is a change of representation. `max_output` is not part of it: it alters no body.
    pub fn policy(&self) -> &[u8] {
        &self.policy
    }
}

/// What came out of a body.
#[derive(Clone, Debug)]
pub struct Scrubbed {
    /// The body without its credentials.
    pub body: ScrubbedBody,
    /// How much was taken away.
    pub removed: Removed,
}

#[cfg(feature = "sabotage")]
impl Scrubbed {
    /// Not scrubbed at all.
    pub fn unscrubbed(raw: &[u8]) -> Self {
        Self { body: ScrubbedBody(raw.into()), removed: Removed::default() }
    }
}

/// A body that has been through the scrubber. Only the scrubber can make one, so to ask for this type is to ask
/// for scrubbed bytes. Clones share one piece of memory, in which their count stands before the text: whoever sends it
/// finds both in one place. That piece is as long as the text: a cache counts it by its length.
#[derive(Clone, PartialEq, Eq)]
pub struct ScrubbedBody(Arc<[u8]>);

impl ScrubbedBody {
    /// The JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The JSON text, without a copy.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }

    /// The length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a scrubbed body is an object, so at least two bytes")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for ScrubbedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScrubbedBody({} bytes)", self.0.len())
    }
}

/// Every part goes in with its length before it, so that no two configurations give the same bytes.
fn policy(config: &Config) -> Vec<u8> {
    let mut bytes = RULES.to_be_bytes().to_vec();
    let mut add = |part: &str| {
        bytes.extend_from_slice(&part.len().to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    };
    add(&config.mask);
    add(config.usernames.as_str());
    for list in [&config.extra_fields, &config.keep_query] {
        add(&list.len().to_string());
        for part in list {
            add(part);
        }
    }
    bytes
}

/// The version of the rules in this module. Raise it with every change that alters an output.
const RULES: u32 = 4;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
