//! Check that an operator of this machine sent a request, for purges without a token.
//!
//! A loopback peer address proves little: a reverse proxy on the same machine has one too, and so has the browser of an
//! operator that sends a request for a web page. Both add fields of their own. So a request passes only with the fields
//! that curl, wget and the HTTP libraries send by themselves, each once. nginx forwards with HTTP/1.0, or writes
//! `Connection: close` directly after `Host`, and may hide all other traces, so neither form passes. Python's `urllib`
//! sends `Connection: close` after its other fields and passes. A relay that is configured to hide even that cannot be
//! recognised: an installation with a relay needs `admin.token_file`.

use std::net::{IpAddr, SocketAddr};

use http::Version;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;

/// Reason to assume that no operator of this machine sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum NotLocalReason {
    /// The peer has another address than loopback.
    Peer,
    /// The target is a name or address other than loopback, or it is missing or repeated.
    Host,
    /// The request is HTTP/1.0.
    Version,
    /// The request has a field that a relay or a browser adds, or a field twice.
    Field,
}

/// Checks that a request comes from this machine, has a target on this machine, and was sent by no relay or browser.
pub(super) fn check(request: &Parts, peer: SocketAddr) -> Result<(), NotLocalReason> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err(NotLocalReason::Peer);
    }
    if !is_for_loopback(request) {
        return Err(NotLocalReason::Host);
    }
    if request.version < Version::HTTP_11 {
        return Err(NotLocalReason::Version);
    }
    let headers = &request.headers;
    let is_repeated = headers.len() != headers.keys_len();
    if is_repeated || is_from_nginx(request) || headers.iter().any(|(name, value)| !is_expected(name, value))
    {
        return Err(NotLocalReason::Field);
    }
    Ok(())
}

/// Returns whether the target and `Host` name only loopback, and at least one of them is present.
fn is_for_loopback(request: &Parts) -> bool {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let field = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return false,
        (Some(host), None) => Some(Authority::try_from(host.as_bytes())),
        (None, _) => None,
    };
    match (field, request.uri.authority()) {
        (None, None) | (Some(Err(_)), _) => false,
        (None, Some(authority)) => is_loopback(authority),
        (Some(Ok(host)), authority) => is_loopback(&host) && authority.is_none_or(is_loopback),
    }
}

/// Returns whether `Connection: close` follows `Host` directly: nginx writes the two before all other fields.
fn is_from_nginx(request: &Parts) -> bool {
    let mut fields = request.headers.iter().skip_while(|(name, _)| **name != header::HOST).skip(1);
    let next = fields.next();
    next.is_some_and(|(name, value)| *name == header::CONNECTION && is_close(value))
}

fn is_close(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"close")
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    // `Authority::host` leaves out the user information before `@`.
    !authority.as_str().contains('@')
        && (host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|it| it.to_canonical().is_loopback()))
}

fn is_expected(name: &HeaderName, value: &HeaderValue) -> bool {
    match *name {
        header::HOST | header::USER_AGENT | header::ACCEPT | header::ACCEPT_ENCODING => true,
        header::CONNECTION => value.as_bytes().eq_ignore_ascii_case(b"keep-alive") || is_close(value),
        header::CONTENT_LENGTH => value == "0",
        _ => false,
    }
}

impl NotLocalReason {
    /// Returns the message for the operator.
    pub(in crate::admin) fn message(self) -> &'static str {
        match self {
            Self::Peer => {
                "the request comes from another machine; without admin.token_file only requests from this machine \
                 may purge: set admin.token_file and send its bearer"
            }
            Self::Host => {
                "the Host of the request is not this machine's loopback name or address; without admin.token_file \
                 only requests to localhost, 127.0.0.1 or [::1] may purge: set admin.token_file and send its bearer"
            }
            Self::Version => {
                "the request came with HTTP/1.0, as a reverse proxy sends it; without admin.token_file no relay may \
                 purge: send it with HTTP/1.1, or set admin.token_file and send its bearer"
            }
            Self::Field => {
                "the request has a field that a relay or a browser adds; without admin.token_file a purge may have \
                 Host, User-Agent, Accept, Accept-Encoding, Connection and Content-Length: 0, each once: \
                 send no other, or set admin.token_file and send its bearer"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check_fields(headers: &[(&str, &str)]) -> Result<(), NotLocalReason> {
        let headers = [&[("host", "localhost:9090")], headers].concat();
        check(&request("/cache", &headers), "127.0.0.1:1".parse().unwrap())
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method("DELETE").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn requests_of_the_usual_clients_pass() {
        for fields in [
            &[][..],
            // curl
            &[("user-agent", "curl/8.5.0"), ("accept", "*/*")],
            // wget
            &[
                ("user-agent", "Wget/1.21.3"),
                ("accept", "*/*"),
                ("accept-encoding", "identity"),
                ("connection", "Keep-Alive"),
            ],
            // requests of Python
            &[
                ("user-agent", "python-requests/2.32"),
                ("accept-encoding", "gzip, deflate"),
                ("accept", "*/*"),
                ("connection", "keep-alive"),
                ("content-length", "0"),
            ],
            // urllib of Python
            &[("accept-encoding", "identity"), ("user-agent", "Python-urllib/3.11"), ("connection", "close")],
            // net/http of Go
            &[("user-agent", "Go-http-client/1.1"), ("accept-encoding", "gzip")],
        ] {
            assert_eq!(check_fields(fields), Ok(()), "{fields:?}");
        }
    }

    #[test]
    fn a_field_of_a_relay_or_a_browser_does_not_pass() {
        for field in [
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "a"),
            ("x-forwarded-proto", "http"),
            ("x-real-ip", "127.0.0.1"),
            ("x-request-id", "1"),
            ("via", "1.1 a"),
            ("origin", "null"),
            ("referer", "http://localhost/"),
            ("cookie", "a=b"),
            ("authorization", "Bearer a"),
            ("sec-fetch-site", "none"),
            ("connection", "close"),
            ("connection", "keep-alive, x-forwarded-for"),
            ("connection", "upgrade"),
            ("content-length", "00"),
            ("te", "trailers"),
        ] {
            assert_eq!(check_fields(&[field]), Err(NotLocalReason::Field), "{field:?}");
        }
        assert_eq!(check_fields(&[("accept", "a"), ("accept", "b")]), Err(NotLocalReason::Field));
    }

    #[test]
    fn the_target_and_host_must_name_loopback_and_one_is_required() {
        let local = "127.0.0.1:1".parse().unwrap();
        let check_target = |uri: &str, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            check(&request(uri, &hosts), local)
        };
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9090", "127.8.9.1", "[::1]:9090"] {
            assert_eq!(check_target("/cache", &[host]), Ok(()), "{host}");
            assert_eq!(check_target(&format!("http://{host}/cache"), &[]), Ok(()), "{host}");
        }
        for host in ["", "a.example", "localhost.a.example", "a@localhost", "10.0.0.1", "[::2]", "local host"]
        {
            assert_eq!(check_target("/cache", &[host]), Err(NotLocalReason::Host), "{host}");
        }
        assert_eq!(check_target("/cache", &[]), Err(NotLocalReason::Host));
        assert_eq!(check_target("/cache", &["localhost", "localhost"]), Err(NotLocalReason::Host));
        assert_eq!(check_target("http://a.example/cache", &["localhost"]), Err(NotLocalReason::Host));
        assert_eq!(check_target("http://localhost/cache", &["a.example"]), Err(NotLocalReason::Host));
    }

    #[test]
    fn another_machine_or_http_1_0_does_not_pass() {
        let mut request = request("/cache", &[("host", "localhost")]);
        for peer in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(&request, peer.parse().unwrap()), Ok(()), "{peer}");
        }
        assert_eq!(check(&request, "10.0.0.1:1".parse().unwrap()), Err(NotLocalReason::Peer));
        request.version = Version::HTTP_10;
        assert_eq!(check(&request, "127.0.0.1:1".parse().unwrap()), Err(NotLocalReason::Version));
    }
}
