//! Words of free text, between white space: options, user info, queries, escapes, and words that look like keys.

use std::borrow::Cow;

use super::super::rules::Rules;
use super::super::schema;
use super::super::values::{is_guid, is_random};
use super::{TextScanner, is_plain_word};
use crate::url::{is_name, percent_decoded};

impl TextScanner<'_> {
    /// Masks the credentials in the word that begins here.
    pub(super) fn mask_word(&mut self) -> Option<usize> {
        if !self.text.is_char_boundary(self.at) {
            return None;
        }
        let end = self.text[self.at..].find(char::is_whitespace).map_or(self.text.len(), |end| self.at + end);
        let start = self.at;
        let word = &self.text[start..end];
        if is_option(word, self.rules) {
            let value = self.run_end(end, |byte| byte == b' ' || byte == b'\t');
            let line_end = self.line_end(value);
            return if value < line_end { self.mask(value..line_end) } else { Some(end) };
        }
        if is_open_query(word, self.rules) {
            let line_end = self.line_end(start);
            return self.mask(start..line_end);
        }
        let rules = self.rules;
        match masked_word(word, rules) {
            Cow::Owned(clean) => self.replace(start..end, &clean),
            // The next word begins after the white space.
            Cow::Borrowed(_) => Some(end),
        }
    }
}

fn masked_word<'w>(word: &'w str, rules: &Rules) -> Cow<'w, str> {
    if let Some(at) = word.rfind('@').filter(|&at| word[..at].contains(':')) {
        return Cow::Owned(format!("{}{}", rules.mask_text, &word[at..]));
    }
    if word.contains('%') && hides_credentials_in_escapes(word, rules) {
        return Cow::Owned(rules.mask_text.clone());
    }
    let queried = masked_query(word, rules);
    match masked_keys(&queried, rules) {
        Some(clean) => Cow::Owned(clean),
        None if queried == word => Cow::Borrowed(word),
        None => Cow::Owned(queried.into_owned()),
    }
}

/// Returns whether the decoded word has credentials.
fn hides_credentials_in_escapes(word: &str, rules: &Rules) -> bool {
    let mut seen = Cow::Borrowed(word);
    for _ in 0..MAX_DECODINGS {
        match percent_decoded(&seen) {
            // A `%` that is not an escape stays as it is.
            None => return false,
            Some(decoded) if decoded == seen => {
                return seen != word && super::mask_once(&seen, rules).is_some();
            }
            Some(decoded) => seen = Cow::Owned(decoded.into_owned()),
        }
    }
    true
}

/// Masks the values of a query in a word.
fn masked_query<'w>(word: &'w str, rules: &Rules) -> Cow<'w, str> {
    let Some(at) = word.find(['?', '&']).filter(|&at| word[at..].contains('=')) else {
        return Cow::Borrowed(word);
    };
    let end = word.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '"', ')', ']']).len().max(at + 1);
    let mut clean = word[..=at].to_owned();
    for (at, piece) in word[at + 1..end].split('&').enumerate() {
        clean.push_str(if at > 0 { "&" } else { "" });
        if is_harmless(piece, rules) {
            clean.push_str(piece);
        } else {
            rules.target_urls.piece(piece, &mut clean);
        }
    }
    clean.push_str(&word[end..]);
    Cow::Owned(clean)
}

/// Returns whether a URL has nothing to mask: no user info, no escapes, a fragment of letters, harmless query
/// parameters.
pub(super) fn is_plain_link(url: &str, rules: &Rules) -> bool {
    let (front, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (_, query) = front.split_once('?').unwrap_or((front, ""));
    !url.contains(['@', '%', '\\'])
        && is_plain_word(fragment)
        && (query.is_empty() || query.split('&').all(|piece| is_harmless(piece, rules)))
}

/// Returns whether a piece of a query is an OData option with values of the API, or a short number.
fn is_harmless(piece: &str, rules: &Rules) -> bool {
    let Some((name, value)) = piece.split_once('=') else { return piece.is_empty() };
    if let Some(option) = name.strip_prefix('$') {
        let is_known = |word: &str| {
            word.is_empty()
                || word == "select"
                || word == "expand"
                || schema::is_step(word)
                || schema::member(word).is_some()
        };
        return ODATA_OPTIONS.contains(&option)
            && value.bytes().all(|byte| byte.is_ascii_alphabetic() || b"$(),=;/*".contains(&byte))
            && value.split(|symbol: char| !symbol.is_ascii_alphabetic()).all(is_known);
    }
    let is_number = (1..=7).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        && is_name(name)
        && !name.to_ascii_lowercase().contains("code")
        && rules.names.find_credential_word(name).is_none()
}

/// Masks the parts of a word that look like keys.
fn masked_keys(word: &str, rules: &Rules) -> Option<String> {
    let mut clean = String::new();
    let mut copied = 0;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte);
    let mut at = 0;
    while at < word.len() {
        let rest = &word.as_bytes()[at..];
        let length = rest.iter().position(|&byte| !is_part(byte)).unwrap_or(rest.len());
        let part = &word[at..at + length];
        if length >= MIN_KEY_BYTES && looks_like_key(part) {
            clean.push_str(&word[copied..at]);
            clean.push_str(&rules.mask_text);
            copied = at + length;
        }
        at += length.max(1);
        while !word.is_char_boundary(at) {
            at += 1;
        }
    }
    (copied > 0).then(|| clean + &word[copied..])
}

fn looks_like_key(part: &str) -> bool {
    let front = match part.len().checked_sub(36) {
        Some(at) if is_guid(&part[at..]) => &part[..at],
        _ => part,
    };
    is_random(front) || front.split(['_', '-', '+']).any(is_random)
}

/// Returns whether the next word is the value of a command line option: `curl -u`, `--password`.
fn is_option(word: &str, rules: &Rules) -> bool {
    let name = word.strip_prefix("--");
    matches!(word, "-u" | "--user" | "--proxy-user")
        || name.is_some_and(|name| {
            !name.contains(['=', ':']) && rules.names.find_credential_word(name).is_some()
        })
}

/// Returns whether a query ends before its value, so that the value follows after white space or in quotes.
fn is_open_query(word: &str, rules: &Rules) -> bool {
    let Some(at) = word.find(['?', '&']) else { return false };
    let query = &word[at..];
    let is_mark = |at: usize| matches!(query.as_bytes().get(at + 1), None | Some(b'"' | b'\'' | b'`' | b'<'));
    !rules.mask_text.is_empty() && query.match_indices('=').any(|(at, _)| is_mark(at))
}

/// OData options that messages contain.
const ODATA_OPTIONS: [&str; 4] = ["expand", "select", "format", "count"];
const MAX_DECODINGS: usize = 4;
const MIN_KEY_BYTES: usize = 12;
