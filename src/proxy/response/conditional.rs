//! Conditional requests of callers (RFC 9110, section 13).

use http::{HeaderMap, header};

use crate::cache::entry::Entry;
use crate::http::date;
use crate::http::headers;

/// Returns whether the caller has this representation (RFC 9110, section 13.2.2): by weak comparison with `If-None-Match`,
/// or by `If-Modified-Since` if the request has no `If-None-Match`. The bodies with and without gzip have one tag: section
/// 8.8.3.3 requires two only of strong tags, and a weak tag says that the representations are equivalent.
pub(super) fn is_not_modified(entry: &Entry, headers: &HeaderMap) -> bool {
    let mut none_match = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
    if none_match.peek().is_some() {
        let etag = entry.etag.to_header_value();
        return none_match.any(|line| list_contains_tag(line.as_bytes(), etag.as_bytes()));
    }
    let since = headers::single_value(headers, &header::IF_MODIFIED_SINCE);
    let since = since.and_then(|since| date::parse(since, entry.requested_at.wall()));
    since.is_some_and(|since| entry.last_modified() <= since)
}

/// Returns whether a list of entity tags contains `ours`, or is `*`. A tag may contain a comma, so the list is parsed tag by
/// tag. Empty members are ignored (RFC 9110, section 5.6.1.2).
fn list_contains_tag(mut list: &[u8], ours: &[u8]) -> bool {
    let ours = opaque_tag(ours);
    loop {
        list = trim_empty_members(list);
        if let Some(rest) = list.strip_prefix(b"*") {
            return trim_empty_members(rest).is_empty();
        }
        let tag = opaque_tag(list);
        let Some(end) = tag.strip_prefix(b"\"").and_then(|rest| rest.iter().position(|byte| *byte == b'"'))
        else {
            return false;
        };
        if tag.get(..end + 2) == Some(ours) {
            return true;
        }
        let rest = tag.get(end + 2..).unwrap_or_default().trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b",") else { return false };
        list = rest;
    }
}

/// Removes blanks and commas at the start of a list.
fn trim_empty_members(list: &[u8]) -> &[u8] {
    let start = list.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','));
    start.and_then(|start| list.get(start..)).unwrap_or_default()
}

/// Returns a tag without the prefix `W/`.
fn opaque_tag(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l38_a_tag_is_found_in_a_list_by_weak_comparison() {
        let ours = b"W/\"abc\"";
        for list in [
            "\"abc\"",
            "W/\"abc\"",
            "*",
            " \"x\" , W/\"abc\"",
            "\"a,b\",\"abc\"",
            "\"abc\", \"x\"",
            ", W/\"abc\"",
            "\"x\",,W/\"abc\"",
            ",\t, \"x\" , ,\"abc\",,",
            ", *",
            "*,,",
        ] {
            assert!(list_contains_tag(list.as_bytes(), ours), "{list}");
        }
        for list in [
            "\"ab\"",
            "\"abcd\"",
            "abc",
            "",
            "\"abc",
            "W/",
            "\"x\" \"abc\"",
            "\"x,\\\"abc\"",
            "w/\"abc\"",
            ",",
            ", ,",
            "*x",
            "* \"x\"",
        ] {
            assert!(!list_contains_tag(list.as_bytes(), ours), "{list}");
        }
    }
}
