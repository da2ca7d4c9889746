//! `Vary`: secondary keys of stored responses (RFC 9111, section 4.1).
//!
//! `Vary` lists the request fields that selected a response. Fields that are equal in every request to Graph, or part of the
//! key, are ignored. Every other field must have the same value in a later request as in the original one, although Graph
//! never receives the field: this follows the RFC literally, and causes requests to Graph rather than wrong hits. Values are
//! not stored but hashed under a key of the process, because a value may be a cookie. `Authorization` stands for the token,
//! as its token hash.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use http::{HeaderMap, HeaderName, header};

use super::outcome::NotStored;
use crate::auth::TokenHash;
use crate::http::cache_control::split_outside_quotes;

/// The parts of a caller's request that `Vary` can name.
#[derive(Clone, Copy)]
pub struct SelectingRequest<'a> {
    /// The caller's fields. `Authorization` in them is ignored.
    pub headers: &'a HeaderMap,
    /// Hash of the caller's token.
    pub token: TokenHash,
}

/// Names of the fields that selected a response, and a hash of their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondaryKey {
    /// Sorted, without duplicates, never empty.
    fields: Box<[HeaderName]>,
    values_hash: u64,
}

/// Computes and compares secondary keys.
#[derive(Debug, Default)]
pub struct SecondaryKeyHasher(RandomState);

impl SecondaryKeyHasher {
    /// Computes the secondary key of `response` to `request`. Returns `None` if no selecting field can differ.
    pub fn compute(
        &self,
        response: &HeaderMap,
        request: SelectingRequest<'_>,
    ) -> Result<Option<SecondaryKey>, NotStored> {
        let fields = selecting_fields(response)?;
        if fields.is_empty() {
            return Ok(None);
        }
        let values_hash = self.values_hash(&fields, request);
        Ok(Some(SecondaryKey { fields, values_hash }))
    }

    /// Returns whether `request` selects a response with this secondary key.
    pub fn matches(&self, secondary_key: Option<&SecondaryKey>, request: SelectingRequest<'_>) -> bool {
        secondary_key.is_none_or(|secondary_key| {
            self.values_hash(&secondary_key.fields, request) == secondary_key.values_hash
        })
    }

    /// Hashes the values of the selecting fields. An absent field equals only an absent field, and several lines of one
    /// field count as one list (RFC 9110, section 5.3). As section 4.1 allows, white space around members is ignored, and so
    /// are case and order of languages.
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
    /// Returns a hash of the values of the selecting fields; never zero.
    pub fn selector(&self) -> u32 {
        let [a, b, c, d, ..] = self.values_hash.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d]) | 1
    }

    /// Returns whether both keys have the same selecting fields, regardless of the values.
    pub fn has_same_fields(&self, other: &Self) -> bool {
        self.fields == other.fields
    }

    /// Returns the approximate size in memory, bytes.
    pub fn weight(&self) -> usize {
        let names = self.fields.iter().map(|name| size_of::<HeaderName>() + name.as_str().len());
        size_of::<Self>() + names.sum::<usize>()
    }
}

/// Returns the fields in `Vary` that can differ between requests of one key. Fails if no later request can match: `*` in any
/// place, an invalid field name, or a field that differs in every request.
pub fn selecting_fields(response: &HeaderMap) -> Result<Box<[HeaderName]>, NotStored> {
    let mut names = Vec::new();
    let lines =
        response.get_all(header::VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    for name in lines.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
        if CONSTANT_FIELDS.iter().any(|constant| name.eq_ignore_ascii_case(constant.as_bytes())) {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(|_| NotStored::Vary)?;
        if name == "*" || PER_REQUEST_FIELDS.contains(&name.as_str()) {
            return Err(NotStored::Vary);
        }
        names.push(name);
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() > MAX_SELECTING_FIELDS { Err(NotStored::Vary) } else { Ok(names.into()) }
}

/// Fields that cannot differ within a key: `Accept` is part of the key; the others are equal in every request to Graph.
const CONSTANT_FIELDS: [&str; 5] = ["accept", "accept-encoding", "host", "user-agent", "via"];
/// Correlation fields: every request to Graph has another value.
const PER_REQUEST_FIELDS: [&str; 2] = ["client-request-id", "traceparent"];
const MAX_SELECTING_FIELDS: usize = 16;

#[cfg(test)]
mod tests;
