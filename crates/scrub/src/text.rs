//! Free text without its credentials.
//!
//! Free text is written for people: the name of a connector, the message of an error. A secret that looks like a word
//! cannot be detected. These parts are masked: user info and queries, with or without a scheme; the value of a
//! `Bearer` or `Basic` scheme; a JWT; PEM text; JSON objects; the rest of a line after the name of a credential and a
//! separator (`password=...`, `x-functions-key: ...`); and every word that looks like a key. Words of letters after
//! `Bearer`, `Basic`, or the name of a token or key pass. Each kind has a pass of its own, and each byte is read a
//! bounded number of times.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rules::Rules;

mod pairs;
mod words;

/// Returns the text with masked credentials, or `None` if it has none.
pub(super) fn mask_credentials(text: &str, rules: &Rules) -> Option<String> {
    if is_prose(text.as_bytes()) {
        return None;
    }
    let mut clean = mask_once(text, rules)?;
    // A mask or a rewritten URL can form a new credential with the text around it. If the text still changes after the
    // last round, all of it is masked.
    for _ in 0..MAX_MASKING_ROUNDS {
        match mask_once(&clean, rules) {
            Some(next) => clean = next,
            None => return Some(clean),
        }
    }
    Some(rules.mask_text.clone())
}

fn mask_once(text: &str, rules: &Rules) -> Option<String> {
    PASSES.iter().fold(None, |clean: Option<String>, pass| {
        let next = TextScanner::new(clean.as_deref().unwrap_or(text), rules).run(*pass);
        next.or(clean)
    })
}

/// Returns whether a text has only letters and blanks, and no name of an authentication scheme.
fn is_prose(text: &[u8]) -> bool {
    // In blocks of a fixed size and with numbers in place of branches, so that the compiler uses vectors.
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let has_other = |bytes: &[u8]| bytes.iter().fold(0, |any, &byte| any | is_no_letter(byte)) != 0;
    !blocks.iter().any(|block| has_other(block)) && !has_other(rest) && !has_scheme(text)
}

/// Returns whether two adjacent bytes begin the name of a scheme (`Bearer`, `Basic`) or a JWT (`ey`).
fn has_scheme(text: &[u8]) -> bool {
    let seconds = text.get(1..).unwrap_or_default();
    let firsts = &text[..seconds.len()];
    let ((blocks, rest), (next_blocks, next_rest)) =
        (firsts.as_chunks::<BLOCK>(), seconds.as_chunks::<BLOCK>());
    let begins = |firsts: &[u8], seconds: &[u8]| {
        firsts.iter().zip(seconds).fold(0, |any, (&first, &second)| any | begins_scheme(first, second)) != 0
    };
    blocks.iter().zip(next_blocks).any(|(firsts, seconds)| begins(firsts, seconds)) || begins(rest, next_rest)
}

/// Returns 1 for a byte that is no letter and no blank, otherwise 0.
fn is_no_letter(byte: u8) -> u8 {
    u8::from(!byte.is_ascii_alphabetic()) & u8::from(byte != b' ')
}

/// Returns 1 for the first two bytes of the name of a scheme or of a JWT, otherwise 0.
fn begins_scheme(first: u8, second: u8) -> u8 {
    // One bit differs between `B` and `b`, and two bits among `A`, `E`, `a` and `e`. No other byte becomes one of them.
    let is_name = u8::from((first | 0x20) == b'b') & u8::from((second | 0x24) == b'e');
    is_name | u8::from(first == b'e') & u8::from(second == b'y')
}

/// One pass over a text.
struct TextScanner<'t> {
    text: &'t str,
    rules: &'t Rules,
    at: usize,
    /// The text before this position is already in `clean`.
    copied: usize,
    clean: String,
    is_changed: bool,
}

impl<'t> TextScanner<'t> {
    fn new(text: &'t str, rules: &'t Rules) -> Self {
        Self { text, rules, at: 0, copied: 0, clean: String::new(), is_changed: false }
    }

    /// Tries the matcher at each position. Returns the masked text, or `None` if nothing was masked.
    fn run(mut self, part: PartMatcher) -> Option<String> {
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

    /// Replaces a part by the mask, unless the part is the mask. Returns the end of the part.
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

    /// Returns the end of the mask if the mask stands at `start`, so that scrubbing twice changes nothing.
    fn masked_at(&self, start: usize) -> Option<usize> {
        let mask = self.rules.mask_text.as_str();
        (!mask.is_empty() && self.text[start..].starts_with(mask)).then(|| start + mask.len())
    }

    fn is_word_start(&self) -> bool {
        self.at == 0 || !self.text.as_bytes()[self.at - 1].is_ascii_alphanumeric()
    }

    /// Returns the first position from `start` on whose byte is not inside the run.
    fn run_end(&self, start: usize, is_inside: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text.as_bytes()[start..];
        start + rest.iter().position(|&byte| !is_inside(byte)).unwrap_or(rest.len())
    }

    /// Returns the start of the run that ends at `end`, at most `max` bytes before it.
    fn run_start(&self, end: usize, max: usize, is_inside: impl Fn(u8) -> bool) -> usize {
        let start = end.saturating_sub(max).max(self.copied);
        let inside = self.text.as_bytes()[start..end].iter().rev().take_while(|&&byte| is_inside(byte));
        end - inside.count()
    }

    /// Masks a URL, found by its `://`.
    fn mask_url(&mut self) -> Option<usize> {
        if !self.is_at("://") {
            return None;
        }
        let start = self.run_start(self.at, MAX_SCHEME_BYTES, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
        });
        let end = self.run_end(self.at, |byte| byte > b' ' && !b"\"<>`".contains(&byte));
        if self.continues_after(end) {
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
        match self.rules.target_urls.scrub(url) {
            Some(clean) if is_http => {
                let clean = clean.into_owned();
                self.replace(part, &clean)
            }
            _ if url.contains(['@', '?', '#', '=', '\\']) => self.mask(part),
            _ => Some(part.end),
        }
    }

    /// Returns whether a URL continues after the byte that ends it: a value in quotes, or after a blank.
    fn continues_after(&self, end: usize) -> bool {
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

    /// Masks a JSON object, or text that looks like the beginning of one, up to the last closing brace of the text.
    fn mask_json(&mut self) -> Option<usize> {
        if !self.is_at("{") {
            return None;
        }
        let inside = self.run_end(self.at + 1, |byte| byte.is_ascii_whitespace() || byte == b'\\');
        if !matches!(self.text.as_bytes().get(inside), Some(b'"' | b'\'')) {
            return None;
        }
        let end = self.text[inside..].rfind('}').map_or(self.text.len(), |end| inside + end + 1);
        self.mask(self.at..end)
    }

    /// Masks PEM text from its first `BEGIN` to its last `END`.
    fn mask_pem(&mut self) -> Option<usize> {
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

    /// Masks a JSON Web Token, found by its form.
    fn mask_jwt(&mut self) -> Option<usize> {
        let end = self.run_end(self.at, |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let run = &self.text[self.at..end];
        if run.len() >= MIN_JWT_BYTES && run.contains('.') { self.mask(self.at..end) } else { Some(end) }
    }

    /// Masks the value of an authentication scheme, or a JSON Web Token anywhere.
    fn mask_scheme_value(&mut self) -> Option<usize> {
        if self.is_at("eyJ") {
            return self.mask_jwt();
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
        let mut start = self.skip_delimiters(behind);
        if start == behind {
            return None;
        }
        let is_marked = self.text[behind..start].contains([':', '=']);
        for place in 0..MAX_WORDS_BEFORE_VALUE {
            if let Some(end) = self.masked_at(start) {
                return Some(end);
            }
            let end = self.run_end(start, |byte| byte > b' ' && !VALUE_TERMINATORS.contains(&byte));
            let value = self.text[start..end].trim_end_matches(['.', '!', '?', ')', ':']);
            let is_sentence_word = is_sentence_word(&self.text.as_bytes()[start..]);
            let is_value = match place {
                0 if is_basic => is_basic_value(value),
                0 => !is_sentence_word && (is_marked || !is_plain_word(value)),
                _ => is_later_value(value),
            };
            if is_value && !value.is_empty() {
                return self.mask(start..start + value.len());
            }
            if !is_sentence_word {
                break;
            }
            start = self.skip_delimiters(end);
        }
        Some(behind)
    }

    /// Returns the position after the delimiters between a scheme and its value.
    fn skip_delimiters(&self, start: usize) -> usize {
        let is_between = |symbol: char| symbol.is_whitespace() || ":='\"\\,<>([`".contains(symbol);
        let rest = &self.text[start..];
        start + rest.find(|symbol| !is_between(symbol)).unwrap_or(rest.len())
    }
}

/// Returns whether a word of a sentence, or a parameter of a challenge, follows `Bearer`. Any other text is a token.
fn is_sentence_word(rest: &[u8]) -> bool {
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_').count();
    let (word, rest) = rest.split_at(length);
    let is_end = |byte: u8| byte <= b' ' || VALUE_TERMINATORS.contains(&byte);
    let is_whole = match rest {
        [] | [b'=', ..] => true,
        [b'.' | b'!' | b'?' | b')' | b':', rest @ ..] => rest.first().is_none_or(|&byte| is_end(byte)),
        [byte, ..] => is_end(*byte),
    };
    is_whole && CHALLENGE_WORDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// Returns whether a later word is the value of a scheme: Base64 of a text with a colon, or letters with digits.
fn is_later_value(value: &str) -> bool {
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    is_mixed && value.len() > MAX_ACRONYM_BYTES
        || STANDARD.decode(value).is_ok_and(|decoded| decoded.contains(&b':'))
}

/// Returns whether a word is a plain word: letters in lower case after the first one, possibly in several parts, or a
/// short acronym.
fn is_plain_word(word: &str) -> bool {
    word.split(['-', '/', '\'']).all(|part| {
        let is_word = part.bytes().skip(1).all(|byte| byte.is_ascii_lowercase());
        let is_acronym =
            part.len() <= MAX_ACRONYM_BYTES && part.bytes().all(|byte| byte.is_ascii_uppercase());
        part.len() <= MAX_WORD_BYTES
            && part.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (is_word || is_acronym)
    })
}

/// Returns whether the word after `Basic` is a credential: Base64 of a text with a colon (RFC 7617), or not a word.
/// `Basic` is an English word, so plain words after it pass.
fn is_basic_value(value: &str) -> bool {
    if STANDARD.decode(value).is_ok_and(|decoded| decoded.contains(&b':')) {
        return true;
    }
    if is_plain_word(value) {
        return false;
    }
    let mut tail = value.bytes().skip(1);
    let is_word = tail.all(|byte| byte.is_ascii_lowercase() || byte == b'-' || !byte.is_ascii());
    let is_acronym =
        value.len() <= MAX_ACRONYM_BYTES && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    !(is_word || is_acronym)
}

/// Masks a part of one kind that begins at the scanner's position, and returns its end.
type PartMatcher = fn(&mut TextScanner<'_>) -> Option<usize>;

/// The passes in order, the widest kind first: a narrow part cannot cut a wide one in two.
const PASSES: [PartMatcher; 6] = [
    |scanner| scanner.mask_pem(),
    |scanner| scanner.mask_json(),
    |scanner| scanner.mask_url(),
    |scanner| scanner.mask_scheme_value(),
    |scanner| scanner.mask_pair(),
    |scanner| scanner.mask_word(),
];
/// Bytes that end the value of a scheme, beside white space.
const VALUE_TERMINATORS: &[u8] = b"\"',;<>\\";
/// Words that follow `Bearer` in sentences, and parameters of a challenge (RFC 6750, section 3).
const CHALLENGE_WORDS: &[&str] = &[
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
/// Bytes that one step of the search for plain text reads: a multiple of the size of vectors.
const BLOCK: usize = 64;
/// Longer text before `://` is not a scheme.
const MAX_SCHEME_BYTES: usize = 16;
const MAX_MASKING_ROUNDS: usize = 4;
const MAX_ACRONYM_BYTES: usize = 5;
const MAX_WORD_BYTES: usize = 20;
/// Maximum number of words between a scheme and its value.
const MAX_WORDS_BEFORE_VALUE: usize = 4;
/// The encoded header of a JWT alone is longer.
const MIN_JWT_BYTES: usize = 20;

#[cfg(test)]
mod tests;
