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
    /// Why a request went to Graph: the parameter `fwd` of `Cache-Status` (RFC 9211, section 2.2).
    pub enum Forward {
        /// Nothing usable is stored for this caller.
        UriMiss = "uri-miss",
        /// What is stored is past its freshness.
        Stale = "stale",
        /// The caller's directives ask for Graph's word.
        Request = "request",
        /// The request may not use the cache.
        Bypass = "bypass",
    }
}

labels! {
    /// Why a token may not use the cache. It is forwarded all the same.
    pub enum Bypass {
        /// Not a JWT that can be read: opaque, encrypted, or not base64url.
        Opaque = "token-opaque",
        /// The claims are not the JSON object that they should be, or one is there twice.
        Unreadable = "claims-unreadable",
        /// Tenant or subject is missing or empty.
        Incomplete = "claims-incomplete",
        /// `exp` is missing, not a plain number, or more than 29 hours ahead.
        ExpUnusable = "exp-unusable",
        /// The token ends within 30 seconds, or has ended.
        Expiring = "token-expiring",
        /// `nbf` is ahead, or not a plain number.
        NotYetValid = "token-not-yet-valid",
        /// The token is bound to a key (`cnf`): its bytes alone are not the credential.
        Bound = "token-bound",
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
    /// Result of a look-up of a proof.
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
        /// Graph answered 401, 403, 404 or 410: proofs were dropped.
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

labels! {
    /// Why a retry was made.
    pub enum Retry {
        /// A pooled connection turned out to be closed; nothing had been received on it.
        StaleConnection = "stale-connection",
        /// Graph refused the stream before it looked at it (HTTP/2 `REFUSED_STREAM`, or a graceful GOAWAY).
        RefusedStream = "refused-stream",
        /// Graph said 304 of something other than it was asked about: asked again, without a condition.
        OtherAnswer = "other-answer",
    }
}

labels! {
    /// Which rule of the scrubber took something away.
    pub enum ScrubbedField {
        /// A password or passphrase.
        Password = "password",
        /// A secret.
        Secret = "secret",
        /// A token or assertion.
        Token = "token",
        /// A key, or the material of one.
        Key = "key",
        /// The private parts of a certificate, PKCS#12 or PFX.
        Certificate = "certificate",
        /// A connection string or shared access signature.
        ConnectionString = "connection-string",
        /// Any other credential.
        Credential = "credential",
        /// A name of `scrub.extra_fields`.
        Extra = "extra",
        /// The user name of an authentication configuration.
        Username = "username",
        /// A known part of an authentication configuration whose value does not have its form.
        Authentication = "authentication",
        /// A credential in the text of a name, a message or an allowed member.
        Text = "text",
        /// A string, or a name, that Graph's schema does not know.
        Unknown = "unknown",
        /// Query values, user info, pairs in the path, or the fragment of a target URL.
        TargetUrl = "target-url",
    }
}

labels! {
    /// Why a body could not be scrubbed, and so did not pass.
    pub enum ScrubFailure {
        /// Not JSON, as RFC 8259 has it.
        BadJson = "bad-json",
        /// Not UTF-8, or a string with half a surrogate pair.
        BadText = "bad-text",
        /// JSON, but not an object.
        NotAnObject = "not-an-object",
        /// Nested more than 64 deep.
        TooDeep = "too-deep",
        /// The answer would be larger than the limit on bodies.
        TooLarge = "too-large",
    }
}
