//! A URL's text in its parts, cut at the marks of RFC 3986.

use crate::scrub::ascii::alphanumeric_and;
use memchr::{memchr, memrchr};

/// The parts of a text that has only the characters of RFC 3986. Whether a URL's parser sees the same parts is
/// another question, unless they are settled.
pub(super) struct UrlParts<'t> {
    /// All before query and fragment.
    pub(super) front: &'t str,
    pub(super) scheme: &'t str,
    /// Whether user info stands before the host.
    pub(super) user: bool,
    /// The host with its port.
    pub(super) host: &'t str,
    pub(super) path: &'t str,
    pub(super) query: Option<&'t str>,
}

impl<'t> UrlParts<'t> {
    /// None where the text is not plain, or has no `://`.
    pub(super) fn of(text: &'t str) -> Option<Self> {
        if !is_plain(text) {
            return None;
        }
        // To look for the mark takes longer than all else here.
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
            front: &text[..query],
            scheme: &text[..scheme],
            user: user.is_some(),
            host: &text[host..path],
            path: &text[path..query],
            query: (query < fragment).then(|| &text[query + 1..fragment]),
        })
    }

    /// Whether every parser sees these parts: an http or https URL without user info, whose host is a name that no
    /// rule alters but for its case, and whose query no rule escapes. Then nobody need be asked. Where it is not so a
    /// parser decides.
    pub(super) fn is_settled(&self) -> bool {
        // Of the plain characters the URL standard escapes this one alone, and it does so in a query.
        let escaped = |query: &str| memchr(b'\'', query.as_bytes()).is_some();
        matches!(self.scheme, "https" | "http")
            && !self.user
            && is_settled_host(self.host)
            && !self.query.is_some_and(escaped)
    }
}

/// A name, and perhaps a port that is too short to be too large.
fn is_settled_host(host: &str) -> bool {
    let Some(colon) = memchr(b':', host.as_bytes()) else { return is_settled_name(host.as_bytes()) };
    let (name, port) = (&host.as_bytes()[..colon], &host.as_bytes()[colon + 1..]);
    is_settled_name(name) && (1..=4).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
}

/// Letters and digits, with single dots and hyphens between them: nothing of it is empty or in punycode. The last
/// label begins with a letter, or it could be an IPv4 address.
fn is_settled_name(name: &[u8]) -> bool {
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

/// Whether the text has only the characters of RFC 3986, section 2, with each `%` before two hexadecimal digits.
fn is_plain(text: &str) -> bool {
    let escape =
        |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    text.bytes().all(|byte| PLAIN[usize::from(byte)])
        && (memchr(b'%', text.as_bytes()).is_none() || text.split('%').skip(1).all(escape))
}

/// The characters of RFC 3986, section 2.
const PLAIN: [bool; 256] = alphanumeric_and(b"-._~:/?#[]@!$&'()*+,;=%");

#[cfg(test)]
mod tests;
