//! Reasons why a token may not use the cache.

use crate::support::labels::labels;

labels! {
    /// Reason why a token may not use the cache. Its request is forwarded all the same.
    pub enum Bypass {
        /// Not a JWT that can be read: opaque, encrypted, or not base64url.
        Opaque = "token-opaque",
        /// The claims are not a JSON object of the expected form, or a claim is a duplicate.
        Unreadable = "claims-unreadable",
        /// Tenant or subject is missing or empty.
        Incomplete = "claims-incomplete",
        /// `exp` is missing, not a plain number, or more than 29 hours ahead.
        ExpUnusable = "exp-unusable",
        /// The token expires within 30 seconds, or has expired.
        Expiring = "token-expiring",
        /// `nbf` is ahead, or not a plain number.
        NotYetValid = "token-not-yet-valid",
        /// The token is bound to a key (`cnf`): its bytes alone are not the credential.
        Bound = "token-bound",
    }
}
