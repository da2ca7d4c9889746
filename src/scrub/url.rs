//! Target URLs without what they should not carry.
//!
//! Operators are told to put a function's key into the query of an endpoint (`?code=...`), and a Logic Apps trigger
//! carries its `sig` there. So no query value is kept unless its name is listed, no query name is kept that could be
//! a key itself, and user info and fragment go. In the path, pairs (`code=...`), encoded queries and user
//! info of a nested URL are masked; a segment without any of these is kept, also where somebody has put a secret into it.
//! A text in which nothing is hidden is kept byte for byte.

use std::borrow::Cow;

use memchr::{memchr3, memrchr_iter};
use url::{Url, form_urlencoded};

use self::parts::UrlParts;

mod parts;

/// The rules for target URLs.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    /// The mask, safe as a query value.
    mask: String,
    keep_query: Vec<String>,
}

impl Targets {
    pub(super) fn new(mask: &str, keep_query: &[String]) -> Self {
        let mask = form_urlencoded::byte_serialize(mask.as_bytes()).collect();
        Self { mask, keep_query: keep_query.to_vec() }
    }

    /// The URL without user info, fragment, and query values that are not listed.
    ///
    /// None where the text is not an absolute http or https URL with a host, where its readers would disagree
    /// about which part is the host, and where it is or becomes longer than 8192 bytes. Text with nothing to hide is
    /// kept byte for byte. Of other text, plain RFC 3986 characters are kept byte for byte outside of what is removed;
    /// anything else comes back in the canonical form of the URL standard.
    pub(super) fn scrub<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let cut = UrlParts::of(text);
        let clean = match &cut {
            Some(cut) if cut.is_settled() => self.joined(cut),
            _ => self.parsed(text, cut.as_ref())?,
        };
        (clean.len() <= MAX_BYTES).then_some(clean)
    }

    fn parsed<'t>(&self, text: &'t str, cut: Option<&UrlParts<'t>>) -> Option<Cow<'t, str>> {
        let original = Url::parse(text).ok()?;
        if !matches!(original.scheme(), "http" | "https") || !original.has_host() || is_disputed(text) {
            return None;
        }
        let mut canonical = original.clone();
        canonical.set_username("").ok()?;
        canonical.set_password(None).ok()?;
        canonical.set_fragment(None);
        if let Cow::Owned(path) = self.path(original.path()) {
            canonical.set_path(&path);
        }
        if let Some(query) = original.query() {
            let mut clean = String::with_capacity(query.len());
            self.query(query, &mut clean);
            canonical.set_query(Some(&clean));
        }

        // The text is cut by other means than the parser's, so it passes only if both come to the same URL.
        match cut.map(|cut| self.joined(cut)) {
            None if canonical == original => Some(text.into()),
            Some(clean) if Url::parse(&clean).is_ok_and(|url| url == canonical) => Some(clean),
            _ => Some(String::from(canonical).into()),
        }
    }

    /// A text that was cut, without what must go.
    fn joined<'t>(&self, cut: &UrlParts<'t>) -> Cow<'t, str> {
        let path = self.path(cut.path);
        let mut clean = match &path {
            Cow::Borrowed(_) if !cut.user => Cow::Borrowed(cut.front),
            _ => Cow::Owned(format!("{}://{}{path}", cut.scheme, cut.host)),
        };
        if let Some(query) = cut.query {
            let front = clean;
            let mut whole = String::with_capacity(front.len() + 1 + query.len() + self.mask.len());
            whole.push_str(&front);
            whole.push('?');
            self.query(query, &mut whole);
            clean = Cow::Owned(whole);
        }
        clean
    }

    /// A path without pairs, encoded queries, and user info of a nested URL.
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

    /// One segment of a path. A nested authority comes after `scheme://`.
    fn segment(&self, segment: &str, is_authority: bool, clean: &mut String) {
        // What was masked before stays, whatever the mask is made of.
        let (masked, segment) = match segment.strip_prefix(self.mask.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('@') => (self.mask.as_str(), rest),
            _ => ("", segment),
        };
        clean.push_str(masked);
        let user = [segment.rfind('@'), rfind_escape(segment, "40")].into_iter().flatten().max();
        let is_user = |user: &str| is_authority || user.contains(':') || rfind_escape(user, "3a").is_some();
        let (user, rest) = segment.split_at(user.filter(|&at| is_user(&segment[..at])).unwrap_or(0));
        clean.push_str(if user.is_empty() { "" } else { &self.mask });
        let Some(value) = pair(rest) else { return clean.push_str(rest) };
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

    /// One piece between two `&`. Without a value it is one itself, and so it is where its name could be read as more
    /// than a name, as in `secret;sv=1`, or could be a key.
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

/// Whether the name of a query value is an identifier, and neither so long nor so full of digits that it could be a key.
pub(super) fn is_name(name: &str) -> bool {
    let [first, tail @ ..] = name.as_bytes() else { return false };
    let mut digits = 0;
    let is_inside = |byte: &u8| {
        digits += usize::from(byte.is_ascii_digit());
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'-')
    };
    name.len() <= MAX_NAME
        && (first.is_ascii_alphabetic() || matches!(first, b'_' | b'$'))
        && tail.iter().all(is_inside)
        && digits <= MAX_DIGITS
}

/// Whether there is more than the padding of Base64: in `?aHVudGVyMDA==` nothing is a name.
fn has_value(value: &str) -> bool {
    value.bytes().any(|byte| byte != b'=')
}

/// The place of a value in a segment of a path: behind the first `=`, or behind the first escape that one more decoding
/// makes a delimiter of.
fn pair(segment: &str) -> Option<usize> {
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

/// Whether readers disagree about where the host ends: to browsers a backslash is a slash, to RFC 3986 it is
/// nothing at all, so in `https://secret\@host/` one sees user info where another sees the host.
fn is_disputed(text: &str) -> bool {
    let front = text.split(['?', '#']).next().unwrap_or_default();
    front.contains('\\') && front.contains('@')
}

/// Whether a value is one value however often somebody decodes it, and wherever somebody splits it.
fn is_single(value: &str) -> bool {
    percent_decoded(value).is_some_and(|decoded| {
        decoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:,+*".contains(&byte))
    })
}

/// None where a `%` is not before two hexadecimal digits, or where the result is not UTF-8.
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

/// A URL that nobody could ask for anyway: RFC 9110, section 4.1, asks of its readers 8000 bytes. Without a limit
/// a query of a million short pieces and a long mask would come to any length.
const MAX_BYTES: usize = 8192;

/// The longest name of a parameter in wide use, `Ocp-Apim-Subscription-Key`, has 25 characters. A key has 32 and more.
const MAX_NAME: usize = 30;
const MAX_DIGITS: usize = 4;

#[cfg(test)]
mod tests;
