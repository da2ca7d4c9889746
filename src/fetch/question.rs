//! A question to Graph: what is asked, in whose name, and what is known before.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, header};

use crate::cache::entry::Entry;
use crate::cache::status::Bypass;
use crate::cache::vary::Presented;
use crate::identity::{Claims, Identity};
use crate::ids::Ids;
use crate::resource::Resource;
use crate::throttle::Comer;

/// What is asked, and by whom. It lives as long as the question and holds the token no longer.
#[derive(Debug)]
pub struct Question {
    /// What is asked for.
    pub resource: Arc<Resource>,
    /// Whose token asks.
    pub identity: Identity,
    /// What the token says, or why it may not use the cache.
    pub claims: Result<Claims, Bypass>,
    /// The caller's address, where its token has no proof at all: it asks within the budget of such.
    pub unproven: Option<IpAddr>,
    /// The caller's address. The bytes of Graph's answer are charged to it.
    pub peer: IpAddr,
    /// The caller forbids that the answer is stored, and is obeyed.
    pub no_store: bool,
    /// The caller's fields, for `Vary`. None of them goes to Graph.
    pub headers: CallerFields,
    /// A stored answer that this token may not be given without Graph's word.
    pub stored: Option<Arc<Entry>>,
    /// For correlation.
    pub ids: Ids,
}

impl Question {
    /// The same for a caller that sent `headers`, where `stored` may be renewed by a 304.
    #[must_use]
    pub fn of_caller(mut self, headers: &HeaderMap, stored: Option<Arc<Entry>>) -> Self {
        self.headers.0.clone_from(headers);
        self.headers.0.remove(header::AUTHORIZATION);
        self.stored = stored;
        self
    }

    /// Whom the gates see.
    pub fn comer(&self) -> Comer {
        Comer {
            token: self.identity.fingerprint,
            application: self.claims.ok().map(|claims| claims.application),
            proven: self.unproven.is_none(),
        }
    }

    /// The caller's request, as `Vary` sees it.
    pub fn presented(&self) -> Presented<'_> {
        Presented { headers: &self.headers.0, token: self.identity.fingerprint }
    }
}

/// A caller's header fields, but for its token. What is in them is nobody's to print.
#[derive(Default)]
pub struct CallerFields(HeaderMap);

impl std::fmt::Debug for CallerFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallerFields(<redacted>)")
    }
}
