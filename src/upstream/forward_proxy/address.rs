//! Address of a forward proxy, parsed from the value of an environment variable.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Host;

/// Address of a proxy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProxyAddress {
    /// A proxy that is reached by plain HTTP.
    Http { host: Host<String>, port: u16, authorization: Option<HeaderValue> },
    /// A proxy of another kind, with its scheme.
    Unsupported(&'static str),
}

/// Parses the value of a proxy variable. The error describes the finding without any part of the value but a scheme.
pub(super) fn parse(value: &str) -> Result<ProxyAddress, String> {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    if let Some(position) = value.chars().position(is_blank) {
        return Err(format!("a blank, line break or control character as character {}", position + 1));
    }
    if value.starts_with(QUOTES) || value.ends_with(QUOTES) {
        return Err("quotes around the value".to_owned());
    }
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    if let Some(known) = UNSUPPORTED.into_iter().find(|known| scheme.eq_ignore_ascii_case(known)) {
        return Ok(ProxyAddress::Unsupported(known));
    }
    if !scheme.eq_ignore_ascii_case("http") {
        let is_plain = scheme.len() <= MAX_SHOWN_SCHEME && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
        return Err(if is_plain { format!("the scheme {scheme:?}") } else { "no URL".to_owned() });
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let (user_info, host_and_port) = match authority.rsplit_once('@') {
        Some((user_info, host_and_port)) => (Some(user_info), host_and_port),
        None => (None, authority),
    };
    if path.contains(['@', '?', '#', '\\']) || user_info.is_some_and(|user_info| user_info.contains('@')) {
        return Err("a reserved character that is not percent-encoded".to_owned());
    }
    let (host, port) = host_and_port_of(host_and_port)?;
    Ok(ProxyAddress::Http { host, port, authorization: user_info.map(basic_authorization) })
}

/// Splits `host`, `host:port`, `[address]` or `[address]:port`.
fn host_and_port_of(text: &str) -> Result<(Host<String>, u16), String> {
    let (host, port) = match (text.rfind(']'), text.rfind(':')) {
        (bracket, Some(colon)) if bracket.is_none_or(|bracket| bracket < colon) => {
            (&text[..colon], Some(&text[colon + 1..]))
        }
        _ => (text, None),
    };
    let host = Host::parse(host).ok().filter(|_| !host.is_empty() && host.is_ascii());
    let host = host.ok_or_else(|| "no valid host".to_owned())?;
    let is_number = |port: &&str| port.bytes().all(|digit| digit.is_ascii_digit());
    let port = match port {
        None => Some(HTTP_PORT),
        Some(port) => {
            Some(port).filter(is_number).and_then(|port| port.parse().ok()).filter(|port| *port > 0)
        }
    };
    Ok((host, port.ok_or_else(|| "a port that is no number from 1 to 65535".to_owned())?))
}

/// Returns the field of RFC 7617 for percent-encoded credentials.
fn basic_authorization(user_info: &str) -> HeaderValue {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    let field = format!("Basic {}", STANDARD.encode(credentials));
    // Base64 consists of visible ASCII characters.
    let mut field = HeaderValue::try_from(field).unwrap_or_else(|_| HeaderValue::from_static(""));
    field.set_sensitive(true);
    field
}

/// Schemes of proxies that other programs support.
const UNSUPPORTED: [&str; 6] = ["https", "socks", "socks4", "socks4a", "socks5", "socks5h"];
const QUOTES: [char; 3] = ['"', '\'', '`'];
/// Port of a proxy without one, as for each URL with `http`.
const HTTP_PORT: u16 = 80;
/// Longest scheme that a message shows.
const MAX_SHOWN_SCHEME: usize = 12;
