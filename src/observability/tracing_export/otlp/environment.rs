//! Standard environment variables of an OTLP exporter
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
//!
//! The endpoint and the sampling are keys of the configuration. These variables add what a collector in front of a
//! vendor needs: credentials, the name of the service, compression. A variable with a malformed value is ignored, and a
//! warning names the variable. Its value is never logged, since it can hold a credential.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Settings that the environment holds.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Header fields of each request to the collector.
    pub(super) headers: HeaderMap,
    /// True if request bodies are compressed with gzip.
    pub(super) has_gzip: bool,
    /// Resource attributes, in the order of their precedence: a later one replaces an earlier one of the same name.
    pub(super) resource: Vec<(String, String)>,
}

impl Environment {
    /// Reads the variables of this process.
    pub(super) fn read() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `value_of` returns. An empty variable counts as unset.
    fn from_variables(value_of: impl Fn(&str) -> Option<String>) -> Self {
        let find = |names: &[&'static str]| {
            let set =
                |name: &&'static str| value_of(name).filter(|value| !value.is_empty()).map(|v| (*name, v));
            names.iter().find_map(set)
        };
        let headers = find(&HEADERS).and_then(|(name, value)| or_warn(name, parse_headers(&value)));
        let has_gzip = find(&COMPRESSION).and_then(|(name, value)| or_warn(name, parse_compression(&value)));
        let mut resource = find(&[RESOURCE_ATTRIBUTES])
            .and_then(|(name, value)| or_warn(name, parse_list(&value)))
            .unwrap_or_default();
        resource.extend(find(&[SERVICE_NAME]).map(|(_, value)| ("service.name".to_owned(), value)));
        Self { headers: headers.unwrap_or_default(), has_gzip: has_gzip.unwrap_or_default(), resource }
    }
}

fn or_warn<T>(variable: &str, value: Option<T>) -> Option<T> {
    if value.is_none() {
        tracing::warn!(variable, "an environment variable has a malformed value and is ignored");
    }
    value
}

/// Parses `name=value` pairs with commas between them. Values are percent-encoded.
fn parse_list(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

fn parse_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in parse_list(text)? {
        let mut value = HeaderValue::try_from(value).ok()?;
        // Keeps credentials out of `Debug`, and out of the compression table of HTTP/2.
        value.set_sensitive(true);
        headers.append(HeaderName::try_from(name).ok()?, value);
    }
    Some(headers)
}

fn parse_compression(text: &str) -> Option<bool> {
    match text {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

/// Variables of the header fields; the first that is set counts.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
/// Variables of the compression; the first that is set counts.
const COMPRESSION: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        let value_of = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Environment::from_variables(|name| value_of(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn headers_are_decoded_and_hidden_from_debug() {
        let environment =
            read(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20Y2FuYXJ5, x-team = a ")]);
        assert_eq!(environment.headers["authorization"], "Basic Y2FuYXJ5");
        assert_eq!(environment.headers["x-team"], "a");
        assert!(!format!("{environment:?}").contains("Y2FuYXJ5"));
    }

    #[test]
    fn variables_of_traces_win_over_those_of_all_signals() {
        let environment = read(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=all"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=traces"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", ""),
        ]);
        assert_eq!(
            (&environment.headers["a"], environment.has_gzip),
            (&HeaderValue::from_static("traces"), true)
        );
    }

    #[test]
    fn the_service_name_comes_last_so_that_it_wins() {
        let environment = read(&[
            ("OTEL_SERVICE_NAME", "edge"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment=a%2Cb"),
        ]);
        let expected =
            [("service.name", "other"), ("deployment.environment", "a,b"), ("service.name", "edge")];
        assert_eq!(environment.resource, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_malformed_variable_is_ignored_whole() {
        for bad in ["canary", "=canary", "a=1,canary", "a b=1", "a=%FF", "a=%0Ab"] {
            assert!(read(&[("OTEL_EXPORTER_OTLP_HEADERS", bad)]).headers.is_empty(), "{bad}");
        }
        assert!(!read(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")]).has_gzip);
        assert!(read(&[("OTEL_RESOURCE_ATTRIBUTES", "a=1,b")]).resource.is_empty());
    }
}
