//! `Cache-Control` (RFC 9111, section 5.2).
//!
//! The parser accepts any input and returns a set of directives. Malformed directives count towards a request to
//! Graph.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

/// The directives that a private cache obeys. Seconds are clamped to 2^31 (section 1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each directive without a value is a flag")]
pub struct CacheControl {
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`. With field names it is treated as without (section 5.2.2.4).
    pub no_cache: bool,
    /// `must-revalidate`, or `proxy-revalidate`.
    pub must_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age`. The smallest if it is repeated; 0 if it is not a number (section 4.2.1).
    pub max_age: Option<u64>,
    /// `min-fresh`
    pub min_fresh: Option<u64>,
    /// `max-stale`; without a value any age.
    pub max_stale: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861, section 3). The smallest if it is repeated; 0 if it is not a number.
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861, section 4). The smallest if it is repeated; 0 if it is not a number.
    pub stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Parses all `Cache-Control` lines of a message.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for directive in split_outside_quotes(line.as_bytes()) {
                control.add(&String::from_utf8_lossy(directive));
            }
        }
        control
    }

    /// Parses the directives of a request. Without `Cache-Control`, `Pragma` counts (section 5.4).
    pub fn from_request(headers: &HeaderMap) -> Self {
        let mut control = Self::from_headers(headers);
        if !headers.contains_key(CACHE_CONTROL) {
            let lines = headers.get_all(PRAGMA).iter().filter_map(|line| line.to_str().ok());
            control.no_cache = lines
                .flat_map(|line| line.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case("no-cache"));
        }
        control
    }

    /// Adds a directive. The grammar has no blanks around `=` (section 5.2): a value after blanks is malformed.
    fn add(&mut self, directive: &str) {
        let (name, value) = match directive.trim().split_once('=') {
            Some((name, _)) if name.trim_end() != name => (name.trim_end(), Some("")),
            Some((name, value)) => (name, Some(value)),
            None => (directive.trim(), None),
        };
        // Nearly all names are in lower case.
        let has_capital = name.bytes().any(|byte| byte.is_ascii_uppercase());
        let name = if has_capital { name.to_ascii_lowercase().into() } else { Cow::Borrowed(name) };
        match &*name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "must-understand" => self.must_understand = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => keep_smallest(&mut self.max_age, parse_delta_seconds(value).unwrap_or(0)),
            "stale-while-revalidate" => {
                keep_smallest(&mut self.stale_while_revalidate, parse_delta_seconds(value).unwrap_or(0));
            }
            "stale-if-error" => {
                keep_smallest(&mut self.stale_if_error, parse_delta_seconds(value).unwrap_or(0));
            }
            "min-fresh" => {
                self.min_fresh =
                    self.min_fresh.max(Some(parse_delta_seconds(value).unwrap_or(MAX_DELTA_SECONDS)));
            }
            "max-stale" => {
                keep_smallest(
                    &mut self.max_stale,
                    value.map_or(MAX_DELTA_SECONDS, |value| parse_delta_seconds(Some(value)).unwrap_or(0)),
                );
            }
            _ => {}
        }
    }
}

fn keep_smallest(slot: &mut Option<u64>, value: u64) {
    *slot = Some(slot.map_or(value, |known| known.min(value)));
}

/// Parses `delta-seconds`, bare or in double quotes (section 5.2: recipients accept both forms).
fn parse_delta_seconds(value: Option<&str>) -> Option<u64> {
    let value = value?;
    let digits = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<u64>().map_or(MAX_DELTA_SECONDS, |seconds| seconds.min(MAX_DELTA_SECONDS)))
}

/// Splits a line at the commas outside of quoted strings. A quote without an end opens no string: it must not hide a
/// directive that forbids something.
pub fn split_outside_quotes(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    split_at(line, b',')
}

/// Splits a member at the semicolons outside of quoted strings, into its value and its parameters.
pub fn split_parameters(member: &[u8]) -> impl Iterator<Item = &[u8]> {
    split_at(member, b';')
}

fn split_at(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut may_close) = (Some(line), true);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = member_end(line, separator, &mut may_close);
        rest = line.get(end + 1..);
        line.get(..end)
    })
}

/// Returns the position of the first separator outside of quoted strings, or the length of the line. `may_close` turns false at
/// the first quote without an end: then no later quote has an end either, and a search for each would take quadratic time.
fn member_end(line: &[u8], separator: u8, may_close: &mut bool) -> usize {
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at += match byte {
            byte if *byte == separator => return at,
            b'"' if *may_close => quoted_length(line.get(at..).unwrap_or_default()).unwrap_or_else(|| {
                *may_close = false;
                1
            }),
            _ => 1,
        };
    }
    line.len()
}

/// Returns the length of the quoted string at the start of a line, with both quotes. `None` if it has no end.
fn quoted_length(line: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = line.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    Some(end? + 2)
}

const MAX_DELTA_SECONDS: u64 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn control(lines: &[&str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        CacheControl::from_headers(&headers)
    }

    #[test]
    fn l01_no_store_is_seen_in_any_case_and_line() {
        for lines in [&["No-Store"][..], &["max-age=9, NO-STORE"], &["private", "no-store"], &["no-store=x"]]
        {
            assert!(control(lines).no_store, "{lines:?}");
        }
    }

    #[test]
    fn l07_unknown_directives_are_ignored() {
        assert_eq!(control(&["immutable, x=\"y\", , =, community=\"UCI\""]), CacheControl::default());
    }

    #[test]
    fn l16_repeated_ages_count_as_the_smallest() {
        assert_eq!(control(&["max-age=60, max-age=30", "max-age=90"]).max_age, Some(30));
    }

    #[test]
    fn l17_an_age_that_is_not_a_number_counts_as_zero() {
        for odd in [
            "max-age=-1",
            "max-age=60a",
            "max-age='60'",
            "max-age",
            "max-age=",
            "max-age=1.5",
            "max-age=\"\"",
        ] {
            assert_eq!(control(&[odd]).max_age, Some(0), "{odd}");
        }
        assert_eq!(control(&["max-age=003600"]).max_age, Some(3600));
        assert_eq!(control(&["max-age=\"60\""]).max_age, Some(60));
    }

    #[test]
    fn l18_huge_values_are_clamped() {
        for huge in ["2147483648", "2147483649", "99999999999999999999999999"] {
            assert_eq!(control(&[&format!("max-age={huge}")]).max_age, Some(MAX_DELTA_SECONDS), "{huge}");
        }
    }

    #[test]
    fn l19_a_directive_inside_a_quoted_string_is_text() {
        let read = control(&[r#"x="no-store, max-age=0", y="a\", no-cache", max-age=60"#]);
        assert_eq!(read, CacheControl { max_age: Some(60), ..CacheControl::default() });
    }

    #[test]
    fn l19_an_open_quote_hides_no_directive() {
        for line in [
            r#"x="a, no-store"#,
            r#"no-store, x="a"#,
            r#"x="a", y="b, no-store"#,
            r#"x="a\", no-store"#,
            r#"", no-store, x="#,
            r#"x="\"\"\", no-store"#,
        ] {
            assert!(control(&[line]).no_store, "{line}");
        }
        assert_eq!(
            control(&[r#"x="a, max-age=1"#, r#"y", max-age=9"#]).max_age,
            Some(1),
            "a line ends a string"
        );
    }

    #[test]
    fn quotes_without_an_end_are_searched_for_once() {
        let line = r#"""#.to_owned() + &r#"\""#.repeat(1 << 20);
        assert_eq!(split_outside_quotes(line.as_bytes()).count(), 1);
    }

    #[test]
    fn l17_a_value_after_blanks_is_malformed() {
        for odd in ["max-age = 60", "max-age =60", "max-age= 60", "max-age\t=60", "max-age= \"60\""] {
            assert_eq!(control(&[odd]).max_age, Some(0), "{odd}");
        }
        assert_eq!(
            control(&["  max-age=60  ,, ,\t", "", ", private"]).max_age,
            Some(60),
            "blanks around a member"
        );
        assert!(control(&["no-store = x"]).no_store);
    }

    #[test]
    fn b6_the_windows_of_stale_use_are_read_like_max_age() {
        let read = control(&["stale-if-error=60, Stale-If-Error=\"9\"", "stale-while-revalidate=x"]);
        assert_eq!((read.stale_if_error, read.stale_while_revalidate), (Some(9), Some(0)));
    }
}
