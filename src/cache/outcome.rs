//! The words of a cache decision: outcomes, and a reason for every "no".
//!
//! Each spelling is at once a log field, a metric label and a `Cache-Status` detail.

use crate::support::labels::labels;

labels! {
    /// How a request was answered: the label `cache`.
    pub enum Outcome {
        /// From memory, fresh.
        Hit = "hit",
        /// From Graph.
        Miss = "miss",
        /// From memory, past its freshness.
        Stale = "stale",
        /// From memory, after Graph said that it still holds.
        Revalidated = "revalidated",
        /// From the flight that an equal request had already started.
        Collapsed = "collapsed",
        /// From Graph, for a request that may not use the cache.
        Bypass = "bypass",
        /// Not answered by the cache or Graph: refused, or failed.
        None = "none",
    }
}

labels! {
    /// Why an answer came from memory though Graph was asked for, or should have been.
    pub enum HitReason {
        /// Graph failed, and what is past its time may stand in.
        IfError = "stale-if-error",
        /// The caller has asked for refreshes as often as `limits.refreshes_per_token` allows.
        RefreshLimit = "refresh-limit",
    }
}

labels! {
    /// Why an answer was not stored.
    pub enum NotStored {
        /// Graph did not say 200.
        Status = "status",
        /// The token may not use the cache.
        Bypass = "bypass",
        /// Graph, or the caller where it is obeyed, said `no-store`.
        NoStore = "no-store",
        /// `Vary` names what is different in every request, or `*`.
        Vary = "vary",
        /// It has no time left, and no validator to ask Graph with.
        NoLifetime = "no-lifetime",
        /// A purge or a withdrawn permission came between question and answer.
        Invalidated = "invalidated",
        /// The token came within 30 seconds of its end while Graph answered.
        Expiring = "token-expiring",
        /// One answer is larger than the whole cache may be.
        TooLarge = "too-large",
    }
}

labels! {
    /// What was found where a proof is looked for.
    pub enum ProofResult {
        /// Graph said 200: a proof was recorded.
        Granted = "granted",
        /// A live proof was found.
        Live = "live",
        /// No proof was found.
        Missing = "missing",
        /// A proof was found that is past `cache.proof_ttl`.
        Expired = "expired",
        /// Graph withdrew its word: proofs were dropped.
        Revoked = "revoked",
    }
}

labels! {
    /// Why something left the cache.
    pub enum Eviction {
        /// There was no room.
        Space = "space",
        /// Its time was over.
        Time = "time",
        /// An operator asked.
        Purge = "purge",
        /// Graph's answer said so (401, 403, 404, 410).
        Invalidate = "invalidate",
    }
}
