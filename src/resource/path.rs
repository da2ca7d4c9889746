//! Path to version, kind of flow and flow id.
//!
//! Graph matches the names in a path without regard to case ("are not case-sensitive", Graph documentation, "Traverse
//! Microsoft Graph"), and ids with regard to case.

use memchr::memchr;

use super::invalid::InvalidRequest;
use super::{ApiVersion, FlowKind};
use crate::support::labels::Label;

/// The parts of a path that distinguish two resources.
pub(super) struct ParsedPath<'a> {
    pub(super) version: ApiVersion,
    pub(super) kind: FlowKind,
    pub(super) flow: &'a str,
}

/// Parses a path. Nothing is decoded: a percent sign anywhere is refused.
pub(super) fn parse(path: &str, default_version: ApiVersion) -> Result<ParsedPath<'_>, InvalidRequest> {
    if memchr(b'%', path.as_bytes()).is_some() {
        return Err(InvalidRequest::PercentInPath);
    }
    let parsed = split(path, default_version).ok_or(InvalidRequest::Path)?;
    if parsed.kind == FlowKind::B2c && parsed.version == ApiVersion::V1 {
        return Err(InvalidRequest::B2cOnV1);
    }
    if is_flow_id(parsed.flow) { Ok(parsed) } else { Err(InvalidRequest::FlowId) }
}

/// Returns the kind of flow if the path has the form of the resource, whatever the flow id.
pub fn flow_kind_in_path(path: &str) -> Option<FlowKind> {
    split(path, ApiVersion::Beta).map(|parsed| parsed.kind)
}

/// Splits a path. The flow is the text in the place of the id.
fn split(path: &str, default_version: ApiVersion) -> Option<ParsedPath<'_>> {
    let versioned = |version: &ApiVersion| {
        let rest = strip_prefix(path.strip_prefix('/')?, version.as_str())?;
        // Clients whose base URL ends in a slash send two slashes after the version.
        Some((*version, rest.strip_prefix("//").map_or(rest, |_| rest.get(1..).unwrap_or(rest))))
    };
    let (version, rest) = ApiVersion::ALL.iter().find_map(versioned).unwrap_or((default_version, path));
    let rest = strip_prefix(rest, "/identity/")?;
    let kind = |kind: &FlowKind| Some((*kind, strip_prefix(rest, kind.as_str())?));
    let (kind, rest) = FlowKind::ALL.iter().find_map(kind)?;
    let (key, property) = rest.split_at_checked(rest.len().checked_sub(PROPERTY.len())?)?;
    is_name(property, PROPERTY).then_some(())?;
    let flow = match key.strip_prefix('/') {
        Some(segment) => segment,
        None => key.strip_prefix("('")?.strip_suffix("')")?,
    };
    memchr(b'/', flow.as_bytes()).is_none().then_some(ParsedPath { version, kind, flow })
}

/// Removes a prefix in any letter case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    is_name(start, prefix).then_some(rest)
}

/// Returns whether a text is this name in any letter case. Nearly all clients send the documented one.
fn is_name(text: &str, name: &str) -> bool {
    text == name || text.eq_ignore_ascii_case(name)
}

/// Returns whether `text` is a valid flow id.
pub fn is_flow_id(text: &str) -> bool {
    let is_flow_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= MAX_FLOW_ID_BYTES && text.bytes().all(is_flow_byte)
}

pub(super) const PROPERTY: &str = "/apiConnectorConfiguration";
const MAX_FLOW_ID_BYTES: usize = 128;
