//! Validation of a request's head by the rules of HTTP that hold for any resource.
//!
//! Input is the head of a request, output the reason of a rejection. Messages that cannot be parsed are rejected
//! earlier; path, query and token are checked by the modules that parse them.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

pub use super::request_view::{FieldLines, RequestView};
use crate::headers::PSEUDONYM;
use crate::rejection::Rejection;

/// Limits on one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// `limits.target_bytes`
    pub target_bytes: usize,
    /// `limits.headers`
    pub headers: usize,
}

/// Rejects an invalid request. `has_content`: content follows the head. A body that ended without content is none.
#[inline]
pub fn check(view: &RequestView<'_>, has_content: bool, limits: &MessageLimits) -> Result<(), Rejection> {
    let request = view.head;
    // RFC 9112, section 3: a target "longer than any URI it wishes to parse" results in 414.
    if target_bytes(request) > limits.target_bytes {
        return Err(Rejection::TargetTooLong);
    }
    // RFC 6585, section 5. HTTP/1 counts while it parses, HTTP/2 only sums up bytes.
    if request.headers.len() > limits.headers {
        return Err(Rejection::HeadersTooLarge);
    }
    // RFC 9110, section 15.5.6. TRACE (9.3.8) would echo the token, CONNECT (9.3.6) would tunnel.
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Rejection::Method);
    }
    // Few requests have any of the fields that are checked one by one.
    let fields = if view.has_special_fields {
        SpecialFields::from_headers(&request.headers)
    } else {
        SpecialFields::default()
    };
    // RFC 9110, section 9.3.1: content in a GET "cannot alter the meaning or target of the request and might
    // lead some implementations to reject the request and close the connection because of its potential as a
    // request smuggling attack".
    if has_content || fields.announces_content {
        return Err(Rejection::Body);
    }
    if matches!(view.host, FieldLines::Multiple(_)) || !is_host_valid(request, view.host.first()) {
        return Err(Rejection::Host);
    }
    fields.rejection.map_or(Ok(()), Err)
}

/// The state of the fields that framing or routing depends on.
#[derive(Default)]
struct SpecialFields {
    /// True if fields announce content, or frame a body in an ambiguous way.
    announces_content: bool,
    /// The most severe reason of a rejection by a single field, in the order of the `Rejection`s below.
    rejection: Option<Rejection>,
}

impl SpecialFields {
    fn from_headers(headers: &HeaderMap) -> Self {
        let (mut content, mut length, mut codings) = (false, false, 0);
        let (mut connection, mut expectation, mut looped) = (false, false, false);
        for (name, value) in headers {
            match *name {
                // A chunked body may have no content; its end was read before.
                header::TRANSFER_ENCODING => {
                    content |= !value.as_bytes().eq_ignore_ascii_case(b"chunked");
                    codings += 1;
                }
                header::CONTENT_LENGTH => {
                    content |= value.is_empty() || value.as_bytes().iter().any(|digit| *digit != b'0');
                    length = true;
                }
                // RFC 9110, section 7.6.1: "MUST NOT send a connection option corresponding to a field that is
                // intended for all recipients of the content". An intermediary before this one may have removed the
                // named fields.
                header::CONNECTION => connection |= members(value).any(names_end_to_end_field),
                // RFC 9110, section 10.1.1: 417 for an expectation that cannot be met. 100-continue needs no action
                // without content.
                header::EXPECT => {
                    expectation |= members(value).any(|it| !it.eq_ignore_ascii_case("100-continue"));
                }
                // RFC 9110, section 7.6.3: Via is for "avoiding request loops".
                header::VIA => looped |= members(value).any(is_own_via),
                _ => {}
            }
        }
        let reasons = [
            (connection, Rejection::Connection),
            (expectation, Rejection::Expectation),
            (looped, Rejection::Loop),
        ];
        // RFC 9112, section 6.1: a message with both fields "might indicate an attempt to perform request smuggling".
        let is_ambiguous = codings > 1 || (codings > 0 && length);
        Self {
            announces_content: content || is_ambiguous,
            rejection: reasons.into_iter().find_map(|(is_so, reason)| is_so.then_some(reason)),
        }
    }
}

fn target_bytes(request: &Parts) -> usize {
    // An absolute-form target (RFC 9112, section 3.2.2) counts whole; HTTP/2 sends its parts separately.
    let authority = request.uri.authority().filter(|_| request.version < Version::HTTP_2);
    let prefix = request.uri.scheme_str().filter(|_| authority.is_some()).map_or(0, |it| it.len() + 3);
    let path = request.uri.path_and_query().map_or(0, |it| it.as_str().len());
    prefix + authority.map_or(0, |it| it.as_str().len()) + path
}

/// Returns whether Host is valid. RFC 9112, section 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header
/// field and to any request message that contains more than one Host header field line or a Host header field with an
/// invalid field value". A request of HTTP/1.0 without Host is rejected as well: no caller of Graph sends it.
///
/// Section 3.2.2: in absolute-form the target's authority replaces Host. Neither of them determines the upstream host.
fn is_host_valid(request: &Parts, host: Option<&HeaderValue>) -> bool {
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return false;
    }
    if request.version < Version::HTTP_2 {
        return host.is_some();
    }
    // RFC 9113, section 8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header field
    // that identifies an entity that differs from the entity in the ":authority" pseudo-header field."
    match (request.uri.authority(), host) {
        (None, host) => host.is_some(),
        (Some(authority), None) => is_host(authority.as_str().as_bytes()),
        (Some(authority), Some(host)) => {
            is_same_authority(authority.as_str().as_bytes(), host.as_bytes(), request.uri.scheme_str())
        }
    }
}

/// Returns whether two authorities are equal: in any letter case, and the default port of the scheme is the same as no port
/// (RFC 9110, section 4.2.3). Some proxies add the port to `Host` and not to `:authority`.
fn is_same_authority(one: &[u8], other: &[u8], scheme: Option<&str>) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let default_port = match scheme {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let ((one, one_port), (other, other_port)) = (split_port(one), split_port(other));
    let port = |digits: &[u8]| match digits {
        b"" => Some(default_port),
        digits => std::str::from_utf8(digits).ok()?.parse::<u32>().ok(),
    };
    one.eq_ignore_ascii_case(other) && port(one_port).is_some() && port(one_port) == port(other_port)
}

/// Returns whether a value is `uri-host [ ":" port ]` without user information (RFC 9110, section 7.2). An empty host
/// is invalid (section 4.2.1).
fn is_host(value: &[u8]) -> bool {
    let (host, port) = split_port(value);
    let sound = match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok())
        }
        // RFC 3986, section 3.2.2: reg-name, whose syntax includes IPv4 addresses.
        name => {
            !name.is_empty() && name.iter().all(|byte| REG_NAME_BYTES.get(usize::from(*byte)) == Some(&true))
        }
    };
    sound && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// Splits an authority into its host and its port, which is empty if there is none.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    match authority.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(colon) if authority[colon] == b':' => (&authority[..colon], &authority[colon + 1..]),
        _ => (authority, b""),
    }
}

/// Bytes that are valid in a registered name.
static REG_NAME_BYTES: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        may[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"-._~!$&'()*+,;=%";
    while let [byte, rest @ ..] = others {
        may[*byte as usize] = true;
        others = rest;
    }
    may
};

fn names_end_to_end_field(option: &str) -> bool {
    ["authorization", "content-length", "host"].iter().any(|name| option.eq_ignore_ascii_case(name))
}

/// Returns whether a member of Via, `[ protocol-name "/" ] protocol-version RWS received-by [ RWS comment ]`, was
/// written by a proxy like this one.
fn is_own_via(via: &str) -> bool {
    let received_by = via.split_ascii_whitespace().nth(1).unwrap_or_default();
    received_by.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case(PSEUDONYM))
}

/// Returns the members of a line of a comma-separated field. Text that is not ASCII has none.
fn members(line: &HeaderValue) -> impl Iterator<Item = &str> {
    let members = line.to_str().unwrap_or_default().split(',');
    members.map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests;
