//! Pairs in free text: the name of a credential, a separator, and the value up to the end of the line.

use super::TextScanner;
use crate::ScrubbedField;

impl TextScanner<'_> {
    /// Masks the value after a separator that follows the name of a credential. The value ends with its line, whatever
    /// quotes, commas or blanks are in it, or at its own closing quote if that is later.
    pub(super) fn mask_pair(&mut self) -> Option<usize> {
        let behind = self.at + separator(&self.text.as_bytes()[self.at..])?;
        let name_end = self.run_start(self.at, MAX_BLANKS, |byte| BYTES_AFTER_NAME.contains(&byte));
        let field = self.credential_before(name_end)?;
        let start = self.run_end(behind, |byte| b" \t\r\n\\=:>".contains(&byte));
        let end = self.line_end(start);
        let value = &self.text[start..end];
        let is_harmless = matches!(field, ScrubbedField::Token | ScrubbedField::Key) && is_prose(value);
        if value.trim_matches([' ', '.', '"', '\'']).is_empty() || is_harmless {
            return None;
        }
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\'' | '`'));
        let end = match quote {
            Some(quote) if !value[1..].contains(quote) => {
                self.text[end..].find(quote).map_or(self.text.len(), |at| end + at + 1)
            }
            _ => end,
        };
        self.mask(start..end)
    }

    /// Returns the credential word in the name that ends here. Pieces of a query are checked elsewhere.
    fn credential_before(&self, end: usize) -> Option<ScrubbedField> {
        let start = self.name_start(end);
        if start > 0 && matches!(self.text.as_bytes()[start - 1], b'?' | b'&') {
            return None;
        }
        let name = skeleton(&self.text[start..end]);
        if let Some(field) = self.rules.names.find_credential_word(&name) {
            return Some(field);
        }
        if !WORDS_AFTER_NAME.iter().any(|word| word.eq_ignore_ascii_case(&name)) {
            return None;
        }
        let end = self.run_start(start, MAX_BLANKS, |byte| byte == b' ');
        self.rules.names.find_credential_word(&skeleton(&self.text[self.name_start(end)..end]))
    }

    fn name_start(&self, end: usize) -> usize {
        let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) || byte >= 0x80;
        let mut start = self.run_start(end, MAX_NAME_BYTES, is_inside);
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        start
    }

    /// Returns the end of the line at `start`.
    pub(super) fn line_end(&self, start: usize) -> usize {
        self.run_end(start, |byte| byte != b'\n' && byte != b'\r')
    }
}

/// Returns the length of the separator at the beginning of a text.
fn separator(rest: &[u8]) -> Option<usize> {
    match rest {
        [b':', b'/', b'/', ..] => None,
        [b'=' | b':' | b'>', ..] => Some(1),
        // An escape, or U+FF1A and U+FF1D, the full-width colon and equals sign.
        [b'%', b'3', b'D' | b'd' | b'A' | b'a', ..] | [0xef, 0xbc, 0x9a | 0x9d, ..] => Some(3),
        _ => None,
    }
}

/// Returns whether a text has only words of letters, which no key looks like.
fn is_prose(text: &str) -> bool {
    text.split_ascii_whitespace()
        .all(|word| super::is_plain_word(word.trim_end_matches(['.', ',', '!', '?'])))
}

/// Returns a name with Latin letters in place of similar ones (compare the skeleton of UTS #39).
fn skeleton(name: &str) -> String {
    let latin = |symbol: char| match symbol {
        '\u{ff01}'..='\u{ff5e}' => u8::try_from(u32::from(symbol) - 0xfee0).map_or(symbol, char::from),
        _ => LOOKALIKES.iter().find(|(other, _)| *other == symbol).map_or(symbol, |&(_, latin)| latin),
    };
    name.chars().map(latin).collect()
}

/// Cyrillic and Greek letters that look like Latin ones.
const LOOKALIKES: &[(char, char)] = &[
    ('\u{430}', 'a'),
    ('\u{410}', 'a'),
    ('\u{435}', 'e'),
    ('\u{415}', 'e'),
    ('\u{43e}', 'o'),
    ('\u{41e}', 'o'),
    ('\u{440}', 'p'),
    ('\u{420}', 'p'),
    ('\u{441}', 'c'),
    ('\u{421}', 'c'),
    ('\u{443}', 'y'),
    ('\u{456}', 'i'),
    ('\u{406}', 'i'),
    ('\u{455}', 's'),
    ('\u{405}', 's'),
    ('\u{501}', 'd'),
    ('\u{51d}', 'w'),
    ('\u{43a}', 'k'),
    ('\u{41a}', 'k'),
    ('\u{442}', 't'),
    ('\u{422}', 't'),
    ('\u{4bb}', 'h'),
    ('\u{3bf}', 'o'),
    ('\u{3b1}', 'a'),
    ('\u{3c1}', 'p'),
    ('\u{3ba}', 'k'),
    ('\u{3c4}', 't'),
    ('\u{3b9}', 'i'),
    ('\u{3bd}', 'v'),
];
/// Words between the name of a credential and its value.
const WORDS_AFTER_NAME: &[&str] = &["value", "is", "was", "header", "string", "text"];
/// Bytes between a name and its separator.
const BYTES_AFTER_NAME: &[u8] = b" \t\"'`\\-=:])*";
const MAX_NAME_BYTES: usize = 64;
const MAX_BLANKS: usize = 32;
