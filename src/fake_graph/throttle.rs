//! Graph's throttling: a limit of requests a minute for each app in each tenant.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// The form of `Retry-After`. Graph has sent each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfterForm {
    /// `Retry-After: 3`.
    Whole,
    /// `Retry-After: 2.128`.
    Fractional,
    /// `Retry-After: Wed, 21 Oct 2026 07:28:00 GMT`.
    Date,
    /// No `Retry-After`.
    None,
}

impl RetryAfterForm {
    /// Returns the value of `Retry-After` for a wait of `left`, if it is sent.
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

/// The counters of the running windows of one minute.
pub(crate) struct Throttle {
    limit: Option<u32>,
    form: RetryAfterForm,
    /// (app, tenant) to the start of its window and the number of requests in it.
    minutes: HashMap<(String, String), (SystemTime, u32)>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self { limit: None, form: RetryAfterForm::Whole, minutes: HashMap::new() }
    }

    /// Sets the limit of requests a minute. `None`: no limit. Resets the counters.
    pub(crate) fn set_limit(&mut self, limit: Option<u32>) {
        self.limit = limit;
        self.minutes.clear();
    }

    pub(crate) fn set_form(&mut self, form: RetryAfterForm) {
        self.form = form;
    }

    pub(crate) fn form(&self) -> RetryAfterForm {
        self.form
    }

    /// Counts a request. Over the limit, returns the time to the end of the window.
    pub(crate) fn count(&mut self, app: &str, tenant: &str, now: SystemTime) -> Option<Duration> {
        let limit = self.limit?;
        let left = |start: SystemTime| {
            THROTTLE_WINDOW.saturating_sub(now.duration_since(start).unwrap_or(THROTTLE_WINDOW))
        };
        self.minutes.retain(|_, (start, _)| !left(*start).is_zero());
        let (start, used) = self.minutes.entry((app.to_owned(), tenant.to_owned())).or_insert((now, 0));
        *used = used.saturating_add(1);
        (*used > limit).then(|| left(*start))
    }
}

const THROTTLE_WINDOW: Duration = Duration::from_mins(1);

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
        let value = |form: RetryAfterForm| form.value(at(0), Duration::from_millis(2128));
        assert_eq!(value(RetryAfterForm::Whole).unwrap(), "3");
        assert_eq!(value(RetryAfterForm::Fractional).unwrap(), "2.128");
        assert_eq!(value(RetryAfterForm::Date).unwrap(), "Fri, 15 Jan 2027 08:00:03 GMT");
        assert_eq!(value(RetryAfterForm::None), None);
    }
}
