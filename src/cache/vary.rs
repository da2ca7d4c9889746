//! `Vary`: which of a caller's fields chose an answer (RFC 9111, section 4.1).
//!
//! Graph says in `Vary` by what it chose. What is the same in every request to Graph, or part of the key, chose
//! nothing; anything else must be in a later request as it was in the first, though Graph never sees it: that is
//! the letter of the rule, and errs towards asking. Callers' values are not kept but hashed under a key of the
//! process; one may be a cookie. `Authorization` stands for the token itself, known by its fingerprint.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use http::{HeaderMap, HeaderName, header};

use super::outcome::NotStored;
use crate::auth::TokenHash;
use crate::http::cache_control::split_outside_quotes;

/// A caller's request, as far as `Vary` may name it.
#[derive(Clone, Copy)]
pub struct SelectingRequest<'a> {
    /// The caller's fields. Whether `Authorization` is among them makes no difference.
    pub headers: &'a HeaderMap,
    /// Whose token it has.
    pub token: TokenHash,
}

/// The fields that chose an answer, and a hash of what they held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondaryKey {
    /// Sorted, each once; never empty.
    fields: Box<[HeaderName]>,
    values_hash: u64,
}

/// Tells requests apart by the fields that chose an answer.
#[derive(Debug, Default)]
pub struct SecondaryKeyHasher(RandomState);

impl SecondaryKeyHasher {
    /// What chose `response`, where `request` brought it. `None`: nothing that could differ.
    pub fn compute(
        &self,
        response: &HeaderMap,
        request: SelectingRequest<'_>,
    ) -> Result<Option<SecondaryKey>, NotStored> {
        let fields = selecting_fields(response)?;
        let values_hash = self.values_hash(&fields, request);
        Ok((!fields.is_empty()).then_some(SecondaryKey { fields, values_hash }))
    }

    /// Whether `request` would have been answered with what was chosen like this.
    pub fn matches(&self, secondary_key: Option<&SecondaryKey>, request: SelectingRequest<'_>) -> bool {
        secondary_key.is_none_or(|secondary_key| {
            self.values_hash(&secondary_key.fields, request) == secondary_key.values_hash
        })
    }

    /// Absent is like absent alone, and lines of one field count as one list (RFC 9110, section 5.3). As section 4.1
    /// allows, white space around members means nothing, nor does the case or the order of languages.
    fn values_hash(&self, fields: &[HeaderName], request: SelectingRequest<'_>) -> u64 {
        let mut hasher = self.0.build_hasher();
        for name in fields {
            if name == header::AUTHORIZATION {
                request.token.hash(&mut hasher);
                continue;
            }
            let lines = request.headers.get_all(name).iter();
            hasher.write_u8(u8::from(request.headers.contains_key(name)));
            let members =
                lines.flat_map(|line| split_outside_quotes(line.as_bytes()).map(<[u8]>::trim_ascii));
            let mut members: Vec<_> =
                members.filter(|member| !member.is_empty()).map(Cow::Borrowed).collect();
            if name == header::ACCEPT_LANGUAGE {
                for member in &mut members {
                    member.to_mut().make_ascii_lowercase();
                }
                members.sort();
            }
            members.hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl SecondaryKey {
    /// Hash of the values of the selecting fields; never zero.
    pub fn selector(&self) -> u32 {
        let [a, b, c, d, ..] = self.values_hash.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d]) | 1
    }

    /// Whether both were chosen by the same fields, whatever these held.
    pub fn has_same_fields(&self, other: &Self) -> bool {
        self.fields == other.fields
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let names = self.fields.iter().map(|name| size_of::<HeaderName>() + name.as_str().len());
        size_of::<Self>() + names.sum::<usize>()
    }
}

/// The fields that `Vary` names and that can differ between requests of one key. An answer that no later request
/// can match is not to be stored: `*` in any place, what is not a field's name, what is new in every request.
pub fn selecting_fields(response: &HeaderMap) -> Result<Box<[HeaderName]>, NotStored> {
    let mut names = Vec::new();
    let lines =
        response.get_all(header::VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    for name in lines.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
        let name = HeaderName::from_bytes(name).map_err(|_| NotStored::Vary)?;
        if name == "*" || PER_REQUEST_FIELDS.contains(&name.as_str()) {
            return Err(NotStored::Vary);
        }
        if !CONSTANT_FIELDS.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() > MAX_SELECTING_FIELDS { Err(NotStored::Vary) } else { Ok(names.into()) }
}

/// `Accept` is in the key; the others are the same in every request to Graph.
const CONSTANT_FIELDS: [&str; 5] = ["accept", "accept-encoding", "host", "user-agent", "via"];
/// What correlates goes to Graph with another value each time.
const PER_REQUEST_FIELDS: [&str; 2] = ["client-request-id", "traceparent"];
const MAX_SELECTING_FIELDS: usize = 16;

#[cfg(test)]
mod tests;
