//! Scope of a request: the breakers that it passes.

use crate::auth::{ClaimHash, TokenHash};

/// Scope of a request: the breakers that it passes, and whether its outcome changes them.
#[derive(Clone, Copy, Debug)]
pub struct CallerScope {
    /// Keyed hash of the resource.
    pub resource: u64,
    /// Caller of the request.
    pub caller: BreakerCaller,
}

/// Caller of a request, as far as breakers distinguish callers.
#[derive(Clone, Copy, Debug)]
pub enum BreakerCaller {
    /// A token with proofs.
    Proven {
        /// Tenant of the application.
        tenant: ClaimHash,
        /// Application in its tenant.
        application: ClaimHash,
        /// User of the token, or the application itself if the token has no user.
        user: ClaimHash,
        /// The token.
        token: TokenHash,
    },
    /// A token without a proof.
    Unproven {
        /// The token.
        token: TokenHash,
        /// Application in its tenant that the token claims.
        claimed: Option<ClaimHash>,
    },
}

impl CallerScope {
    pub(super) fn breaker_scope(&self, user: ClaimHash, token: TokenHash) -> BreakerScope {
        BreakerScope { user: user.share_key(), token: token.share_key(), resource: self.resource }
    }
}

/// Scope of a request within its application: a proven token and the resource that it requests. The keys are keyed hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BreakerScope {
    pub(super) user: u128,
    pub(super) token: u128,
    pub(super) resource: u64,
}

impl BreakerScope {
    /// Returns the keys from the widest to the narrowest: a user may have many tokens, and a token many resources.
    pub(super) fn path(self) -> [u128; 3] {
        [self.user, self.token, self.resource.into()]
    }
}
