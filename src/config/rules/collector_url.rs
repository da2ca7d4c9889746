//! Rule for the base URL of a collector.

use url::Url;

use crate::config::reference::ValueForm;
use crate::config::value::{RawValue, Rule, echo_url};

use super::bare_url;

/// Base URL of a collector. Spans hold no secret, so plain `http` is accepted.
pub(in crate::config) struct CollectorUrl;

impl Rule for CollectorUrl {
    type Value = Url;

    fn parse(&self, raw: &RawValue) -> Option<Url> {
        let url = bare_url::parse(raw)?;
        (url.has_host() && matches!(url.scheme(), "http" | "https")).then_some(url)
    }

    fn write(&self, value: &Url) -> String {
        bare_url::write(value)
    }

    fn echo(&self, raw: &RawValue) -> String {
        echo_url(raw)
    }

    fn form(&self) -> ValueForm {
        ValueForm::CollectorUrl
    }

    fn accepted(&self) -> String {
        "http://HOST:PORT or https://HOST:PORT of a collector's OTLP over HTTP, without user info, query or \
         fragment; /v1/traces is appended"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        CollectorUrl.parse(&RawValue::Text(text.to_owned())).map(|url| CollectorUrl.write(&url))
    }

    #[test]
    fn urls_of_collectors_are_accepted_and_written_back() {
        for good in [
            "http://collector.tracing.svc:4318",
            "https://gateway.example/otlp",
            "http://[fd00::1]:4318",
            "http://10.0.0.1",
        ] {
            assert_eq!(read(good), Some(format!("{good:?}")));
        }
        assert_eq!(read("http://collector:4318/"), Some("\"http://collector:4318\"".to_owned()));
    }

    #[test]
    fn a_malformed_url_or_one_that_may_hold_a_secret_is_refused() {
        for bad in [
            "",
            "collector:4318",
            "grpc://collector:4317",
            "http://user:word@collector:4318",
            "http://collector:4318?token=a",
            "http://collector:4318#a",
            "http:// collector",
            "http:\\\\collector",
            "http://collector:0",
            "http://",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
