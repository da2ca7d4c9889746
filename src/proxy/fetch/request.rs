//! A question to Graph: what is asked, in whose name, and what is known before.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, header};

use crate::auth::{Claims, Identity};
use crate::cache::entry::Entry;
use crate::cache::outcome::Bypass;
use crate::cache::vary::SelectingRequest;
use crate::http::ids::Ids;
use crate::resource::Resource;
use crate::upstream::breaker::{BreakerCaller, CallerScope};
use crate::upstream::permits::PermitOwner;
use crate::upstream::unproven_limit::TokenSource;

/// What is asked, and by whom. It lives as long as the question and holds the token no longer.
#[derive(Debug)]
pub struct FetchRequest {
    /// What is asked for.
    pub resource: Arc<Resource>,
    /// Whose token asks.
    pub identity: Identity,
    /// What the token says, or why it may not use the cache.
    pub claims: Result<Claims, Bypass>,
    /// Address and port of the caller. The bytes of Graph's answer are charged to the address.
    pub peer: SocketAddr,
    /// The token has at least one proof, live or not.
    pub is_proven: bool,
    /// The caller forbids that the answer is stored, and is obeyed.
    pub no_store: bool,
    /// The caller's fields, for `Vary`. None of them goes to Graph.
    pub headers: CallerFields,
    /// A stored answer that this token may not be given without Graph's word.
    pub stored: Option<Arc<Entry>>,
    /// For correlation.
    pub ids: Ids,
}

impl FetchRequest {
    /// Returns the question with a stored answer that a 304 may renew.
    #[must_use]
    pub fn with_stored(self, stored: Arc<Entry>) -> Self {
        Self { stored: Some(stored), ..self }
    }

    /// Returns the sender of the request, for the limits of unproven tokens.
    pub fn sender(&self) -> TokenSource {
        TokenSource::new(self.peer, self.identity.token_hash)
    }

    /// Returns the owner of the permit for this question. A proven token whose claims cannot be used competes by its
    /// address, like an unproven one, but within the permits of proven tokens.
    pub fn owner(&self) -> PermitOwner {
        match (self.is_proven, &self.claims) {
            (false, _) => PermitOwner::Unproven(self.sender().path()),
            (true, Err(_)) => PermitOwner::Proven(self.sender().path()),
            (true, Ok(claims)) => PermitOwner::Proven([
                claims.tenant.share_key(),
                claims.application.share_key(),
                self.identity.token_hash.share_key(),
            ]),
        }
    }

    /// Scope of the breakers. A token with proofs but without usable claims is at its end, and has no application.
    pub fn breaker_scope(&self) -> CallerScope {
        let caller = match self.claims {
            Ok(Claims { tenant, application, subjects: [user, _], .. }) if self.is_proven => {
                BreakerCaller::Proven { tenant, application, user, token: self.identity.token_hash }
            }
            claims => {
                let claimed = claims.ok().map(|claims| claims.application);
                BreakerCaller::Unproven { token: self.identity.token_hash, claimed }
            }
        };
        CallerScope { resource: self.resource.digest(), caller }
    }

    /// The caller's request, as `Vary` sees it.
    pub fn selecting_request(&self) -> SelectingRequest<'_> {
        SelectingRequest { headers: self.headers.as_map(), token: self.identity.token_hash }
    }
}

/// Header fields of a caller's request without the token. `Debug` shows none of them. Clones share them.
#[derive(Clone, Default)]
pub struct CallerFields(Arc<HeaderMap>);

impl CallerFields {
    /// Keeps the fields that an answer may depend on. The token is in the identity; the fields that are the same in every
    /// request to Graph, or new in each request, choose no answer.
    pub fn new(mut headers: HeaderMap) -> Self {
        for name in [header::AUTHORIZATION, header::HOST, header::USER_AGENT, header::VIA] {
            headers.remove(name);
        }
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
