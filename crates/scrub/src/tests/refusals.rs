//! Bodies that are rejected.

use super::*;

#[test]
fn text_that_is_not_unicode_is_refused() {
    for raw in
        [&b"{\"a\":\"\xff\"}"[..], b"{\"a\":\"\xc0\xaf\"}", b"{\"a\":\"\xed\xa0\x80\"}", b"\xff\xfe{\0}\0"]
    {
        assert_eq!(Scrubber::new(&Config::default(), 99).scrub(raw).unwrap_err(), ScrubFailure::BadText);
    }
    for half in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\udc00\ud800", r"\ud800x"] {
        for raw in [
            format!("{{\"a\":\"{half}\"}}"),
            format!("{{\"{half}\":1}}"),
            format!("{{\"key\":[\"{half}\"]}}"),
        ] {
            assert_eq!(scrubbed(&raw).unwrap_err(), ScrubFailure::BadText, "{raw}");
        }
    }
}

#[test]
fn invalid_json_is_rejected() {
    for raw in [
        "",
        " ",
        "{",
        "}",
        "{}{}",
        "{},",
        "\u{feff}",
        "\u{feff}\u{feff}{}",
        "{}\u{feff}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":NaN}",
    ] {
        assert_eq!(scrubbed(raw).unwrap_err(), ScrubFailure::BadJson, "{raw}");
    }
    for raw in ["{\"a\":\"\0\"}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "{\0}", "{\"a\" 1}", "{\"a\":tru}"] {
        assert_eq!(scrubbed(raw).unwrap_err(), ScrubFailure::BadJson, "{raw}");
    }
}

#[test]
fn only_an_object_passes() {
    for raw in ["[]", "null", "1", "\"{}\"", " [{}]"] {
        assert_eq!(scrubbed(raw).unwrap_err(), ScrubFailure::NotAnObject, "{raw}");
    }
}

#[test]
fn depth_64_passes_and_depth_65_does_not() {
    let nested =
        |name: &str, arrays: usize| format!("{{\"{name}\":{}{}}}", "[".repeat(arrays), "]".repeat(arrays));
    for name in ["a", "password", "authenticationConfiguration", "targetUrl"] {
        assert!(scrubbed(&nested(name, 63)).is_ok(), "{name}");
        for arrays in [64, 100_000] {
            assert_eq!(scrubbed(&nested(name, arrays)).unwrap_err(), ScrubFailure::TooDeep, "{name}");
        }
    }
    let objects = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    assert_eq!(scrubbed(&objects).unwrap_err(), ScrubFailure::TooDeep);
    assert_eq!(scrubbed(&"[".repeat(1 << 20)).unwrap_err(), ScrubFailure::BadJson);
}

#[test]
fn an_output_at_the_limit_passes_and_one_byte_over_does_not() {
    // The mask makes the output longer than the input.
    let (raw, expected) = (br#"{"key":1}"#, r#"{"key":"******"}"#);
    let scrub = |limit| Scrubber::new(&Config::default(), limit).scrub(raw);
    assert_eq!(scrub(expected.len()).unwrap().body.as_bytes(), expected.as_bytes());
    for limit in [0, expected.len() - 1] {
        assert_eq!(scrub(limit).unwrap_err(), ScrubFailure::TooLarge);
    }
}

#[test]
fn the_first_error_in_a_body_is_the_reason() {
    let refusal =
        |raw: &str, limit| Scrubber::new(&Config::default(), limit).scrub(raw.as_bytes()).unwrap_err();
    let half = r#"{"a":1,"b":"\ud800"}"#;
    assert_eq!(refusal(half, 6), ScrubFailure::TooLarge);
    assert_eq!(refusal(half, r#"{"a":1,"b":"#.len() - 1), ScrubFailure::TooLarge);
    assert_eq!(refusal(half, r#"{"a":1,"b":"#.len()), ScrubFailure::BadText);
    // A name is written together with the text before it, once the name is read.
    let name = r#"{"a":1,"\ud800":1}"#;
    assert_eq!(refusal(name, r#"{"a":1"#.len() - 1), ScrubFailure::TooLarge);
    assert_eq!(refusal(name, r#"{"a":1"#.len()), ScrubFailure::BadText);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    assert_eq!(refusal(&deep, "{\"a\":".len() + 62), ScrubFailure::TooLarge);
    assert_eq!(refusal(&deep, "{\"a\":".len() + 63), ScrubFailure::TooDeep);
}
