//! Errors that prevent a start with the shared tier.

use super::secret::SecretError;
use super::store::TlsError;
use crate::auth::NoRandomness;

/// Reason for which the shared tier cannot be set up. The store itself may be down at the start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The secret cannot be used.
    #[error("shared.secret_file: {0}")]
    Secret(#[from] SecretError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system provides no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The file of the password cannot be read.
    #[error("shared.password_file: {path}: expected a readable file: {reason}")]
    Password {
        /// Path of the file.
        path: String,
        /// Cause.
        reason: std::io::Error,
    },
}

impl SetupError {
    /// Returns whether the configuration is invalid, on each machine: the content of the file of secrets is part of it.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Secret(SecretError::Malformed { .. }))
    }
}
