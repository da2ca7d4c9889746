//! Secrets of the shared tier, and the keys that are derived from them.
//!
//! `shared.secret_file` has one or two lines. The first names and seals; both open. So a new secret is rolled out in three
//! steps without a moment in which an event is not understood: `old`, `old` and `new` in the second line, `new` and `old` in
//! the second line, `new`. With two lines, a miss under the first secret is read again under the second.

use std::path::{Path, PathBuf};

use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use super::config::Config;
use crate::support::watched_files::DisplayPath;

/// One or two secrets.
pub struct Secrets {
    primary: Secret,
    secondary: Option<Secret>,
}

/// Pseudorandom key of one secret (RFC 5869).
pub(super) struct Secret {
    key: hkdf::Prk,
    /// Names the secret in sealed values, so that a value of another secret is recognized without a decryption.
    pub(super) id: [u8; 4],
}

/// Error in the file of secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{}: expected a readable file: {reason}", DisplayPath(path))]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        reason: std::io::Error,
    },
    /// The content is no secret.
    #[error(
        "{}: expected one or two lines of at least {MIN_SECRET_BYTES} bytes: {reason}",
        DisplayPath(path)
    )]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Content of the file in general terms, without its text.
        reason: String,
    },
}

impl Secrets {
    /// Returns the secrets of a configuration. Returns `None` if it has none.
    pub(super) fn configured(config: &Config) -> Result<Option<Self>, SecretError> {
        if let Some(secret) = &config.generated_secret {
            return Ok(Some(Self { primary: Secret::derive(secret.bytes()), secondary: None }));
        }
        config.secret_file.as_deref().map(Self::read).transpose()
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let bytes = std::fs::read(path);
        let bytes = bytes.map_err(|reason| SecretError::Unreadable { path: path.to_owned(), reason })?;
        let malformed = |reason| SecretError::Malformed { path: path.to_owned(), reason };
        Self::parse(&Zeroizing::new(bytes)).map_err(malformed)
    }

    /// Parses the content of the file. An empty line is no secret.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        if let Some(at) = lines.iter().position(|line| line.len() < MIN_SECRET_BYTES) {
            return Err(format!("line {} has {} bytes", at + 1, lines.get(at).map_or(0, |line| line.len())));
        }
        match lines[..] {
            [] => Err("the file is empty".to_owned()),
            [one] => Ok(Self { primary: Secret::derive(one), secondary: None }),
            [one, other] if one == other => Err("both lines are equal".to_owned()),
            [one, other] => Ok(Self { primary: Secret::derive(one), secondary: Some(Secret::derive(other)) }),
            _ => Err(format!("the file has {} lines", lines.len())),
        }
    }

    /// Returns the secret that names and seals.
    pub(super) fn primary(&self) -> &Secret {
        &self.primary
    }

    /// Returns the secret of the second line.
    pub(super) fn secondary(&self) -> Option<&Secret> {
        self.secondary.as_ref()
    }

    /// Returns the secret with this id.
    pub(super) fn find(&self, id: [u8; 4]) -> Option<&Secret> {
        [Some(&self.primary), self.secondary.as_ref()].into_iter().flatten().find(|secret| secret.id == id)
    }

    /// Returns the key under which the process hashes claims. Replicas with one secret have equal hashes of equal claims.
    pub fn claims_key(&self) -> hmac::Key {
        self.primary.hmac_key(b"claims", b"")
    }

    /// Returns the key of the second secret, under which other replicas may hash claims.
    pub(super) fn secondary_claims_key(&self) -> Option<hmac::Key> {
        self.secondary.as_ref().map(|secret| secret.hmac_key(b"claims", b""))
    }
}

impl Secret {
    fn derive(secret: &[u8]) -> Self {
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret);
        let id = hmac::sign(&expand_hmac(&key, b"id", b""), b"");
        Self { id: id.as_ref().first_chunk().copied().unwrap_or_default(), key }
    }

    /// Derives a key for names, for one purpose and context.
    pub(super) fn hmac_key(&self, purpose: &[u8], context: &[u8]) -> hmac::Key {
        expand_hmac(&self.key, purpose, context)
    }

    /// Derives the key that seals the value of one name: a value that is moved to another name does not open.
    pub(super) fn sealing_key(&self, name: &str) -> Option<aead::LessSafeKey> {
        let info = [b"seal\0".as_slice(), name.as_bytes()];
        let key = self.key.expand(&info, &aead::AES_256_GCM).ok()?;
        Some(aead::LessSafeKey::new(aead::UnboundKey::from(key)))
    }
}

fn expand_hmac(key: &hkdf::Prk, purpose: &[u8], context: &[u8]) -> hmac::Key {
    let info = [purpose, b"\0".as_slice(), context];
    // The expansion fails only for outputs of more than 255 blocks; a key of HMAC-SHA-256 is one block.
    key.expand(&info, hmac::HMAC_SHA256)
        .map_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, b""), hmac::Key::from)
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(<redacted>)")
    }
}

/// Length of the output of SHA-256, as RFC 5869 recommends for the input of an extraction without other entropy.
const MIN_SECRET_BYTES: usize = 32;
const SALT: &[u8] = b"connector-cache shared tier 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::generated_secret::GeneratedSecret;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn one_or_two_long_lines_are_secrets() {
        for good in [
            ONE.to_owned(),
            format!("{ONE}\n"),
            format!("{ONE}\r\n{OTHER}\r\n"),
            format!("\n{ONE}\n\n{OTHER}"),
        ] {
            assert!(Secrets::parse(good.as_bytes()).is_ok(), "{good:?}");
        }
        for (bad, reason) in [
            (String::new(), "empty"),
            ("short\n".to_owned(), "line 1 has 5 bytes"),
            (format!("{ONE}\nshort"), "line 2 has 5 bytes"),
            (format!("{ONE}\n{ONE}"), "equal"),
            (format!("{ONE}\n{OTHER}\n{ONE}x"), "3 lines"),
        ] {
            assert!(Secrets::parse(bad.as_bytes()).is_err_and(|found| found.contains(reason)), "{bad:?}");
        }
    }

    #[test]
    fn a_generated_secret_takes_the_place_of_the_file_and_is_never_printed() {
        let secret = GeneratedSecret::random().unwrap();
        let config = Config {
            generated_secret: Some(secret.clone()),
            secret_file: Some("/none".into()),
            ..Config::default()
        };
        let ids = |config: &Config| Secrets::configured(config).unwrap().map(|secrets| secrets.primary().id);
        assert_eq!(ids(&config), ids(&config.clone()), "clones share the secret");
        let other = Config { generated_secret: Some(GeneratedSecret::random().unwrap()), ..config.clone() };
        assert_ne!(ids(&config), ids(&other));
        assert_eq!(format!("{secret:?}"), "GeneratedSecret(<redacted>)");
        let without = Config { generated_secret: None, ..config };
        assert!(Secrets::configured(&without).is_err(), "the file does not exist");
        assert_eq!(ids(&Config::default()), None);
    }

    #[test]
    fn keys_differ_by_secret_purpose_and_context() {
        let (one, both) = (Secrets::parse(ONE.as_bytes()).unwrap(), format!("{OTHER}\n{ONE}"));
        let both = Secrets::parse(both.as_bytes()).unwrap();
        let tag = |key: &hmac::Key| hmac::sign(key, b"x").as_ref().to_vec();
        assert_ne!(tag(&one.claims_key()), tag(&both.claims_key()));
        assert_eq!(Some(tag(&one.claims_key())), both.secondary_claims_key().map(|key| tag(&key)));
        assert!(both.find(one.primary().id).is_some() && one.find(both.primary().id).is_none());
        let names = |context: &[u8]| tag(&one.primary().hmac_key(b"names", context));
        assert_ne!(names(b"a"), names(b"b"));
        assert_ne!(names(b""), tag(&one.claims_key()));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secrets::parse(ONE.as_bytes()).unwrap()), "Secrets(<redacted>)");
    }
}
