//! Who may look into the cache and who may purge it.

mod local;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use ring::hmac;
use ring::rand::SystemRandom;

use self::local::Foreign;
use super::{Config, reply};
use crate::http::error::Response;
use crate::observability::metrics::Reload;
use crate::support::watched_files::{DisplayPath, ReadError, ReloadTrigger, SecretBytes, WatchedFiles};

/// The rules, as configured.
#[derive(Debug)]
pub(super) struct AdminAuth {
    token: Option<Token>,
}

/// The token of the file, as far as it must be known to recognise it.
struct Token {
    path: PathBuf,
    files: WatchedFiles,
    /// Of this process: what is kept is no use elsewhere.
    key: hmac::Key,
    tag: Mutex<hmac::Tag>,
}

/// Why the token file cannot be used.
#[derive(Debug)]
pub enum Error {
    /// It cannot be read.
    Unreadable(ReadError),
    /// Nothing but white space is in it.
    Empty(PathBuf),
    /// There is no randomness for a key.
    Randomness,
}

/// A request that may not have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessDenied {
    /// No bearer, or not the one in the file.
    Bearer,
    /// Purge without a token file, and the caller may not be the operator of this machine.
    NotLocal(Foreign),
}

impl AdminAuth {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self { token: config.token_file.clone().map(Token::load).transpose()? })
    }

    /// Whether `request` may look. It tells counts and configuration: without a token anyone may.
    pub(super) fn authorize(&self, request: &Parts) -> Result<(), AccessDenied> {
        self.token.as_ref().map_or(Ok(()), |token| token.check(&request.headers))
    }

    /// Whether `request` may purge.
    pub(super) fn purge(&self, request: &Parts, peer: SocketAddr) -> Result<(), AccessDenied> {
        match &self.token {
            Some(token) => token.check(&request.headers),
            None => local::check(request, peer).map_err(AccessDenied::NotLocal),
        }
    }

    /// Takes a new token from the file. One that is broken leaves the old one in use.
    pub(super) fn reload(&self, trigger: ReloadTrigger) -> Option<Reload> {
        let token = self.token.as_ref()?;
        let contents = token.files.read_if_changed(trigger)?.map_err(Error::Unreadable);
        match contents.and_then(|contents| tag(&token.key, &contents, &token.path)) {
            Ok(tag) => {
                *token.tag.lock().unwrap_or_else(PoisonError::into_inner) = tag;
                tracing::info!("a new admin token is in use");
                Some(Reload::Success)
            }
            Err(error) => {
                tracing::error!(%error, "the new admin token is refused; the old one stays in use");
                Some(Reload::Failure)
            }
        }
    }
}

impl Token {
    fn load(path: PathBuf) -> Result<Self, Error> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| Error::Randomness)?;
        let files = WatchedFiles::new(vec![path.clone()]);
        let tag = tag(&key, &files.read().map_err(Error::Unreadable)?, &path)?;
        Ok(Self { path, files, key, tag: Mutex::new(tag) })
    }

    /// Whether this is the bearer. Takes the same time wherever the two differ.
    fn check(&self, headers: &HeaderMap) -> Result<(), AccessDenied> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let given = lines.next().filter(|_| lines.next().is_none()).and_then(credentials);
        let tag = *self.tag.lock().unwrap_or_else(PoisonError::into_inner);
        match given {
            Some(given) if hmac::verify(&self.key, given, tag.as_ref()).is_ok() => Ok(()),
            _ => Err(AccessDenied::Bearer),
        }
    }
}

/// What a token is recognised by.
fn tag(key: &hmac::Key, contents: &[SecretBytes], path: &Path) -> Result<hmac::Tag, Error> {
    match contents.first().map(|text| text.trim_ascii()) {
        None | Some([]) => Err(Error::Empty(path.to_owned())),
        Some(token) => Ok(hmac::sign(key, token)),
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("path", &DisplayPath(&self.path)).finish_non_exhaustive()
    }
}

/// RFC 6750, section 2.1; the scheme in any case (RFC 9110, section 11.1).
fn credentials(line: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = line.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

impl AccessDenied {
    pub(super) fn reply(self) -> Response {
        match self {
            Self::Bearer => {
                let mut response =
                    reply::error(StatusCode::UNAUTHORIZED, "the bearer of admin.token_file is needed");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::NotLocal(reason) => reply::error(StatusCode::FORBIDDEN, reason.message()),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Randomness => f.write_str("the system gives no randomness for a key"),
            Self::Empty(path) => write!(f, "{} is empty; a bearer token was expected", DisplayPath(path)),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
