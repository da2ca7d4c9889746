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
    /// Reason why a request was forwarded to Graph: the parameter `fwd` of `Cache-Status` (RFC 9211, section 2.2).
    pub enum Forward {
        /// No usable response is stored for this token.
        UriMiss = "uri-miss",
        /// The stored response is past its freshness.
        Stale = "stale",
        /// The caller's directives require a request to Graph.
        Request = "request",
        /// The request may not use the cache.
        Bypass = "bypass",
    }
}

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

labels! {
    /// Reason why a response came from memory although a request to Graph was required or requested.
    pub enum HitReason {
        /// The request to Graph failed, and a stale response may replace it.
        IfError = "stale-if-error",
        /// The token has used its forced refreshes: `limits.refreshes_per_token`.
        RefreshLimit = "refresh-limit",
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
        /// A purge, or an error response that revokes proofs, came between request and response.
        Invalidated = "invalidated",
        /// The token came within 30 seconds of its expiry during the request to Graph.
        Expiring = "token-expiring",
        /// The response is larger than the cache's capacity.
        TooLarge = "too-large",
    }
}

labels! {
    /// Result of a look-up of a proof, or a change of proofs.
    pub enum ProofResult {
        /// Graph's 200 was recorded as a proof.
        Granted = "granted",
        /// A live proof was found.
        Live = "live",
        /// No proof was found.
        Missing = "missing",
        /// A proof older than `cache.proof_ttl` was found.
        Expired = "expired",
        /// An error response from Graph revoked proofs.
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
        /// An error response from Graph invalidated it (401, 403, 404, 410).
        Invalidate = "invalidate",
    }
}

labels! {
    /// Reason for a retry of a request to Graph.
    pub enum Retry {
        /// A pooled connection was already closed, before any byte was received on it.
        StaleConnection = "stale-connection",
        /// Graph refused the stream before processing (HTTP/2 `REFUSED_STREAM`, or a graceful GOAWAY).
        RefusedStream = "refused-stream",
        /// Graph's 304 named another representation: the request was repeated without a condition.
        OtherAnswer = "other-answer",
    }
}

labels! {
    /// Rule of the scrubber that masked a value.
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
        /// A known member of an authentication configuration whose value does not have the expected form.
        Authentication = "authentication",
        /// A credential in the text of a name, a message or an allowed member.
        Text = "text",
        /// A string, or a member name, that Graph's schema does not contain.
        Unknown = "unknown",
        /// Query values, user info, pairs in the path, or the fragment of a target URL.
        TargetUrl = "target-url",
    }
}

labels! {
    /// Reason why a body could not be scrubbed. Such a body does not reach the caller.
    pub enum ScrubFailure {
        /// Not JSON as RFC 8259 defines it.
        BadJson = "bad-json",
        /// Not UTF-8, or a string with half a surrogate pair.
        BadText = "bad-text",
        /// JSON, but not an object.
        NotAnObject = "not-an-object",
        /// Nested more than 64 deep.
        TooDeep = "too-deep",
        /// The scrubbed body would be larger than the limit on bodies.
        TooLarge = "too-large",
    }
}
