use super::*;
use crate::ScrubbedField;

mod authentication;
mod refusals;
mod unknown;

fn scrubbed_with(config: &Config, raw: &str) -> Result<Scrubbed, ScrubFailure> {
    Scrubber::new(config, 1 << 20).scrub(raw.as_bytes())
}

fn scrubbed(raw: &str) -> Result<Scrubbed, ScrubFailure> {
    scrubbed_with(&Config::default(), raw)
}

#[track_caller]
fn text(raw: &str) -> String {
    String::from_utf8(scrubbed(raw).unwrap().body.into_bytes().to_vec()).unwrap()
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (raw, expected) in table {
        assert_eq!(text(raw), *expected, "{raw}");
    }
}

/// The sample of the documentation with the missing comma between its two connectors.
fn mended_sample() -> String {
    SAMPLE.replacen("    }\n    \"post", "    },\n    \"post", 1)
}

#[test]
fn the_sample_of_the_documentation_lacks_a_comma_and_does_not_pass() {
    assert_eq!(scrubbed(SAMPLE).unwrap_err(), ScrubFailure::BadJson);
}

#[test]
fn the_corrected_sample_passes_in_its_order_with_masked_user_names() {
    let raw = mended_sample();
    let compact: String = raw.lines().map(str::trim_start).collect::<String>().replace("\": ", "\":");
    assert_eq!(text(&raw), compact.replace("<USERNAME>", "******").replace("<USERNAME2>", "******"));
}

#[test]
fn the_user_names_of_the_corrected_sample_pass_if_the_operator_keeps_them() {
    let config = Config { usernames: UsernamePolicy::Keep, ..Config::default() };
    let scrubbed = scrubbed_with(&config, &mended_sample()).unwrap();
    let text = String::from_utf8_lossy(scrubbed.body.as_bytes()).into_owned();
    assert!(text.contains("\"<USERNAME>\"") && text.contains("\"<USERNAME2>\""));
    assert_eq!(scrubbed.removed, RemovedCounts::default());
}

#[test]
fn a_credential_is_masked_whatever_its_type() {
    for value in ["\"x\"", "true", "1", "{\"a\":1}", "[[\"x\"]]", "[null,0]", "\"******\""] {
        check(&[(&format!("{{\"a\":1,\"password\":{value}}}"), r#"{"a":1,"password":"******"}"#)]);
    }
}

#[test]
fn empty_values_are_not_masked() {
    let names = ["password", "pkcs12Value", "apiKey", "note", "targetUrl", "\u{e9}", "a=b", "@odata.context"];
    for (value, expected) in [("null", "null"), ("\"\"", "\"\""), ("{}", "{}"), ("[ ]", "[]"), ("{\n}", "{}")]
    {
        for name in names.into_iter().filter(|name| *name != "a=b") {
            check(&[(&format!("{{\"{name}\":{value}}}"), &format!("{{\"{name}\":{expected}}}"))]);
        }
    }
    let raw = r#"{"postFederationSignup":{"id":"","displayName":null,"targetUrl":"","authenticationConfiguration":{"@odata.type":null,"username":null,"password":null,"pkcs12Value":null,"certificateList":null}}}"#;
    let scrubbed = scrubbed(raw).unwrap();
    assert_eq!((scrubbed.body.as_bytes(), scrubbed.removed), (raw.as_bytes(), RemovedCounts::default()));
    assert_eq!(scrubbed.unknown, UnknownMembers::default());
}

#[test]
fn an_array_of_empty_values_is_not_masked() {
    check(&[
        (r#"{"password":[ null , "" ]}"#, r#"{"password":[null,""]}"#),
        (r#"{"apiKey":[[],{ },[null]]}"#, r#"{"apiKey":[[],{},[null]]}"#),
        (r#"{"apiKey":[{"":null}]}"#, r#"{"apiKey":"******"}"#),
        (r#"{"apiKey":["null"]}"#, r#"{"apiKey":"******"}"#),
        (r#"{"apiKey":["" , "x"]}"#, r#"{"apiKey":"******"}"#),
    ]);
}

#[test]
fn graphs_own_mask_is_kept_whatever_the_mask_is() {
    let raw = r#"{"password":"******","displayName":"******","targetUrl":"******","x":"******"}"#;
    for mask in ["", "***", "******", "REDACTED"] {
        let config = Config { mask: mask.to_owned(), ..Config::default() };
        let Scrubbed { body, removed, unknown } = scrubbed_with(&config, raw).unwrap();
        assert_eq!((body.as_bytes(), removed.total()), (raw.as_bytes(), 0), "{mask}");
        assert_eq!(unknown, UnknownMembers::default());
        let other = scrubbed_with(&config, r#"{"password":"*****"}"#).unwrap().removed.total();
        assert_eq!(other, 1, "{mask}");
    }
}

#[test]
fn an_action_keeps_title_and_target_whatever_its_name() {
    let target = "https://graph.microsoft.com/beta/identity/apiConnectors('1')/microsoft.graph.x";
    for name in ["uploadClientCertificate", "uploadPkcs12", "rotateSecret", "getToken"] {
        let member = |value: &str| format!(r##"{{"#microsoft.graph.{name}":{value}}}"##);
        let whole = format!(r#"{{"title":"microsoft.graph.{name}","target":"{target}"}}"#);
        let forged =
            r#"{"title":"hunter2","target":"https://evil.example/","code":83920184,"v":{"a":["x",1]}}"#;
        let clean = r#"{"title":"******","target":"******","code":"******","v":{"a":["******","******"]}}"#;
        for (raw, expected) in [
            (member("{}"), member("{}")),
            (member(&whole), member(&whole)),
            (member(&format!("[{whole},{whole}]")), member(&format!("[{whole},{whole}]"))),
            (member(forged), member(clean)),
            (member("\"hunter2\""), member("\"******\"")),
        ] {
            check(&[(&raw, &expected)]);
            let connector = |members: &str| format!("{{\"postFederationSignup\":{members}}}");
            check(&[(&connector(&raw), &connector(&expected))]);
        }
    }
    check(&[(r##"{"#microsoft.graph.getToken":7}"##, r##"{"#microsoft.graph.getToken":"******"}"##)]);
}

#[test]
fn a_byte_order_mark_is_dropped() {
    check(&[("\u{feff}{\"error\":{\"code\":\"c\"}}", r#"{"error":{"code":"c"}}"#), ("\u{feff} {}", "{}")]);
}

#[test]
fn no_spelling_of_a_name_hides_a_credential() {
    check(&[
        (r#"{"pa\u0073sword":1}"#, r#"{"pa\u0073sword":"******"}"#),
        (r#"{"\u0070\u0061\u0053\u0053word":1}"#, r#"{"\u0070\u0061\u0053\u0053word":"******"}"#),
        (r#"{"pa\u017f\u017fword":1}"#, r#"{"pa\u017f\u017fword":"******"}"#),
        (r#"{"pass\/word":1}"#, r#"{"******":"******"}"#),
        ("{\"to\u{212a}en\":1}", "{\"to\u{212a}en\":\"******\"}"),
        (r#"{"password@odata.type":"x"}"#, r#"{"password@odata.type":"******"}"#),
        (r##"{"password@odata.type":"#String"}"##, r##"{"password@odata.type":"#String"}"##),
        (r#"{"password":"******","password":"x"}"#, r#"{"password":"******","password":"******"}"#),
        (r#"{"a":[{"b":[[{"apiKey":1}]]}]}"#, r#"{"a":[{"b":[[{"apiKey":"******"}]]}]}"#),
    ]);
}

#[test]
fn values_without_credentials_are_kept_byte_for_byte_without_white_space() {
    check(&[
        ("{}", "{}"),
        (" { \"a\" : [ ] , \"b\" : { } }\r\n\t", r#"{"a":[],"b":{}}"#),
        ("\r{\r\"a\"\r:\r1\n,\n\"b\"\n:\n2\t}\t", r#"{"a":1,"b":2}"#),
        (
            "{\"n\":[9007199254740993,1e400,1.0,-0,1E+2,0.10]}",
            "{\"n\":[9007199254740993,1e400,1.0,-0,1E+2,0.10]}",
        ),
        (r#"{"a":1,"b":2,"a":3,"":4}"#, r#"{"a":1,"b":2,"a":3,"":4}"#),
        (
            r#"{"displayName":"\/ \u00e9 \ud83d\ude00 \" \\"}"#,
            r#"{"displayName":"\/ \u00e9 \ud83d\ude00 \" \\"}"#,
        ),
        ("{\"displayName\":\"\u{2028} x  y\"}", "{\"displayName\":\"\u{2028} x  y\"}"),
        (r#"{"preTokenIssuance":{"id":"x"}}"#, r#"{"preTokenIssuance":{"id":"x"}}"#),
        (r#"{"username":1,"certificateList":[1]}"#, r#"{"username":1,"certificateList":[1]}"#),
    ]);
    let digits = format!("{{\"n\":{}}}", "7".repeat(1000));
    assert_eq!(text(&digits), digits);
}

#[test]
fn an_error_of_graph_passes_whole() {
    let error = r#"{"error":{"code":"InvalidAuthenticationToken","message":"Access token is empty.","innerError":{"date":"2026-07-26T21:46:01","request-id":"x","client-request-id":"y"}}}"#;
    assert_eq!(text(error), error);
}

#[test]
fn annotations_pass_only_in_their_format() {
    let context = "\"https://graph.microsoft.com/beta/$metadata#identity/apiConnectors/$entity\"";
    let link = "\"identity/apiConnectors('1')\"";
    let mask = "\"******\"";
    for name in ["authenticationConfiguration", "onAttributeCollection", "notAfter", "password", "x"] {
        for (annotation, value, expected) in [
            ("odata.type", "\"#Int64\"", "\"#Int64\""),
            ("odata.type", "\"#Collection(microsoft.graph.x)\"", "\"#Collection(microsoft.graph.x)\""),
            ("type", "\"#String\"", "\"#String\""),
            ("odata.type", "\"x\"", mask),
            ("odata.context", context, if name == "password" { mask } else { context }),
            ("odata.navigationLink", link, if name == "password" { mask } else { link }),
            ("odata.count", "1234567", mask),
            ("odata.count", "\"1234567\"", mask),
            ("odata.context", "\"https://evil.example/$metadata#x\"", mask),
            ("odata.id", "\"https://graph.microsoft.com/x?code=hunter2\"", mask),
            ("odata.count", "1", if name == "password" { mask } else { "1" }),
            ("odata.count", "\"1\"", if name == "password" { mask } else { "\"1\"" }),
            ("odata.count", "\"hunter2\"", mask),
            ("odata.context", "null", "null"),
            ("odata.delta", "\"x\"", mask),
        ] {
            let note = |value| format!("{{\"{name}@{annotation}\":{value}}}");
            check(&[(&note(value), &note(expected))]);
        }
    }
    check(&[
        (
            r#"{"authenticationConfiguration@odata.type":{"x":1}}"#,
            r#"{"authenticationConfiguration@odata.type":"******"}"#,
        ),
        (r#"{"x@odata.type":{"x":1,"y":"z"}}"#, r#"{"x@odata.type":{"x":1,"y":"******"}}"#),
        (
            r#"{"x@odata.type":7,"password@odata.type":7}"#,
            r#"{"x@odata.type":7,"password@odata.type":"******"}"#,
        ),
    ]);
}

#[test]
fn the_full_metadata_of_graph_passes_whole() {
    let raw = r##"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_x')/apiConnectorConfiguration(postFederationSignup())","@odata.type":"#microsoft.graph.userFlowApiConnectorConfiguration","@odata.id":"https://graph.microsoft.com/beta/identity/b2xUserFlows('B2X_1_x')/apiConnectorConfiguration","postFederationSignup@odata.associationLink":"https://graph.microsoft.com/beta/identity/b2xUserFlows('B2X_1_x')/apiConnectorConfiguration/postFederationSignup/$ref","postFederationSignup":{"@odata.type":"#microsoft.graph.identityApiConnector","@odata.editLink":"identity/apiConnectors('74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d')","id":"74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d","displayName":"Test API Connector 1","targetUrl":"https://someapi.com/api/endpoint","authenticationConfiguration":{"@odata.type":"#microsoft.graph.clientCertificateAuthentication","certificateList@odata.type":"#Collection(microsoft.graph.pkcs12CertificateInformation)","certificateList@odata.count":1,"certificateList":[{"@type":"#microsoft.graph.pkcs12CertificateInformation","thumbprint":"0EB255CB","notAfter@odata.type":"#Int64","notAfter":1666350522,"notBefore@odata.type":"#Int64","notBefore":"1508670522","isActive":true}]},"#microsoft.graph.uploadClientCertificate":{"title":"microsoft.graph.uploadClientCertificate","target":"https://graph.microsoft.com/beta/identity/apiConnectors('74d13179')/microsoft.graph.uploadClientCertificate"}}}"##;
    let scrubbed = scrubbed(raw).unwrap();
    assert_eq!(String::from_utf8_lossy(scrubbed.body.as_bytes()), raw);
    assert_eq!(scrubbed.removed, RemovedCounts::default());
}

#[test]
fn links_to_the_configured_server_pass() {
    let raw = r#"{"@odata.context":"http://127.0.0.1:8099/beta/$metadata#x"}"#;
    let base_url = ::url::Url::parse("http://127.0.0.1:8099").unwrap();
    let scrubber = Scrubber::new(&Config::default(), 1 << 20);
    assert_ne!(scrubber.scrub(raw.as_bytes()).unwrap().body.as_bytes(), raw.as_bytes());
    let trusting = scrubber.clone().with_trusted_base_url(&base_url);
    assert_eq!(trusting.scrub(raw.as_bytes()).unwrap().body.as_bytes(), raw.as_bytes());
    assert_ne!(scrubber.policy_bytes(), trusting.policy_bytes());
}

#[test]
fn a_target_url_is_scrubbed_wherever_it_is() {
    check(&[
        (r#"{"targetUrl":"https://h/?code=x"}"#, r#"{"targetUrl":"https://h/?code=******"}"#),
        (
            r#"{"onX":[{"TARGET_URL":"https:\/\/h\/?code=x"}]}"#,
            r#"{"onX":[{"TARGET_URL":"https://h/?code=******"}]}"#,
        ),
        (r#"{"a":[{"TARGET_URL":"https:\/\/h\/?code=x"}]}"#, r#"{"a":[{"TARGET_URL":"******"}]}"#),
        (r#"{"targetUrl":"https:\/\/h\/"}"#, r#"{"targetUrl":"https:\/\/h\/"}"#),
        (r#"{"targetUrl":null}"#, r#"{"targetUrl":null}"#),
        (r#"{"targetUrl":["https://h/"]}"#, r#"{"targetUrl":"******"}"#),
        (r#"{"targetUrl":1}"#, r#"{"targetUrl":"******"}"#),
        (r#"{"targetUrl":"ftp://x"}"#, r#"{"targetUrl":"******"}"#),
        (r#"{"targetUrl@x":"https://u:p@h/?code=x"}"#, r#"{"targetUrl@x":"https://h/?code=******"}"#),
        (r#"{"targetUrl@x":{"a":"https://h/?code=x"}}"#, r#"{"targetUrl@x":"******"}"#),
        (r##"{"targetUrl@odata.type":"#String"}"##, r##"{"targetUrl@odata.type":"#String"}"##),
        (r#"{"targetUrls":["https://h/?code=x"]}"#, r#"{"targetUrls":"******"}"#),
    ]);
}

#[test]
fn the_public_parameters_of_a_logic_app_are_kept_by_default() {
    let url = "https://h/run?api-version=2016-06-01&sp=%2Frun&sv=1.0&se=2027-01-01T00%3A00%3A00Z&sig=";
    let (raw, expected) = (format!("{url}x"), format!("{url}******"));
    check(&[(&format!("{{\"targetUrl\":\"{raw}\"}}"), &format!("{{\"targetUrl\":\"{expected}\"}}"))]);
}

#[test]
fn each_changed_member_counts_once_under_its_rule() {
    let raw = r#"{"password":"x","password":"******","apiKey":7,"targetUrl":"https://u:p@h/?a=1&b=2#c",
        "TargetUrl":"ftp://x","displayName":"https://u:p@h Bearer hunter2","id":"a b","z":["x","y"],
        "authenticationConfiguration":{"username":"x","password":"y","z":{"a":[1,2]},"w":"x","certificateList":7}}"#;
    let Scrubbed { removed, unknown, .. } = scrubbed(raw).unwrap();
    let counts: Vec<_> = removed.iter().collect();
    assert_eq!(
        counts,
        [
            (ScrubbedField::Password, 2),
            (ScrubbedField::Key, 1),
            (ScrubbedField::Username, 1),
            (ScrubbedField::Authentication, 3),
            (ScrubbedField::Text, 1),
            (ScrubbedField::Unknown, 4),
            (ScrubbedField::TargetUrl, 2),
        ]
    );
    assert_eq!(removed.total(), 14);
    assert_eq!(unknown.iter().map(ToString::to_string).collect::<Vec<_>>(), ["id", "z", "w"]);
}

#[test]
fn nothing_counts_in_a_body_that_was_scrubbed_before() {
    let once = text(r#"{"password":"x","targetUrl":"https://u@h/?a=1","authenticationConfiguration":[1]}"#);
    let twice = scrubbed(&once).unwrap();
    assert_eq!(twice.removed.total(), 0);
    assert_eq!(twice.body.as_bytes(), once.as_bytes());
}

#[test]
fn a_body_of_200_000_members_keeps_them_all() {
    let members: Vec<_> = (0..200_000).map(|number| format!("\"{number}\":0")).collect();
    let raw = format!("{{{}}}", members.join(","));
    let body = Scrubber::new(&Config::default(), raw.len()).scrub(raw.as_bytes()).unwrap().body;
    assert!(body.as_bytes() == raw.as_bytes());
}

#[test]
fn with_any_mask_the_result_is_valid_json_and_stable() {
    let raw = r#"{"password":1,"targetUrl":"ftp://x","a":{"targetUrl":"https://h/?a=1&b"},
        "authenticationConfiguration":{"@odata.type":1,"username":1,"certificateList":[{"notAfter":"x"}]}}"#;
    for mask in ["", "\"\\\n", "https://u:p@h/?x=y", "null", "12", "microsoft.graph.x", "a&b=c", "\u{e9}"] {
        for usernames in [UsernamePolicy::Mask, UsernamePolicy::Keep] {
            let config = Config { mask: mask.to_owned(), usernames, ..Config::default() };
            let once = scrubbed_with(&config, raw).unwrap().body;
            let value: serde_json::Value = serde_json::from_slice(once.as_bytes()).unwrap();
            assert_eq!(value["password"], mask);
            let twice = Scrubber::new(&config, 1 << 20).scrub(once.as_bytes()).unwrap().body;
            assert_eq!(twice.as_bytes(), once.as_bytes(), "{mask:?}");
        }
    }
}

#[test]
fn the_policy_is_stable_and_changes_with_every_setting() {
    let default = Config::default();
    let list = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let configs = [
        default.clone(),
        Config { mask: "x".to_owned(), ..default.clone() },
        Config { usernames: UsernamePolicy::Keep, ..default.clone() },
        Config { unknown: UnknownPolicy::Keep, ..default.clone() },
        Config { allow_fields: list(&["ab"]), ..default.clone() },
        Config { extra_fields: list(&["ab"]), ..default.clone() },
        Config { extra_fields: list(&["cd"]), ..default.clone() },
        Config { extra_fields: list(&["a", "b"]), ..default.clone() },
        Config { extra_fields: list(&["a", "bc"]), ..default.clone() },
        Config { extra_fields: list(&["ab", "c"]), ..default.clone() },
        Config {
            extra_fields: list(&["api-version"]),
            keep_query: list(&["sp", "sv", "se"]),
            ..default.clone()
        },
        Config { keep_query: list(&[]), ..default },
    ];
    let policies: Vec<_> =
        configs.iter().map(|config| Scrubber::new(config, 1).policy_bytes().to_vec()).collect();
    for (at, policy) in policies.iter().enumerate() {
        assert_eq!(Scrubber::new(&configs[at], 2).policy_bytes(), policy);
        assert!(!policies[..at].contains(policy), "{:?}", configs[at]);
    }
}

#[test]
fn debug_shows_only_the_length_of_a_body() {
    let body = scrubbed("{\"a\":123}").unwrap().body;
    assert_eq!((body.len(), format!("{body:?}").as_str()), (9, "ScrubbedBody(9 bytes)"));
}

/// The response in the documentation of this resource, unchanged.
const SAMPLE: &str = include_str!("tests/documented_response.txt");
