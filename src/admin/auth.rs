//! Authorization of the overview and of purges.

mod local;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use ring::hmac;
use ring::rand::SystemRandom;

use self::local::NotLocalReason;
use super::{Config, response};
use crate::http::error::Response;
use crate::support::watched_files::ReloadResult;
use crate::support::watched_files::{DisplayPath, ReadError, ReloadTrigger, SecretBytes, WatchedFiles};

/// Authorization by the configured token file, or without one.
#[derive(Debug)]
pub(super) struct AdminAuth {
    token: Option<Token>,
}

/// The bearer token of the file. The process keeps only its HMAC.
struct Token {
    path: PathBuf,
    files: WatchedFiles,
    /// Random key of this process, so that the tag is of no use elsewhere.
    key: hmac::Key,
    tag: Mutex<hmac::Tag>,
}

/// Error of the token file.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Unreadable(ReadError),
    /// The file contains only white space.
    Empty(PathBuf),
    /// The system provides no randomness for a key.
    Randomness,
}

/// Reason for the denial of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessDenied {
    /// The request has no bearer token, or another one than the file.
    Bearer,
    /// A purge without a token file, whose sender may not be an operator of this machine.
    NotLocal(NotLocalReason),
}

impl AdminAuth {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self { token: config.token_file.clone().map(Token::load).transpose()? })
    }

    /// Checks that `request` may have the overview. The overview contains counts and configuration only, so that without
    /// a token file every caller may have it.
    pub(super) fn authorize_overview(&self, request: &Parts) -> Result<(), AccessDenied> {
        self.token.as_ref().map_or(Ok(()), |token| token.check(&request.headers))
    }

    /// Checks that `request` may purge.
    pub(super) fn authorize_purge(&self, request: &Parts, peer: SocketAddr) -> Result<(), AccessDenied> {
        match &self.token {
            Some(token) => token.check(&request.headers),
            None => local::check(request, peer).map_err(AccessDenied::NotLocal),
        }
    }

    /// Loads a new token from the file. If the file is invalid, the previous token stays in use.
    pub(super) fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let token = self.token.as_ref()?;
        let contents = token.files.read_if_changed(trigger)?.map_err(Error::Unreadable);
        match contents.and_then(|contents| compute_tag(&token.key, &contents, &token.path)) {
            Ok(tag) => {
                *token.tag.lock().unwrap_or_else(PoisonError::into_inner) = tag;
                tracing::info!("a new admin token is in use");
                Some(ReloadResult::Success)
            }
            Err(error) => {
                tracing::error!(%error, "the new admin token is refused; the old one stays in use");
                Some(ReloadResult::Failure)
            }
        }
    }
}

impl Token {
    fn load(path: PathBuf) -> Result<Self, Error> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| Error::Randomness)?;
        let files = WatchedFiles::new(vec![path.clone()]);
        let tag = compute_tag(&key, &files.read().map_err(Error::Unreadable)?, &path)?;
        Ok(Self { path, files, key, tag: Mutex::new(tag) })
    }

    /// Checks the bearer token, in constant time.
    fn check(&self, headers: &HeaderMap) -> Result<(), AccessDenied> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let given = lines.next().filter(|_| lines.next().is_none()).and_then(bearer_token);
        let tag = *self.tag.lock().unwrap_or_else(PoisonError::into_inner);
        match given {
            Some(given) if hmac::verify(&self.key, given, tag.as_ref()).is_ok() => Ok(()),
            _ => Err(AccessDenied::Bearer),
        }
    }
}

/// Computes the HMAC that recognises the token.
fn compute_tag(key: &hmac::Key, contents: &[SecretBytes], path: &Path) -> Result<hmac::Tag, Error> {
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

/// Returns the token of a bearer `Authorization` field (RFC 6750, section 2.1). The scheme is matched without regard to
/// case (RFC 9110, section 11.1).
fn bearer_token(line: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = line.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

impl AccessDenied {
    /// Builds the response to the denied request.
    pub(super) fn into_response(self) -> Response {
        match self {
            Self::Bearer => {
                let mut response = response::error(
                    StatusCode::UNAUTHORIZED,
                    "the request needs the bearer token of admin.token_file: send it as Authorization: Bearer <token>",
                );
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::NotLocal(reason) => response::error(StatusCode::FORBIDDEN, reason.message()),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Randomness => f.write_str("the system provides no randomness for a key"),
            Self::Empty(path) => write!(f, "{} is empty; a bearer token was expected", DisplayPath(path)),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
