//! Names of values: HMAC-SHA-256 under a key for the format, the address of Graph and the policy of the scrubber.
//!
//! Replicas with another policy or another cloud have other names, and so never share a value. Values of one principal have
//! one hash tag, `{P}`, and so are in one slot of a cluster: entry, proof and lease are read in one round trip.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::handler::ResourceForm;
use super::seal::FORMAT;
use super::secret::Secret;
use crate::auth::{Principal, Token};

/// Computes names.
pub(super) struct Namer {
    key: hmac::Key,
    prefix: String,
}

/// Names of the values for one token and one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValueNames {
    pub(super) entry: String,
    pub(super) proof: String,
    pub(super) lease: String,
}

/// Names under the second secret, and the hash of the principal under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OtherNames {
    pub(super) names: ValueNames,
    pub(super) principal: [u8; 16],
}

impl Namer {
    /// Creates the key for an address of Graph and a policy of the scrubber.
    pub(super) fn new(secret: &Secret, prefix: &str, base_url: &str, policy: &[u8]) -> Self {
        let mut context = vec![FORMAT];
        for part in [base_url.as_bytes(), policy] {
            context.extend(part.len().to_be_bytes());
            context.extend(part);
        }
        // The context may be long, and is part of the key for each name otherwise.
        let context = ring::digest::digest(&ring::digest::SHA256, &context);
        Self { key: secret.hmac_key(b"names", context.as_ref()), prefix: prefix.to_owned() }
    }

    /// Computes the names for a token and a resource.
    pub(super) fn compute(&self, principal: Principal, resource: &ResourceForm, token: &Token) -> ValueNames {
        let principal = principal.to_bytes();
        let group = self.name(|mac| {
            mac.update(b"P");
            mac.update(&principal);
        });
        let of_resource = |mac: &mut hmac::Context, kind: &[u8]| {
            mac.update(kind);
            mac.update(&principal);
            for part in [&resource.target, &resource.accept] {
                mac.update(&part.len().to_be_bytes());
                mac.update(part.as_bytes());
            }
        };
        let entry = self.name(|mac| of_resource(mac, b"E"));
        let token = self.name(|mac| {
            of_resource(mac, b"T");
            token.update_mac(mac);
        });
        let prefix = &self.prefix;
        ValueNames {
            entry: format!("{prefix}:{{{group}}}:e:{entry}"),
            proof: format!("{prefix}:{{{group}}}:p:{token}"),
            lease: format!("{prefix}:{{{group}}}:l:{token}"),
        }
    }

    /// Returns the first 16 bytes of a MAC as text; RFC 2104, section 5 allows this truncation.
    fn name(&self, update: impl FnOnce(&mut hmac::Context)) -> String {
        let mut mac = hmac::Context::with_key(&self.key);
        update(&mut mac);
        URL_SAFE_NO_PAD.encode(mac.sign().as_ref().first_chunk::<16>().copied().unwrap_or_default())
    }
}

/// Returns the name of the log.
pub(super) fn log_name(prefix: &str) -> String {
    format!("{prefix}:{{log}}")
}

/// Returns the name of the hash with the acknowledgements. It is in the slot of the log.
pub(super) fn replicas_name(prefix: &str) -> String {
    format!("{prefix}:{{log}}:r")
}

impl std::fmt::Debug for Namer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Namer(<redacted>)")
    }
}
