//! Fields of an access line that identify the caller: personal data, which `log.client` enables.
//!
//! Nothing is read until a line is written, so that requests without a line cost the same with each setting.

use std::fmt;
use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderValue, header};

use crate::observability::logging::ClientLog;
use crate::server::Peer;

/// Sources of the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientFields<'a> {
    /// `log.client`
    pub(super) setting: ClientLog,
    pub(super) peer: &'a Peer,
    /// User agent of a request whose head has no fields any more.
    pub(super) user_agent: Option<&'a HeaderValue>,
}

impl<'a> ClientFields<'a> {
    /// Returns the address of the peer.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        (self.setting == ClientLog::Address).then(|| self.peer.ip().to_canonical())
    }

    /// Returns the name in the client certificate.
    pub(super) fn certificate_name(&self) -> Option<&'a str> {
        if self.setting == ClientLog::Certificate { self.peer.certificate_name() } else { None }
    }

    /// Returns the user agent.
    pub(super) fn user_agent(&self, request: &'a Parts) -> Option<UserAgent<'a>> {
        if self.setting == ClientLog::Off {
            return None;
        }
        let value = self.user_agent.or_else(|| request.headers.get(header::USER_AGENT))?;
        Some(UserAgent(value.as_bytes()))
    }
}

/// Value of the field `User-Agent`, at most [`MAX_USER_AGENT_BYTES`] of it. The logger escapes it.
pub(super) struct UserAgent<'a>(&'a [u8]);

impl fmt::Display for UserAgent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A field of the caller's choice: a token in it must not get into the log (promise 5).
        if self.0.windows(JWT_PREFIX.len()).any(|part| part == JWT_PREFIX) {
            return f.write_str("(hidden: it contains a token)");
        }
        let bytes = &self.0[..self.0.len().min(MAX_USER_AGENT_BYTES)];
        for chunk in bytes.utf8_chunks() {
            f.write_str(chunk.valid())?;
        }
        Ok(())
    }
}

/// Bytes of the user agent in a line.
const MAX_USER_AGENT_BYTES: usize = 128;
/// First bytes of each token in JWT form: `{"` in base64url.
const JWT_PREFIX: &[u8] = b"eyJ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_bounded_and_shows_no_token() {
        let shown = |bytes: &[u8]| UserAgent(bytes).to_string();
        assert_eq!(shown(b"GraphClient/5.0 (.NET)"), "GraphClient/5.0 (.NET)");
        assert_eq!(shown(&[b'a'; 500]).len(), MAX_USER_AGENT_BYTES);
        assert_eq!(shown(&[&[b'a'; 127], "\u{e9}".as_bytes()].concat()).len(), 127, "half of a character");
        assert_eq!(shown(b"a\xffb"), "ab");
        let late = [&[b'a'; 200][..], b"Bearer eyJ0eXAi"].concat();
        assert_eq!(shown(&late), "(hidden: it contains a token)");
    }
}
