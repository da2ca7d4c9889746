//! Target URLs without what they should not carry.
//!
//! Operators are told to put a function's key into the query of an endpoint (`?code=...`), and a Logic Apps trigger
//! carries its `sig` there. So no query value is kept unless its name is listed, and user info and fragment go.
//! The path is kept as it is, also where somebody has put a secret into it.

use std::borrow::Cow;

use url::{Url, form_urlencoded};

use self::cut::Cut;

mod cut;

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
    /// about which part is the host, and where it is or becomes longer than 8192 bytes. Text in plain RFC 3986
    /// characters is kept byte for byte outside of what is removed; anything else comes back in the canonical form
    /// of the URL standard.
    pub(super) fn scrub<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let cut = Cut::of(text);
        let clean = match &cut {
            Some(cut) if cut.is_settled() => self.joined(cut),
            _ => Cow::Owned(self.parsed(text, cut.as_ref())?),
        };
        (clean.len() <= MAX_BYTES).then_some(clean)
    }

    fn parsed(&self, text: &str, cut: Option<&Cut<'_>>) -> Option<String> {
        let mut canonical = Url::parse(text).ok()?;
        if !matches!(canonical.scheme(), "http" | "https") || !canonical.has_host() || is_disputed(text) {
            return None;
        }
        canonical.set_username("").ok()?;
        canonical.set_password(None).ok()?;
        canonical.set_fragment(None);
        if let Some(query) = canonical.query() {
            let mut clean = String::with_capacity(query.len());
            self.query(query, &mut clean);
            canonical.set_query(Some(&clean));
        }

        // The text is cut by other means than the parser's, so it passes only if both come to the same URL.
        match cut.map(|cut| self.joined(cut)) {
            Some(clean) if Url::parse(&clean).is_ok_and(|url| url == canonical) => Some(clean.into_owned()),
            _ => Some(canonical.into()),
        }
    }

    /// A text that was cut, without what must go.
    fn joined<'t>(&self, cut: &Cut<'t>) -> Cow<'t, str> {
        let mut clean = if cut.user {
            Cow::Owned(format!("{}://{}{}", cut.scheme, cut.host, cut.path))
        } else {
            Cow::Borrowed(cut.front)
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

    fn query(&self, query: &str, clean: &mut String) {
        for (at, piece) in query.split('&').enumerate() {
            clean.push_str(if at > 0 { "&" } else { "" });
            self.piece(piece, clean);
        }
    }

    /// One piece between two `&`. Without a `=` it is a value; so it is where the name could be read as more
    /// than a name, as in `secret;sv=1`.
    fn piece(&self, piece: &str, clean: &mut String) {
        let named =
            piece.split_once('=').and_then(|(name, value)| Some((name, value, percent_decoded(name)?)));
        match named {
            _ if piece.is_empty() => {}
            Some((_, value, decoded)) if self.is_listed(&decoded) && is_single(value) => {
                clean.push_str(piece);
            }
            Some((name, _, decoded)) if !decoded.bytes().any(|byte| DELIMITERS.contains(&byte)) => {
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
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
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

/// What parts one piece of a query from another, or would after one more decoding; and the backslash, which
/// RFC 3986 has in no URL and the URL standard leaves in a query as it is.
const DELIMITERS: [u8; 7] = *b";&=?#%\\";

#[cfg(test)]
mod tests;
