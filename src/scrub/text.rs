//! Free text without the credentials in it.
//!
//! Free text is what people or Graph wrote for people: the name of a connector, the message of an error. A secret that
//! reads like a word cannot be told from one. These parts are masked: user info and queries, with a scheme or without,
//! the value of a `Bearer` or `Basic` scheme, a JWT, PEM text, JSON objects, the rest of a line behind the name of a
//! credential and a separator (`password=...`, `x-functions-key: ...`), and every word that looks like a key, wherever
//! it stands. Words of letters behind `Bearer`, `Basic`, or the name of a token or key pass. Each kind is looked for in
//! one pass, and every byte is looked at a bounded number of times.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rules::Rules;

mod pairs;
mod words;

/// The text with masks in the place of its credentials. None where it has none.
pub(super) fn masked(text: &str, rules: &Rules) -> Option<String> {
    if is_prose(text.as_bytes()) {
        return None;
    }
    let mut clean = once(text, rules)?;
    // A mask or a rewritten URL can make a part of its surroundings. What does not settle is masked whole.
    for _ in 0..MAX_ROUNDS {
        match once(&clean, rules) {
            Some(next) => clean = next,
            None => return Some(clean),
        }
    }
    Some(rules.mask_text.clone())
}

fn once(text: &str, rules: &Rules) -> Option<String> {
    PASSES.iter().fold(None, |clean: Option<String>, pass| {
        let next = Scan::new(clean.as_deref().unwrap_or(text), rules).run(*pass);
        next.or(clean)
    })
}

/// Whether a text has only letters and blanks, and no name of an authentication scheme.
fn is_prose(text: &[u8]) -> bool {
    let is_scheme =
        |pair: &[u8]| pair.eq_ignore_ascii_case(b"be") || pair.eq_ignore_ascii_case(b"ba") || pair == b"ey";
    text.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b' ') && !text.windows(2).any(is_scheme)
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

impl<'t> Scan<'t> {
    fn new(text: &'t str, rules: &'t Rules) -> Self {
        Self { text, rules, at: 0, copied: 0, clean: String::new(), is_changed: false }
    }

    /// Looks for parts of one kind at each place. A `part` that begins there is masked, and its end is returned.
    fn run(mut self, part: Part) -> Option<String> {
        while self.at < self.text.len() {
            let next = self.at + 1;
            self.at = part(&mut self).unwrap_or(next).max(next);
        }
        self.clean.push_str(&self.text[self.copied..]);
        self.is_changed.then_some(self.clean)
    }

    fn is_at(&self, mark: &str) -> bool {
        self.text.as_bytes()[self.at..].starts_with(mark.as_bytes())
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
        if !self.is_at("://") {
            return None;
        }
        let start = self.before(self.at, MAX_SCHEME, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
        });
        let end = self.after(self.at, |byte| byte > b' ' && !b"\"<>`".contains(&byte));
        if self.goes_on(end) {
            return self.mask(start..self.line_end(end));
        }
        let trimmed = self.text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', ')', ']']);
        let part = start..trimmed.len().max(self.at + "://".len());
        let url = &self.text[part.clone()];
        let scheme = &self.text[start..self.at];
        if words::is_plain_link(url, self.rules) {
            return Some(part.end);
        }
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

    /// Whether a URL goes on behind the byte that ends it: a value in quotes, or behind a blank.
    fn goes_on(&self, end: usize) -> bool {
        let bytes = self.text.as_bytes();
        let last = bytes.get(end.wrapping_sub(1)).copied().unwrap_or_default();
        match bytes.get(end) {
            Some(b' ' | b'\t') => last == b'=',
            Some(b'"' | b'<' | b'>' | b'`') => {
                b"=:@&?#".contains(&last) || bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric)
            }
            _ => false,
        }
    }

    /// A JSON object, or what looks like the beginning of one. It ends at the last bracket of the text.
    fn json(&mut self) -> Option<usize> {
        if !self.is_at("{") {
            return None;
        }
        let inside = self.after(self.at + 1, |byte| byte.is_ascii_whitespace() || byte == b'\\');
        if !matches!(self.text.as_bytes().get(inside), Some(b'"' | b'\'')) {
            return None;
        }
        let end = self.text[inside..].rfind('}').map_or(self.text.len(), |end| inside + end + 1);
        self.mask(self.at..end)
    }

    /// PEM text, from its first beginning to its last end.
    fn pem(&mut self) -> Option<usize> {
        if !self.is_at("-----BEGIN") {
            return None;
        }
        let rest = &self.text[self.at..];
        let end = rest.rfind("-----END").filter(|end| rest.rfind("-----BEGIN") < Some(*end));
        let end = end.and_then(|end| {
            let label = end + "-----END".len();
            Some(label + rest[label..].find("-----")? + "-----".len())
        });
        self.mask(self.at..end.map_or(self.text.len(), |end| self.at + end))
    }

    /// A JSON Web Token by its form, wherever it stands.
    fn jwt(&mut self) -> Option<usize> {
        let end = self.after(self.at, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let run = &self.text[self.at..end];
        if run.len() >= MIN_JWT && run.contains('.') { self.mask(self.at..end) } else { Some(end) }
    }

    /// The value of an authentication scheme, or a JSON Web Token wherever it stands.
    fn scheme(&mut self) -> Option<usize> {
        if self.is_at("eyJ") {
            return self.jwt();
        }
        if !self.is_word_start() {
            return None;
        }
        let is = |name: &str| {
            self.text.get(self.at..self.at + name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name))
        };
        let (length, is_basic) = match (is("bearer"), is("basic")) {
            (true, _) => ("bearer".len(), false),
            (_, true) => ("basic".len(), true),
            _ => return None,
        };
        let behind = self.at + length;
        let mut start = self.between(behind);
        if start == behind {
            return None;
        }
        let is_marked = self.text[behind..start].contains([':', '=']);
        for place in 0..MAX_WORDS {
            if let Some(end) = self.masked_at(start) {
                return Some(end);
            }
            let end = self.after(start, |byte| byte > b' ' && !ENDS.contains(&byte));
            let value = self.text[start..end].trim_end_matches(['.', '!', '?', ')', ':']);
            let is_sentence = is_sentence(&self.text.as_bytes()[start..]);
            let is_value = match place {
                0 if is_basic => is_basic_value(value),
                0 => !is_sentence && (is_marked || !is_plain_word(value)),
                _ => is_later_value(value),
            };
            if is_value && !value.is_empty() {
                return self.mask(start..start + value.len());
            }
            if !is_sentence {
                break;
            }
            start = self.between(end);
        }
        Some(behind)
    }

    /// The place behind what stands between a scheme and its value.
    fn between(&self, start: usize) -> usize {
        let is_between = |symbol: char| symbol.is_whitespace() || ":='\"\\,<>([`".contains(symbol);
        let rest = &self.text[start..];
        start + rest.find(|symbol| !is_between(symbol)).unwrap_or(rest.len())
    }
}

/// Whether a word of a sentence, or a parameter of a challenge, follows `Bearer`: any other word is a token.
fn is_sentence(rest: &[u8]) -> bool {
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_').count();
    let (word, rest) = rest.split_at(length);
    let is_end = |byte: u8| byte <= b' ' || ENDS.contains(&byte);
    let is_whole = match rest {
        [] | [b'=', ..] => true,
        [b'.' | b'!' | b'?' | b')' | b':', rest @ ..] => rest.first().is_none_or(|&byte| is_end(byte)),
        [byte, ..] => is_end(*byte),
    };
    is_whole && WORDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// Whether a word behind others is the value of a scheme: Base64 of a text with a colon, or letters with digits.
fn is_later_value(value: &str) -> bool {
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    is_mixed && value.len() > MAX_ACRONYM
        || STANDARD.decode(value).is_ok_and(|decoded| decoded.contains(&b':'))
}

/// Whether a word is one of a language: letters in one case behind the first, in parts, or a short acronym.
fn is_plain_word(word: &str) -> bool {
    word.split(['-', '/', '\'']).all(|part| {
        let is_word = part.bytes().skip(1).all(|byte| byte.is_ascii_lowercase());
        let is_acronym = part.len() <= MAX_ACRONYM && part.bytes().all(|byte| byte.is_ascii_uppercase());
        part.len() <= MAX_WORD
            && part.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (is_word || is_acronym)
    })
}

/// Whether the word behind `Basic` is a credential: Base64 of a text with a colon (RFC 7617), or no word. `Basic` is a
/// word of the language, so the words behind it pass.
fn is_basic_value(value: &str) -> bool {
    if STANDARD.decode(value).is_ok_and(|decoded| decoded.contains(&b':')) {
        return true;
    }
    if is_plain_word(value) {
        return false;
    }
    let mut tail = value.bytes().skip(1);
    let is_word = tail.all(|byte| byte.is_ascii_lowercase() || byte == b'-' || !byte.is_ascii());
    let is_acronym = value.len() <= MAX_ACRONYM && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    !(is_word || is_acronym)
}

/// Masks a part of one kind, if one begins at the scan's place, and returns its end.
type Part = fn(&mut Scan<'_>) -> Option<usize>;

/// One kind after another, the widest first: a narrow part that overlaps a wide one cannot cut it in two.
const PASSES: [Part; 6] = [
    |scan| scan.pem(),
    |scan| scan.json(),
    |scan| scan.url(),
    |scan| scan.scheme(),
    |scan| scan.pair(),
    |scan| scan.word(),
];
/// The bytes that end the value of a scheme, beside white space.
const ENDS: &[u8] = b"\"',;<>\\";
/// Words that follow `Bearer` in sentences, and parameters of a challenge (RFC 6750, section 3).
const WORDS: &[&str] = &[
    "access",
    "and",
    "api",
    "auth",
    "authentication",
    "authorization",
    "authorization_uri",
    "basic",
    "bearer",
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
const MAX_ROUNDS: usize = 4;
const MAX_ACRONYM: usize = 5;
const MAX_WORD: usize = 20;
/// How many words of a sentence may stand between a scheme and its value.
const MAX_WORDS: usize = 4;
/// A header alone has more.
const MIN_JWT: usize = 20;

#[cfg(test)]
mod tests;
