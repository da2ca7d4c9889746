//! What a request asks for: path, query and `Accept`, read as Graph's OData front end reads them.
//!
//! This is a second reading, made without the proxy's parser, so that the two can disagree.

use serde_json::Value;

use super::directory::Step;
use crate::support::labels::Label;

/// A request for the configuration of one flow.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    /// `v1.0` or `beta`.
    pub(crate) version: &'static str,
    pub(crate) flow: String,
    pub(crate) expand: Vec<Expansion>,
    pub(crate) select: Vec<String>,
    pub(crate) metadata: Metadata,
}

/// One item of `$expand`.
#[derive(Debug, PartialEq)]
pub(crate) struct Expansion {
    pub(crate) step: Step,
    /// The nested `$select`. Empty means everything.
    pub(crate) select: Vec<String>,
}

/// How much OData says about the data (`odata.metadata` in `Accept`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    None,
    Minimal,
    Full,
}

impl Metadata {
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

/// Why a request names nothing that Graph has.
#[derive(Debug, PartialEq)]
pub(crate) enum Unasked {
    /// No such route: 404.
    Path,
    /// The query cannot be read: 400 with this message.
    Query(String),
}

impl Question {
    pub(crate) fn parse(path: &str, query: &str, accept: &str) -> Result<Self, Unasked> {
        let (version, flow) = route(path).ok_or(Unasked::Path)?;
        let mut question = Self {
            version,
            flow: flow.to_owned(),
            expand: Vec::new(),
            select: Vec::new(),
            metadata: Metadata::parse(accept),
        };
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            // On v1.0 a name without `$` is a custom option, which is ignored without a word.
            let option = match name.strip_prefix('$') {
                Some(option) => option.to_owned(),
                None if version == "beta" && ["expand", "select"].contains(&&*name) => name.into_owned(),
                None => continue,
            };
            if seen.contains(&option) {
                let message = format!(
                    "Query option '${option}' was specified more than once, but it must be specified at most once."
                );
                return Err(Unasked::Query(message));
            }
            match option.as_str() {
                "expand" => question.expand = expansions(&value, version)?,
                "select" => question.select = identifiers(&value)?,
                _ => {
                    return Err(Unasked::Query(format!("The query parameter '${option}' is not supported.")));
                }
            }
            seen.push(option);
        }
        Ok(question)
    }
}

/// The flow's id, for the counters, whether or not the rest of the request makes sense.
pub(crate) fn flow_of(path: &str) -> Option<&str> {
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

/// `a,b($select=x,y)`: commas inside parentheses belong to the nested options.
fn expansions(list: &str, version: &str) -> Result<Vec<Expansion>, Unasked> {
    let mut depth = 0_usize;
    let items = list.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    let mut found: Vec<Expansion> = Vec::new();
    for item in items {
        let expansion = expansion(item, version)?;
        if found.iter().all(|earlier| earlier.step != expansion.step) {
            found.push(expansion);
        }
    }
    Ok(found)
}

fn expansion(item: &str, version: &str) -> Result<Expansion, Unasked> {
    let (name, nested) = match item.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(|| unreadable(item))?),
        None => (item, ""),
    };
    let known =
        |step: &&Step| step.as_str() == name && (version == "beta" || **step != Step::PreTokenIssuance);
    let step =
        Step::ALL.iter().find(known).ok_or_else(|| no_property(name, "userFlowApiConnectorConfiguration"))?;
    let select = match nested.strip_prefix("$select=") {
        Some(list) => identifiers(list)?,
        None if nested.is_empty() => Vec::new(),
        None => return Err(unreadable(item)),
    };
    match select.iter().find(|name| !CONNECTOR_PROPERTIES.contains(&name.as_str())) {
        Some(unknown) => Err(no_property(unknown, "identityApiConnector")),
        None => Ok(Expansion { step: *step, select }),
    }
}

fn identifiers(list: &str) -> Result<Vec<String>, Unasked> {
    let is_identifier =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match list.split(',').find(|name| !is_identifier(name)) {
        Some(bad) => Err(unreadable(bad)),
        None => Ok(list.split(',').map(str::to_owned).collect()),
    }
}

fn no_property(name: &str, entity: &str) -> Unasked {
    Unasked::Query(format!(
        "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type \
         'microsoft.graph.{entity}'."
    ))
}

fn unreadable(part: &str) -> Unasked {
    let part = Value::from(part);
    Unasked::Query(format!("Parsing OData Select and Expand failed: Syntax error in {part}."))
}

const CONNECTOR_PROPERTIES: [&str; 4] = ["id", "displayName", "targetUrl", "authenticationConfiguration"];

#[cfg(test)]
mod tests;
