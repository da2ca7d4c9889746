//! Who may look into the cache and who may purge it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Uri};
use ring::hmac;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::{Config, reply};
use crate::error::Response;

/// The rules, as configured.
#[derive(Debug)]
pub(super) struct Access {
    token_file: Option<PathBuf>,
}

/// Why the token file cannot be used.
#[derive(Debug)]
pub enum Error {
    /// It cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// Nothing but white space is in it.
    Empty(PathBuf),
}

/// A request that may not have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No bearer, or not the one in the file.
    Bearer,
    /// Purge without a token file, and the caller may not be the operator of this machine.
    NotLocal,
    /// The token file cannot be read any more.
    NoToken,
}

impl Access {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        if let Some(path) = &config.token_file {
            let text = std::fs::read(path).map_err(|error| Error::Unreadable(path.clone(), error))?;
            if text.trim_ascii().is_empty() {
                return Err(Error::Empty(path.clone()));
            }
        }
        Ok(Self { token_file: config.token_file.clone() })
    }

    /// Whether `request` may look. It tells counts and configuration: without a token anyone may.
    pub(super) async fn look(&self, request: &Parts) -> Result<(), Refusal> {
        match &self.token_file {
            Some(path) => bearer(path, &request.headers).await,
            None => Ok(()),
        }
    }

    /// Whether `request` may purge.
    pub(super) async fn purge(&self, request: &Parts, peer: SocketAddr) -> Result<(), Refusal> {
        match &self.token_file {
            Some(path) => bearer(path, &request.headers).await,
            None if is_local(request, peer) => Ok(()),
            None => Err(Refusal::NotLocal),
        }
    }
}

/// Compares with what the file holds now, so that a new token needs no restart. Requests are few.
async fn bearer(path: &Path, headers: &HeaderMap) -> Result<(), Refusal> {
    let token = tokio::fs::read(path).await.map(Zeroizing::new).map_err(|error| {
        tracing::error!(%error, path = %path.display(), "the admin token cannot be read");
        Refusal::NoToken
    })?;
    let expected = token.trim_ascii();
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let given = lines.next().filter(|_| lines.next().is_none()).and_then(credentials);
    match given {
        _ if expected.is_empty() => Err(Refusal::NoToken),
        Some(given) if is_equal(given, expected) => Ok(()),
        _ => Err(Refusal::Bearer),
    }
}

/// RFC 6750, section 2.1; the scheme in any case (RFC 9110, section 11.1).
fn credentials(line: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = line.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

/// Takes the same time wherever the two differ: it is the tags under a key of the moment that are compared.
fn is_equal(given: &[u8], expected: &[u8]) -> bool {
    let Ok(key) = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()) else { return false };
    hmac::verify(&key, given, hmac::sign(&key, expected).as_ref()).is_ok()
}

/// Whether a request is from this machine and was meant for it. A web page that the operator looks at reaches
/// loopback too: it says so in Origin, or, once its name was bound to our address, in Host. So does a proxy
/// beside us that passes on what comes from elsewhere.
fn is_local(request: &Parts, peer: SocketAddr) -> bool {
    let foreign = [header::ORIGIN.as_str(), "forwarded", "x-forwarded-for"];
    peer.ip().to_canonical().is_loopback()
        && !foreign.iter().any(|name| request.headers.contains_key(*name))
        && host(request).is_some_and(|host| is_loopback_name(&host))
}

fn host(request: &Parts) -> Option<String> {
    let field = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = field.map_or_else(
        || request.uri.authority().cloned(),
        |host| host.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned()),
    );
    authority.map(|authority| authority.host().to_owned())
}

fn is_loopback_name(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.to_canonical().is_loopback())
}

impl Refusal {
    pub(super) fn reply(self) -> Response {
        match self {
            Self::Bearer => {
                let mut response =
                    reply::error(StatusCode::UNAUTHORIZED, "the bearer of admin.token_file is needed");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::NotLocal => reply::error(
                StatusCode::FORBIDDEN,
                "without admin.token_file only requests from this machine to a loopback address may purge",
            ),
            Self::NoToken => reply::error(
                StatusCode::SERVICE_UNAVAILABLE,
                "admin.token_file holds no token that can be read",
            ),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Empty(path) => write!(f, "{} is empty; a bearer token was expected", path.display()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
