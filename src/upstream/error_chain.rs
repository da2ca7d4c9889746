//! An error with its sources.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;

/// Returns an error and its sources. `source` of an `io::Error` skips the wrapped error, so this function inspects it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// Returns the first error of a type in a chain.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref::<E>())
}

/// Messages of an error and its sources. Many errors repeat the message of their source; a message occurs once.
pub(super) struct ErrorChain<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for error in chain(self.0) {
            let message = error.to_string();
            if text.contains(&message) {
                continue;
            }
            let separator = if text.is_empty() { "" } else { ": " };
            write!(text, "{separator}{message}")?;
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_has_each_message_once() {
        let inner = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::new(io::ErrorKind::InvalidData, inner);
        assert_eq!(ErrorChain(&error).to_string(), "invalid peer certificate: UnknownIssuer");
        let error = crate::upstream::forward_proxy::tunnel::TunnelError::Io(io::Error::other("closed"));
        assert_eq!(ErrorChain(&error).to_string(), "the connection to the proxy failed: closed");
    }
}
