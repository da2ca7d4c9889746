//! Request for a fetch: the resource, the caller and its token, and the entry that a 304 may renew.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, header};

use crate::auth::{Bypass, CallerNames, Claims, Identity};
use crate::cache::entry::Entry;
use crate::cache::vary::SelectingRequest;
use crate::http::ids::Ids;
use crate::proxy::runtime_config::RuntimeConfig;
use crate::resource::Resource;
use crate::upstream::breaker::{BreakerCaller, CallerScope};
use crate::upstream::permits::PermitOwner;
use crate::upstream::unproven_limit::TokenSource;

/// Request for a fetch. It holds the token only as long as the fetch needs it.
#[derive(Debug)]
pub struct FetchRequest {
    /// Live settings of the request.
    pub config: Arc<RuntimeConfig>,
    /// Resource.
    pub resource: Arc<Resource>,
    /// Identity of the caller, with its token.
    pub identity: Identity,
    /// Claims of the token, or the reason why it may not use the cache.
    pub claims: Result<Claims, Bypass>,
    /// Address and port of the caller. The bytes of Graph's response are charged to the address.
    pub peer: SocketAddr,
    /// The token has at least one proof, live or not.
    pub is_proven: bool,
    /// The caller sent `no-store`, and `cache.client_directives` is `honor`.
    pub no_store: bool,
    /// Header fields of the caller, for `Vary`. None of them goes to Graph.
    pub headers: CallerFields,
    /// Stored entry that a 304 may renew.
    pub stored: Option<Arc<Entry>>,
    /// The caller has received the stored entry already.
    pub is_background: bool,
    /// Ids for correlation.
    pub ids: Ids,
}

impl FetchRequest {
    /// Returns the source of the token, for the limits of unproven tokens.
    pub fn token_source(&self) -> TokenSource {
        TokenSource::new(self.peer, self.identity.token_hash)
    }

    /// Returns the owner of the upstream permit. A proven token whose claims cannot be used competes by its address, like
    /// an unproven one, but within the permits of proven tokens.
    pub fn permit_owner(&self) -> PermitOwner {
        match (self.is_proven, &self.claims) {
            (false, _) => PermitOwner::Unproven(self.token_source().path()),
            (true, Err(_)) => PermitOwner::Proven(self.token_source().path()),
            (true, Ok(claims)) => PermitOwner::Proven([
                claims.names.tenant.share_key(),
                claims.application.share_key(),
                self.identity.token_hash.share_key(),
            ]),
        }
    }

    /// Returns the scope of the breakers. A token with proofs but without usable claims is about to expire, and has no
    /// application.
    pub fn breaker_scope(&self) -> CallerScope {
        let caller = match &self.claims {
            &Ok(Claims { ref names, application, .. }) if self.is_proven => {
                let CallerNames { tenant, subjects: [user, _] } = **names;
                BreakerCaller::Proven { tenant, application, user, token: self.identity.token_hash }
            }
            claims => {
                let claimed = claims.as_ref().ok().map(|claims| claims.application);
                BreakerCaller::Unproven { token: self.identity.token_hash, claimed }
            }
        };
        CallerScope { resource: self.resource.digest(), caller }
    }

    /// Returns the caller's request, as `Vary` sees it.
    pub fn selecting_request(&self) -> SelectingRequest<'_> {
        SelectingRequest { headers: self.headers.as_map(), token: self.identity.token_hash }
    }
}

/// Header fields of a caller's request without the token. `Debug` shows none of them. Clones share them.
#[derive(Clone, Default)]
pub struct CallerFields(Arc<HeaderMap>);

impl CallerFields {
    /// Keeps all fields but the token, which is in the identity.
    pub fn new(mut headers: HeaderMap) -> Self {
        headers.remove(header::AUTHORIZATION);
        Self(Arc::new(headers))
    }

    /// Returns the fields.
    pub fn as_map(&self) -> &HeaderMap {
        &self.0
    }
}

impl std::fmt::Debug for CallerFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallerFields(<redacted>)")
    }
}
