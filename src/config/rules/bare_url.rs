//! URL without user info, query and fragment: the part that the rules for URLs share.

use url::Url;

use crate::config::value::{RawValue, literal};

/// Parses a URL without user info, query, fragment and port 0. The parser silently repairs blanks, backslashes and an empty
/// user info, so a text with one of these is refused first.
pub(super) fn parse(raw: &RawValue) -> Option<Url> {
    let RawValue::Text(text) = raw else { return None };
    let repaired = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '@');
    if text.contains(repaired) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let bare = url.query().is_none() && url.fragment().is_none();
    (bare && url.port() != Some(0)).then_some(url)
}

/// Writes a URL as TOML, without the slash at its end.
pub(super) fn write(url: &Url) -> String {
    literal(url.as_str().trim_end_matches('/'))
}
