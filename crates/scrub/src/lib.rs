//! The scrubber: removes the credentials from bodies of Graph.
//!
//! Every body from Graph passes the scrubber before it reaches a caller, the cache or a log. The scrubber fails
//! closed: **a string passes only if Graph's schema says that it is not a credential.** The text must be UTF-8 and,
//! for `serde_json`, valid JSON. The walker copies such a text member by member.
//!
//! `schema.rs` lists the kinds of objects, the members of each kind, and a class for each member's value. The position
//! of an object determines its kind: the document, the connector of a step, an authentication configuration, a
//! certificate, an error. `types.rs` finds the declared types before the walk: a type that does not belong to the
//! position seals the object, wherever in the object the type stands. In a position that the schema does not list, the
//! type alone determines the kind; without a type no string of the object passes, but the connectors of its steps do.
//! Inside an authentication configuration, inside an error, and in place of a string, no string of an unknown object
//! passes. A step is one of the three known ones, or, at the top level, `pre`, `post` or `on` followed by an event:
//! its name does not count as a credential word (`postTokenIssuance`); neither does that of an action
//! (`#microsoft.graph.getToken`), of which only title and target pass.
//!
//! | value | passes |
//! |---|---|
//! | a known member's string | if it has the format of its class (`values.rs`, `link.rs`); free text (`text.rs`) and URLs (`url.rs`) pass without the credentials in them |
//! | an OData annotation | a type name, a count, a context or link on a host of Graph or `graph.base_url`; any other text is unknown |
//! | an unknown string, also in an array | never, unless `scrub.allow_fields` lists its member: it is masked and counted as `unknown` |
//! | a number, a boolean | unless a credential word names it, or a name with symbols beyond ASCII, which may look like one; in authentication configurations and sealed objects only the validity of a certificate and booleans |
//! | `null`, `""`, `{}`, `[]`, an array of these, and Graph's own mask (`******`) | always: they hide nothing |
//! | the value under a credential word (`names.rs`), or under a name of `scrub.extra_fields` | never, whatever its type |
//!
//! Names of the schema are compared without regard to case, otherwise exactly, so that a homoglyph is unknown. A name
//! that could be a key or token itself (long, many digits, a pair, a credential word followed by more) is masked with
//! its value. Each copy of a repeated member is checked by itself. JSON inside a string is a string.
//!
//! With `scrub.unknown = "keep"` unknown strings pass, except under a credential word and in authentication
//! configurations. All other rules stay the same.
//!
//! This module does no I/O, does not use HTTP, and keeps only the names of unknown members of its input.

use std::fmt;
use std::sync::Arc;

use ::url::Url;
use bytes::Bytes;
use serde::de::IgnoredAny;

pub use self::config::{Config, UnknownPolicy, UsernamePolicy};
pub use self::gzip::GzippedBody;
pub use self::notices::{Notice, UnknownMemberNotices};
pub use self::outcome::{ScrubFailure, ScrubbedField};
pub use self::removed::RemovedCounts;
use self::rules::Rules;
pub use self::unknown::{MemberName, UnknownMembers};
use self::walk::{Walked, Walker};
use connector_cache_support::labels::Label;

mod ascii;
mod check;
mod config;
mod gzip;
mod json;
mod link;
mod names;
mod notices;
mod outcome;
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

/// The compiled rules. One scrubber can process any number of bodies.
#[derive(Clone, Debug)]
pub struct Scrubber {
    rules: Rules,
    max_output: usize,
    policy: Vec<u8>,
}

impl Scrubber {
    /// Compiles the rules. `max_output`: maximum length of a scrubbed body, bytes.
    pub fn new(config: &Config, max_output: usize) -> Self {
        Self { rules: Rules::new(config), max_output, policy: encode_policy(config) }
    }

    /// Also accepts links to this server, beside those to Graph's own hosts.
    #[must_use]
    pub fn with_trusted_base_url(mut self, base_url: &Url) -> Self {
        self.rules.trust(base_url);
        for origin in self.rules.links.origins() {
            add(&mut self.policy, origin);
        }
        self
    }

    /// Removes the credentials from a body.
    ///
    /// The result is compact JSON: members keep their order, unknown and repeated members stay, and every scalar that
    /// passes has the bytes of the source. A byte order mark is dropped (RFC 8259, section 8.1). Scrubbing a scrubbed
    /// body does not change it.
    pub fn scrub(&self, raw: &[u8]) -> Result<Scrubbed, ScrubFailure> {
        let raw = raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(raw);
        let text = std::str::from_utf8(raw).map_err(|_| ScrubFailure::BadText)?;
        // serde_json skips values without recursion, so a deep input cannot overflow the stack here.
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| ScrubFailure::BadJson)?;
        let Walked { bytes, removed, unknown } =
            Walker::new(&self.rules, text, self.max_output).document()?;
        Ok(Scrubbed { body: ScrubbedBody(bytes), removed, unknown })
    }

    /// Returns bytes that differ whenever the rules or their configuration differ. They are part of entity tags, so
    /// that a change of policy is a change of representation. `max_output` is not included, since it changes no body.
    pub fn policy_bytes(&self) -> &[u8] {
        &self.policy
    }
}

/// The result of scrubbing a body.
#[derive(Clone, Debug)]
pub struct Scrubbed {
    /// The body without its credentials.
    pub body: ScrubbedBody,
    /// Number of masked values by rule.
    pub removed: RemovedCounts,
    /// Names of masked members that the schema does not list.
    pub unknown: UnknownMembers,
}

/// A scrubbed body. Only the scrubber creates this type, so a parameter of this type cannot receive an unscrubbed
/// body. Clones share one allocation, which holds the reference count in front of the text, so that sending a body
/// reads one place in memory. The allocation is exactly as long as the text; the cache counts it by its length.
#[derive(Clone, PartialEq, Eq)]
pub struct ScrubbedBody(Arc<[u8]>);

impl ScrubbedBody {
    /// Restores a body that a scrubber with the same policy made. For the shared tier: its values are authenticated, and named by
    /// the policy.
    pub fn restore(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Returns the JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Converts the JSON text into `Bytes` without a copy.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }

    /// Returns the length, bytes.
    #[expect(clippy::len_without_is_empty, reason = "a scrubbed body is a JSON object, at least two bytes")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for ScrubbedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScrubbedBody({} bytes)", self.0.len())
    }
}

/// Encodes the configuration. Each part has its length before it, so that two configurations never give the same
/// bytes.
fn encode_policy(config: &Config) -> Vec<u8> {
    let mut bytes = RULES_VERSION.to_be_bytes().to_vec();
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

/// The version of the rules in this module. Must be raised with every change that alters an output.
const RULES_VERSION: u32 = 7;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
