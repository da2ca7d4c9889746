//! Path and query to resource, and back.
//!
//! A [`Resource`] is what is keyed and what is forwarded (promise 1): the request to Graph is spelled from
//! it alone, so two requests with equal resources cannot ask Graph for different things. Whatever it cannot
//! hold is refused here, before Graph is asked.

mod accept;
mod query;

use http::{HeaderMap, HeaderValue};

pub use self::accept::Metadata;
use self::query::{Expand, Names};
use crate::error::Rejection;
use crate::sabotage::sabotaged;
use crate::words::{Word, words};

words! {
    /// The version of Graph's API.
    pub enum ApiVersion {
        /// `v1.0`
        V1 = "v1.0",
        /// `beta`
        Beta = "beta",
    }
}

/// The API connector configuration of one user flow, in one version and shape.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    version: ApiVersion,
    flow: Box<str>,
    expand: Expand,
    select: Names,
    metadata: Metadata,
}

impl Resource {
    /// Reads a request's path, query and `Accept`.
    ///
    /// The path is `/{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration`, or
    /// `b2xUserFlows('{id}')` in OData's key syntax; the slash after the version may be doubled (a client
    /// whose base URL ends in a slash does that); without a version it is `default_version`'s. Segments are
    /// compared byte for byte and never decoded: a percent sign is refused wherever it is.
    pub fn parse(
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        default_version: ApiVersion,
    ) -> Result<Self, Rejection> {
        if path.contains('%') {
            return Err(Rejection::PercentInPath);
        }
        let (version, flow) = locate(path, default_version).ok_or(Rejection::Path)?;
        if flow.is_empty() || flow.len() > FLOW_ID_LENGTH || !flow.bytes().all(is_flow_byte) {
            return Err(Rejection::FlowId);
        }
        let (expand, select) = query::parse(query.unwrap_or_default(), version).ok_or(Rejection::Query)?;
        let metadata = Metadata::accepted(headers).ok_or(Rejection::Accept)?;
        Ok(Self { version, flow: flow.into(), expand, select, metadata })
    }

    /// The target of the request to Graph: the one canonical spelling.
    pub fn target(&self) -> String {
        let mut target = format!("/{}{COLLECTION}/{}{PROPERTY}", self.version.as_str(), self.flow);
        let mut separator = '?';
        let select = sabotaged!(SelectNotForwarded, String::new(), self.select.to_string());
        for (name, value) in [("$expand", self.expand.to_string()), ("$select", select)] {
            if !value.is_empty() {
                target.push(separator);
                target.push_str(name);
                target.push('=');
                target.push_str(&value);
                separator = '&';
            }
        }
        target
    }

    /// The same as if nothing were expanded.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn without_expand(&self) -> Self {
        Self { expand: Expand::default(), ..self.clone() }
    }

    /// The `Accept` of the request to Graph.
    pub fn accept(&self) -> HeaderValue {
        self.metadata.header()
    }

    /// The user flow's id.
    pub fn flow(&self) -> &str {
        &self.flow
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.flow.len() + self.expand.weight() + self.select.weight()
    }
}

/// Flow ids are looked up by operators, not by readers of logs.
impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The version and what stands where the flow id should.
fn locate(path: &str, default_version: ApiVersion) -> Option<(ApiVersion, &str)> {
    let versioned = |version: ApiVersion| {
        let rest = path.strip_prefix('/')?.strip_prefix(version.as_str())?;
        Some((version, rest.strip_prefix("//").map_or(rest, |_| rest.get(1..).unwrap_or(rest))))
    };
    let (version, rest) =
        versioned(ApiVersion::V1).or_else(|| versioned(ApiVersion::Beta)).unwrap_or((default_version, path));
    let keyed = rest.strip_prefix(COLLECTION)?.strip_suffix(PROPERTY)?;
    let flow = match keyed.strip_prefix('/') {
        Some(segment) => segment,
        None => keyed.strip_prefix("('")?.strip_suffix("')")?,
    };
    (!flow.contains('/')).then_some((version, flow))
}

fn is_flow_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

const COLLECTION: &str = "/identity/b2xUserFlows";
const PROPERTY: &str = "/apiConnectorConfiguration";
const FLOW_ID_LENGTH: usize = 128;

#[cfg(test)]
mod tests;
