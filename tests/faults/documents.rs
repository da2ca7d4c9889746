//! Bodies: JSON, invalid JSON, and attacks on the parser.

use connector_cache::scrub::ScrubFailure;

use crate::common::reply::Reply;
use crate::harness::{CANARY, Harness, ok};

/// Returns a response with one connector that has this authentication configuration.
fn connector(authentication: &str) -> String {
    format!(
        r#"{{"postFederationSignup":{{"id":"1","displayName":"d","targetUrl":"https://a.example/x","authenticationConfiguration":{authentication}}}}}"#
    )
}

/// Runs a test on a stack of 2 MiB, in every build profile.
fn on_a_small_stack(test: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn f25_a_hundred_thousand_levels_are_a_502_on_a_small_stack() {
    on_a_small_stack(async {
        let mut harness = Harness::start().await;
        let deep = 100_000;
        let arrays = "[".repeat(deep) + &"]".repeat(deep);
        let objects = "{\"a\":".repeat(deep) + "1" + &"}".repeat(deep);
        let within = format!("{{\"a\":{arrays}}}");
        harness.unscrubbable(arrays, ScrubFailure::NotAnObject).await;
        harness.unscrubbable(objects, ScrubFailure::TooDeep).await;
        harness.unscrubbable(within, ScrubFailure::TooDeep).await;
        harness.unscrubbable("[".repeat(deep), ScrubFailure::BadJson).await;
        harness.unscrubbable("{\"a\":".repeat(deep), ScrubFailure::BadJson).await;
        harness.unscrubbable("{\"a\":[".repeat(deep), ScrubFailure::BadJson).await;
        harness.stop().await;
    });
}

#[tokio::test]
async fn f25_a_deeply_nested_error_response_keeps_its_status() {
    let mut harness = Harness::start().await;
    harness.origin.any(Reply::json("[".repeat(100_000)).status_of(403));
    assert_eq!(harness.get().await.status, 403);
    harness.stop().await;
}

#[tokio::test]
async fn f26_every_copy_of_a_credential_is_scrubbed() {
    let mut harness = Harness::start().await;
    for authentication in [
        r##"{"@odata.type":"#microsoft.graph.basicAuthentication","username":"u","password":"******","password":"hunter2-canary"}"##,
        r#"{"username":"u","pa\u0073sword":"******","password":"hunter2-canary"}"#,
        r#"{"username":"u","password":"hunter2-canary","pa\u0073sword":"hunter2-canary"}"#,
    ] {
        let response = harness.passes(Reply::json(connector(authentication))).await;
        assert!(!response.text().contains(CANARY), "{}", response.text());
    }
    let twice = connector(r#"{"password":"hunter2-canary"}"#);
    let twice = format!(r#"{{"postFederationSignup":null,{}"#, &twice[1..]);
    let response = harness.passes(Reply::json(twice)).await;
    assert!(!response.text().contains(CANARY), "{}", response.text());
    harness.stop().await;
}

#[tokio::test]
async fn f27_numbers_pass_as_they_were_written() {
    let mut harness = Harness::start().await;
    let long = "9".repeat(1000);
    for number in ["9007199254740993", "1e400", "-0", "1E+2", "0.10", long.as_str()] {
        let body = format!(r#"{{"retries":{number}}}"#);
        let response = harness.passes(Reply::json(body.as_bytes())).await;
        assert_eq!(response.text(), body);
    }
    for number in ["01", "1.", "+1", ".5", "NaN", "Infinity", "0x1", "1e"] {
        let body = format!(r#"{{"a":{number}}}"#);
        harness.unscrubbable(body, ScrubFailure::BadJson).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f28_invalid_unicode_does_not_pass() {
    let mut harness = Harness::start().await;
    let with = |bytes: &[u8]| [b"{\"a\":\"", bytes, b"\"}"].concat();
    let utf16: Vec<u8> = r#"{"a":"b"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let lone = br#"{"a":"\ud800"}"#.to_vec();
    for body in
        [with(&[0xff]), with(&[0xc0, 0xae]), with(&[0xed, 0xa0, 0x80]), with(&[0xf8, 0x88, 0x80, 0x80, 0x80])]
    {
        harness.unscrubbable(body, ScrubFailure::BadText).await;
    }
    harness.unscrubbable(lone, ScrubFailure::BadText).await;
    for body in [utf16, with(b"\0"), with(b"\n"), Vec::new()] {
        harness.unscrubbable(body, ScrubFailure::BadJson).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn f29_a_password_in_any_spelling_and_of_any_type_is_removed() {
    let mut harness = Harness::start().await;
    for member in [
        r#""pa\u0073sword":"hunter2-canary""#,
        r#""PASSWORD":"hunter2-canary""#,
        r#""Password":"hunter2-canary""#,
        r#""password@odata.type":"hunter2-canary""#,
        r#""password":{"value":"hunter2-canary"}"#,
        r#""password":["hunter2-canary",["hunter2-canary"]]"#,
        r#""password":{"a":{"hunter2-canary":1}}"#,
        r#""client_secret":"hunter2-canary""#,
        r#""pkcs12Value":"hunter2-canary""#,
        r#""unknownMember":"hunter2-canary""#,
    ] {
        let response = harness.passes(Reply::json(connector(&format!("{{{member}}}")))).await;
        assert!(!response.text().contains(CANARY), "{}", response.text());
        let hit = harness.get_again().await;
        assert_eq!(hit.text(), response.text());
    }
    let number = harness.passes(Reply::json(connector(r#"{"password":31337}"#))).await;
    assert!(!number.text().contains("31337"), "{}", number.text());
    harness.stop().await;
}

#[tokio::test]
async fn f29_a_credential_in_an_error_response_is_removed() {
    let mut harness = Harness::start().await;
    let body = format!(r#"{{"error":{{"code":"c","message":"m","password":"{CANARY}"}}}}"#);
    harness.origin.any(Reply::json(body).status_of(400));
    let response = harness.get().await;
    assert_eq!((response.status, response.json()["error"]["code"].as_str()), (400, Some("c")));
    assert!(!response.text().contains(CANARY), "{}", response.text());
    harness.stop().await;
}

#[tokio::test]
async fn f30_a_megabyte_that_is_slow_to_parse_is_parsed_in_time() {
    let mut harness = Harness::with(|config| config.upstream.max_body = 4 << 20).await;
    // A response that takes longer than its length allows ends at the client's time limit.
    let megabyte = 1 << 20;
    harness.unscrubbable("[".repeat(megabyte), ScrubFailure::BadJson).await;
    harness.unscrubbable("{".repeat(megabyte), ScrubFailure::BadJson).await;
    harness.unscrubbable("[{\"\":".repeat(megabyte / 5), ScrubFailure::BadJson).await;
    harness.unscrubbable("\\".repeat(megabyte), ScrubFailure::BadJson).await;
    harness.unscrubbable("\"".repeat(megabyte), ScrubFailure::BadJson).await;
    let keys: Vec<_> = (0..200_000).map(|n| format!("\"k{n}\":1")).collect();
    let members = format!("{{{}}}", keys.join(","));
    assert_eq!(harness.passes(ok().body(members.as_bytes())).await.text(), members);
    let same = format!("{{{}\"a\":1}}", r#""a":1,"#.repeat(200_000));
    assert_eq!(harness.passes(ok().body(same.as_bytes())).await.text(), same);
    harness.stop().await;
}
