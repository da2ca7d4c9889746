//! Requests for a configuration: path, query and `Accept`, parsed as by Graph's OData front end.
//!
//! This parser does not use the proxy's parser, so that tests can find differences between the two.

use serde_json::Value;

use super::directory::{FlowCollection, Step};
use crate::support::labels::Label;

/// A request for the configuration of one flow.
#[derive(Debug, PartialEq)]
pub(crate) struct ConfigurationRequest {
    /// `v1.0` or `beta`.
    pub(crate) version: &'static str,
    pub(crate) kind: FlowCollection,
    pub(crate) flow: String,
    pub(crate) expand: Vec<ExpandItem>,
    pub(crate) select: Vec<String>,
    pub(crate) metadata: ODataMetadata,
    /// `IEEE754Compatible`: 64-bit numbers are strings.
    pub(crate) numbers_as_strings: bool,
}

/// One item of `$expand`.
#[derive(Debug, PartialEq)]
pub(crate) struct ExpandItem {
    pub(crate) step: Step,
    /// The nested `$select`. Empty: all properties.
    pub(crate) select: Vec<String>,
}

/// The metadata level (`odata.metadata` in `Accept`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ODataMetadata {
    None,
    Minimal,
    Full,
}

impl ODataMetadata {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Full => "full",
        }
    }

    pub(crate) fn parse(accept: &str) -> Self {
        match accept.split([';', ',']).find_map(|part| part.trim().strip_prefix("odata.metadata=")) {
            Some("none") => Self::None,
            Some("full") => Self::Full,
            _ => Self::Minimal,
        }
    }
}

/// Reasons for a 404 or 400.
#[derive(Debug, PartialEq)]
pub(crate) enum UnsupportedRequest {
    /// The path has no route: 404.
    UnknownRoute,
    /// The query is invalid: 400 with this message.
    InvalidQuery(String),
}

impl ConfigurationRequest {
    pub(crate) fn parse(path: &str, query: &str, accept: &str) -> Result<Self, UnsupportedRequest> {
        let (version, kind, flow) = route(path).ok_or(UnsupportedRequest::UnknownRoute)?;
        let compatible = accept.split([';', ',']).any(|part| part.trim() == "IEEE754Compatible=true");
        let mut request = Self {
            version,
            kind,
            flow: flow.to_owned(),
            expand: Vec::new(),
            select: Vec::new(),
            metadata: ODataMetadata::parse(accept),
            numbers_as_strings: compatible,
        };
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let name = name.to_ascii_lowercase();
            // On v1.0 a name without `$` is a custom query option, which Graph ignores.
            let option = match name.strip_prefix('$') {
                Some(option) => option.to_owned(),
                None if version == "beta" && ["expand", "select"].contains(&&*name) => name,
                None => continue,
            };
            if seen.contains(&option) {
                let message = format!(
                    "Query option '${option}' was specified more than once, but it must be specified at most once."
                );
                return Err(UnsupportedRequest::InvalidQuery(message));
            }
            match option.as_str() {
                "expand" => request.expand = expansions(&value, version)?,
                "select" => request.select = identifiers(&value)?,
                _ => {
                    return Err(UnsupportedRequest::InvalidQuery(format!(
                        "The query parameter '${option}' is not supported."
                    )));
                }
            }
            seen.push(option);
        }
        Ok(request)
    }
}

/// Returns the flow id in a path, for the counters, also if the rest of the request is invalid.
pub(crate) fn flow_in_path(path: &str) -> Option<&str> {
    route(path).map(|(_, _, flow)| flow)
}

/// Parses a path. Graph ignores the letter case of its names, not of the id.
fn route(path: &str) -> Option<(&'static str, FlowCollection, &str)> {
    let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
    let version = ["v1.0", "beta"].into_iter().find(|known| known.eq_ignore_ascii_case(version))?;
    let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
    let segments: Vec<&str> = rest.split('/').collect();
    let (collection, id) = match segments[..] {
        [identity, collection, id, property] if is(identity, "identity") && is(property, PROPERTY) => {
            (collection, id)
        }
        [identity, key, property] if is(identity, "identity") && is(property, PROPERTY) => {
            key.strip_suffix("')")?.split_once("('")?
        }
        _ => return None,
    };
    let kind = *FlowCollection::ALL.iter().find(|kind| is(collection, kind.as_str()))?;
    let exists = kind == FlowCollection::B2x || version == "beta";
    (exists && !id.is_empty() && !id.contains(['%', '\''])).then_some((version, kind, id))
}

/// Parses `a,b($select=x,y)`. Commas inside parentheses belong to the nested options.
fn expansions(list: &str, version: &str) -> Result<Vec<ExpandItem>, UnsupportedRequest> {
    let mut depth = 0_usize;
    let items = list.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    let mut found: Vec<ExpandItem> = Vec::new();
    for item in items {
        let expansion = expansion(item, version)?;
        if found.iter().all(|earlier| earlier.step != expansion.step) {
            found.push(expansion);
        }
    }
    Ok(found)
}

fn expansion(item: &str, version: &str) -> Result<ExpandItem, UnsupportedRequest> {
    let item = item.trim_matches(' ');
    let (name, nested) = match item.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(|| syntax_error(item))?.trim()),
        None => (item, ""),
    };
    let known = |step: &&Step| {
        step.as_str().eq_ignore_ascii_case(name) && (version == "beta" || **step != Step::PreTokenIssuance)
    };
    let step = Step::ALL
        .iter()
        .find(known)
        .ok_or_else(|| unknown_property(name, "userFlowApiConnectorConfiguration"))?;
    let select = match nested.split_once('=') {
        Some((option, list)) if option.trim().eq_ignore_ascii_case("$select") => identifiers(list)?,
        None if nested.is_empty() => Vec::new(),
        _ => return Err(syntax_error(item)),
    };
    let property = |name: &String| {
        let known = CONNECTOR_PROPERTIES.iter().find(|known| known.eq_ignore_ascii_case(name));
        known.map(|known| (*known).to_owned()).ok_or_else(|| unknown_property(name, "identityApiConnector"))
    };
    Ok(ExpandItem { step: *step, select: select.iter().map(property).collect::<Result<_, _>>()? })
}

fn identifiers(list: &str) -> Result<Vec<String>, UnsupportedRequest> {
    let is_identifier =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let names = || list.split(',').map(|name| name.trim_matches(' '));
    match names().find(|name| !is_identifier(name)) {
        Some(bad) => Err(syntax_error(bad)),
        None => Ok(names().map(str::to_owned).collect()),
    }
}

fn unknown_property(name: &str, entity: &str) -> UnsupportedRequest {
    UnsupportedRequest::InvalidQuery(format!(
        "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type \
         'microsoft.graph.{entity}'."
    ))
}

fn syntax_error(part: &str) -> UnsupportedRequest {
    let part = Value::from(part);
    UnsupportedRequest::InvalidQuery(format!(
        "Parsing OData Select and Expand failed: Syntax error in {part}."
    ))
}

const PROPERTY: &str = "apiConnectorConfiguration";
const CONNECTOR_PROPERTIES: [&str; 4] = ["id", "displayName", "targetUrl", "authenticationConfiguration"];

#[cfg(test)]
mod tests;
