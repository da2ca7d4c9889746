//! Results of scrubbing: the rule that masked a value, and the reason why a body does not pass.

use crate::support::labels::labels;

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
