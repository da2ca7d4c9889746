//! Graph's throttling of this workload: so many requests a minute for each app in each tenant.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// How a 429 says when to come back. Graph has been seen with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// `Retry-After: 3`.
    Whole,
    /// `Retry-After: 2.128`.
    Fractional,
    /// `Retry-After: Wed, 21 Oct 2026 07:28:00 GMT`.
    Date,
    /// No such header.
    None,
}

impl RetryAfter {
    /// The header's value for a wait of `left`, if it is sent.
    pub(crate) fn value(self, now: SystemTime, left: Duration) -> Option<String> {
        let whole = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
        match self {
            Self::Whole => Some(whole.as_secs().to_string()),
            Self::Fractional => Some(format!("{:.3}", left.as_secs_f64())),
            Self::Date => Some(httpdate::fmt_http_date(now + whole)),
            Self::None => None,
        }
    }
}

/// The minutes that are running.
pub(crate) struct Throttle {
    limit: Option<u32>,
    form: RetryAfter,
    /// (app, tenant) to the start of its minute and the requests in it.
    minutes: HashMap<(String, String), (SystemTime, u32)>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self { limit: None, form: RetryAfter::Whole, minutes: HashMap::new() }
    }

    /// At most `limit` requests a minute, or any number. Minutes begin anew.
    pub(crate) fn set_limit(&mut self, limit: Option<u32>) {
        self.limit = limit;
        self.minutes.clear();
    }

    pub(crate) fn set_form(&mut self, form: RetryAfter) {
        self.form = form;
    }

    pub(crate) fn form(&self) -> RetryAfter {
        self.form
    }

    /// Counts a request. When it is one too many: the time until the minute is over.
    pub(crate) fn count(&mut self, app: &str, tenant: &str, now: SystemTime) -> Option<Duration> {
        let limit = self.limit?;
        let left = |start: SystemTime| MINUTE.saturating_sub(now.duration_since(start).unwrap_or(MINUTE));
        self.minutes.retain(|_, (start, _)| !left(*start).is_zero());
        let (start, used) = self.minutes.entry((app.to_owned(), tenant.to_owned())).or_insert((now, 0));
        *used = used.saturating_add(1);
        (*used > limit).then(|| left(*start))
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn a_request_over_the_limit_waits_for_the_rest_of_its_minute() {
        let mut throttle = Throttle::new();
        throttle.set_limit(Some(1));
        assert_eq!(throttle.count("app", "tenant", at(0)), None);
        assert_eq!(throttle.count("app", "tenant", at(20)), Some(Duration::from_secs(40)));
        assert_eq!(throttle.count("app", "tenant", at(60)), None);
    }

    #[test]
    fn each_app_in_each_tenant_has_its_own_minute() {
        let mut throttle = Throttle::new();
        throttle.set_limit(Some(1));
        for (app, tenant) in [("a", "t"), ("b", "t"), ("a", "u")] {
            assert_eq!(throttle.count(app, tenant, at(0)), None);
        }
    }

    #[test]
    fn the_wait_is_written_in_the_form_that_was_set() {
        let value = |form: RetryAfter| form.value(at(0), Duration::from_millis(2128));
        assert_eq!(value(RetryAfter::Whole).unwrap(), "3");
        assert_eq!(value(RetryAfter::Fractional).unwrap(), "2.128");
        assert_eq!(value(RetryAfter::Date).unwrap(), "Fri, 15 Jan 2027 08:00:03 GMT");
        assert_eq!(value(RetryAfter::None), None);
    }
}
