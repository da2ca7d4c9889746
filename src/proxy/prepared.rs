//! Results of the synchronous part of a request, for the part that may wait.

use std::sync::Arc;

use super::lookup::Found;
use crate::auth::Bypass;
use crate::auth::{Claims, Identity};
use crate::cache::entry::Entry;
use crate::cache::outcome::HitReason;
use crate::http::cache_control::CacheControl;
use crate::http::cache_status::Forward;
use crate::proxy::refresh_limit::RefreshDemand;
use crate::proxy::runtime_config::RuntimeConfig;
use crate::resource::Resource;

/// A request that a lookup could not respond to, with the values that the lookup computed. None of them is computed again.
#[derive(Debug)]
pub struct PreparedRequest {
    /// Live settings of this request.
    pub(super) config: Arc<RuntimeConfig>,
    pub(super) resource: Arc<Resource>,
    pub(super) identity: Identity,
    /// Claims of the token, or the reason why it may not use the cache.
    pub(super) claims: Result<Claims, Bypass>,
    /// The token has at least one proof, live or not.
    pub(super) is_proven: bool,
    /// Directives of the caller, where they are obeyed.
    pub(super) client: CacheControl,
    /// The request has `If-None-Match` or `If-Modified-Since`.
    pub(super) is_conditional: bool,
    pub(super) next: NextStep,
}

/// Decision of a lookup that found no usable entry.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Call Graph for this caller alone: the token may not use the cache.
    Bypass(Bypass),
    /// Respond with a stale entry, and refresh it in the background.
    Refresh(Found, Option<HitReason>),
    /// Call Graph. The entry, if there is one, may be renewed by a 304.
    Fetch(Forward, RefreshDemand, Option<Arc<Entry>>),
}

impl NextStep {
    /// Returns whether the response depends on Graph.
    pub(super) fn waits_for_graph(&self) -> bool {
        !matches!(self, Self::Refresh(..))
    }
}
