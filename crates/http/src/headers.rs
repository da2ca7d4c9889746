//! Header fields of Graph's response that are passed on, and field names.
//!
//! The lists are allowlists: an unlisted field is dropped.

use std::sync::LazyLock;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::date;

/// Returns the fields of a 200 that are stored with the entry. `Content-Type` is always among them, always with the
/// charset utf-8. Fields that `Connection` names are for this hop only (RFC 9110, section 7.6.1; RFC 9111, section
/// 3.1).
fn stored_headers(from: &HeaderMap) -> Box<[(HeaderName, HeaderValue)]> {
    let others = stored_beside_content_type(from).map(|(name, value)| (name.clone(), value.clone()));
    std::iter::once((header::CONTENT_TYPE, stored_content_type(from))).chain(others).collect()
}

/// Returns the fields of a 200 that are stored with the entry, unless they are the [`common_headers`].
pub fn uncommon_headers(from: &HeaderMap) -> Option<Box<[(HeaderName, HeaderValue)]>> {
    let ((_, content_type), others) = common_headers().split_first()?;
    let others = others.iter().map(|(name, value)| (name, value));
    let is_common = stored_content_type(from) == *content_type && stored_beside_content_type(from).eq(others);
    (!is_common).then(|| stored_headers(from))
}

fn stored_content_type(from: &HeaderMap) -> HeaderValue {
    from.get(header::CONTENT_TYPE).and_then(with_utf8_charset).unwrap_or(JSON)
}

fn stored_beside_content_type(from: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    STORED_HEADERS.iter().filter_map(|name| {
        let value =
            from.get(name).filter(|value| is_valid_value(name, value) && !is_hop_by_hop(from, name))?;
        Some((name, value))
    })
}

/// Returns the fields of most entries.
pub fn common_headers() -> &'static [(HeaderName, HeaderValue)] {
    static COMMON_HEADERS: LazyLock<[(HeaderName, HeaderValue); 2]> = LazyLock::new(|| {
        let [content_type, .., odata] = COMMON_VALUES.map(HeaderValue::from_static);
        [(header::CONTENT_TYPE, content_type), (ODATA_VERSION, odata)]
    });
    &*COMMON_HEADERS
}

/// Returns every challenge of a 401 or 403, unchanged (RFC 9110, section 11.6.1).
pub fn challenges(from: &HeaderMap) -> impl Iterator<Item = HeaderValue> + '_ {
    from.get_all(header::WWW_AUTHENTICATE).iter().cloned()
}

/// Returns whether a `Content-Type` is JSON: `application/json`, or a subtype in `+json`.
pub fn is_json(value: &HeaderValue) -> bool {
    if is_common_content_type(value) {
        return true;
    }
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Returns whether a `Content-Type` is one of Graph's own.
fn is_common_content_type(value: &HeaderValue) -> bool {
    let [content_types @ .., _] = COMMON_VALUES;
    content_types.iter().any(|common| value.as_bytes() == common.as_bytes())
}

/// Returns a JSON content type with the charset utf-8, which the scrubber reads and writes, whatever the original
/// charset. Of the other parameters those of OData are kept, with values that OData defines: any other text could be a
/// credential. Returns `None` if the value is not JSON or has quotes.
fn with_utf8_charset(value: &HeaderValue) -> Option<HeaderValue> {
    if is_common_content_type(value) {
        return Some(value.clone());
    }
    if !is_json(value) || !is_plain(value) {
        return None;
    }
    let text = value.to_str().ok().filter(|text| !text.contains(['"', ',', '\\']))?;
    let mut parts = text.split(';').map(str::trim);
    let essence =
        parts.next().filter(|essence| MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(essence)));
    let mut clean = essence.unwrap_or(MEDIA_TYPES[0]).to_owned();
    for part in parts.filter(|part| is_known_parameter(part)) {
        clean.push(';');
        clean.push_str(part);
    }
    clean.push_str(";charset=utf-8");
    HeaderValue::try_from(clean).ok()
}

/// Returns whether a parameter and its value are defined by OData (OData Protocol 4.01, section 8.1.1, and OData JSON
/// Format 4.01, section 3).
fn is_known_parameter(part: &str) -> bool {
    let Some((name, value)) = part.split_once('=') else { return false };
    let is_name = |known: &str| known.eq_ignore_ascii_case(name);
    let is_one_of = |values: &[&str]| values.iter().any(|known| known.eq_ignore_ascii_case(value));
    let is_switch = ["odata.streaming", "streaming", "IEEE754Compatible", "ExponentialDecimals"];
    (["odata.metadata", "metadata"].into_iter().any(is_name) && is_one_of(&["minimal", "full", "none"]))
        || (is_switch.into_iter().any(is_name) && is_one_of(&["true", "false"]))
}

/// Returns whether a value is valid for its field: the version of OData; a date, a boolean or a number of seconds (RFC
/// 9745, RFC 8594).
fn is_valid_value(name: &HeaderName, value: &HeaderValue) -> bool {
    if *name == ODATA_VERSION {
        return matches!(value.as_bytes(), b"4.0" | b"4.01");
    }
    let is_seconds =
        |digits: &[u8]| (1..=12).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    matches!(value.as_bytes(), b"true" | b"false" | b"?0" | b"?1")
        || value.as_bytes().strip_prefix(b"@").is_some_and(is_seconds)
        || date::parse(value, SystemTime::UNIX_EPOCH).is_some()
}

/// Copies values into one allocation. Values from the transport are slices of its buffers and keep these alive, and
/// separate allocations cost a memory access each per response. Common values are replaced by statics.
pub fn compact_values<'a>(values: impl IntoIterator<Item = &'a mut HeaderValue>) {
    let mut rest = Vec::new();
    for value in values {
        match COMMON_VALUES.iter().find(|common| value.as_bytes() == common.as_bytes()) {
            Some(common) => *value = HeaderValue::from_static(common),
            None => rest.push(value),
        }
    }
    let whole = Bytes::from(rest.iter().map(|value| value.as_bytes()).collect::<Vec<_>>().concat());
    let mut end = 0;
    for value in rest {
        let start = end;
        end += value.len();
        if let Ok(copy) = HeaderValue::from_maybe_shared(whole.slice(start..end)) {
            *value = copy;
        }
    }
}

/// Returns the `Date` of a response (RFC 9110, section 6.6.1), if it is valid.
pub fn parse_date(from: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    date::parse(from.get(header::DATE)?, now)
}

/// Returns the value of a field that occurs exactly once.
pub fn single_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Returns whether `Connection` names the field, which is then for this hop only (RFC 9110, section 7.6.1).
pub fn is_hop_by_hop(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut options = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// Returns whether a value is short, visible ASCII.
fn is_plain(value: &HeaderValue) -> bool {
    value.len() <= MAX_VALUE_BYTES && value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Graph's `request-id` of the fetch; `request-id` is the proxy's own.
pub const ORIGIN_REQUEST_ID: HeaderName = HeaderName::from_static("origin-request-id");
/// The version of OData that a body follows.
pub const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");
/// The request field that forces a refresh: `crate::proxy::refresh_limit`.
pub static REFRESH_FIELD: HeaderName = HeaderName::from_static("connector-cache");
/// The proxy's name in `Via` and `Cache-Status`.
pub const PSEUDONYM: &str = "connector-cache";
/// The field of RFC 9211.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Stored fields beside `Content-Type`: OData's version, and the announced end of a beta route.
static STORED_HEADERS: [HeaderName; 3] =
    [ODATA_VERSION, HeaderName::from_static("deprecation"), HeaderName::from_static("sunset")];
const MAX_VALUE_BYTES: usize = 256;
/// Media types of Graph's bodies.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/problem+json"];
/// Values of nearly every response of Graph: content types, and the version of OData.
const COMMON_VALUES: [&str; 5] = [
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
    "application/json;odata.metadata=none;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
    "application/json;odata.metadata=full;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
    "application/json;charset=utf-8",
    "4.0",
];
/// The default content type. The charset is that of the scrubber's output.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f12_f21_only_listed_fields_are_stored() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json;odata.metadata=minimal;charset=utf-8"),
            ("odata-version", "4.0"),
            ("set-cookie", "a=b"),
            ("clear-site-data", "\"*\""),
            ("location", "https://elsewhere"),
            ("refresh", "0; url=https://elsewhere"),
            ("x-ms-ags-diagnostic", "{}"),
            ("access-control-allow-origin", "*"),
            ("content-md5", "x"),
            ("connection", "keep-alive"),
            ("etag", "\"origin\""),
        ] {
            from.insert(name, HeaderValue::from_static(value));
        }
        let names: Vec<_> = stored_headers(&from).iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["content-type", "odata-version"]);
    }

    #[test]
    fn a_content_type_always_has_the_charset_utf_8() {
        for (value, expected) in [
            ("application/json", "application/json;charset=utf-8"),
            ("application/json; charset=UTF-16LE", "application/json;charset=utf-8"),
            (
                "application/json;Charset = utf-7;odata.metadata=none",
                "application/json;odata.metadata=none;charset=utf-8",
            ),
            ("application/json;charset=utf-8;charset=utf-16", "application/json;charset=utf-8"),
            ("application/json;;charset", "application/json;charset=utf-8"),
            ("application/problem+json;x=y", "application/problem+json;charset=utf-8"),
            ("application/hunter2+json", "application/json;charset=utf-8"),
            ("application/json;odata.metadata=hunter2", "application/json;charset=utf-8"),
            (
                "application/json; IEEE754Compatible=true;x=hunter2; odata.streaming=false",
                "application/json;IEEE754Compatible=true;odata.streaming=false;charset=utf-8",
            ),
            ("application/json;x=\";charset=utf-8\";charset=utf-16", "application/json;charset=utf-8"),
            ("application/json, text/html;charset=utf-16", "application/json;charset=utf-8"),
            ("text/html;charset=utf-16", "application/json;charset=utf-8"),
            (COMMON_VALUES[0], COMMON_VALUES[0]),
        ] {
            let mut from = HeaderMap::new();
            from.insert("content-type", HeaderValue::from_static(value));
            assert_eq!(
                stored_headers(&from)[0],
                (header::CONTENT_TYPE, HeaderValue::from_static(expected)),
                "{value}"
            );
        }
        assert_eq!(stored_headers(&HeaderMap::new())[0].1, JSON);
    }

    #[test]
    fn a_field_with_a_value_outside_of_its_definition_is_dropped() {
        let date = "Mon, 23 Nov 2026 04:58:29 GMT";
        for (name, good, bad) in [
            ("odata-version", &["4.0", "4.01"][..], &["hunter2", "4.0;x=hunter2", ""][..]),
            ("deprecation", &["true", "@1688169599", date], &["hunter2", "@hunter2", "true, hunter2", "@"]),
            ("sunset", &[date], &["hunter2", "Mon, 23 Nov 2026 04:58:29 GMT hunter2"]),
        ] {
            let count = |value: &'static str| {
                let mut from = HeaderMap::new();
                from.insert(name, HeaderValue::from_static(value));
                stored_headers(&from).len()
            };
            for value in good {
                assert_eq!(count(value), 2, "{name}: {value}");
            }
            for value in bad {
                assert_eq!(count(value), 1, "{name}: {value}");
            }
        }
    }

    #[test]
    fn compacted_values_are_equal() {
        let texts = ["4.0", "W/\"a\"", "", "application/json", "Mon, 23 Nov 2026 04:58:29 GMT"];
        let mut values = texts.map(HeaderValue::from_static);
        compact_values(&mut values);
        assert_eq!(values, texts);
        compact_values([]);
    }

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
            assert!(is_json(&HeaderValue::from_static(json)), "{json}");
        }
        for other in ["text/html", "text/json", "application/jsonp", "application/xml", ""] {
            assert!(!is_json(&HeaderValue::from_static(other)), "{other}");
        }
    }
}
