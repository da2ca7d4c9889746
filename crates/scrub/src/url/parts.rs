//! The parts of a URL's text, split at the delimiters of RFC 3986.

use crate::ascii::alphanumeric_and;
use memchr::{memchr, memchr2, memrchr};

/// The parts of a text. A URL parser may read other parts, unless [`UrlParts::is_unambiguous`].
pub(super) struct UrlParts<'t> {
    pub(super) text: &'t str,
    /// The scheme and the slashes after its colon.
    pub(super) front: &'t str,
    /// The text before the last `@` of the authority.
    pub(super) user_info: Option<&'t str>,
    /// The host with its port.
    pub(super) host: &'t str,
    pub(super) path: &'t str,
    pub(super) query: Option<&'t str>,
    pub(super) fragment: Option<&'t str>,
}

impl<'t> UrlParts<'t> {
    /// Splits a text as a lenient URL parser does: any number of slashes and backslashes, also none, stands before the
    /// authority. Returns `None` if the text has no colon.
    pub(super) fn split(text: &'t str) -> Option<Self> {
        let authority = if text.starts_with("https://") && !text[HTTPS.len()..].starts_with(['/', '\\']) {
            HTTPS.len()
        } else {
            let scheme = text.find(':')? + 1;
            text.len() - text[scheme..].trim_start_matches(['/', '\\']).len()
        };
        let rest = &text[authority..];
        let (rest, fragment) = split_at_mark(rest, memchr(b'#', rest.as_bytes()));
        let (rest, query) = split_at_mark(rest, memchr(b'?', rest.as_bytes()));
        let path = memchr2(b'/', b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let user_info = memrchr(b'@', &rest.as_bytes()[..path]).map(|end| &rest[..end]);
        let host = user_info.map_or(0, |user_info| user_info.len() + 1);
        Some(Self {
            text,
            front: &text[..authority],
            user_info,
            host: &rest[host..path],
            path: &rest[path..],
            query,
            fragment,
        })
    }

    /// Returns whether every parser reads the same parts: an http or https URL of the characters of RFC 3986 without
    /// user info, whose host is a name that no rule changes but for its case, and whose query needs no escape.
    /// Otherwise the URL parser has to decide.
    pub(super) fn is_unambiguous(&self) -> bool {
        // Of these characters the URL standard escapes only `'`, and only in a query.
        let escaped = |query: &str| memchr(b'\'', query.as_bytes()).is_some();
        matches!(self.front, HTTPS | "http://")
            && self.user_info.is_none()
            && is_unambiguous_host(self.host)
            && !self.query.is_some_and(escaped)
            && is_plain(self.text)
    }

    /// Returns whether the authority has user info that is more than its delimiters.
    pub(super) fn has_user_info(&self) -> bool {
        self.user_info.is_some_and(|user_info| !matches!(user_info, "" | ":"))
    }
}

/// Splits a text at a delimiter of one byte, which neither part has.
fn split_at_mark(text: &str, at: Option<usize>) -> (&str, Option<&str>) {
    at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// Returns whether the host is a plain name, with or without a port that is too short to be out of range.
fn is_unambiguous_host(host: &str) -> bool {
    let Some(colon) = memchr(b':', host.as_bytes()) else { return is_unambiguous_name(host.as_bytes()) };
    let (name, port) = (&host.as_bytes()[..colon], &host.as_bytes()[colon + 1..]);
    is_unambiguous_name(name) && (1..=4).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
}

/// Returns whether a name has only letters and digits with single dots and hyphens between them, so that no label is
/// empty or punycode. The last label must begin with a letter; otherwise the name could be an IPv4 address.
fn is_unambiguous_name(name: &[u8]) -> bool {
    let mut joined = false;
    for &byte in name {
        let inside = byte.is_ascii_alphanumeric();
        if !(inside || joined && matches!(byte, b'.' | b'-')) {
            return false;
        }
        joined = inside;
    }
    let label = memrchr(b'.', name).map_or(name, |dot| &name[dot + 1..]);
    joined && label.first().is_some_and(u8::is_ascii_alphabetic)
}

/// Returns whether a text has only the characters of RFC 3986, section 2, with two hexadecimal digits after each `%`.
fn is_plain(text: &str) -> bool {
    let escape =
        |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    text.bytes().all(|byte| RFC_3986_BYTES[usize::from(byte)])
        && (memchr(b'%', text.as_bytes()).is_none() || text.split('%').skip(1).all(escape))
}

const HTTPS: &str = "https://";
/// The characters of RFC 3986, section 2.
const RFC_3986_BYTES: [bool; 256] = alphanumeric_and(b"-._~:/?#[]@!$&'()*+,;=%");

#[cfg(test)]
mod tests;
