use super::*;

fn is_unambiguous(text: &str) -> bool {
    UrlParts::split(text).is_some_and(|parts| parts.is_unambiguous())
}

#[test]
fn a_text_is_split_at_its_first_delimiters() {
    for (text, front, user, host, path, query, fragment) in [
        ("https://h", "https://", None, "h", "", None, None),
        ("https://h/", "https://", None, "h", "/", None, None),
        ("http://h:1/a/b?c=d&e", "http://", None, "h:1", "/a/b", Some("c=d&e"), None),
        ("https://u:p@h/@?a@b", "https://", Some("u:p"), "h", "/@", Some("a@b"), None),
        ("https://u@v@h", "https://", Some("u@v"), "h", "", None, None),
        ("https://@h", "https://", Some(""), "h", "", None, None),
        ("https://h?a/b?c#d", "https://", None, "h", "", Some("a/b?c"), Some("d")),
        ("https://h#a?b/c@d", "https://", None, "h", "", None, Some("a?b/c@d")),
        ("https://h/?#", "https://", None, "h", "/", Some(""), Some("")),
        ("https://", "https://", None, "", "", None, None),
        ("https:///a", "https:///", None, "a", "", None, None),
        ("HTTPS://h", "HTTPS://", None, "h", "", None, None),
        ("https:h?a=://b/c", "https:", None, "h", "", Some("a=://b/c"), None),
        ("https:\\/u@h\\x", "https:\\/", Some("u"), "h", "\\x", None, None),
        (" https://h/{a} b", " https://", None, "h", "/{a} b", None, None),
        (
            "https://b\u{fc}cher/\u{e9}?\u{e9}",
            "https://",
            None,
            "b\u{fc}cher",
            "/\u{e9}",
            Some("\u{e9}"),
            None,
        ),
        ("a#b://c", "a#b://", None, "c", "", None, None),
    ] {
        let parts = UrlParts::split(text).unwrap();
        assert_eq!((parts.front, parts.user_info, parts.host), (front, user, host), "{text}");
        assert_eq!((parts.path, parts.query, parts.fragment), (path, query, fragment), "{text}");
        assert_eq!(parts.has_user_info(), user.is_some_and(|user| !user.is_empty()), "{text}");
    }
    for text in ["", "https", "https//h", "//h/x"] {
        assert!(UrlParts::split(text).is_none(), "{text}");
    }
    assert!(!UrlParts::split("https://:@h").unwrap().has_user_info());
}

#[test]
fn other_characters_are_not_plain() {
    for text in ["https://h/a b", "https://h/\u{e9}", "https://h/\\", "https://h/%", "https://h/{a}"] {
        assert!(!is_plain(text) && !is_unambiguous(text), "{text}");
    }
    for byte in 0..128_u8 {
        let plain = byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte);
        assert_eq!(is_plain(&format!("a{}", char::from(byte))), plain, "{byte}");
    }
    assert!(!is_plain("\u{80}"));
}

#[test]
fn every_percent_sign_stands_before_two_hexadecimal_digits() {
    for text in ["%00", "%aF", "%41%42", "%411", "a%Fab"] {
        assert!(is_plain(text), "{text}");
    }
    for text in ["%", "%4", "%4g", "%g4", "%%41", "%4%41", "%41%", "%41%4", "%/4"] {
        assert!(!is_plain(text), "{text}");
    }
}

#[test]
fn common_urls_are_unambiguous() {
    for text in [
        "https://someapi.com/api/endpoint",
        "http://h",
        "https://a1-b2.Contoso.NET:443/x?code=y#z",
        "https://1.2a.b3/",
        "https://h:0/../%2e?",
        "https://h:9999?",
        "https://h/'[@:]",
        "https://h/?[@:]$!()*+,;=%41",
        "https://h/#'",
    ] {
        assert!(is_unambiguous(text), "{text}");
    }
}

#[test]
fn a_url_that_a_parser_could_read_otherwise_is_ambiguous() {
    for text in [
        // Another scheme, or another spelling of it.
        "ftp://h/",
        "HTTPS://h/",
        "httpss://h/",
        "a://h/",
        // User info.
        "https://u@h/",
        "https://@h/",
        // No host, or one with something empty in it.
        "https://",
        "https:///h",
        "https://?a",
        "https://.h/",
        "https://h./",
        "https://a..h/",
        // Hyphens at an edge, or side by side as in punycode.
        "https://-h/",
        "https://h-/",
        "https://a-.h/",
        "https://a.-h/",
        "https://a--h/",
        "https://xn--bcher-kva.example/",
        // A host that could be an address.
        "https://1/",
        "https://127.0.0.1/",
        "https://a.1/",
        "https://a.0x7f/",
        "https://a.7b/",
        "https://[::1]/",
        // Characters that are invalid in a name.
        "https://a_b/",
        "https://a%41/",
        "https://a~b/",
        // Ports that are invalid, or may be too large.
        "https://h:/",
        "https://h:00443/",
        "https://h:65536/",
        "https://h:1a/",
        "https://h:1:2/",
        "https://:1/",
        // Characters that are escaped in a query.
        "https://h/?a'",
    ] {
        assert!(!is_unambiguous(text), "{text}");
    }
}
