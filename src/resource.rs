//! Path and query to resource, and back.
//!
//! A [`Resource`] is both the cache key and the source of the request to Graph (promise 1): the request to Graph is built
//! from it alone, so two requests with equal resources cannot cause different requests to Graph. Requests that a resource
//! cannot represent are rejected here, before any request to Graph.
//!
//! This module knows nothing about tokens, caching or connections.

mod accept;
mod invalid;
mod path;
mod properties;
mod query;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};

pub use self::accept::{Metadata, ResponseFormat};
pub use self::invalid::{InvalidRequest, OptionName, QueryError};
use self::path::{PROPERTY, ParsedPath};
pub use self::path::{flow_kind_in_path, is_flow_id};
use self::properties::PropertySet;
pub use self::properties::SelectPlace;
use self::query::Expand;
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

labels! {
    /// The kind of a user flow: the collection that the flow is in. Both kinds have the same type of configuration.
    pub enum FlowKind {
        /// Flows for guests of a workforce tenant (`b2xIdentityUserFlow`).
        B2x = "b2xUserFlows",
        /// Flows of an Azure AD B2C tenant (`b2cIdentityUserFlow`). On beta only.
        B2c = "b2cUserFlows",
    }
}

/// The API connector configuration of one user flow, in one version and form.
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
    kind: FlowKind,
    flow: Box<str>,
    expand: Expand,
    select: PropertySet,
    format: ResponseFormat,
}

impl Resource {
    /// Parses a request's path, query and `Accept`.
    ///
    /// The path is `/{version}/identity/{b2xUserFlows|b2cUserFlows}/{id}/apiConnectorConfiguration`, or
    /// `b2xUserFlows('{id}')` in OData's key syntax. The slash after the version may be doubled (clients whose base URL
    /// ends in a slash send this). A path without a version uses `default_version`. As in Graph, names match in any letter
    /// case, and the id of the flow keeps its case.
    pub fn parse(
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        default_version: ApiVersion,
    ) -> Result<Self, InvalidRequest> {
        let ParsedPath { version, kind, flow } = path::parse(path, default_version)?;
        let (expand, select) =
            query::parse(query.unwrap_or_default(), version).map_err(InvalidRequest::Query)?;
        let format = ResponseFormat::from_accept(headers).ok_or(InvalidRequest::Accept)?;
        Ok(ResourceParts { version, kind, flow: flow.into(), expand, select, format }.into())
    }

    /// Returns the target of the request to Graph, in its only canonical form.
    pub fn target(&self) -> String {
        let ResourceParts { version, kind, flow, expand, select, .. } = &self.parts;
        let mut target = String::with_capacity(TYPICAL_TARGET_BYTES);
        target.extend(["/", version.as_str(), "/identity/", kind.as_str(), "/", flow, PROPERTY]);
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
        self.parts.format.accept_value()
    }

    /// Returns the kind of the user flow.
    pub fn kind(&self) -> FlowKind {
        self.parts.kind
    }

    /// Returns the user flow's id.
    pub fn flow(&self) -> &str {
        &self.parts.flow
    }

    /// Returns the approximate size in memory, bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.parts.flow.len()
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
        let ResourceParts { version, kind, .. } = &self.parts;
        f.debug_struct("Resource").field("version", version).field("kind", kind).finish_non_exhaustive()
    }
}

/// Initial capacity of a target; most targets fit.
const TYPICAL_TARGET_BYTES: usize = 192;

#[cfg(test)]
mod tests;
