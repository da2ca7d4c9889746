//! HTTP dates (RFC 9110, section 5.6.7).

use std::time::SystemTime;

use http::HeaderValue;

/// Parses a date in any of the three formats.
///
/// RFC 9111, section 4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD
/// match the field value case-insensitively." The day of the week must be valid, but may be the wrong one, since the
/// rest is unambiguous.
pub fn parse(value: &HeaderValue) -> Option<SystemTime> {
    let text = value.to_str().ok()?;
    httpdate::parse_http_date(text).ok().or_else(|| parse_lenient(text))
}

/// Parses a date with another letter case or the wrong day of the week.
fn parse_lenient(text: &str) -> Option<SystemTime> {
    if text.len() > MAX_DATE_BYTES {
        return None;
    }
    let mut normalized = text.to_ascii_lowercase();
    for name in MONTHS.iter().chain(&["GMT"]) {
        normalized = normalized.replace(&name.to_ascii_lowercase(), name);
    }
    let (day, rest) = normalized.split_at(normalized.find(|letter: char| !letter.is_ascii_lowercase())?);
    let short = |name: &str| name[..3].to_owned();
    let is_short = DAYS.iter().any(|name| short(name).eq_ignore_ascii_case(day));
    let is_long = DAYS.iter().any(|name| name.eq_ignore_ascii_case(day));
    if !is_short && !is_long {
        return None;
    }
    let names = DAYS.iter().map(|name| if is_short { short(name) } else { (*name).to_owned() });
    names.into_iter().find_map(|name| httpdate::parse_http_date(&(name + rest)).ok())
}

/// The length of "Wednesday, 09-Nov-94 08:49:37 GMT", and a reserve.
const MAX_DATE_BYTES: usize = 40;
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn seconds(text: &str) -> Option<u64> {
        let parsed = parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap())?;
        Some(parsed.duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX).as_secs())
    }

    #[test]
    fn l20_a_date_is_parsed_in_any_case_and_with_any_day_of_the_week() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "SUN, 06 NOV 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "sunday, 06-NOV-94 08:49:37 Gmt",
            "Sun Nov  6 08:49:37 1994",
            "sUN nOV  6 08:49:37 1994",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Friday, 06-Nov-94 08:49:37 GMT",
            "Thu Nov  6 08:49:37 1994",
        ] {
            assert_eq!(seconds(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn l20_other_text_is_not_a_date() {
        for text in [
            "",
            "0",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun,  06  Nov  1994 08:49:37 GMT",
            "S\u{fc}n, 06 Nov 1994 08:49:37 GMT",
            &"Sun, 06 Nov 1994 08:49:37 GMT".repeat(2),
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
