//! Bodies from Graph without their credentials.
//!
//! Nothing of a response from Graph reaches a caller, the cache or a log before it has been through here. The
//! scrubber fails closed: **a string passes only where Graph's schema says that it is no credential.** The text must be
//! UTF-8, `serde_json` decides that it is JSON, and only then a walker copies it member by member.
//!
//! # The walk
//! `schema.rs` has the kinds of objects, the members of each kind, and a class for each member's value. The
//! position of an object decides its kind: the document, the connector of a step, an authentication configuration, a
//! certificate, an error. `types.rs` finds the declared types before the walk: a type that does not belong to the
//! position seals the object, wherever in it the type stands. In a position that the schema does not know the type alone
//! decides; without one no string of the object passes, but the connectors of the steps in it do. Inside of an
//! authentication configuration, an error, or in the place of a string, an unknown object keeps no string at all.
//! A step is one of today's three, or, at the top, `pre`, `post` or `on` and an event: its name is no credential word
//! (`postTokenIssuance`).
//!
//! | value | passes |
//! |---|---|
//! | a known member's string | if it has the form of its class (`values.rs`, `link.rs`); of free text (`text.rs`) and of URLs (`url.rs`) all but the credentials in them |
//! | an annotation of OData's | a type name, a count, a context or link on a host of Graph's or `graph.base_url`; any other text is unknown |
//! | an unknown string, also in an array | never, unless `scrub.allow_fields` lists its member: it is masked and counted as `unknown` |
//! | a number, a boolean | unless a credential word names it, or a name with symbols beyond ASCII, which may look like one; in authentication configurations and sealed objects only the validity of a certificate and booleans |
//! | `null`, `""`, `{}`, `[]` | always: nothing is hidden in them |
//! | the value under a credential word (`names.rs`), or under a name of `scrub.extra_fields` | never, whatever its type |
//!
//! Names: the schema's are compared in any letter case, and otherwise exactly, so that a homoglyph is unknown. A name
//! that could be a key or token itself (long, full of digits, a pair, a credential word with more behind it) is masked with its value. Each copy of
//! a repeated member is judged by itself. JSON inside of a string is a string.
//!
//! `scrub.unknown = "keep"` lets unknown strings pass unless a credential word names them, but for those in
//! authentication configurations. All else is the same.
//!
//! This module knows no I/O and no HTTP, and it keeps nothing of what it reads but the names of unknown members.

use std::fmt;
use std::sync::Arc;

use ::url::Url;
use bytes::Bytes;
use serde::de::IgnoredAny;

pub use self::config::{Config, Unknown, Usernames};
pub use self::gzip::GzippedBody;
pub use self::notices::{Notice, UnknownMemberNotices};
pub use self::removed::Removed;
use self::rules::Rules;
pub use self::unknown::{MemberName, UnknownMembers};
use self::walk::{Walked, Walker};
use crate::cache::outcome::ScrubFailure;
use crate::support::labels::Label;

mod ascii;
mod config;
mod gzip;
mod json;
mod link;
mod names;
mod notices;
mod output;
mod removed;
mod rules;
mod schema;
mod text;
mod types;
mod unknown;
mod url;
mod values;
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

    /// Accepts links to this server beside those to Graph's own hosts.
    #[must_use]
    pub fn trusting(mut self, base_url: &Url) -> Self {
        self.rules.trust(base_url);
        for origin in self.rules.links.origins() {
            add(&mut self.policy, origin);
        }
        self
    }

    /// Takes the credentials out of a body.
    ///
    /// The result is compact JSON: members keep their order, unknown and repeated members stay, and every
    /// scalar that is kept is the source's own bytes. A byte order mark is dropped (RFC 8259, section 8.1). A scrubbed
    /// body that is scrubbed again does not change.
    pub fn scrub(&self, raw: &[u8]) -> Result<Scrubbed, ScrubFailure> {
        let raw = raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(raw);
        let text = std::str::from_utf8(raw).map_err(|_| ScrubFailure::BadText)?;
        // Skipping in serde_json uses no recursion, so the depth of the input cannot hurt here.
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| ScrubFailure::BadJson)?;
        let Walked { bytes, removed, unknown } =
            Walker::new(&self.rules, text, self.max_output).document()?;
        Ok(Scrubbed { body: ScrubbedBody(bytes.into()), removed, unknown })
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
    /// Members that the schema does not know and whose text was masked.
    pub unknown: UnknownMembers,
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
    add(&mut bytes, &config.mask);
    add(&mut bytes, config.usernames.as_str());
    add(&mut bytes, config.unknown.as_str());
    for list in [&config.allow_fields, &config.extra_fields, &config.keep_query] {
        add(&mut bytes, &list.len().to_string());
        for part in list {
            add(&mut bytes, part);
        }
    }
    bytes
}

fn add(bytes: &mut Vec<u8>, part: &str) {
    bytes.extend_from_slice(&part.len().to_be_bytes());
    bytes.extend_from_slice(part.as_bytes());
}

/// The version of the rules in this module. Raise it with every change that alters an output.
const RULES: u32 = 6;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
