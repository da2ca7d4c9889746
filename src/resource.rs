//! Path and query to resource, and back.
//!
//! A [`Resource`] is what is keyed and what is forwarded (promise 1): the request to Graph is spelled from
//! it alone, so two requests with equal resources cannot ask Graph for different things. Whatever it cannot
//! hold is refused here, before Graph is asked.

mod accept;
mod query;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};

pub use self::accept::Metadata;
use self::query::{Expand, PropertyNames};
use crate::http::error::Rejection;
use crate::support::labels::{Label, labels};

labels! {
    /// The version of Graph's API.
    pub enum ApiVersion {
        /// `v1.0`
        V1 = "v1.0",
        /// `beta`
        Beta = "beta",
    }
}

/// The API connector configuration of one user flow, in one version and shape.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    /// Compared first: of two that differ it nearly always does.
    digest: u64,
    named: Named,
}

/// All that tells two resources apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Named {
    version: ApiVersion,
    flow: Box<str>,
    expand: Expand,
    select: PropertyNames,
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
        if !is_flow_id(flow) {
            return Err(Rejection::FlowId);
        }
        let (expand, select) = query::parse(query.unwrap_or_default(), version).ok_or(Rejection::Query)?;
        let metadata = Metadata::accepted(headers).ok_or(Rejection::Accept)?;
        Ok(Named { version, flow: flow.into(), expand, select, metadata }.into())
    }

    /// The target of the request to Graph: the one canonical spelling.
    pub fn target(&self) -> String {
        let Named { version, flow, expand, select, .. } = &self.named;
        let mut target = String::with_capacity(TARGET_LENGTH);
        target.extend(["/", version.as_str(), COLLECTION, "/", flow, PROPERTY]);
        if !expand.is_empty() {
            target.push_str("?$expand=");
            expand.spell(&mut target);
        }
        if !select.is_empty() {
            target.push_str(if expand.is_empty() { "?$select=" } else { "&$select=" });
            select.spell(&mut target);
        }
        target
    }

    /// The `Accept` of the request to Graph.
    pub fn accept(&self) -> HeaderValue {
        self.named.metadata.header()
    }

    /// The user flow's id.
    pub fn flow(&self) -> &str {
        &self.named.flow
    }

    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let Named { flow, expand, select, .. } = &self.named;
        size_of::<Self>() + flow.len() + expand.weight() + select.weight()
    }

    /// A hash of all of it under a key of the process. Two that differ may have one.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// A resource is looked up by a dozen times on its way to Graph and back: it is hashed once.
impl From<Named> for Resource {
    fn from(named: Named) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { digest: KEY.hash_one(&named), named }
    }
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// Flow ids are looked up by operators, not by readers of logs.
impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource").field("version", &self.named.version).finish_non_exhaustive()
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

/// Whether this may be the id of a flow.
pub fn is_flow_id(text: &str) -> bool {
    let is_flow_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= FLOW_ID_LENGTH && text.bytes().all(is_flow_byte)
}

const COLLECTION: &str = "/identity/b2xUserFlows";
const PROPERTY: &str = "/apiConnectorConfiguration";
const FLOW_ID_LENGTH: usize = 128;
/// As long as targets usually are.
const TARGET_LENGTH: usize = 192;

#[cfg(test)]
mod tests;
