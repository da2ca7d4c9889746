//! Pairs: the name of a credential, a separator, and the value up to the end of the line.

use super::Scan;
use crate::scrub::ScrubbedField;

impl Scan<'_> {
    /// The value behind a separator whose name is that of a credential. It ends with its line, whatever quotes,
    /// commas or blanks are in it, or where its own quote ends later.
    pub(super) fn pair(&mut self) -> Option<usize> {
        let behind = self.at + separator(&self.text.as_bytes()[self.at..])?;
        let name_end = self.before(self.at, MAX_BLANKS, |byte| BEHIND_NAME.contains(&byte));
        let field = self.credential_before(name_end)?;
        let start = self.after(behind, |byte| b" \t\r\n\\=:>".contains(&byte));
        let end = self.line_end(start);
        let value = &self.text[start..end];
        let is_innocent = matches!(field, ScrubbedField::Token | ScrubbedField::Key) && is_prose(value);
        if value.trim_matches([' ', '.', '"', '\'']).is_empty() || is_innocent {
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

    /// The credential word in the name that ends here. In a query the pieces are judged by themselves.
    fn credential_before(&self, end: usize) -> Option<ScrubbedField> {
        let start = self.name_start(end);
        if start > 0 && matches!(self.text.as_bytes()[start - 1], b'?' | b'&') {
            return None;
        }
        let name = skeleton(&self.text[start..end]);
        if let Some(field) = self.rules.names.credential_word(&name) {
            return Some(field);
        }
        if !FOLLOWING.iter().any(|word| word.eq_ignore_ascii_case(&name)) {
            return None;
        }
        let end = self.before(start, MAX_BLANKS, |byte| byte == b' ');
        self.rules.names.credential_word(&skeleton(&self.text[self.name_start(end)..end]))
    }

    fn name_start(&self, end: usize) -> usize {
        let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) || byte >= 0x80;
        let mut start = self.before(end, MAX_NAME, is_inside);
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        start
    }

    /// The end of the line that `start` is in.
    pub(super) fn line_end(&self, start: usize) -> usize {
        self.after(start, |byte| byte != b'\n' && byte != b'\r')
    }
}

/// The length of the separator that a text begins with.
fn separator(rest: &[u8]) -> Option<usize> {
    match rest {
        [b':', b'/', b'/', ..] => None,
        [b'=' | b':' | b'>', ..] => Some(1),
        // An escape; or U+FF1A and U+FF1D, the full-width colon and equals sign.
        [b'%', b'3', b'D' | b'd' | b'A' | b'a', ..] | [0xef, 0xbc, 0x9a | 0x9d, ..] => Some(3),
        _ => None,
    }
}

/// Whether a text has only words of letters: no key looks like that.
fn is_prose(text: &str) -> bool {
    text.split_ascii_whitespace()
        .all(|word| super::is_plain_word(word.trim_end_matches(['.', ',', '!', '?'])))
}

/// A name with Latin letters in the place of those that look like them.
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
const FOLLOWING: &[&str] = &["value", "is", "was", "header", "string", "text"];
/// Marks between a name and its separator.
const BEHIND_NAME: &[u8] = b" \t\"'`\\-=:])*";
const MAX_NAME: usize = 64;
const MAX_BLANKS: usize = 32;
