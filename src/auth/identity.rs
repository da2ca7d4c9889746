//! `Authorization` field to identity.

use http::{HeaderMap, header};

use super::{HashKeys, LogTag, RawTokenHash, Token, TokenHash};
use crate::http::rejection::Rejection;

/// The token of one request with its hash and log tag.
#[derive(Debug)]
pub struct Identity {
    /// The token, for the request to Graph.
    pub token: Token,
    /// The token's identity in the cache.
    pub token_hash: TokenHash,
    /// The token's identity in the log.
    pub log_tag: LogTag,
}

impl Identity {
    /// Reads the `Authorization` field: one line, `Bearer` in any case, blanks, and a `b64token` (RFC 6750, section 2.1).
    ///
    /// The scheme is case-insensitive (RFC 9110, section 11.1), and more than one blank may follow (section 11.4). Neither
    /// is part of the token: the hash is that of the token alone. The field itself is forwarded unaltered (section 11.6.2).
    pub fn from_headers(headers: &HeaderMap, hash_keys: &HashKeys) -> Result<Self, Rejection> {
        Self::from_headers_with(headers, None, hash_keys, |_| None::<()>).map(|(identity, _)| identity)
    }

    /// Reads the field as [`Identity::from_headers`] does, and returns also the value that `find` has for the token. `hashed` is
    /// the token's hash, if it is known. `find` has values for well-formed tokens only: the form of such a token is not checked
    /// again, because equal hashes are equal tokens.
    pub fn from_headers_with<T>(
        headers: &HeaderMap,
        hashed: Option<RawTokenHash>,
        hash_keys: &HashKeys,
        find: impl FnOnce(&TokenHash) -> Option<T>,
    ) -> Result<(Self, Option<T>), Rejection> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let line = lines.next().ok_or(Rejection::NoToken)?;
        if lines.next().is_some() {
            return Err(Rejection::SeveralTokens);
        }
        let token = parse_bearer(line.as_bytes())?;
        let RawTokenHash(hash) = hashed.unwrap_or_else(|| RawTokenHash::of(token, hash_keys));
        let token_hash = TokenHash(hash_keys.tokens.for_tables(hash));
        let found = find(&token_hash);
        if found.is_none() {
            check_form(token)?;
        }
        debug_assert!(check_form(token).is_ok(), "a token with a value was checked before");
        let mut line = line.clone();
        line.set_sensitive(true);
        let log_tag = hash_keys.log.token(token_hash);
        Ok((Self { token: Token(line), token_hash, log_tag }, found))
    }
}

impl RawTokenHash {
    pub(super) fn of(token: &[u8], hash_keys: &HashKeys) -> Self {
        Self(hash_keys.tokens.hash(&[token]))
    }
}

/// Divides a line of `Authorization` into its scheme, with the blanks after it, and its token. Neither is checked.
pub(super) fn split_scheme(line: &[u8]) -> (&[u8], &[u8]) {
    // The form of nearly all clients.
    let (usual, token) = line.split_at(BEARER.len().min(line.len()));
    if usual == BEARER && token.first().is_some_and(|first| *first != b' ') {
        return (usual, token);
    }
    let name = line.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let blanks = line.iter().skip(name).take_while(|byte| **byte == b' ').count();
    line.split_at(name + blanks)
}

/// Returns the token of a Bearer credential. Its form is not checked.
fn parse_bearer(line: &[u8]) -> Result<&[u8], Rejection> {
    let (scheme, token) = split_scheme(line);
    let name = scheme.trim_ascii_end();
    let is_bearer = name.eq_ignore_ascii_case(b"bearer");
    if is_bearer && name.len() < scheme.len() && !token.is_empty() {
        return Ok(token);
    }
    Err(if line.contains(&b',') {
        Rejection::SeveralTokens
    } else if line.is_empty() {
        Rejection::NoToken
    } else if !is_bearer {
        Rejection::Scheme
    } else if token.is_empty() {
        Rejection::NoToken
    } else {
        Rejection::TokenForm
    })
}

/// Checks that a token is a `b64token`. Tokens are long: the compiler can vectorise the loop because it has no early end.
fn check_form(token: &[u8]) -> Result<(), Rejection> {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    let has_invalid_byte = body.iter().fold(false, |invalid, byte| invalid | !is_b64token(*byte));
    match has_invalid_byte || body.is_empty() {
        true if token.contains(&b',') => Err(Rejection::SeveralTokens),
        true => Err(Rejection::TokenForm),
        false => Ok(()),
    }
}

/// Returns whether a byte is one of `b64token` (RFC 6750, section 2.1). `-`, `.`, `/` and the digits are in sequence in ASCII.
fn is_b64token(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit_or_mark = byte.wrapping_sub(b'-') <= b'9' - b'-';
    is_letter || is_digit_or_mark || byte == b'_' || byte == b'~' || byte == b'+'
}

const BEARER: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests;
