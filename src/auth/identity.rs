//! `Authorization` field to identity.

use http::{HeaderMap, header};

use super::{HashKeys, LogTag, RawTokenHash, Token, TokenHash};
use crate::http::rejection::Rejection;
use crate::http::validate::RequestView;

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
    /// Hashes the token of a request. Returns `None` if `Authorization` does not have exactly one line with a Bearer token; the
    /// form of the token is not checked.
    pub fn from_request(view: &RequestView<'_>, hash_keys: &HashKeys) -> Option<Self> {
        let token = parse_bearer(view.authorization.single()?.as_bytes()).ok()?;
        Some(Self::of(token, hash_keys))
    }

    fn of(token: &[u8], hash_keys: &HashKeys) -> Self {
        Self(hash_keys.tokens.hash(&[token]))
    }
}

/// Returns the token of a Bearer credential. Its form is not checked.
fn parse_bearer(line: &[u8]) -> Result<&[u8], Rejection> {
    // The form of nearly all clients.
    if let Some(token @ [first, ..]) = line.strip_prefix(b"Bearer ")
        && *first != b' '
    {
        return Ok(token);
    }
    let (scheme, rest) =
        line.split_at(line.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(line.len()));
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"bearer") && spaces > 0 && !token.is_empty() {
        return Ok(token);
    }
    Err(if line.contains(&b',') {
        Rejection::SeveralTokens
    } else if scheme.is_empty() && rest.is_empty() {
        Rejection::NoToken
    } else if !scheme.eq_ignore_ascii_case(b"bearer") {
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

#[cfg(test)]
mod tests;
