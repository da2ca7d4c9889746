//! The rule for where traces go.

use url::Url;

use super::value::{Raw, Rule, echo_url, literal};

/// The base address of a collector. Nothing secret is sent there, so plain `http` will do.
pub(super) struct Endpoint;

impl Rule for Endpoint {
    type Value = Url;

    fn read(&self, raw: &Raw) -> Option<Url> {
        let Raw::Text(text) = raw else { return None };
        // What the URL standard repairs in silence (blanks, backslashes, an empty user info) is refused.
        let repaired = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '@');
        if text.contains(repaired) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.has_host();
        (bare && matches!(url.scheme(), "http" | "https") && url.port() != Some(0)).then_some(url)
    }

    fn write(&self, value: &Url) -> String {
        literal(value.as_str().trim_end_matches('/'))
    }

    fn echo(&self, raw: &Raw) -> String {
        echo_url(raw)
    }

    fn accepted(&self) -> String {
        "http://HOST:PORT or https://HOST:PORT of a collector's OTLP over HTTP, without user info, query or \
         fragment; /v1/traces is put behind it"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        Endpoint.read(&Raw::Text(text.to_owned())).map(|url| Endpoint.write(&url))
    }

    #[test]
    fn addresses_of_collectors_are_taken_and_written_back() {
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
    fn what_is_no_address_or_could_hold_a_secret_is_refused() {
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
