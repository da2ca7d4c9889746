//! The message of each refusal, word for word.

use super::load;

const BASE_URL: &str = "expected https://HOST or https://HOST:PORT, without user info, path, query or \
                        fragment (http only for localhost, 127.0.0.0/8 and [::1])";
const UNIT: &str = "with its unit (ms, s, m, h)";
const SIZE: &str = "in bytes or with a unit (KiB, MiB, GiB)";
const NO_SUGGESTION: &str = "`connector-cache check` without a file prints every key";
const ADDRESS: &str = "expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";
const PATH: &str = "expected the path of a file (the path, not its content)";
const REDACTED: &str = "(hidden: it may hold a secret)";
const FILTER: &str = "expected a level (error, warn, info, debug, trace, off) or directives such as \
                      \"info,connector_cache::upstream=debug\"";
const SHARED: &str = "expected redis://HOST:PORT or rediss://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or \
                      redis+sentinel://HOST:PORT,HOST:PORT/MASTER, without user info or query \
                      (shared.username and shared.password_file hold the credentials)";

/// The message for a file with this one line.
fn message(line: &str) -> String {
    load(line, &[]).map(|effective| effective.to_string()).unwrap_err()
}

fn message_for_variable(name: &str, value: &str) -> String {
    load("", &[(name, value)]).map(|effective| effective.to_string()).unwrap_err()
}

#[test]
fn a_duration_out_of_bounds_or_without_unit_is_refused() {
    for (key, value, echo, bounds) in [
        ("cache.ttl", "\"0s\"", "\"0s\"", "1ms to 24h"),
        ("cache.ttl", "\"999us\"", "\"999us\"", "1ms to 24h"),
        ("cache.ttl", "\"10y\"", "\"10y\"", "1ms to 24h"),
        ("cache.ttl", "\"-5m\"", "\"-5m\"", "1ms to 24h"),
        ("cache.ttl", "\"\"", "\"\"", "1ms to 24h"),
        ("cache.ttl", "\"0\"", "\"0\"", "1ms to 24h"),
        ("cache.ttl", "\"300\"", "\"300\"", "1ms to 24h"),
        ("cache.ttl", "300", "300", "1ms to 24h"),
        ("cache.ttl", "true", "(true)", "1ms to 24h"),
        ("cache.ttl", "5.0", "(5.0)", "1ms to 24h"),
        ("cache.ttl", "2026-01-01", "(a date)", "1ms to 24h"),
        ("cache.ttl", "{}", "(an empty table)", "1ms to 24h"),
        ("cache.ttl", "[\"5m\"]", "[\"5m\"]", "1ms to 24h"),
        ("cache.proof_ttl", "\"61m\"", "\"61m\"", "1ms to 1h"),
        ("cache.stale_if_error", "\"25h\"", "\"25h\"", "0s to 24h"),
        ("graph.timeout", "\"11m\"", "\"11m\"", "1ms to 10m"),
        ("limits.header_timeout", "\"0ms\"", "\"0ms\"", "1ms to 5m"),
        ("drain.delay", "\"1h\"", "\"1h\"", "0s to 10m"),
    ] {
        let expected = format!("FILE:1: {key} = {echo} is refused: expected a duration from {bounds} {UNIT}");
        assert_eq!(message(&format!("{key} = {value}")), expected);
    }
}

#[test]
fn a_size_or_number_out_of_bounds_is_refused() {
    for (key, value, accepted) in [
        ("cache.max_bytes", "\"1023KiB\"", format!("a size from 1MiB to 1TiB, {SIZE}")),
        ("cache.max_bytes", "-1", format!("a size from 1MiB to 1TiB, {SIZE}")),
        ("cache.max_bytes", "\"much\"", format!("a size from 1MiB to 1TiB, {SIZE}")),
        ("graph.max_body", "\"17MiB\"", format!("a size from 1KiB to 16MiB, {SIZE}")),
        ("limits.header_bytes", "4096", format!("a size from 8KiB to 1MiB, {SIZE}")),
        ("server.threads", "0", "a number from 1 to 1024".to_owned()),
        ("limits.connections", "\"all\"", "a number from 1 to 1000000".to_owned()),
        ("limits.h2_streams", "4294967296", "a number from 1 to 10000".to_owned()),
    ] {
        let expected = format!("FILE:1: {key} = {value} is refused: expected {accepted}");
        assert_eq!(message(&format!("{key} = {value}")), expected);
    }
}

#[test]
fn a_base_url_that_is_unsafe_or_has_more_than_host_and_port_is_refused() {
    for (base, hidden) in [
        ("http://graph.microsoft.com", ""),
        ("http://10.0.0.1", ""),
        ("http://0.0.0.0:80", ""),
        ("http://[::ffff:127.0.0.1]", ""),
        ("http://localhost.example", ""),
        ("ftp://localhost", ""),
        ("https://graph.microsoft.com:0", ""),
        ("https://", ""),
        ("", ""),
        // A path, a query or a fragment may hold a key.
        ("https://graph.microsoft.com", "/v1.0"),
        ("https://graph.microsoft.com", "//"),
        ("https://graph.microsoft.com", "?"),
        ("https://graph.microsoft.com:443", "/?a=b"),
        ("https://graph.microsoft.com", "#"),
        // A text that is no URL may be a secret, too.
        ("", "https://graph microsoft com"),
        ("", " https://graph.microsoft.com"),
        ("", "https:\\\\graph.microsoft.com"),
        ("", "graph.microsoft.com"),
        ("", "hunter2://graph.microsoft.com"),
        ("", "https://graph.microsoft.com:hunter2"),
    ] {
        let echo = match (base, hidden) {
            (base, "") => format!("{base:?}"),
            ("", hidden) => format!("(hidden: {} characters)", hidden.len()),
            (base, hidden) => format!("{base:?} (hidden: {} more characters)", hidden.len()),
        };
        let expected =
            format!("env CONNECTOR_CACHE__GRAPH__BASE_URL: graph.base_url = {echo} is refused: {BASE_URL}");
        assert_eq!(
            message_for_variable("CONNECTOR_CACHE__GRAPH__BASE_URL", &format!("{base}{hidden}")),
            expected
        );
    }
}

#[test]
fn no_message_shows_a_secret_in_place_of_a_path_or_a_url() {
    let secret = "q7Xv2LmZ9pRt4WcK8sNb";
    let forms = ["S", "/tmp/S", "./S", "/etc/S", "https://graph.microsoft.com/S", "grpc://collector:4317/S"];
    let values = forms.iter().flat_map(|form| [format!("\"{form}\""), format!("[\"{form}\"]")]);
    let values: Vec<_> =
        values.map(|value| value.replace('S', secret)).chain(["48151623".to_owned()]).collect();
    let refused = |key: &str, value: &str| {
        let message = message(&format!("{key} = {value}"));
        assert!(message.contains("expected") && message.contains("hidden: "), "{message}");
        assert!(!message.contains(secret) && !message.contains("48151623"), "{message}");
    };
    for value in &values {
        refused("graph.base_url", value);
        // Without a certificate, a valid path would be a conflict.
        refused("listen.tls.key", value);
        if !value.starts_with("\"https:") {
            refused("telemetry.otlp_endpoint", value);
        }
        if !value.starts_with('"') {
            refused("admin.token_file", value);
            refused("graph.ca_file", value);
        }
    }
}

#[test]
fn a_value_that_may_hold_a_secret_is_refused_and_not_shown() {
    for url in ["https://user:hunter2@graph.microsoft.com", "https://@graph.microsoft.com", "user:hunter2@h"]
    {
        let expected = format!("FILE:1: graph.base_url = {REDACTED} is refused: {BASE_URL}");
        assert_eq!(message(&format!("graph.base_url = \"{url}\"")), expected);
    }
    for pem in ["-----BEGIN PRIVATE KEY-----\nMIIE\n", "-----BEGIN PRIVATE KEY-----MIIE"] {
        let expected =
            format!("env CONNECTOR_CACHE__LISTEN__TLS__KEY: listen.tls.key = {REDACTED} is refused: {PATH}");
        assert_eq!(message_for_variable("CONNECTOR_CACHE__LISTEN__TLS__KEY", pem), expected);
    }
    let expected = format!("FILE:1: admin.token_file = {REDACTED} is refused: {PATH}");
    assert_eq!(message("admin.token_file = \"eyJhbGciOiJub25lIn0.e30.\""), expected);
}

#[test]
fn a_password_in_the_url_of_the_shared_tier_is_refused_and_not_shown() {
    for (url, echo) in [
        ("redis://:hunter2@valkey", None),
        ("redis://user:hunter2@valkey:6379/0", None),
        ("redis://valkey?password=hunter2", None),
        ("http://valkey:6379", Some("\"http://valkey:6379\"")),
    ] {
        let found = message(&format!("shared.url = \"{url}\""));
        assert!(!found.contains("hunter2") && found.ends_with(&format!("is refused: {SHARED}")), "{found}");
        assert!(echo.is_none_or(|echo| found.contains(echo)), "{found}");
    }
}

#[test]
fn the_shared_tier_requires_a_secret_and_a_whole_client_certificate() {
    assert_eq!(
        message("shared.url = \"redis://valkey\""),
        "shared.url = \"redis://valkey:6379\" (FILE:1), shared.secret_file is not set: shared.url requires \
         shared.secret_file, a file with one or two lines of at least 32 bytes"
    );
    let found = message("shared.key = \"/k\"");
    assert!(found.ends_with(": expected both or neither"), "{found}");
    let found = message("shared.prefix = \"a{b}\"");
    assert!(found.contains("is refused: expected 1 to 64 letters"), "{found}");
}

#[test]
fn other_invalid_values_are_refused() {
    for (key, value, accepted) in [
        ("listen.address", "\"localhost:8080\"", ADDRESS),
        ("listen.address", "\"127.0.0.1\"", ADDRESS),
        ("listen.address", "\"127.0.0.1:65536\"", ADDRESS),
        ("admin.address", "9090", ADDRESS),
        ("admin.token_file", "\"\"", PATH),
        ("graph.default_version", "\"v2.0\"", "expected \"v1.0\" or \"beta\""),
        ("cache.freshness", "\"Operator\"", "expected \"operator\" or \"origin\""),
        ("log.access", "\"none\"", "expected \"all\" or \"misses\" or \"off\""),
        ("log.filter", "\"\"", FILTER),
        ("log.filter", "\"inof\"", FILTER),
        ("log.filter", "\"info,connector_cache=loud\"", FILTER),
        ("scrub.mask", "\"\"", "expected 1 to 128 characters, none of them a control character"),
        ("scrub.mask", "\"*\\u001b[2J\"", "expected 1 to 128 characters, none of them a control character"),
    ] {
        let echo = value.replace("\\u001b", "\\u{1b}");
        let expected = format!("FILE:1: {key} = {echo} is refused: {accepted}");
        assert_eq!(message(&format!("{key} = {value}")), expected);
    }
    let expected = format!("FILE:1: graph.ca_file = <hidden: 3 characters, no such file> is refused: {PATH}");
    assert_eq!(message("graph.ca_file = \"a\\nb\""), expected);
    let names = "expected an array of at most 256 names of 1 to 128 characters, such as [\"a\", \"b\"]";
    for (value, echo) in
        [("[\"a\", \"\"]", "[\"a\", \"\"]"), ("[1]", "(an array that holds more than strings)"), ("5", "5")]
    {
        let expected = format!("FILE:1: scrub.extra_fields = {echo} is refused: {names}");
        assert_eq!(message(&format!("scrub.extra_fields = {value}")), expected);
    }
}

#[test]
fn a_long_value_is_shown_in_part() {
    let value = "x".repeat(5_000);
    let expected = format!("FILE:1: listen.address = \"{}\"... is refused: {ADDRESS}", "x".repeat(80));
    assert_eq!(message(&format!("listen.address = \"{value}\"")), expected);
}

#[test]
fn contradicting_values_are_refused() {
    for (text, expected) in [
        (
            "graph.timeout = \"1s\"",
            "graph.connect_timeout = \"2s\" (default), graph.timeout = \"1s\" (FILE:1): \
             graph.connect_timeout may not be longer than graph.timeout",
        ),
        (
            "[listen.tls]\nkey = \"/usr/k\"",
            "listen.tls.certificate is not set, listen.tls.key = \"/usr/k\" (FILE:2): expected both or neither",
        ),
        (
            "scrub.allow_fields = [\"note\"]\nscrub.extra_fields = [\"a\", \"note\"]",
            "scrub.allow_fields = [\"note\"] (FILE:1), scrub.extra_fields = [\"a\", \"note\"] (FILE:2): \
             a member is either allowed or masked: expected each name in one of the two lists",
        ),
        (
            "listen.tls.certificate = \"/usr/c\"",
            "listen.tls.certificate = \"/usr/c\" (FILE:1), listen.tls.key is not set: expected both or neither",
        ),
        (
            "listen.tls.client_ca = \"/usr/ca\"",
            "listen.tls.certificate is not set, listen.tls.client_ca = \"/usr/ca\" (FILE:1): client \
             certificates require TLS: expected listen.tls.certificate and listen.tls.key",
        ),
        (
            "admin.address = \"127.0.0.1:8080\"",
            "listen.address = \"127.0.0.1:8080\" (default), admin.address = \"127.0.0.1:8080\" (FILE:1): \
             expected two different addresses",
        ),
        (
            "listen.address = \"[::]:9090\"",
            "listen.address = \"[::]:9090\" (FILE:1), admin.address = \"127.0.0.1:9090\" (default): \
             expected two different addresses",
        ),
    ] {
        assert_eq!(message(text), expected);
    }
}

/// Found by the fuzzer: the message of a conflict showed a secret that was written in place of a path.
#[test]
fn a_conflict_does_not_show_what_may_hold_a_secret() {
    let expected = "listen.tls.certificate is not set, listen.tls.key = <hidden: 30 characters, no such file> \
                    (FILE:1): expected both or neither";
    assert_eq!(message("listen.tls.key = \"https://user:hunter2@vault/key\""), expected);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one_and_without_its_value() {
    for (text, expected) in [
        (
            "[cache]\ntll = \"hunter2\"",
            "FILE:2: cache.tll is not a known key: did you mean cache.ttl?".to_owned(),
        ),
        ("[Cache]\nttl = \"5m\"", "FILE:2: Cache.ttl is not a known key: did you mean cache.ttl?".to_owned()),
        (
            "origin.base_url = \"x\"",
            "FILE:1: origin.base_url is not a known key: did you mean graph.base_url?".to_owned(),
        ),
        ("cache.ttl.seconds = 5", format!("FILE:1: cache.ttl.seconds is not a known key: {NO_SUGGESTION}")),
        (
            "\"cache.ttl\" = \"5m\"",
            "FILE:1: \"cache.ttl\" is not a known key: did you mean cache.ttl?".to_owned(),
        ),
        ("[colours]", format!("FILE:1: colours is not a known key: {NO_SUGGESTION}")),
        ("cache = 5", "FILE:1: cache is a table of keys, not a key".to_owned()),
        ("[[listen]]\naddress = \"127.0.0.1:80\"", "FILE:1: listen is a table of keys, not a key".to_owned()),
        ("\"a\\nb\" = 1", format!("FILE:1: \"a\\nb\" is not a known key: {NO_SUGGESTION}")),
    ] {
        assert_eq!(message(text), expected);
    }
    assert_eq!(
        message_for_variable("CONNECTOR_CACHE__CACHE__TLL", "hunter2"),
        "env CONNECTOR_CACHE__CACHE__TLL is not a known key: did you mean CONNECTOR_CACHE__CACHE__TTL?"
    );
    assert_eq!(
        message_for_variable("CONNECTOR_CACHE__cache__ttl", "5m"),
        "env CONNECTOR_CACHE__cache__ttl is not a known key: did you mean CONNECTOR_CACHE__CACHE__TTL?"
    );
    assert_eq!(
        message_for_variable("CONNECTOR_CACHE__", "x"),
        format!("env CONNECTOR_CACHE__ is not a known key: {NO_SUGGESTION}")
    );
}

#[test]
fn every_problem_is_in_the_message() {
    let file = "[cache]\nttl = \"0s\"\nfoo = 1\n[log]\naccess = \"some\"\n";
    let message = load(file, &[("CONNECTOR_CACHE__SERVER__THREADS", "none")]).unwrap_err();
    let expected = [
        "env CONNECTOR_CACHE__SERVER__THREADS: server.threads = \"none\" is refused: expected a number from 1 to 1024",
        &format!("FILE:2: cache.ttl = \"0s\" is refused: expected a duration from 1ms to 24h {UNIT}"),
        "FILE:5: log.access = \"some\" is refused: expected \"all\" or \"misses\" or \"off\"",
        &format!("FILE:3: cache.foo is not a known key: {NO_SUGGESTION}"),
    ];
    assert_eq!(message.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn e7_a_follower_that_waits_shorter_than_the_request_to_graph_is_refused() {
    let message = message("limits.follower_wait = \"9s\"");
    let expected = "graph.timeout = \"10s\" (default), limits.follower_wait = \"9s\" (FILE:1): \
                    limits.follower_wait may not be shorter than graph.timeout";
    assert_eq!(message, expected);
}

#[test]
fn a_refused_value_is_in_no_conflict() {
    let expected =
        format!("FILE:1: graph.timeout = \"0s\" is refused: expected a duration from 1ms to 10m {UNIT}");
    assert_eq!(message("graph.timeout = \"0s\""), expected);
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line_and_not_quoted() {
    let message = message("[cache]\nttl = \"5m\"\nshared.url = redis://:hunter2@valkey\n[cache]\n");
    assert!(
        message.lines().all(|line| line.starts_with("FILE:")) && !message.contains("hunter2"),
        "{message}"
    );
    assert!(message.starts_with("FILE:3: not TOML: "), "{message}");
}

#[test]
fn a_missing_file_or_one_that_is_not_text_is_refused() {
    let missing = std::path::Path::new("/nonexistent/connector-cache.toml");
    let message = super::Config::load(Some(missing), std::iter::empty()).unwrap_err().to_string();
    let expected =
        "/nonexistent/connector-cache.toml: the file cannot be read: No such file or directory (os error 2)";
    assert_eq!(message, expected);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\xff").unwrap();
    let message = super::Config::load(Some(file.path()), std::iter::empty()).unwrap_err().to_string();
    assert!(message.ends_with(": the file cannot be read: stream did not contain valid UTF-8"), "{message}");
}
