//! Target URLs without their credentials.
//!
//! Azure's documentation tells operators to put a function's key into the query of an endpoint (`?code=...`), and a
//! Logic Apps trigger has its `sig` there. So a query value passes only if its name is listed, a query name passes
//! only if it cannot be a key itself, and user info and fragment are removed. In the path, pairs (`code=...`), encoded
//! queries and user info of a nested URL are masked; other segments pass, even if a user has put a secret into one.
//! All else passes byte for byte, also placeholders (`{tenant}`), blanks, upper case and a default port.

use std::borrow::Cow;

use memchr::{memchr3, memrchr_iter};
use url::{Url, form_urlencoded};

use self::parts::UrlParts;

mod parts;

/// The rules for target URLs.
#[derive(Clone, Debug)]
pub(super) struct TargetUrlRules {
    /// The mask, encoded as a query value.
    mask: String,
    keep_query: Vec<String>,
}

impl TargetUrlRules {
    pub(super) fn new(mask: &str, keep_query: &[String]) -> Self {
        let mask = form_urlencoded::byte_serialize(mask.as_bytes()).collect();
        Self { mask, keep_query: keep_query.to_vec() }
    }

    /// Returns the URL without user info, fragment, and query values that are not listed.
    ///
    /// Returns `None` if the text is not an absolute http or https URL with a host, if parsers disagree about which
    /// part is the host, or if the text or its result has more than 8192 bytes. All bytes outside of the masked parts
    /// pass unchanged, if the URL parser reads the result as the masked URL. Otherwise the result is the masked URL in
    /// the canonical form of the URL standard.
    pub(super) fn scrub<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if text.len() > MAX_URL_BYTES {
            return None;
        }
        let parts = UrlParts::split(text)?;
        let clean =
            if parts.is_unambiguous() { self.scrub_parts(&parts) } else { self.scrub_by_parser(&parts)? };
        (clean.len() <= MAX_URL_BYTES).then_some(clean)
    }

    fn scrub_by_parser<'t>(&self, parts: &UrlParts<'t>) -> Option<Cow<'t, str>> {
        let original = Url::parse(parts.text).ok()?;
        if !matches!(original.scheme(), "http" | "https") || !original.has_host() || is_ambiguous(parts.text)
        {
            return None;
        }
        let mut canonical = original.clone();
        canonical.set_username("").ok()?;
        canonical.set_password(None).ok()?;
        if original.fragment().is_some_and(|fragment| !fragment.is_empty()) {
            canonical.set_fragment(None);
        }
        if let Cow::Owned(path) = self.path(original.path()) {
            canonical.set_path(&path);
        }
        if let Some(query) = original.query() {
            let mut clean = String::with_capacity(query.len());
            self.query(query, &mut clean);
            canonical.set_query(Some(&clean));
        }
        // The text was not split by the URL parser, so the result passes only if the parser reads both as the same
        // URL. An unchanged URL is no exception: the parser drops dot segments with all that they hide
        // (`/code=hunter2/..`).
        let clean = self.scrub_parts(parts);
        if Url::parse(&clean).is_ok_and(|url| url == canonical) {
            return Some(clean);
        }
        Some(String::from(canonical).into())
    }

    /// Joins the parts without the removed ones. A text without anything to remove passes as it is.
    fn scrub_parts<'t>(&self, parts: &UrlParts<'t>) -> Cow<'t, str> {
        let UrlParts { text, front, user_info, host, path, query, fragment } = *parts;
        let clean_path = self.path(path);
        let has_fragment = fragment.is_some_and(|fragment| !fragment.is_empty());
        let is_changed = parts.has_user_info() || has_fragment || matches!(clean_path, Cow::Owned(_));
        if !is_changed && query.is_none() {
            return Cow::Borrowed(text);
        }
        let mut clean = String::with_capacity(text.len() + self.mask.len());
        clean.push_str(front);
        if let Some(user_info) = user_info.filter(|_| !parts.has_user_info()) {
            clean.push_str(user_info);
            clean.push('@');
        }
        clean.push_str(host);
        clean.push_str(&clean_path);
        if let Some(query) = query {
            clean.push('?');
            self.query(query, &mut clean);
        }
        if fragment.is_some() && !has_fragment {
            clean.push('#');
        }
        if clean == text { Cow::Borrowed(text) } else { Cow::Owned(clean) }
    }

    /// Masks pairs, encoded queries, and user info of a nested URL in a path.
    fn path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if memchr3(b'=', b'%', b'@', path.as_bytes()).is_none() {
            return Cow::Borrowed(path);
        }
        let mut clean = String::with_capacity(path.len());
        let mut before = ["", ""];
        for (at, segment) in path.split('/').enumerate() {
            clean.push_str(if at > 0 { "/" } else { "" });
            self.segment(segment, before[0].ends_with(':') && before[1].is_empty(), &mut clean);
            before = [before[1], segment];
        }
        if clean == path { Cow::Borrowed(path) } else { Cow::Owned(clean) }
    }

    /// Masks one segment of a path. A nested authority follows `scheme://`.
    fn segment(&self, segment: &str, is_authority: bool, clean: &mut String) {
        // A mask that stands here already stays, so that scrubbing twice changes nothing.
        let (masked, segment) = match segment.strip_prefix(self.mask.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('@') => (self.mask.as_str(), rest),
            _ => ("", segment),
        };
        clean.push_str(masked);
        let user = [segment.rfind('@'), rfind_escape(segment, "40")].into_iter().flatten().max();
        let is_user = |user: &str| is_authority || user.contains(':') || rfind_escape(user, "3a").is_some();
        let (user, rest) = segment.split_at(user.filter(|&at| is_user(&segment[..at])).unwrap_or(0));
        clean.push_str(if user.is_empty() { "" } else { &self.mask });
        let Some(value) = value_start(rest) else { return clean.push_str(rest) };
        if rest[value..].bytes().all(|byte| byte == b'=') {
            // Base64 with its padding, or a name without a value.
            return clean.push_str(&self.mask);
        }
        clean.push_str(&rest[..value]);
        clean.push_str(&self.mask);
    }

    fn query(&self, query: &str, clean: &mut String) {
        for (at, piece) in query.split('&').enumerate() {
            clean.push_str(if at > 0 { "&" } else { "" });
            self.piece(piece, clean);
        }
    }

    /// Masks one piece between two `&`. A piece without a value is masked whole, and so is a piece whose name could
    /// hold a value, as in `secret;sv=1`, or be a key.
    pub(super) fn piece(&self, piece: &str, clean: &mut String) {
        let named =
            piece.split_once('=').and_then(|(name, value)| Some((name, value, percent_decoded(name)?)));
        match named {
            _ if piece.is_empty() => {}
            Some((_, value, decoded)) if self.is_listed(&decoded) && is_single(value) => {
                clean.push_str(piece);
            }
            Some((name, value, decoded)) if is_name(&decoded) && (value == self.mask || has_value(value)) => {
                clean.push_str(name);
                clean.push('=');
                clean.push_str(&self.mask);
            }
            _ => clean.push_str(&self.mask),
        }
    }

    fn is_listed(&self, name: &str) -> bool {
        self.keep_query.iter().any(|kept| kept == name)
    }
}

/// Returns whether the name of a query value is an identifier that is too short and has too few digits to be a key.
pub(super) fn is_name(name: &str) -> bool {
    let [first, tail @ ..] = name.as_bytes() else { return false };
    let mut digits = 0;
    let is_inside = |byte: &u8| {
        digits += usize::from(byte.is_ascii_digit());
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'-')
    };
    name.len() <= MAX_NAME_BYTES
        && (first.is_ascii_alphabetic() || matches!(first, b'_' | b'$'))
        && tail.iter().all(is_inside)
        && digits <= MAX_NAME_DIGITS
}

/// Returns whether the value has more than the padding of Base64: `?aHVudGVyMDA==` has no name.
fn has_value(value: &str) -> bool {
    value.bytes().any(|byte| byte != b'=')
}

/// Returns the start of the value in a segment: after the first `=`, or after the first escape that one more decoding
/// turns into a delimiter.
fn value_start(segment: &str) -> Option<usize> {
    let bytes = segment.as_bytes();
    let is_delimiter = |escape: &[u8]| {
        ["3d", "3f", "26", "3b", "23", "25", "5c"]
            .iter()
            .any(|code| escape.eq_ignore_ascii_case(code.as_bytes()))
    };
    bytes.iter().enumerate().find_map(|(at, byte)| match byte {
        b'=' => Some(at + 1),
        b'%' if bytes.get(at + 1..at + 3).is_some_and(is_delimiter) => Some(at + 3),
        _ => None,
    })
}

fn rfind_escape(text: &str, code: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memrchr_iter(b'%', bytes).find(|at| {
        bytes.get(at + 1..at + 3).is_some_and(|escape| escape.eq_ignore_ascii_case(code.as_bytes()))
    })
}

/// Returns whether parsers disagree about the end of the host: browsers read a backslash as a slash, RFC 3986 does not
/// allow it, so in `https://secret\@host/` one parser reads user info where another reads the host.
fn is_ambiguous(text: &str) -> bool {
    let front = text.split(['?', '#']).next().unwrap_or_default();
    front.contains('\\') && front.contains('@')
}

/// Returns whether a value stays one value after repeated decoding and splitting.
fn is_single(value: &str) -> bool {
    percent_decoded(value).is_some_and(|decoded| {
        decoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:,+*{}".contains(&byte))
    })
}

/// Decodes percent escapes. Returns `None` if a `%` is not followed by two hexadecimal digits, or if the result is not
/// UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Longer URLs are not usable: RFC 9110, section 4.1, recommends support of at least 8000 bytes. Without a limit, a
/// query of a million short pieces and a long mask could have any length.
const MAX_URL_BYTES: usize = 8192;

/// The longest name of a parameter in wide use, `Ocp-Apim-Subscription-Key`, has 25 characters. A key has 32 and more.
const MAX_NAME_BYTES: usize = 30;
const MAX_NAME_DIGITS: usize = 4;

#[cfg(test)]
mod tests;
