//! Results of scrubbing: the rule that masked a value, and the reason why a body does not pass.

use connector_cache_support::labels::labels;

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
