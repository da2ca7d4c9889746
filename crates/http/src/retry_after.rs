//! `Retry-After` (RFC 9110, section 10.2.3), also in the variants that Graph sends.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use connector_cache_support::clock::Now;

/// Longest time that a throttle stays closed, also one of another replica, whose clock may be ahead. A caller gets the whole
/// `Retry-After`, but one wrong value must not stop all requests of its scope for longer: after this time the next request asks
/// Graph again.
pub const MAX_THROTTLE: Duration = Duration::from_mins(10);

/// Returns the time that Graph asks to wait, at most a day.
///
/// Graph sends whole seconds, fractions (`2.128`), or a date; a date in the past means now. Of several valid values the
/// longest counts, because the wait must not be shortened; a proxy on the way may have joined the lines with commas. A 429
/// or 503 without a valid value counts as six seconds.
pub fn from_headers(headers: &HeaderMap, status: StatusCode, now: Now) -> Option<Duration> {
    let lines = headers.get_all(header::RETRY_AFTER).iter().filter_map(|line| line.to_str().ok());
    let parsed = lines.filter_map(|line| parse_line(line.trim(), now)).max();
    let is_throttled = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    parsed.or_else(|| is_throttled.then_some(DEFAULT_WAIT)).map(|wait| wait.min(MAX_WAIT))
}

/// Rounds a wait up to whole seconds, as `Retry-After` and Graph's clients have it: a caller must not come back too early.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn parse_line(line: &str, now: Now) -> Option<Duration> {
    // A date has a comma, so the line as a whole comes first.
    parse(line, now).or_else(|| line.split(',').filter_map(|member| parse(member.trim(), now)).max())
}

fn parse(text: &str, now: Now) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let seconds: f64 = text.parse().ok()?;
        // Clamped before the conversion, since a `Duration` cannot hold every float.
        return Some(Duration::from_secs_f64(seconds.min(MAX_WAIT.as_secs_f64())));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now.wall()).unwrap_or_default())
}

/// The wait of Graph's own clients without `Retry-After`: three seconds, doubled once.
const DEFAULT_WAIT: Duration = Duration::from_secs(6);
/// Longer than any throttling window or maintenance of Graph. One absurd value or a wrong clock must not stop a client that
/// obeys for longer.
const MAX_WAIT: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use connector_cache_support::clock::Clock;

    fn wait(value: Option<&str>, status: u16) -> Option<u64> {
        let now = Clock::manual(UNIX_EPOCH + Duration::from_secs(784_111_777)).now();
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        }
        let wait = from_headers(&headers, StatusCode::from_u16(status).unwrap(), now)?;
        Some(u64::try_from(wait.as_millis()).unwrap())
    }

    #[test]
    fn f17_every_format_of_graph_is_parsed() {
        assert_eq!(wait(Some("30"), 429), Some(30_000));
        assert_eq!(wait(Some("2.128"), 429), Some(2_128));
        assert_eq!(wait(Some("0"), 503), Some(0));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:49:47 GMT"), 429), Some(10_000));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:00:00 GMT"), 429), Some(0), "in the past");
    }

    #[test]
    fn f17_a_long_wait_is_clamped_and_an_invalid_one_gets_the_default() {
        assert_eq!(wait(Some("1800"), 429), Some(1_800_000));
        assert_eq!(wait(Some("86400"), 503), Some(86_400_000));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 09:19:37 GMT"), 503), Some(1_800_000));
        for value in ["86401", "1000000000000", &"9".repeat(400), "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(wait(Some(value), 429), Some(86_400_000), "{value}");
        }
        for list in ["5, 30", "30,5", "30,", "soon, 30"] {
            assert_eq!(wait(Some(list), 429), Some(30_000), "{list}");
        }
        for odd in [
            "",
            "-1",
            "soon",
            "1.2.3",
            ".",
            "NaN",
            "inf",
            "1e3",
            "Sun, 06 Nov 1994 08:49:47 +0000",
            ",",
            "-1, -2",
        ] {
            assert_eq!(wait(Some(odd), 429), Some(6_000), "{odd}");
        }
        assert_eq!(wait(None, 429), Some(6_000));
        assert_eq!(wait(None, 503), Some(6_000));
        assert_eq!(wait(None, 504), None);
        assert_eq!(wait(Some("soon"), 401), None);
    }
}
