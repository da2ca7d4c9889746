use proptest::prelude::*;
use proptest::sample::select;

use super::super::Config;
use super::*;

fn rules() -> Rules {
    Rules::new(&Config::default())
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        let clean = masked(text, &rules());
        assert_eq!(clean.as_deref().unwrap_or(text), *expected, "{text}");
        assert_eq!(masked(expected, &rules()), None, "{expected} changes again");
    }
}

#[test]
fn text_without_credentials_is_kept() {
    for text in [
        "",
        "Test API Connector 1",
        "[Prod] {tenant} fraud-check -- \u{e9} (2): a=b",
        "Basic connector",
        "Basic auth, basic validation and BASIC B2C",
        "Basic-auth",
        "Access token is empty.",
        "Invalid audience: the Bearer token is not for this API.",
        "Bearer realm=\"\", error=\"invalid_token\"",
        "Bearer authentication, Bearer tokens",
        "CompactToken parsing failed with error code: 80049217",
        "InvalidAuthenticationToken: Lifetime validation failed",
        "Could not find a property named 'password' on type 'microsoft.graph.x'.",
        "See https://aka.ms/graph and https://learn.microsoft.com/graph/errors.",
        "eye, eyJ, eyJust a word",
        "ends in b",
        "ends in e",
        "key:",
        "password=",
        "=password",
        "urn:x",
    ] {
        assert_eq!(masked(text, &rules()), None, "{text}");
    }
}

#[test]
fn urls_lose_what_target_urls_lose() {
    check(&[
        ("see https://h/x?code=hunter2.", "see https://h/x?code=******."),
        ("https://user:hunter2@h/x", "https://h/x"),
        ("(https://h/x#hunter2)", "(https://h/x)"),
        ("a https://u:p@h and http://h/?hunter2 b", "a https://h and http://h/?****** b"),
        ("HTTPS://h/?code=hunter2", "HTTPS://h/?code=******"),
        ("postgres://user:hunter2@h/db now", "****** now"),
        ("ftp://h/x", "ftp://h/x"),
        ("https://user:hunter2@ x", "****** x"),
        ("x://", "x://"),
        ("://h", "://h"),
    ]);
}

#[test]
fn values_of_schemes_are_masked() {
    check(&[
        ("Bearer hunter2", "Bearer ******"),
        ("Authorization: BEARER  abc.def-ghi/+~==", "Authorization: BEARER  ******"),
        ("bearer: hunter", "bearer: ******"),
        ("Bearer\u{a0}hunter2", "Bearer\u{a0}******"),
        ("Bearer tokenhunter2.", "Bearer ******."),
        ("Basic dTpw", "Basic ******"),
        ("x Basic dXNlcjpodW50ZXIy y", "x Basic ****** y"),
        ("Basic hunter2hunter2", "Basic ******"),
        ("id eyJ0eXAiOiJKV1QifQ.eyJhIjoiYiJ9.c2ln ok", "id ****** ok"),
    ]);
    for text in ["forbearer hunter2", "Bearer", "Bearerhunter2"] {
        assert_eq!(masked(text, &rules()), None, "{text}");
    }
}

#[test]
fn pem_text_is_masked_to_its_end() {
    check(&[
        ("a -----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- b", "a ****** b"),
        ("-----BEGIN CERTIFICATE-----MII", "******"),
        ("a -----BEGIN A-----\n1\n-----END A-----\n-----BEGIN B-----\n2", "a ******"),
        ("-----BEGIN A-----1-----END A----- and -----BEGIN B-----2-----END B----- c", "****** c"),
        ("-----BEGIN-----END -----BEGIN X-----3-----END X-----", "******"),
    ]);
}

#[test]
fn json_and_pairs_with_the_name_of_a_credential_are_masked() {
    check(&[
        (r#"{"name":"x-functions-key","value":"hunter2"}"#, "******"),
        (r#"at { \"a\": {"b":"hunter2"} } end"#, "at ****** end"),
        (r#"{"a":"hunter2"#, "******"),
        ("{'a': 'hunter2'}", "******"),
        ("password=hunter2, b=c", "password=******, b=c"),
        ("AccountKey = hunter2==;x", "AccountKey = ******;x"),
        (r#"apiKey="hunter 2" b"#, r#"apiKey="******" b"#),
        (r#""x-functions-key": "hunter2""#, r#""x-functions-key": "******""#),
        ("sig=hunter2&sv=1", "sig=******&sv=1"),
    ]);
}

#[test]
fn a_mask_of_the_operators_is_not_masked_again() {
    for mask in ["a b=c", "https://u:p@h/?x=y", "{\"a\"}", "Bearer x", "-----BEGIN"] {
        let rules = Rules::new(&Config { mask: mask.to_owned(), ..Config::default() });
        let once = masked("Bearer hunter2", &rules).unwrap();
        assert!(!once.contains("hunter2"), "{once}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_credential_in_any_text_goes_and_the_rest_is_stable(
        before in proptest::collection::vec(select(PIECES), 0..4),
        after in proptest::collection::vec(select(PIECES), 0..4),
        planted in select(PLANTED),
    ) {
        let text = format!("{} {planted} {}", before.concat(), after.concat());
        let clean = masked(&text, &rules()).unwrap();
        prop_assert!(!clean.contains("CANARY"), "{} of {}", clean, text);
        prop_assert_eq!(masked(&clean, &rules()), None);
    }

    #[test]
    fn any_text_is_clean_after_one_pass(pieces in proptest::collection::vec(select(PIECES), 0..12)) {
        let text = pieces.concat();
        if let Some(clean) = masked(&text, &rules()) {
            prop_assert_eq!(masked(&clean, &rules()), None, "{}", text);
        }
    }
}

const PLANTED: &[&str] = &[
    "Bearer CANARY7",
    "Basic CANARY7canary9",
    "https://u:CANARY@h/x",
    "https://h/?code=CANARY",
    "https://h/?CANARY",
    "-----BEGIN X-----CANARY-----END X-----",
    "{\"a\":\"CANARY\"}",
    "password=CANARY",
];

const PIECES: &[&str] = &[
    "a",
    "B",
    " ",
    "\n",
    ":",
    "=",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "/",
    "//",
    "https://",
    "h.example",
    "?",
    "@",
    "&",
    "Bearer",
    "basic ",
    "eyJ",
    "-",
    "-----BEGIN",
    "-----END",
    "password",
    "key",
    ".",
    ",",
    "******",
    "\u{e9}",
];
