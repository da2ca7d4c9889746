//! `Accept` to the form of the response: the level of control information and the form of numbers.
//!
//! Both change the body, so they are part of the key and are forwarded (OData JSON Format 4.01, sections 3.1 and 3.2). The
//! other parameters do not change the JSON text and are ignored: `odata.streaming` is about the order of members,
//! `charset` has one value in every response. So are `odata=` and `metadata=`, which Graph does not document.
//!
//! The parser is lenient, as servers are: Java before version 19 sends `*; q=.2`. A member that cannot be read is skipped.
//! If no member can be read, the field says nothing, and the response is the default one: RFC 9110, section 12.5.1, allows a
//! server to disregard the field, and a response helps such a caller more than a 406.

use http::{HeaderMap, HeaderValue, header};

use crate::http::cache_control::{split_outside_quotes, split_parameters};
use crate::http::negotiation::parse_lenient_qvalue;
use crate::support::labels::{Label, labels};

labels! {
    /// Level of control information in the response (OData JSON Format 4.01, section 3.1).
    pub enum Metadata {
        /// `@odata.context`, and annotations that a client cannot compute. The default.
        Minimal = "minimal",
        /// All annotations.
        Full = "full",
        /// No annotations, not even `@odata.type`.
        None = "none",
    }
}

/// Form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseFormat {
    /// `odata.metadata`
    pub metadata: Metadata,
    /// `IEEE754Compatible`: 64-bit numbers are strings (OData JSON Format 4.01, section 3.2).
    pub ieee754_compatible: bool,
}

/// The form without parameters.
const DEFAULT: ResponseFormat = ResponseFormat { metadata: Metadata::Minimal, ieee754_compatible: false };

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A member of `Accept`.
enum Member {
    /// The text is no media range.
    Unreadable,
    /// JSON does not satisfy the range, or a parameter has an unknown value.
    Other,
    /// JSON in this form satisfies the range, with a quality in thousandths.
    Json(u16, ResponseFormat),
}

impl ResponseFormat {
    /// Reads the form of the request's most preferred media range that JSON satisfies (RFC 9110, section 12.5.1); of
    /// several with one quality the first. Returns `None` if JSON satisfies no range.
    pub(super) fn from_accept(headers: &HeaderMap) -> Option<Self> {
        // The value of most clients.
        let mut lines = headers.get_all(header::ACCEPT).iter();
        if (lines.next(), lines.next()) == (Some(&APPLICATION_JSON), None) {
            return Some(DEFAULT);
        }
        let mut best: Option<(u16, Self)> = None;
        let mut has_readable = false;
        for line in headers.get_all(header::ACCEPT) {
            for member in split_outside_quotes(line.as_bytes()) {
                let member = parse_member(member);
                has_readable |= !matches!(member, Member::Unreadable);
                if let Member::Json(quality, format) = member
                    && quality > best.map_or(0, |(quality, _)| quality)
                {
                    best = Some((quality, format));
                }
            }
        }
        if has_readable { best.map(|(_, format)| format) } else { Some(DEFAULT) }
    }

    /// Returns the `Accept` value that requests this form from Graph.
    pub(super) fn accept_value(self) -> HeaderValue {
        HeaderValue::from_static(match (self.metadata, self.ieee754_compatible) {
            (Metadata::Minimal, false) => "application/json;odata.metadata=minimal",
            (Metadata::Full, false) => "application/json;odata.metadata=full",
            (Metadata::None, false) => "application/json;odata.metadata=none",
            (Metadata::Minimal, true) => "application/json;odata.metadata=minimal;IEEE754Compatible=true",
            (Metadata::Full, true) => "application/json;odata.metadata=full;IEEE754Compatible=true",
            (Metadata::None, true) => "application/json;odata.metadata=none;IEEE754Compatible=true",
        })
    }
}

fn parse_member(member: &[u8]) -> Member {
    if std::str::from_utf8(member).is_err() {
        return Member::Unreadable;
    }
    // Between ASCII characters, so each part is valid UTF-8.
    let mut parts = split_parameters(member).map(|part| std::str::from_utf8(part).unwrap_or_default().trim());
    let media = parts.next().unwrap_or_default();
    if !is_media_range(media) {
        return Member::Unreadable;
    }
    let (mut quality, mut format) = (Some(1000), Some(DEFAULT));
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (name, value) = (name.trim_end(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("q") {
            quality = parse_lenient_qvalue(value);
        } else if name.eq_ignore_ascii_case("odata.metadata") {
            let level = Metadata::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(value));
            format = format.zip(level).map(|(format, level)| ResponseFormat { metadata: *level, ..format });
        } else if name.eq_ignore_ascii_case("IEEE754Compatible") {
            let flag = ["false", "true"].iter().position(|known| known.eq_ignore_ascii_case(value));
            format = format
                .zip(flag)
                .map(|(format, flag)| ResponseFormat { ieee754_compatible: flag == 1, ..format });
        }
    }
    let is_json = JSON_RANGES.iter().any(|known| known.eq_ignore_ascii_case(media));
    match (quality, format) {
        (None, _) => Member::Unreadable,
        (Some(quality), Some(format)) if is_json => Member::Json(quality, format),
        _ => Member::Other,
    }
}

/// Returns whether `media` is `type/subtype`, `type/*`, `*/*`, or `*`, which Java before version 19 sends for `*/*`.
fn is_media_range(media: &str) -> bool {
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    let is_range = |(kind, subtype)| is_token(kind) && is_token(subtype) && (kind != "*" || subtype == "*");
    media == "*" || media.split_once('/').is_some_and(is_range)
}

/// Returns whether a byte may be in a token (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The media ranges that JSON satisfies.
const JSON_RANGES: [&str; 4] = ["application/json", "application/*", "*/*", "*"];

#[cfg(test)]
mod tests {
    use super::*;

    fn format(accept: &str) -> Option<ResponseFormat> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_bytes(accept.as_bytes()).unwrap());
        ResponseFormat::from_accept(&headers)
    }

    fn level(accept: &str) -> Option<Metadata> {
        format(accept).map(|format| format.metadata)
    }

    #[test]
    fn requests_without_parameters_have_the_default_form() {
        assert_eq!(ResponseFormat::from_accept(&HeaderMap::new()), Some(DEFAULT));
        for accept in [
            "*/*",
            "*",
            "application/*",
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;odata=verbose;metadata=full;odata.streaming=true",
            "text/html, */*;q=0.8",
            "",
            ", ,",
        ] {
            assert_eq!(format(accept), Some(DEFAULT), "{accept}");
        }
    }

    #[test]
    fn the_form_with_the_highest_quality_is_used() {
        assert_eq!(level("application/json;odata.metadata=none"), Some(Metadata::None));
        assert_eq!(level("application/json; ODATA.METADATA=\"Full\""), Some(Metadata::Full));
        let listed =
            "application/json;odata.metadata=full;q=0.5, application/json;odata.metadata=none;q=0.75";
        assert_eq!(level(listed), Some(Metadata::None));
        let alike = "application/json;odata.metadata=full, application/json;odata.metadata=none";
        assert_eq!(level(alike), Some(Metadata::Full), "the first of two with equal quality");
    }

    #[test]
    fn a_range_without_a_quality_has_the_highest_quality() {
        let (full, none) = ("application/json;odata.metadata=full", "application/json;odata.metadata=none");
        assert_eq!(level(&format!("{full};q=0.999, {none}")), Some(Metadata::None));
        assert_eq!(level(&format!("{full};q=1, {none}")), Some(Metadata::Full));
        assert_eq!(level(&format!("{full}, {none};q=1")), Some(Metadata::Full));
        assert_eq!(level(&format!("{full};Q=0.1, {none};q=0.2")), Some(Metadata::None), "in any case");
        assert_eq!(level(&format!("{full};q=.1, {none};q=.2")), Some(Metadata::None));
    }

    #[test]
    fn the_forwarded_accept_value_parses_to_the_same_form() {
        for &metadata in Metadata::ALL {
            for ieee754_compatible in [false, true] {
                let form = ResponseFormat { metadata, ieee754_compatible };
                let forwarded = form.accept_value();
                assert_eq!(format(forwarded.to_str().unwrap()), Some(form));
            }
        }
    }

    #[test]
    fn the_number_format_has_two_values_in_any_case() {
        for (accept, expected) in [
            ("application/json;IEEE754Compatible=true", Some(true)),
            ("application/json;ieee754compatible=\"TRUE\"", Some(true)),
            ("application/json;IEEE754Compatible=False", Some(false)),
            ("application/json", Some(false)),
            ("application/json;IEEE754Compatible=1", None),
            ("application/json;IEEE754Compatible=", None),
            ("application/json;IEEE754Compatible", None),
        ] {
            assert_eq!(format(accept).map(|form| form.ieee754_compatible), expected, "{accept}");
        }
    }

    #[test]
    fn a_member_that_cannot_be_read_is_skipped() {
        for accept in [
            "json, application/json",
            "application/json, text/html;q=x",
            "*/*;q=-1, *;q=.2",
            "a/b/c, \u{e9}, application/json",
            "json",
            "/, ;q=1",
            "*/json",
            "*/*;q=",
            "\"application/json",
        ] {
            assert_eq!(format(accept), Some(DEFAULT), "{accept}");
        }
        let verbose = "application/json;odata.metadata=verbose, application/json;odata.metadata=none;q=0.1";
        assert_eq!(level(verbose), Some(Metadata::None), "an unknown value satisfies nothing");
    }

    #[test]
    fn a_semicolon_in_a_quoted_parameter_begins_no_parameter() {
        assert_eq!(level(r#"application/json;ext="a;odata.metadata=full""#), Some(Metadata::Minimal));
        assert_eq!(level(r#"application/json;ext="a\";q=0";odata.metadata=none"#), Some(Metadata::None));
        assert_eq!(level(r#"application/json;ext="a;odata.metadata=none"#), Some(Metadata::None), "no end");
    }

    #[test]
    fn a_range_that_json_cannot_satisfy_is_rejected() {
        for accept in [
            "text/html",
            "text/html, json",
            "application/json;q=0",
            "*/*;q=0.000",
            "application/json;odata.metadata=some",
            "application/json;odata.metadata=full=none",
            "application/json;ext=\"a;b\";q=0",
        ] {
            assert_eq!(format(accept), None, "{accept}");
        }
    }
}
