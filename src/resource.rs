//! Path and query to resource, and back.
//!
//! A [`Resource`] is both the cache key and the source of the request to Graph (promise 1): the request to Graph is built
//! from it alone, so two requests with equal resources cannot cause different requests to Graph. Requests that a resource
//! cannot represent are rejected here, before any request to Graph.
//!
//! This module knows nothing about tokens, caching or connections.

mod accept;
mod query;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};

pub use self::accept::Metadata;
use self::query::{Expand, PropertyNames};
use crate::http::rejection::Rejection;
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
    /// Hash of `parts`. It is compared first: it nearly always differs if the parts differ.
    digest: u64,
    parts: ResourceParts,
}

/// Everything that distinguishes two resources.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ResourceParts {
    version: ApiVersion,
    flow: Box<str>,
    expand: Expand,
    select: PropertyNames,
    metadata: Metadata,
}

impl Resource {
    /// Parses a request's path, query and `Accept`.
    ///
    /// The path is `/{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration`, or
    /// `b2xUserFlows('{id}')` in OData's key syntax. The slash after the version may be doubled (clients whose base URL
    /// ends in a slash send this). A path without a version uses `default_version`. Segments are compared byte for byte
    /// and never decoded: a percent sign anywhere in the path is rejected.
    pub fn parse(
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        default_version: ApiVersion,
    ) -> Result<Self, Rejection> {
        if path.contains('%') {
            return Err(Rejection::PercentInPath);
        }
        let (version, flow) = parse_path(path, default_version).ok_or(Rejection::Path)?;
        if !is_flow_id(flow) {
            return Err(Rejection::FlowId);
        }
        let (expand, select) = query::parse(query.unwrap_or_default(), version).ok_or(Rejection::Query)?;
        let metadata = Metadata::from_accept(headers).ok_or(Rejection::Accept)?;
        Ok(ResourceParts { version, flow: flow.into(), expand, select, metadata }.into())
    }

    /// Returns the target of the request to Graph, in its only canonical form.
    pub fn target(&self) -> String {
        let ResourceParts { version, flow, expand, select, .. } = &self.parts;
        let mut target = String::with_capacity(TYPICAL_TARGET_BYTES);
        target.extend(["/", version.as_str(), COLLECTION, "/", flow, PROPERTY]);
        if !expand.is_empty() {
            target.push_str("?$expand=");
            expand.write_to(&mut target);
        }
        if !select.is_empty() {
            target.push_str(if expand.is_empty() { "?$select=" } else { "&$select=" });
            select.write_to(&mut target);
        }
        target
    }

    /// Returns the `Accept` value of the request to Graph.
    pub fn accept(&self) -> HeaderValue {
        self.parts.metadata.accept_value()
    }

    /// Returns the user flow's id.
    pub fn flow(&self) -> &str {
        &self.parts.flow
    }

    /// Returns the approximate size in memory, bytes.
    pub fn weight(&self) -> usize {
        let ResourceParts { flow, expand, select, .. } = &self.parts;
        size_of::<Self>() + flow.len() + expand.weight() + select.weight()
    }

    /// Returns a hash of all parts under a key of the process. Different resources may have equal digests.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// Computes the digest once, because a resource is a lookup key about a dozen times in one request.
impl From<ResourceParts> for Resource {
    fn from(parts: ResourceParts) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { digest: HASHER.hash_one(&parts), parts }
    }
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// Shows no flow id: flow ids do not belong in logs.
impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource").field("version", &self.parts.version).finish_non_exhaustive()
    }
}

/// Splits a path into the version and the text in the place of the flow id.
fn parse_path(path: &str, default_version: ApiVersion) -> Option<(ApiVersion, &str)> {
    let versioned = |version: ApiVersion| {
        let rest = path.strip_prefix('/')?.strip_prefix(version.as_str())?;
        Some((version, rest.strip_prefix("//").map_or(rest, |_| rest.get(1..).unwrap_or(rest))))
    };
    let (version, rest) =
        versioned(ApiVersion::V1).or_else(|| versioned(ApiVersion::Beta)).unwrap_or((default_version, path));
    let key = rest.strip_prefix(COLLECTION)?.strip_suffix(PROPERTY)?;
    let flow = match key.strip_prefix('/') {
        Some(segment) => segment,
        None => key.strip_prefix("('")?.strip_suffix("')")?,
    };
    (!flow.contains('/')).then_some((version, flow))
}

/// Returns whether `text` is a valid flow id.
pub fn is_flow_id(text: &str) -> bool {
    let is_flow_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= MAX_FLOW_ID_BYTES && text.bytes().all(is_flow_byte)
}

const COLLECTION: &str = "/identity/b2xUserFlows";
const PROPERTY: &str = "/apiConnectorConfiguration";
const MAX_FLOW_ID_BYTES: usize = 128;
/// Initial capacity of a target; most targets fit.
const TYPICAL_TARGET_BYTES: usize = 192;

#[cfg(test)]
mod tests;
