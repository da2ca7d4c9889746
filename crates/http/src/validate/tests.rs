use super::*;
use http::Request;
use proptest::prelude::*;

const LIMITS: MessageLimits = MessageLimits { target_bytes: 64, headers: 8 };

fn request(version: Version, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().version(version).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn verdict(headers: &[(&str, &str)]) -> Result<(), Rejection> {
    check(&RequestView::new(&request(Version::HTTP_11, "/beta/x", headers)), false, &LIMITS)
}

fn verdict_h2(target: &str, headers: &[(&str, &str)]) -> Result<(), Rejection> {
    check(&RequestView::new(&request(Version::HTTP_2, target, headers)), false, &LIMITS)
}

#[test]
fn a_plain_get_passes_in_every_form() {
    assert_eq!(verdict(&[("host", "cache:8080")]), Ok(()));
    assert_eq!(verdict_h2("http://cache/beta/x", &[]), Ok(()));
    assert_eq!(verdict_h2("http://cache/beta/x", &[("host", "CACHE")]), Ok(()));
    let absolute = request(Version::HTTP_11, "http://169.254.169.254/beta/x", &[("host", "cache")]);
    assert_eq!(check(&RequestView::new(&absolute), false, &LIMITS), Ok(()));
}

#[test]
fn line_67_a_host_that_is_missing_doubled_or_invalid_is_refused() {
    assert_eq!(verdict(&[]), Err(Rejection::Host));
    assert_eq!(verdict(&[("host", "a"), ("host", "a")]), Err(Rejection::Host));
    for host in ["", ":80", "a b", "u@a", "a:x", "a:123456", "a:1:2", "[::1", "[::1]x", "a/b", "[zz]", "a]"] {
        assert_eq!(verdict(&[("host", host)]), Err(Rejection::Host), "{host:?}");
    }
    let old = request(Version::HTTP_10, "/beta/x", &[]);
    assert_eq!(check(&RequestView::new(&old), false, &LIMITS), Err(Rejection::Host));
}

#[test]
fn a_host_may_be_a_name_or_an_address_with_or_without_a_port() {
    for host in ["a", "a.b-c_d:80", "10.0.0.1:8080", "[::1]", "[::1]:8080", "a:"] {
        assert_eq!(verdict(&[("host", host)]), Ok(()), "{host:?}");
    }
}

#[test]
fn line_67_an_authority_unlike_host_is_refused() {
    assert_eq!(verdict_h2("http://cache/beta/x", &[("host", "other")]), Err(Rejection::Host));
    assert_eq!(verdict_h2("http://me@cache/beta/x", &[]), Err(Rejection::Host));
    assert_eq!(verdict_h2("/beta/x", &[]), Err(Rejection::Host));
}

#[test]
fn an_authority_with_the_default_port_is_the_one_without_a_port() {
    for (authority, host) in [
        ("http://cache", "cache:80"),
        ("http://cache:80", "Cache"),
        ("http://cache", "cache:"),
        ("http://cache:080", "cache"),
        ("https://cache", "CACHE:443"),
        ("http://[::1]", "[::1]:80"),
    ] {
        assert_eq!(
            verdict_h2(&format!("{authority}/beta/x"), &[("host", host)]),
            Ok(()),
            "{authority} {host}"
        );
    }
    for (authority, host) in [
        ("http://cache", "cache:443"),
        ("https://cache", "cache:80"),
        ("http://cache:8080", "cache"),
        ("http://me@cache", "cache:80"),
        ("other://cache", "cache:80"),
    ] {
        let refused = verdict_h2(&format!("{authority}/beta/x"), &[("host", host)]);
        assert_eq!(refused, Err(Rejection::Host), "{authority} {host}");
    }
}

#[test]
fn line_59_other_methods_are_refused() {
    for method in [Method::TRACE, Method::CONNECT, Method::POST, Method::OPTIONS] {
        let mut request = request(Version::HTTP_11, "/beta/x", &[("host", "a")]);
        request.method = method;
        assert_eq!(check(&RequestView::new(&request), false, &LIMITS), Err(Rejection::Method));
    }
}

#[test]
fn line_75_content_is_refused_and_a_body_without_content_is_none() {
    let plain = request(Version::HTTP_11, "/beta/x", &[("host", "a")]);
    assert_eq!(check(&RequestView::new(&plain), true, &LIMITS), Err(Rejection::Body));
    let (chunked, empty) = (("transfer-encoding", "chunked"), ("content-length", "0"));
    for fields in [
        &[("content-length", "5")][..],
        &[("content-length", "+0")],
        &[("content-length", "")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("transfer-encoding", "identity")],
        &[chunked, chunked],
        &[chunked, empty],
        &[empty, chunked],
    ] {
        assert_eq!(verdict(&[&[("host", "a")], fields].concat()), Err(Rejection::Body), "{fields:?}");
    }
    for field in [empty, ("content-length", "000"), chunked, ("transfer-encoding", "Chunked")] {
        assert_eq!(verdict(&[("host", "a"), field]), Ok(()), "{field:?}");
    }
}

#[test]
fn line_56_a_connection_option_must_not_name_an_end_to_end_field() {
    for option in ["Host", "close, AUTHORIZATION", "content-length ,x"] {
        assert_eq!(verdict(&[("host", "a"), ("connection", option)]), Err(Rejection::Connection), "{option}");
    }
    assert_eq!(
        verdict(&[("host", "a"), ("connection", "close"), ("connection", "host")]),
        Err(Rejection::Connection)
    );
    assert_eq!(verdict(&[("host", "a"), ("connection", "keep-alive, upgrade")]), Ok(()));
}

#[test]
fn line_60_the_only_expectation_is_100_continue() {
    assert_eq!(verdict(&[("host", "a"), ("expect", "x")]), Err(Rejection::Expectation));
    assert_eq!(verdict(&[("host", "a"), ("expect", "100-Continue")]), Ok(()));
}

#[test]
fn line_58_a_request_that_passed_this_proxy_is_rejected() {
    for via in ["1.1 connector-cache", "1.0 a, HTTP/2 Connector-Cache:80 (x)"] {
        assert_eq!(verdict(&[("host", "a"), ("via", via)]), Err(Rejection::Loop), "{via}");
    }
    assert_eq!(
        verdict(&[("host", "a"), ("via", "1.1 connector-cache-2, 1.1 other (connector-cache)")]),
        Ok(())
    );
}

#[test]
fn line_69_the_length_of_the_whole_target_counts() {
    let path = format!("/{}", "a".repeat(63));
    let fits = request(Version::HTTP_11, &path, &[("host", "a")]);
    assert_eq!(check(&RequestView::new(&fits), false, &LIMITS), Ok(()));
    let long = request(Version::HTTP_11, &format!("{path}a"), &[("host", "a")]);
    assert_eq!(check(&RequestView::new(&long), false, &LIMITS), Err(Rejection::TargetTooLong));
    let absolute = request(Version::HTTP_11, &format!("http://a{path}"), &[("host", "a")]);
    assert_eq!(check(&RequestView::new(&absolute), false, &LIMITS), Err(Rejection::TargetTooLong));
}

#[test]
fn more_fields_than_the_limit_are_refused_in_http2_too() {
    let many = [("a", "1"); 9];
    assert_eq!(verdict_h2("http://cache/beta/x", &many), Err(Rejection::HeadersTooLarge));
}

proptest! {
    #[test]
    fn no_field_value_makes_the_rules_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        for name in ["host", "connection", "expect", "via", "content-length"] {
            let mut request = request(Version::HTTP_11, "/beta/x", &[]);
            request.headers.insert(name, value.clone());
            let _ = check(&RequestView::new(&request), false, &LIMITS);
        }
    }
}
