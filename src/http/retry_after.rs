//! `Retry-After`, read (RFC 9110, section 10.2.3, and what Graph makes of it).

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use crate::support::clock::Now;

/// How long Graph asks to be left alone, at most ten minutes.
///
/// Graph writes whole seconds, fractions (`2.128`), or a date; a date in the past means now. Where a 429 or a
/// 503 says nothing that can be read, six seconds stand for it.
pub fn of(headers: &HeaderMap, status: StatusCode, now: Now) -> Option<Duration> {
    let said = headers.get(header::RETRY_AFTER).and_then(|value| read(value.to_str().ok()?.trim(), now));
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    said.or_else(|| busy.then_some(USUAL)).map(|wait| wait.min(MOST))
}

fn read(text: &str, now: Now) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let seconds: f64 = text.parse().ok()?;
        // Clamped before it becomes a duration, which cannot hold everything that a float can.
        return Some(Duration::from_secs_f64(seconds.min(MOST.as_secs_f64())));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(now.wall()).unwrap_or_default())
}

/// What Graph's own clients wait where it says nothing: three seconds, doubled once.
const USUAL: Duration = Duration::from_secs(6);
/// Longer than Graph's throttling windows; a clock that is wrong by years must not shut anybody out.
const MOST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::support::clock::Clock;

    fn wait(value: Option<&str>, status: u16) -> Option<u64> {
        let now = Clock::manual(UNIX_EPOCH + Duration::from_secs(784_111_777)).now();
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        }
        let wait = of(&headers, StatusCode::from_u16(status).unwrap(), now)?;
        Some(u64::try_from(wait.as_millis()).unwrap())
    }

    #[test]
    fn f17_every_form_of_graphs_is_read() {
        assert_eq!(wait(Some("30"), 429), Some(30_000));
        assert_eq!(wait(Some("2.128"), 429), Some(2_128));
        assert_eq!(wait(Some("0"), 503), Some(0));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:49:47 GMT"), 429), Some(10_000));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:00:00 GMT"), 429), Some(0), "in the past");
    }

    #[test]
    fn f17_what_is_absurd_is_bounded_and_what_is_unreadable_is_the_usual() {
        assert_eq!(wait(Some("1000000000000"), 429), Some(600_000));
        assert_eq!(wait(Some(&"9".repeat(400)), 429), Some(600_000));
        assert_eq!(wait(Some("Fri, 31 Dec 9999 23:59:59 GMT"), 503), Some(600_000));
        for odd in ["", "-1", "soon", "1.2.3", ".", "NaN", "inf", "1e3"] {
            assert_eq!(wait(Some(odd), 429), Some(6_000), "{odd}");
        }
        assert_eq!(wait(None, 429), Some(6_000));
        assert_eq!(wait(None, 503), Some(6_000));
        assert_eq!(wait(None, 504), None);
        assert_eq!(wait(Some("soon"), 401), None);
    }
}
