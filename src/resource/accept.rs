//! `Accept` to the metadata level of the answer.
//!
//! Graph answers JSON, in three levels of OData control information. The level changes the body, so it is
//! part of the key; everything else in `Accept` is not, and is not forwarded.

use http::{HeaderMap, HeaderValue, header};

use crate::http::negotiation::parse_qvalue;
use crate::support::labels::{Label, labels};

labels! {
    /// How much control information the answer carries (OData JSON Format 4.01, section 3.1).
    pub enum Metadata {
        /// `@odata.context` and what cannot be computed: the default.
        Minimal = "minimal",
        /// Everything.
        Full = "full",
        /// Nothing, not even `@odata.type`.
        None = "none",
    }
}

impl Metadata {
    /// The level that a request asks for: that of its most preferred media range which JSON satisfies.
    /// `None` where no range does, or the level is unknown (RFC 9110, section 12.5.1).
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(u16, Option<Self>)> = None;
        let mut asked = false;
        for line in headers.get_all(header::ACCEPT) {
            for range in line.to_str().ok()?.split(',').map(str::trim).filter(|range| !range.is_empty()) {
                asked = true;
                let Some((quality, level)) = json_range(range) else { continue };
                if quality > 0 && best.is_none_or(|(q, _)| quality > q) {
                    best = Some((quality, level));
                }
            }
        }
        if asked { best.and_then(|(_, level)| level) } else { Some(Self::Minimal) }
    }

    /// The header that asks Graph for this level.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Minimal => "application/json;odata.metadata=minimal",
            Self::Full => "application/json;odata.metadata=full",
            Self::None => "application/json;odata.metadata=none",
        })
    }
}

/// The quality in thousandths and the level of a media range that JSON satisfies.
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
        Metadata::accepted(&headers)
    }

    #[test]
    fn clients_that_do_not_ask_for_a_level_share_one() {
        assert_eq!(Metadata::accepted(&HeaderMap::new()), Some(Metadata::Minimal));
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
    fn the_preferred_level_is_kept() {
        assert_eq!(level("application/json;odata.metadata=none"), Some(Metadata::None));
        assert_eq!(level("application/json; ODATA.METADATA=\"Full\""), Some(Metadata::Full));
        let listed =
            "application/json;odata.metadata=full;q=0.5, application/json;odata.metadata=none;q=0.75";
        assert_eq!(level(listed), Some(Metadata::None));
        let alike = "application/json;odata.metadata=full, application/json;odata.metadata=none";
        assert_eq!(level(alike), Some(Metadata::Full), "the first of equals");
    }

    #[test]
    fn a_range_without_a_quality_is_of_the_highest() {
        let (full, none) = ("application/json;odata.metadata=full", "application/json;odata.metadata=none");
        assert_eq!(level(&format!("{full};q=0.999, {none}")), Some(Metadata::None));
        assert_eq!(level(&format!("{full};q=1, {none}")), Some(Metadata::Full));
        assert_eq!(level(&format!("{full}, {none};q=1")), Some(Metadata::Full));
        assert_eq!(level(&format!("{full};Q=0.1, {none};q=0.2")), Some(Metadata::None), "in any case");
    }

    #[test]
    fn what_graph_is_asked_for_reads_back_as_the_same_level() {
        for (asked, forwarded) in [
            (Metadata::Minimal, "application/json;odata.metadata=minimal"),
            (Metadata::Full, "application/json;odata.metadata=full"),
            (Metadata::None, "application/json;odata.metadata=none"),
        ] {
            assert_eq!(asked.header(), forwarded);
            assert_eq!(level(forwarded), Some(asked));
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
    fn what_json_cannot_satisfy_is_refused() {
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
