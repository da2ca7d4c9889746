//! The parts of a URL's text, split at the delimiters of RFC 3986.

use crate::ascii::alphanumeric_and;
use memchr::{memchr, memrchr};

/// The parts of a text that has only characters of RFC 3986. A URL parser may read other parts, unless
/// [`UrlParts::is_unambiguous`].
pub(super) struct UrlParts<'t> {
    /// The text before query and fragment.
    pub(super) before_query: &'t str,
    pub(super) scheme: &'t str,
    /// True if user info stands before the host.
    pub(super) has_user_info: bool,
    /// The host with its port.
    pub(super) host: &'t str,
    pub(super) path: &'t str,
    pub(super) query: Option<&'t str>,
}

impl<'t> UrlParts<'t> {
    /// Splits a text. Returns `None` if the text has other characters or no `://`.
    pub(super) fn split(text: &'t str) -> Option<Self> {
        if !is_plain(text) {
            return None;
        }
        // The search for `://` would take longer than the rest of this function.
        let scheme = if text.starts_with("https://") { "https".len() } else { text.find("://")? };
        let authority = scheme + "://".len();
        let find = |mark, start, end| {
            memchr(mark, &text.as_bytes()[start..end]).map_or(end, |distance| start + distance)
        };
        let fragment = find(b'#', authority, text.len());
        let query = find(b'?', authority, fragment);
        let path = find(b'/', authority, query);
        let user = memrchr(b'@', &text.as_bytes()[authority..path]);
        let host = user.map_or(authority, |distance| authority + distance + 1);
        Some(Self {
            before_query: &text[..query],
            scheme: &text[..scheme],
            has_user_info: user.is_some(),
            host: &text[host..path],
            path: &text[path..query],
            query: (query < fragment).then(|| &text[query + 1..fragment]),
        })
    }

    /// Returns whether every parser reads the same parts: an http or https URL without user info, whose host is a name
    /// that no rule changes but for its case, and whose query needs no escape. Otherwise the URL parser has to decide.
    pub(super) fn is_unambiguous(&self) -> bool {
        // Of these characters the URL standard escapes only `'`, and only in a query.
        let escaped = |query: &str| memchr(b'\'', query.as_bytes()).is_some();
        matches!(self.scheme, "https" | "http")
            && !self.has_user_info
            && is_unambiguous_host(self.host)
            && !self.query.is_some_and(escaped)
    }
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

/// The characters of RFC 3986, section 2.
const RFC_3986_BYTES: [bool; 256] = alphanumeric_and(b"-._~:/?#[]@!$&'()*+,;=%");

#[cfg(test)]
mod tests;
