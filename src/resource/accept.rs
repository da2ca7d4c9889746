//! `Accept` to the metadata level of the response.
//!
//! Graph sends JSON with one of three levels of OData control information. The level changes the body, so the level is
//! part of the key. The rest of `Accept` is neither part of the key nor forwarded.

use http::{HeaderMap, HeaderValue, header};

use crate::http::negotiation::parse_qvalue;
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

impl Metadata {
    /// Reads the level of the request's most preferred media range that JSON satisfies (RFC 9110, section 12.5.1).
    /// Returns `None` if JSON satisfies no range, or if the level of that range is unknown.
    pub(super) fn from_accept(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(u16, Option<Self>)> = None;
        let mut has_range = false;
        for line in headers.get_all(header::ACCEPT) {
            for range in line.to_str().ok()?.split(',').map(str::trim).filter(|range| !range.is_empty()) {
                has_range = true;
                let Some((quality, level)) = json_range(range) else { continue };
                if quality > 0 && best.is_none_or(|(q, _)| quality > q) {
                    best = Some((quality, level));
                }
            }
        }
        if has_range { best.and_then(|(_, level)| level) } else { Some(Self::Minimal) }
    }

    /// Returns the `Accept` value that requests this level from Graph.
    pub(super) fn accept_value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Minimal => "application/json;odata.metadata=minimal",
            Self::Full => "application/json;odata.metadata=full",
            Self::None => "application/json;odata.metadata=none",
        })
    }
}

/// Parses a media range that JSON satisfies to its quality, in thousandths, and its level.
fn json_range(range: &str) -> Option<(u16, Option<Metadata>)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    if !["application/json", "application/*", "*/*"].iter().any(|known| known.eq_ignore_ascii_case(media)) {
        return None;
    }
    let (mut quality, mut level) = (1000, Some(Metadata::Minimal));
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        if name.eq_ignore_ascii_case("q") {
            quality = parse_qvalue(value.as_bytes())?;
        } else if name.eq_ignore_ascii_case("odata.metadata") {
            level = Metadata::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(value));
        }
    }
    Some((quality, level))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(accept: &str) -> Option<Metadata> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Metadata::from_accept(&headers)
    }

    #[test]
    fn requests_without_a_level_have_the_default_level() {
        assert_eq!(Metadata::from_accept(&HeaderMap::new()), Some(Metadata::Minimal));
        for accept in [
            "*/*",
            "application/*",
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/html, */*;q=0.8",
            "",
        ] {
            assert_eq!(level(accept), Some(Metadata::Minimal), "{accept}");
        }
    }

    #[test]
    fn the_level_with_the_highest_quality_is_used() {
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
    }

    #[test]
    fn the_forwarded_accept_value_parses_to_the_same_level() {
        for (level, forwarded) in [
            (Metadata::Minimal, "application/json;odata.metadata=minimal"),
            (Metadata::Full, "application/json;odata.metadata=full"),
            (Metadata::None, "application/json;odata.metadata=none"),
        ] {
            assert_eq!(level.accept_value(), forwarded);
            assert_eq!(self::level(forwarded), Some(level));
        }
    }

    #[test]
    fn a_quality_has_at_most_three_digits_and_is_at_most_one() {
        for quality in ["0.001", "0.999", "0.5", "1", "1.", "1.000"] {
            assert_eq!(level(&format!("*/*;q={quality}")), Some(Metadata::Minimal), "{quality}");
        }
        for quality in [
            "0", "0.", "0.000", "0.1234", "0.5x", "0.x", "0.+5", "1.001", "1.5", "2", "", ".5", "-0.5",
            "0.0001",
        ] {
            assert_eq!(level(&format!("*/*;q={quality}")), None, "{quality}");
        }
    }

    #[test]
    fn a_range_that_json_cannot_satisfy_is_rejected() {
        for accept in [
            "text/html",
            "application/json;q=0",
            "application/json;odata.metadata=some",
            "application/json;odata.metadata=full=none",
            "*/*;q=2",
        ] {
            assert_eq!(level(accept), None, "{accept}");
        }
    }
}
