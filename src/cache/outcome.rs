//! Labels of a cache decision: outcomes, and the reasons for them.
//!
//! Each label has one spelling, in log fields, metric labels and `Cache-Status` details.

use crate::support::labels::labels;

labels! {
    /// Source of the response to a request: the metric label `cache`.
    pub enum Outcome {
        /// From memory, fresh.
        Hit = "hit",
        /// From Graph.
        Miss = "miss",
        /// From memory, past its freshness.
        Stale = "stale",
        /// From memory, after Graph's 304.
        Revalidated = "revalidated",
        /// From the request to Graph that an equal request had already started.
        Collapsed = "collapsed",
        /// From Graph, for a request that may not use the cache.
        Bypass = "bypass",
        /// Neither from memory nor from Graph: rejected, or failed.
        None = "none",
    }
}

labels! {
    /// Reason why a response came from memory or the shared tier although a request to Graph was required or requested.
    pub enum HitReason {
        /// The request to Graph failed, and a stale response may replace it.
        IfError = "stale-if-error",
        /// The response was found in the shared tier.
        Shared = "shared",
        /// The token has used its forced refreshes: `limits.refreshes_per_token`.
        RefreshLimit = "refresh-limit",
    }
}

labels! {
    /// Reason why memory could not answer a request with a cacheable token. Graph answers, another request's call to Graph, or the
    /// shared tier.
    pub enum ForwardReason {
        /// Graph has not responded with 200 to this token for this resource, or the proof was revoked.
        NoProof = "no-proof",
        /// The proof of the token is older than `cache.proof_ttl` and the windows of stale use.
        ProofExpired = "proof-expired",
        /// The token has a proof, but its response has left the cache.
        NoEntry = "no-entry",
        /// The response is past its freshness and the windows in which a stale response may be used.
        Stale = "stale",
        /// Graph has sent another response to another token since.
        Superseded = "superseded",
        /// The caller demanded a newer response.
        Request = "request",
        /// The token came within 30 seconds of its expiry.
        Expiring = "token-expiring",
    }
}

labels! {
    /// Reason why a response was not stored.
    pub enum NotStored {
        /// Graph's status was not 200.
        Status = "status",
        /// The token may not use the cache.
        Bypass = "bypass",
        /// Graph sent `no-store`, or the caller did where its directives are honoured.
        NoStore = "no-store",
        /// `Vary` contains `*` or a field that differs in every request.
        Vary = "vary",
        /// The response has neither freshness lifetime nor validator.
        NoLifetime = "no-lifetime",
        /// A purge, or a 204 or error response that revokes proofs, came between request and response.
        Invalidated = "invalidated",
        /// The token came within 30 seconds of its expiry during the request to Graph.
        Expiring = "token-expiring",
        /// The response is larger than the cache's capacity.
        TooLarge = "too-large",
    }
}

labels! {
    /// Result of a lookup of a proof.
    pub enum ProofLookup {
        /// A live proof was found.
        Live = "live",
        /// No proof was found.
        Missing = "missing",
        /// The proof that was found is older than `cache.proof_ttl`.
        Expired = "expired",
    }
}

labels! {
    /// Change of the proofs of a token.
    pub enum ProofChange {
        /// Graph answered 200: a proof was recorded.
        Granted = "granted",
        /// Graph answered 204, 401, 403, 404 or 410: proofs were dropped.
        Revoked = "revoked",
    }
}

labels! {
    /// Reason why an entry left the cache.
    pub enum Eviction {
        /// The capacity was exceeded.
        Space = "space",
        /// The retention time had passed.
        Time = "time",
        /// An operator purged it.
        Purge = "purge",
        /// A 204 or an error response from Graph invalidated it (401, 403, 404, 410).
        Invalidate = "invalidate",
    }
}
