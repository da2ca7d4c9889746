//! May this message be answered at all? The rules of HTTP that hold for any request, whatever it asks for.
//!
//! Pure: a request's head goes in, and the reason to refuse it comes out. What cannot even be parsed was
//! refused before; what the path, the query and the token must be is for those who read them.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

pub use super::request_view::{FieldLines, RequestView};
use crate::http::headers::PSEUDONYM;
use crate::http::rejection::Rejection;

/// Limits on one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// `limits.target_bytes`
    pub target_bytes: usize,
    /// `limits.headers`
    pub headers: usize,
}

/// Refuses what must not be answered. `has_body`: more than the head is to come.
pub fn check(asked: &RequestView<'_>, has_body: bool, limits: &MessageLimits) -> Result<(), Rejection> {
    let request = asked.head;
    // RFC 9112, section 3: a target "longer than any URI it wishes to parse" is answered with 414.
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
    // Nearly no request has any of the fields that are read one by one.
    let seen = if asked.is_special { Seen::of(&request.headers) } else { Seen::default() };
    // RFC 9110, section 9.3.1: content in a GET "cannot alter the meaning or target of the request and might
    // lead some implementations to reject the request and close the connection because of its potential as a
    // request smuggling attack".
    if has_body || seen.framed {
        return Err(Rejection::Body);
    }
    if matches!(asked.host, FieldLines::Several(_)) || !is_host_sound(request, asked.host.first()) {
        return Err(Rejection::Host);
    }
    seen.refused.map_or(Ok(()), Err)
}

/// What the fields say that framing or routing depends on.
#[derive(Default)]
struct Seen {
    /// Fields announce content.
    framed: bool,
    /// The gravest reason to refuse that a field gives by itself, in the order of `Rejection`s below.
    refused: Option<Rejection>,
}

impl Seen {
    fn of(headers: &HeaderMap) -> Self {
        let mut framed = false;
        let (mut connection, mut expectation, mut looped) = (false, false, false);
        for (name, value) in headers {
            match *name {
                header::TRANSFER_ENCODING => framed = true,
                header::CONTENT_LENGTH => framed |= value.as_bytes() != b"0",
                // RFC 9110, section 7.6.1: "MUST NOT send a connection option corresponding to a field that is
                // intended for all recipients of the content". A recipient before us may have removed what is
                // named.
                header::CONNECTION => connection |= members(value).any(names_end_to_end_field),
                // RFC 9110, section 10.1.1: 417 for what cannot be met; 100-continue asks for nothing where no
                // content is.
                header::EXPECT => {
                    expectation |= members(value).any(|it| !it.eq_ignore_ascii_case("100-continue"));
                }
                // RFC 9110, section 7.6.3: Via is for "avoiding request loops".
                header::VIA => looped |= members(value).any(is_ours),
                _ => {}
            }
        }
        let reasons = [
            (connection, Rejection::Connection),
            (expectation, Rejection::Expectation),
            (looped, Rejection::Loop),
        ];
        Self { framed, refused: reasons.into_iter().find_map(|(is_so, reason)| is_so.then_some(reason)) }
    }
}

fn target_bytes(request: &Parts) -> usize {
    // An absolute-form target (RFC 9112, section 3.2.2) counts whole; HTTP/2 has its parts apart.
    let authority = request.uri.authority().filter(|_| request.version < Version::HTTP_2);
    let prefix = request.uri.scheme_str().filter(|_| authority.is_some()).map_or(0, |it| it.len() + 3);
    let path = request.uri.path_and_query().map_or(0, |it| it.as_str().len());
    prefix + authority.map_or(0, |it| it.as_str().len()) + path
}

/// RFC 9112, section 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field and to any
/// request message that contains more than one Host header field line or a Host header field with an invalid
/// field value". A request of HTTP/1.0 without one is refused as well: no caller of Graph sends it.
///
/// Section 3.2.2: in absolute-form the target's authority stands in for Host. Neither picks where we ask.
fn is_host_sound(request: &Parts, host: Option<&HeaderValue>) -> bool {
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
        (Some(authority), Some(host)) => host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()),
    }
}

/// RFC 9110, section 7.2: `uri-host [ ":" port ]`, without user information. RFC 9110, section 4.2.1: an empty
/// host is invalid.
fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(colon) if value[colon] == b':' => (&value[..colon], &value[colon + 1..]),
        _ => (value, &b""[..]),
    };
    let sound = match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok())
        }
        // RFC 3986, section 3.2.2: reg-name, which an IPv4 address also is.
        name => !name.is_empty() && name.iter().all(|byte| NAME_BYTES.get(usize::from(*byte)) == Some(&true)),
    };
    sound && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// Which bytes a registered name may have.
static NAME_BYTES: [bool; 256] = {
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

/// Whether a member of Via, `[ protocol-name "/" ] protocol-version RWS received-by [ RWS comment ]`, was
/// written by a cache like this one.
fn is_ours(via: &str) -> bool {
    let received_by = via.split_ascii_whitespace().nth(1).unwrap_or_default();
    received_by.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case(PSEUDONYM))
}

/// The members of a line of a comma-separated field. Text that is not ASCII has no members.
fn members(line: &HeaderValue) -> impl Iterator<Item = &str> {
    let members = line.to_str().unwrap_or_default().split(',');
    members.map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests;
