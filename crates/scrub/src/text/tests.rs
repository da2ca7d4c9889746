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
        let clean = mask_credentials(text, &rules());
        assert_eq!(clean.as_deref().unwrap_or(text), *expected, "{text}");
        assert_eq!(mask_credentials(expected, &rules()), None, "{expected} changes again");
    }
}

#[test]
fn only_letters_and_blanks_without_the_name_of_a_scheme_are_prose() {
    for first in 0..=255_u8 {
        for second in 0..=255_u8 {
            let is_allowed = |byte: u8| byte.is_ascii_alphabetic() || byte == b' ';
            let pair = [first, second];
            let is_scheme =
                ["be", "ba"].iter().any(|name| pair.eq_ignore_ascii_case(name.as_bytes())) || pair == *b"ey";
            let expected = is_allowed(first) && is_allowed(second) && !is_scheme;
            // In the first and in the last bytes of a text, and in a part that fills no vector.
            for text in [
                &pair[..],
                &[b"x".repeat(61).as_slice(), &pair].concat(),
                &[&pair, b"x".repeat(61).as_slice()].concat(),
            ] {
                assert_eq!(is_prose(text), expected, "{pair:?} in {} bytes", text.len());
            }
        }
    }
    assert!(is_prose(b"") && is_prose(b"b") && !is_prose(b"\xc3"));
}

#[test]
fn prose_ends_at_a_scheme_or_a_sign_at_any_place_of_any_block() {
    for length in [BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 2, 3 * BLOCK - 1] {
        let plain = vec![b'x'; length];
        assert!(is_prose(&plain));
        for at in 0..length - 1 {
            for pair in [b"Be", b"bA", b"ey", b"x.", b"1x", b"\xc3\xa9"] {
                let mut text = plain.clone();
                text[at..at + 2].copy_from_slice(pair);
                assert!(!is_prose(&text), "{pair:?} at {at} of {length}");
            }
            let mut text = plain.clone();
            text[at..at + 2].copy_from_slice(b"eb");
            assert!(is_prose(&text), "no name of a scheme at {at} of {length}");
        }
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
        "Bearer check",
        "Basic CRM-Lookup",
        "Token=none",
        "Primary key = customer id",
        "see https://contoso.com/docs#section",
        "see https://aka.ms/x?linkid=123",
        "GET https://graph.microsoft.com/beta/identity/b2xUserFlows/B2X_1_x/apiConnectorConfiguration?$expand=postFederationSignup failed",
        "/apiConnectorConfiguration?$select=id,displayName&$expand=postFederationSignup($select=id)",
        "The flow B2X_1_Signup2Flow3Users of 74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d",
        "id-74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d",
        "type microsoft.graph.pkcs12CertificateInformation, IEEE754Compatible",
        "Q&A for R&D, 100% at 3:15",
        "write to admin@contoso.com",
    ] {
        assert_eq!(mask_credentials(text, &rules()), None, "{text}");
    }
}

#[test]
fn urls_in_text_are_scrubbed_like_target_urls() {
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
        ("Authorization: BEARER  abc.def-ghi/+~==", "Authorization: ******"),
        ("x BEARER  abc.def-ghi/+~==", "x BEARER  ******"),
        ("a bearer: hunter", "a bearer: ******"),
        ("Bearer\u{a0}hunter2", "Bearer\u{a0}******"),
        ("Bearer tokenhunter2.", "Bearer ******."),
        ("Basic dTpw", "Basic ******"),
        ("x Basic dXNlcjpodW50ZXIy y", "x Basic ****** y"),
        ("Basic hunter2hunter2", "Basic ******"),
        ("id eyJ0eXAiOiJKV1QifQ.eyJhIjoiYiJ9.c2ln ok", "id ****** ok"),
    ]);
    for text in ["forbearer hunter2", "Bearer", "Bearerhunter2"] {
        assert_eq!(mask_credentials(text, &rules()), None, "{text}");
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
        ("password=hunter2, b=c", "password=******"),
        ("AccountKey = hunter2==;x", "AccountKey = ******"),
        (r#"apiKey="hunter 2" b"#, "apiKey=******"),
        (r#""x-functions-key": "hunter2""#, r#""x-functions-key": ******"#),
        ("sig=hunter2&sv=1", "sig=******"),
        ("password=a1\nnext", "password=******\nnext"),
    ]);
}

/// Each line with a secret of weak form, so that the mechanism and not the look of the word finds it.
#[test]
fn a_secret_after_the_name_of_a_credential_is_masked_whatever_stands_between() {
    for text in [
        "password: S3cr3t",
        "x-functions-key:S3cr3t",
        "Authorization: ApiKey S3cr3t",
        "client_secret:S3cr3t",
        "client secret -> S3cr3t",
        "client_secret%3DS3cr3t",
        "password\u{ff1d}S3cr3t",
        "password \u{ff1a} S3cr3t",
        "pwd=a,S3cr3t",
        "password=\"a\\\"S3cr3t\"",
        "password=\"a\nS3cr3t\"",
        "password = a S3cr3t",
        "password is: S3cr3t",
        "password=****** S3cr3t",
        "password:\n  S3cr3t",
        "**password**: S3cr3t",
        "headers['x-functions-key'] = 'S3cr3t'",
        "--password S3cr3t",
        "curl -u u:S3cr3t https://h/",
        "<password>S3cr3t</password>",
        "p\u{430}ssword: S3cr3t",
        "pass\u{200b}word: S3cr3t",
        "\u{ff50}assword: S3cr3t",
        "POST /api/SignUp?code=S3cr3t",
        "someapi.com/api/SignUp?code=S3cr3t failed",
        "?sig=******&code=S3cr3t",
        "x &code=S3cr3t",
        "?code= S3cr3t",
        "https://a.b/c?code=`S3cr3t`",
        "https://a.b/c?x=\"S3cr3t\"",
        "https://a.b/c?x= S3cr3t",
        "https://u:\"S3cr3t@a.b/",
        "//u:S3cr3t@h",
        "u:S3cr3t@host",
        "https:\\/\\/u:S3cr3t@a.b",
        "https%3A%2F%2Fa.b%2F%3Fcode%3DS3cr3t",
        "https%253A%252F%252Fa.b%252F%253Fcode%253DS3cr3t",
        "Bearer , S3cr3t",
        "Bearer <S3cr3t>",
        "Bearer token S3cr3t",
        "Bearer%20S3cr3t",
        "Basic auth dTpTM2NyM3Q=",
        "xeyJ0eXAiOiJKV1QifQ.eyJhIjoiYiJ9.S3cr3t",
    ] {
        let clean = mask_credentials(text, &rules()).unwrap_or_else(|| text.to_owned());
        assert!(!clean.contains("S3cr3t") && !clean.contains("dTpTM2NyM3Q"), "{text}: {clean}");
        assert_eq!(mask_credentials(&clean, &rules()), None, "{clean} changes again");
    }
}

#[test]
fn a_word_that_looks_like_a_key_is_masked_in_any_position() {
    check(&[
        ("Hunt3rZq8wLk2mN7pXv", "******"),
        ("my Hunt3rZq8wLk2mN7pXv, ok", "my ******, ok"),
        ("(Hunt3rZq8wLk2mN7pXv)", "(******)"),
        ("https://h/api/Hunt3rZq8wLk2mN7pXv/x", "https://h/api/******/x"),
        ("aB3-dE5_gH7jK9lM1nO3pQ5", "******"),
        ("\u{e9}Hunt3rZq8wLk2mN7pXv\u{e9}", "\u{e9}******\u{e9}"),
    ]);
}

#[test]
fn a_long_text_without_blanks_is_scrubbed_in_linear_time() {
    for piece in ["@", ":", "=", "a@", "password ", "?a=", "eyJ", "%25", "Bearer ", "://", "aB3", "<", "key>"]
    {
        let text = piece.repeat(200_000 / piece.len());
        let clean = mask_credentials(&text, &rules()).unwrap_or(text);
        assert_eq!(mask_credentials(&clean, &rules()), None, "{piece}");
    }
}

#[test]
fn a_configured_mask_is_not_masked_again() {
    for mask in ["a b=c", "https://u:p@h/?x=y", "{\"a\"}", "Bearer x", "-----BEGIN"] {
        let rules = Rules::new(&Config { mask: mask.to_owned(), ..Config::default() });
        let once = mask_credentials("Bearer hunter2", &rules).unwrap();
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
        let clean = mask_credentials(&text, &rules()).unwrap();
        prop_assert!(!clean.contains("CANARY"), "{} of {}", clean, text);
        prop_assert_eq!(mask_credentials(&clean, &rules()), None);
    }

    #[test]
    fn any_text_is_clean_after_one_pass(pieces in proptest::collection::vec(select(PIECES), 0..12)) {
        let text = pieces.concat();
        if let Some(clean) = mask_credentials(&text, &rules()) {
            prop_assert_eq!(mask_credentials(&clean, &rules()), None, "{}", text);
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
