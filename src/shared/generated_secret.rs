//! Secret of replicas that run in one process, as in the demo: no file holds it.

use std::fmt;
use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::auth::NoRandomness;

/// Random secret that exists only in the memory of this process. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct GeneratedSecret(Arc<Zeroizing<[u8; SECRET_BYTES]>>);

impl GeneratedSecret {
    /// Generates a secret.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| NoRandomness)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// Returns the secret.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for GeneratedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedSecret(<redacted>)")
    }
}

/// Length of the output of SHA-256, as for the secrets of a file.
const SECRET_BYTES: usize = 32;
