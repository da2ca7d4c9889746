//! Requests for a configuration: path, query and `Accept`, parsed as by Graph's OData front end.
//!
//! This parser does not use the proxy's parser, so that tests can find differences between the two.

use serde_json::Value;

use super::directory::Step;
use crate::support::labels::Label;

/// A request for the configuration of one flow.
#[derive(Debug, PartialEq)]
pub(crate) struct ConfigurationRequest {
    /// `v1.0` or `beta`.
    pub(crate) version: &'static str,
    pub(crate) flow: String,
    pub(crate) expand: Vec<ExpandItem>,
    pub(crate) select: Vec<String>,
    pub(crate) metadata: ODataMetadata,
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
pub(crate) enum InvalidRequest {
    /// The path has no route: 404.
    UnknownRoute,
    /// The query is invalid: 400 with this message.
    InvalidQuery(String),
}

impl ConfigurationRequest {
    pub(crate) fn parse(path: &str, query: &str, accept: &str) -> Result<Self, InvalidRequest> {
        let (version, flow) = route(path).ok_or(InvalidRequest::UnknownRoute)?;
        let mut request = Self {
            version,
            flow: flow.to_owned(),
            expand: Vec::new(),
            select: Vec::new(),
            metadata: ODataMetadata::parse(accept),
        };
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            // On v1.0 a name without `$` is a custom query option, which Graph ignores.
            let option = match name.strip_prefix('$') {
                Some(option) => option.to_owned(),
                None if version == "beta" && ["expand", "select"].contains(&&*name) => name.into_owned(),
                None => continue,
            };
            if seen.contains(&option) {
                let message = format!(
                    "Query option '${option}' was specified more than once, but it must be specified at most once."
                );
                return Err(InvalidRequest::InvalidQuery(message));
            }
            match option.as_str() {
                "expand" => request.expand = expansions(&value, version)?,
                "select" => request.select = identifiers(&value)?,
                _ => {
                    return Err(InvalidRequest::InvalidQuery(format!(
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
    route(path).map(|(_, flow)| flow)
}

fn route(path: &str) -> Option<(&'static str, &str)> {
    let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
    let version = ["v1.0", "beta"].into_iter().find(|known| *known == version)?;
    let segment = rest.strip_prefix("identity/b2xUserFlows")?.strip_suffix("/apiConnectorConfiguration")?;
    let id = match segment.strip_prefix("('").and_then(|key| key.strip_suffix("')")) {
        Some(key) => key,
        None => segment.strip_prefix('/')?,
    };
    (!id.is_empty() && !id.contains(['/', '%', '\''])).then_some((version, id))
}

/// Parses `a,b($select=x,y)`. Commas inside parentheses belong to the nested options.
fn expansions(list: &str, version: &str) -> Result<Vec<ExpandItem>, InvalidRequest> {
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

fn expansion(item: &str, version: &str) -> Result<ExpandItem, InvalidRequest> {
    let (name, nested) = match item.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(|| syntax_error(item))?),
        None => (item, ""),
    };
    let known =
        |step: &&Step| step.as_str() == name && (version == "beta" || **step != Step::PreTokenIssuance);
    let step = Step::ALL
        .iter()
        .find(known)
        .ok_or_else(|| unknown_property(name, "userFlowApiConnectorConfiguration"))?;
    let select = match nested.strip_prefix("$select=") {
        Some(list) => identifiers(list)?,
        None if nested.is_empty() => Vec::new(),
        None => return Err(syntax_error(item)),
    };
    match select.iter().find(|name| !CONNECTOR_PROPERTIES.contains(&name.as_str())) {
        Some(unknown) => Err(unknown_property(unknown, "identityApiConnector")),
        None => Ok(ExpandItem { step: *step, select }),
    }
}

fn identifiers(list: &str) -> Result<Vec<String>, InvalidRequest> {
    let is_identifier =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match list.split(',').find(|name| !is_identifier(name)) {
        Some(bad) => Err(syntax_error(bad)),
        None => Ok(list.split(',').map(str::to_owned).collect()),
    }
}

fn unknown_property(name: &str, entity: &str) -> InvalidRequest {
    InvalidRequest::InvalidQuery(format!(
        "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type \
         'microsoft.graph.{entity}'."
    ))
}

fn syntax_error(part: &str) -> InvalidRequest {
    let part = Value::from(part);
    InvalidRequest::InvalidQuery(format!("Parsing OData Select and Expand failed: Syntax error in {part}."))
}

const CONNECTOR_PROPERTIES: [&str; 4] = ["id", "displayName", "targetUrl", "authenticationConfiguration"];

#[cfg(test)]
mod tests;
