//! Free text without the credentials in it.
//!
//! Free text is what people or Graph wrote for people: the name of a connector, the message of an error. A secret that
//! reads like a word cannot be told from one, so these parts alone are masked: a URL's as those of a target URL, the
//! value of a `Bearer` or `Basic` scheme, a JWT, PEM text, JSON objects, and the value of a pair whose name is
//! that of a credential (`password=...`, `"apiKey": "..."`). One pass; every byte is looked at a bounded number of times.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rules::Rules;

/// The text with masks in the place of its credentials. None where it has none.
pub(super) fn masked(text: &str, rules: &Rules) -> Option<String> {
    if !text.as_bytes().windows(2).any(|pair| is_trigger(pair[0], pair[1])) {
        return None;
    }
    let mut scan = Scan { text, rules, at: 0, copied: 0, clean: String::new(), is_changed: false };
    while scan.at < text.len() {
        scan.step();
    }
    scan.clean.push_str(&text[scan.copied..]);
    scan.is_changed.then_some(scan.clean)
}

/// Whether a part of a credential's form can begin, or be in, these two bytes.
fn is_trigger(first: u8, second: u8) -> bool {
    match first {
        b':' | b'=' | b'{' => true,
        b'-' => second == b'-',
        b'b' | b'B' => matches!(second | 0x20, b'e' | b'a'),
        b'e' => second == b'y',
        _ => false,
    }
}

/// A scan of one text.
struct Scan<'t> {
    text: &'t str,
    rules: &'t Rules,
    at: usize,
    /// All before is in `clean`.
    copied: usize,
    clean: String,
    is_changed: bool,
}

impl Scan<'_> {
    fn step(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let end = match rest {
            [b':', b'/', b'/', ..] => self.url(),
            [b':', ..] => self.quoted_pair(),
            [b'=', ..] => self.pair(),
            [b'{', ..] => self.json(),
            [b'-', b'-', b'-', b'-', b'-', b'B', b'E', b'G', b'I', b'N', ..] => self.pem(),
            [b'b' | b'B', ..] if self.is_word_start() => self.scheme(),
            [b'e', b'y', b'J', ..] if self.is_word_start() => self.jwt(),
            _ => None,
        };
        self.at = end.unwrap_or(self.at + 1).max(self.at + 1);
    }

    /// Writes the mask in the place of a part, unless the part is the mask. Returns the end of the part.
    fn mask(&mut self, part: Range<usize>) -> Option<usize> {
        let mask = self.rules.mask_text.clone();
        self.replace(part, &mask)
    }

    fn replace(&mut self, part: Range<usize>, clean: &str) -> Option<usize> {
        let start = part.start.max(self.copied);
        if start >= part.end {
            return None;
        }
        if &self.text[start..part.end] != clean {
            self.clean.push_str(&self.text[self.copied..start]);
            self.clean.push_str(clean);
            self.copied = part.end;
            self.is_changed = true;
        }
        Some(part.end)
    }

    /// The end of the mask, if it stands at `start`: what was masked before stays.
    fn masked_at(&self, start: usize) -> Option<usize> {
        let mask = self.rules.mask_text.as_str();
        (!mask.is_empty() && self.text[start..].starts_with(mask)).then(|| start + mask.len())
    }

    fn is_word_start(&self) -> bool {
        self.at == 0 || !self.text.as_bytes()[self.at - 1].is_ascii_alphanumeric()
    }

    /// The first place from `start` on whose byte is none of these.
    fn after(&self, start: usize, is_inside: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text.as_bytes()[start..];
        start + rest.iter().position(|&byte| !is_inside(byte)).unwrap_or(rest.len())
    }

    /// The first place before `end` from which on there are only these bytes, at most `max` of them.
    fn before(&self, end: usize, max: usize, is_inside: impl Fn(u8) -> bool) -> usize {
        let start = end.saturating_sub(max).max(self.copied);
        let inside = self.text.as_bytes()[start..end].iter().rev().take_while(|&&byte| is_inside(byte));
        end - inside.count()
    }

    /// A URL, from the mark after its scheme.
    fn url(&mut self) -> Option<usize> {
        let start = self.before(self.at, MAX_SCHEME, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
        });
        let end = self.after(self.at, |byte| byte > b' ' && !b"\"<>`".contains(&byte));
        let trimmed = self.text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', ')', ']']);
        let part = start..trimmed.len().max(self.at + "://".len());
        let url = &self.text[part.clone()];
        let scheme = &self.text[start..self.at];
        let is_http = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        match self.rules.targets.scrub(url) {
            Some(clean) if is_http => {
                let clean = clean.into_owned();
                self.replace(part, &clean)
            }
            _ if url.contains(['@', '?', '#', '=', '\\']) => self.mask(part),
            _ => Some(part.end),
        }
    }

    /// A JSON object, or what looks like the beginning of one. It ends at the last bracket of the text.
    fn json(&mut self) -> Option<usize> {
        let inside = self.after(self.at + 1, |byte| byte.is_ascii_whitespace() || byte == b'\\');
        if !matches!(self.text.as_bytes().get(inside), Some(b'"' | b'\'')) {
            return None;
        }
        let end = self.text[inside..].rfind('}').map_or(self.text.len(), |end| inside + end + 1);
        self.mask(self.at..end)
    }

    fn pem(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let end = rest.find("-----END").and_then(|end| {
            let last = end + "-----END".len();
            Some(last + rest[last..].find("-----")? + "-----".len())
        });
        self.mask(self.at..end.map_or(self.text.len(), |end| self.at + end))
    }

    /// A JSON Web Token by its form, wherever it stands.
    fn jwt(&mut self) -> Option<usize> {
        let end = self.after(self.at, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let run = &self.text[self.at..end];
        if run.len() >= MIN_JWT && run.contains('.') { self.mask(self.at..end) } else { Some(end) }
    }

    /// The value of an authentication scheme.
    fn scheme(&mut self) -> Option<usize> {
        let is = |name: &str| {
            self.text.get(self.at..self.at + name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name))
        };
        let (length, is_basic) = match (is("bearer"), is("basic")) {
            (true, _) => ("bearer".len(), false),
            (_, true) => ("basic".len(), true),
            _ => return None,
        };
        let start =
            self.after(self.at + length, |byte| byte.is_ascii_whitespace() || b":='\"\\".contains(&byte));
        if start == self.at + length {
            return None;
        }
        if let Some(end) = self.masked_at(start) {
            return Some(end);
        }
        let end = self.after(start, |byte| byte > b' ' && !b"\"',;<>\\".contains(&byte));
        let value = self.text[start..end].trim_end_matches(['.', '!', '?', ')', ':']);
        let is_credential = if is_basic { is_basic_value(value) } else { is_bearer_value(value) };
        if is_credential { self.mask(start..start + value.len()) } else { Some(start) }
    }

    /// The value behind an `=` whose name is that of a credential.
    fn pair(&mut self) -> Option<usize> {
        let name_end = self.before(self.at, MAX_BLANKS, |byte| byte == b' ');
        let name = self.before(name_end, MAX_NAME, is_name_byte);
        self.value_of(name..name_end, self.at + 1)
    }

    /// The value behind a `:` whose name is that of a credential, in quotes.
    fn quoted_pair(&mut self) -> Option<usize> {
        let quote = self.before(self.at, MAX_BLANKS, |byte| byte == b' ');
        if !self.text[..quote].ends_with(['"', '\'']) {
            return None;
        }
        let name_end = self.before(quote - 1, MAX_BLANKS, |byte| byte == b'\\');
        let name = self.before(name_end, MAX_NAME, is_name_byte);
        self.value_of(name..name_end, self.at + 1)
    }

    fn value_of(&mut self, name: Range<usize>, start: usize) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        self.rules.names.credential_word(&self.text[name])?;
        let start = self.after(start, |byte| matches!(byte, b' ' | b'\\' | b'\t'));
        let quote = self.text.as_bytes().get(start).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let start = start + usize::from(quote.is_some());
        if let Some(end) = self.masked_at(start) {
            return Some(end);
        }
        let end = match quote {
            Some(quote) => self.after(start, |byte| byte != quote),
            None => self.after(start, |byte| byte > b' ' && !b";&,\"'<>)}".contains(&byte)),
        };
        self.mask(start..end)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) || !byte.is_ascii()
}

/// Whether the word behind `Bearer` is a token: any word but those of a sentence or a challenge.
fn is_bearer_value(value: &str) -> bool {
    let word =
        value.split(|symbol: char| !symbol.is_ascii_alphabetic() && symbol != '_').next().unwrap_or_default();
    let rest = &value[word.len()..];
    let is_word = WORDS.iter().any(|known| known.eq_ignore_ascii_case(word));
    !(value.is_empty() || is_word && (rest.is_empty() || rest.starts_with('=')))
}

/// Whether the word behind `Basic` is a credential: Base64 of a text with a colon (RFC 7617), or no word. `Basic` is a
/// word of the language, so the words behind it pass.
fn is_basic_value(value: &str) -> bool {
    if STANDARD.decode(value).is_ok_and(|decoded| decoded.contains(&b':')) {
        return true;
    }
    let mut tail = value.bytes().skip(1);
    let is_word = tail.all(|byte| byte.is_ascii_lowercase() || byte == b'-' || !byte.is_ascii());
    let is_acronym = value.len() <= MAX_ACRONYM && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    !(is_word || is_acronym)
}

/// Words that follow `Bearer` in sentences, and parameters of a challenge (RFC 6750, section 3).
const WORDS: &[&str] = &[
    "access",
    "and",
    "api",
    "auth",
    "authentication",
    "authorization",
    "authorization_uri",
    "challenge",
    "client_id",
    "connector",
    "credential",
    "credentials",
    "error",
    "format",
    "has",
    "header",
    "in",
    "is",
    "missing",
    "must",
    "not",
    "or",
    "realm",
    "required",
    "scheme",
    "scope",
    "token",
    "tokens",
    "type",
    "was",
    "with",
];
/// The longest registered scheme that matters here is short; a longer text is none.
const MAX_SCHEME: usize = 16;
const MAX_NAME: usize = 64;
const MAX_BLANKS: usize = 4;
const MAX_ACRONYM: usize = 5;
/// A header alone has more.
const MIN_JWT: usize = 20;

#[cfg(test)]
mod tests;
