//! `Accept` as clients send it.

use super::{HIT, PATH, STORED, Setup, cache_status};

#[tokio::test]
async fn a3_a_member_that_cannot_be_read_is_skipped() {
    let setup = Setup::start().await;
    for accept in [
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "*",
        "*;q=.2",
        "application/json;q=.9",
        "application/json;q=0.9999",
        "application/json; q=1.0000, text/plain",
        "application/json;q=2",
        "*/*;q=x, application/json",
        "???, application/json",
        "application/json;",
        "application/json;;q=0.5",
        ", ,application/json,",
        "\u{e4}/\u{f6}, application/json",
        "application/json;odata.metadata=verbose, */*;q=0.1",
        // No member can be read: the field says nothing.
        "json",
        "application/json;q=",
        ";",
    ] {
        let response = setup.get(PATH, "a", &[("accept", accept)]).await;
        assert_eq!(response.status, 200, "{accept}: {}", response.text());
    }
    assert_eq!(setup.origin.requests(), 1, "one resource");
    setup.stop().await;
}

#[tokio::test]
async fn a3_a_request_that_accepts_no_json_is_406() {
    let setup = Setup::start().await;
    for accept in [
        "text/html",
        "text/html, ???",
        "application/json;q=0",
        "application/json;q=.0",
        "text/html, *;q=0",
        "application/json;odata.metadata=verbose",
        "application/json;IEEE754Compatible=maybe",
    ] {
        let response = setup.get(PATH, "a", &[("accept", accept)]).await;
        assert_eq!(response.status, 406, "{accept}");
        assert_eq!(cache_status(&response), "connector-cache; detail=accept", "{accept}");
    }
    assert_eq!(setup.origin.requests(), 0);
    setup.stop().await;
}

#[tokio::test]
async fn a3_a_quoted_parameter_hides_its_semicolons_and_commas() {
    let setup = Setup::start().await;
    for accept in [
        r#"application/json;ext="a;q=0""#,
        r#"application/json; ext="a\"b;q=0""#,
        r#"application/json;ext="x;odata.metadata=verbose""#,
        r#"application/json;ext="a, text/html;q=0;b""#,
        r#"application/json;ext="IEEE754Compatible=true;odata.metadata=full";q=0.5"#,
        r#"application/json;odata.metadata="minimal";ext=";""#,
        // A quote without an end opens no string.
        r#"application/json;ext="a;odata.metadata=minimal"#,
    ] {
        let response = setup.get(PATH, "a", &[("accept", accept)]).await;
        assert_eq!(response.status, 200, "{accept}: {}", response.text());
    }
    assert_eq!(setup.origin.requests(), 1, "one resource");
    let refused = setup.get(PATH, "a", &[("accept", r#"application/json;ext="a";q=0"#)]).await;
    assert_eq!(refused.status, 406);
    setup.stop().await;
}

#[tokio::test]
async fn a7_the_number_format_is_part_of_the_key_and_of_the_forwarded_accept() {
    let setup = Setup::start().await;
    let compatible = "application/json;odata.metadata=minimal;IEEE754Compatible=true";
    let plain = "application/json;odata.metadata=minimal";
    let full = "application/json;odata.metadata=full;IEEE754Compatible=true";
    for (accept, status, forwarded) in [
        ("application/json;IEEE754Compatible=true", STORED, compatible),
        ("application/json; ieee754compatible=TRUE", HIT, compatible),
        ("application/json;odata.metadata=minimal;IEEE754Compatible=\"true\";charset=utf-8", HIT, compatible),
        ("application/json;odata.streaming=true;IEEE754COMPATIBLE=True;q=.5", HIT, compatible),
        ("application/json", STORED, plain),
        ("application/json;IEEE754Compatible=false", HIT, plain),
        ("application/json;ieee754Compatible=FALSE;charset=utf-8;odata.streaming=false", HIT, plain),
        ("*/*", HIT, plain),
        ("application/json;IEEE754Compatible=true;q=.5, application/json;q=.9", HIT, plain),
        ("application/json;IEEE754Compatible=true;odata.metadata=full", STORED, full),
    ] {
        let response = setup.get(PATH, "a", &[("accept", accept)]).await;
        assert_eq!((response.status, cache_status(&response)), (200, status), "{accept}");
        if status == STORED {
            let seen = setup.origin.seen();
            assert_eq!(seen.last().and_then(|it| it.header("accept")), Some(forwarded), "{accept}");
        }
    }
    assert_eq!(setup.origin.requests(), 3);
    setup.stop().await;
}
