//! HTTP dates (RFC 9110, section 5.6.7).

use std::cell::Cell;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// Parses a date in any of the three formats. `now` decides the century of a two-digit year.
///
/// RFC 9111, section 4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD
/// match the field value case-insensitively." The day of the week must be valid, but may be the wrong one, since the
/// rest is unambiguous.
pub fn parse(value: &HeaderValue, now: SystemTime) -> Option<SystemTime> {
    if let Some((_, parsed)) = LAST_DATE.get().filter(|(known, _)| known == value.as_bytes()) {
        return Some(parsed);
    }
    let text = value.to_str().ok()?;
    let parsed = httpdate::parse_http_date(text).ok().or_else(|| parse_lenient(text))?;
    let parsed = parse_two_digit_year(text, now).unwrap_or(parsed);
    if let Ok(text) = text.as_bytes().try_into() {
        LAST_DATE.set(Some((text, parsed)));
    }
    Some(parsed)
}

thread_local! {
    /// The last date of the preferred format. A server sends the same `Date` for a second. No date of this length has a
    /// two-digit year, so its time does not depend on the time at which it is parsed.
    static LAST_DATE: Cell<Option<([u8; PREFERRED_DATE_BYTES], SystemTime)>> = const { Cell::new(None) };
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

/// Parses a valid date with a two-digit year, `Sunday, 06-Nov-94 08:49:37 GMT`; no other format has hyphens. The year is in
/// the century of `now`, or in the one before if the date would be more than 50 years in the future (RFC 9110, section
/// 5.6.7). `httpdate` has a fixed century for each year.
fn parse_two_digit_year(text: &str, now: SystemTime) -> Option<SystemTime> {
    // Nearly all dates end here; a search for a text costs as much as the rest of their parsing.
    if !text.as_bytes().contains(&b'-') {
        return None;
    }
    let (_, date) = text.split_once(", ")?;
    let (day, rest) = date.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let (year, time) = rest.split_at_checked(2)?;
    let latest = now.checked_add(FIFTY_YEARS)?;
    let century: u64 = httpdate::fmt_http_date(now).get(YEAR)?.get(..2)?.parse().ok()?;
    let centuries = [century, century.saturating_sub(1)].into_iter();
    let dates =
        centuries.map(|century| parse_lenient(&format!("Sun, {day} {month} {century:02}{year}{time}")));
    dates.flatten().find(|date| *date <= latest)
}

/// The length of "Wednesday, 09-Nov-94 08:49:37 GMT", and a reserve.
const MAX_DATE_BYTES: usize = 40;
/// The length of "Sun, 06 Nov 1994 08:49:37 GMT".
const PREFERRED_DATE_BYTES: usize = 29;
/// Position of the year in "Sun, 06 Nov 1994 08:49:37 GMT".
const YEAR: Range<usize> = 12..16;
/// Fifty years of 365.25 days.
const FIFTY_YEARS: Duration = Duration::from_hours(50 * 8_766);
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn seconds(text: &str) -> Option<u64> {
        // A day in 2026.
        seconds_at(text, 1_785_102_361)
    }

    fn seconds_at(text: &str, now: u64) -> Option<u64> {
        let now = UNIX_EPOCH + Duration::from_secs(now);
        let parsed = parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap(), now)?;
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
            assert_eq!([seconds(text), seconds(text)], [Some(784_111_777); 2], "{text}");
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

    #[test]
    fn l20_a_two_digit_year_is_at_most_fifty_years_ahead() {
        // 26 July 2026, 21:46:01.
        let now = 1_785_102_361;
        for (short, long) in [
            ("Sunday, 26-Jul-26 21:46:01 GMT", "Sun, 26 Jul 2026 21:46:01 GMT"),
            ("Monday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Monday, 06-Nov-69 08:49:37 GMT", "Wed, 06 Nov 2069 08:49:37 GMT"),
            ("Monday, 06-nov-75 08:49:37 GMT", "Wed, 06 Nov 2075 08:49:37 GMT"),
            ("Monday, 25-Jul-76 08:49:37 GMT", "Sat, 25 Jul 2076 08:49:37 GMT"),
            ("Monday, 28-Jul-76 08:49:37 GMT", "Wed, 28 Jul 1976 08:49:37 GMT"),
            ("Monday, 29-Feb-00 08:49:37 GMT", "Tue, 29 Feb 2000 08:49:37 GMT"),
        ] {
            assert_eq!(seconds_at(short, now), seconds_at(long, now), "{short}");
            assert!(seconds_at(short, now).is_some(), "{short}");
        }
        // In 2075.
        let later = 3_330_000_000;
        assert_eq!(
            seconds_at("Sunday, 06-Nov-94 08:49:37 GMT", later),
            seconds_at("Sat, 06 Nov 2094 08:49:37 GMT", later)
        );
    }
}
