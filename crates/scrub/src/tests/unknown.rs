//! Strings that the schema does not know.

use super::*;

fn connector(members: &str) -> String {
    format!("{{\"postFederationSignup\":{{{members}}}}}")
}

#[test]
fn an_unknown_string_is_masked_whatever_its_name() {
    for (members, expected) in [
        (
            r#""headers":[{"name":"x-functions-key","value":"hunter2"}]"#,
            r#""headers":[{"name":"******","value":"******"}]"#,
        ),
        (r#""key":"Authorization","value":"Bearer hunter2""#, r#""key":"******","value":"******""#),
        (r#""settings":"{\"password\":\"hunter2\"}""#, r#""settings":"******""#),
        (
            r#""authHeaderValue":"hunter2","dbUrl":"x://u:p@h""#,
            r#""authHeaderValue":"******","dbUrl":"******""#,
        ),
        (r#""certPemData":"MII","clientP12":"MII""#, r#""certPemData":"******","clientP12":"******""#),
        (
            r#""callbackUrl":"https://u:p@h/","webhookUrl":"https://h/?code=x""#,
            r#""callbackUrl":"******","webhookUrl":"******""#,
        ),
        ("\"p\u{430}ssword\":\"hunter2\"", "\"p\u{430}ssword\":\"******\""),
        ("\"p\u{430}ssword\":31337,\"x\":[1,true]", "\"p\u{430}ssword\":\"******\",\"x\":[1,true]"),
        ("\"p\u{430}sswords\":[31337,{\"a\":1}]", "\"p\u{430}sswords\":[\"******\",{\"a\":1}]"),
        (r#""a":["x",["y",{"b":"z"}],null,""]"#, r#""a":["******",["******",{"b":"******"}],null,""]"#),
        (r#""display-name":"x","displayName ":"x""#, r#""display-name":"******","displayName ":"******""#),
        (r#""DisplayName":"x","ID":"y""#, r#""DisplayName":"x","ID":"y""#),
        (r#""username":"x","message":"x""#, r#""username":"******","message":"******""#),
        (r#""date":"2026-07-26","thumbprint":"0E""#, r#""date":"******","thumbprint":"******""#),
    ] {
        check(&[(&connector(members), &connector(expected))]);
    }
}

#[test]
fn numbers_booleans_and_null_pass_unless_a_credential_word_names_them() {
    check(&[(
        r#"{"retries":3,"isOn":true,"off":null,"pin":1234,"secrets":true,"apiKey":null,"version":[1,2.5]}"#,
        r#"{"retries":3,"isOn":true,"off":null,"pin":"******","secrets":"******","apiKey":null,"version":[1,2.5]}"#,
    )]);
}

#[test]
fn a_new_step_keeps_the_known_members_of_its_connector() {
    let members = r##"{"id":"1","displayName":"d","targetUrl":"https://h/x","authenticationConfiguration":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"u","password":"p"},"note":"n"}"##;
    let clean = r##"{"id":"1","displayName":"d","targetUrl":"https://h/x","authenticationConfiguration":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"******","password":"******"},"note":"******"}"##;
    for name in ["postTokenIssuance", "onPasswordReset", "preCredentialCheck"] {
        let step = |value: &str| format!("{{\"{name}\":{value}}}");
        let array = |value: &str| format!("{{\"{name}\":[{value},[{value}]]}}");
        check(&[(&step(members), &step(clean)), (&array(members), &array(clean))]);
    }
    check(&[
        (r#"{"postTokenIssuance":"hunter2"}"#, r#"{"postTokenIssuance":"******"}"#),
        (r#"{"postTokenIssuance":31337}"#, r#"{"postTokenIssuance":"******"}"#),
        (
            r#"{"postTokenIssuance":[31337,"x",{"id":"1"}]}"#,
            r#"{"postTokenIssuance":["******","******",{"id":"1"}]}"#,
        ),
        (r#"{"postTokenIssuance":null}"#, r#"{"postTokenIssuance":null}"#),
        (
            r#"{"x":{"onOtpSend":{"id":"1"},"onSend":{"id":"1","onSend":{"id":"1"}}}}"#,
            r#"{"x":{"onOtpSend":{"id":"1"},"onSend":{"id":"1","onSend":{"id":"******"}}}}"#,
        ),
        (r#"{"x":{"postTokenIssuance":{"id":"1"}}}"#, r#"{"x":{"postTokenIssuance":"******"}}"#),
        (r#"{"onceToken":{"id":"1"}}"#, r#"{"onceToken":"******"}"#),
    ]);
}

#[test]
fn an_object_without_step_or_type_of_a_connector_keeps_no_string() {
    for name in ["authConfig", "authenticationConfigurationV2", "headers", "wrapper", "value", "\u{e9}"] {
        for (raw, expected) in [
            (
                r#"{"displayName":"S","id":"S","targetUrl":"https://h/","n":1}"#,
                r#"{"displayName":"******","id":"******","targetUrl":"******","n":1}"#,
            ),
            (
                r#"[{"displayName":"S","id":"x-functions-key"}]"#,
                r#"[{"displayName":"******","id":"******"}]"#,
            ),
            (
                r##"[{"displayName":"d","id":"1","@odata.type":"#microsoft.graph.identityApiConnector"}]"##,
                r##"[{"displayName":"d","id":"1","@odata.type":"#microsoft.graph.identityApiConnector"}]"##,
            ),
        ] {
            let member = |value: &str| format!("{{\"{name}\":{value}}}");
            check(&[
                (&member(raw), &member(expected)),
                (&connector(&format!("\"{name}\":{raw}")), &connector(&format!("\"{name}\":{expected}"))),
            ]);
        }
    }
}

#[test]
fn a_type_that_does_not_belong_to_the_position_seals_the_object_wherever_it_stands() {
    for basic in ["#microsoft.graph.basicAuthentication", "#microsoft.graph.x", "microsoft.graph.x"] {
        let first = |members: &str| format!("{{\"@odata.type\":\"{basic}\",{members}}}");
        let last = |members: &str| format!("{{{members},\"@odata.type\":\"{basic}\"}}");
        let raw = r#""displayName":"S","id":"S","targetUrl":"https://h/","v":[72,117]"#;
        let clean = r#""displayName":"******","id":"******","targetUrl":"******","v":["******","******"]"#;
        let step = |object: String| format!("{{\"postFederationSignup\":{object}}}");
        let unknown = |object: String| format!("{{\"x\":[{object}]}}");
        check(&[
            (&first(raw), &first(clean)),
            (&last(raw), &last(clean)),
            (&step(first(raw)), &step(first(clean))),
            (&step(last(raw)), &step(last(clean))),
            (&unknown(first(raw)), &unknown(first(clean))),
            (&unknown(last(raw)), &unknown(last(clean))),
        ]);
    }
}

#[test]
fn a_name_followed_by_a_credential_is_masked_with_its_value() {
    for name in [
        "password:S",
        "password S",
        "password=S",
        "x-functions-key: S",
        "token\u{ff1a}S",
        "password/S",
        "Hunt3rZq8wLk2mN7pXv",
        "x-Hunt3rZq8wLk2mN7pXv",
        "x@Hunt3rZq8wLk2mN7pXv",
    ] {
        check(&[(&format!("{{\"{name}\":1}}"), r#"{"******":"******"}"#)]);
    }
}

#[test]
fn a_code_of_a_credential_is_masked_if_it_is_a_number() {
    for name in ["securityCode", "access_code", "totpSeed", "verificationCode", "otpCode", "accessPin"] {
        check(&[(&format!("{{\"{name}\":83920184}}"), &format!("{{\"{name}\":\"******\"}}"))]);
    }
    check(&[(r#"{"postalCode":83920184}"#, r#"{"postalCode":83920184}"#)]);
}

#[test]
fn an_annotation_of_a_credential_is_masked() {
    for (annotation, value) in [
        ("odata.count", "\"8392018412345\""),
        ("odata.count", "83920184"),
        ("odata.id", "\"https://graph.microsoft.com/S\""),
        ("odata.editLink", "\"identity/S\""),
    ] {
        check(&[(
            &format!("{{\"password@{annotation}\":{value}}}"),
            &format!("{{\"password@{annotation}\":\"******\"}}"),
        )]);
    }
}

#[test]
fn a_known_type_is_known_in_any_position() {
    check(&[
        (
            r##"{"config":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"u","id":"x","v":"w"}}"##,
            r##"{"config":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"******","id":"******","v":"******"}}"##,
        ),
        (
            r##"{"c":{"@odata.type":"#microsoft.graph.pkcs12CertificateInformation","thumbprint":"0E","id":"x"}}"##,
            r##"{"c":{"@odata.type":"#microsoft.graph.pkcs12CertificateInformation","thumbprint":"0E","id":"******"}}"##,
        ),
    ]);
    let raw = r##"{"config":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"u"},"b":{"username":"v"}}"##;
    let config = Config { usernames: UsernamePolicy::Keep, ..Config::default() };
    let text = scrubbed_with(&config, raw).unwrap().body;
    assert_eq!(String::from_utf8_lossy(text.as_bytes()), raw.replace("\"v\"", "\"******\""));
}

#[test]
fn an_object_in_the_place_of_a_string_keeps_no_string() {
    check(&[
        (r#"{"displayName":{"id":"x","a":[1,"y"]}}"#, r#"{"displayName":{"id":"******","a":[1,"******"]}}"#),
        (r#"{"displayName":["x"],"id":["y"]}"#, r#"{"displayName":["******"],"id":["******"]}"#),
        (r#"{"displayName":7,"id":true}"#, r#"{"displayName":7,"id":true}"#),
    ]);
}

#[test]
fn an_error_keeps_the_members_of_graphs_error_object() {
    let error = r#"{"error":{"code":"BadRequest","message":"m","target":"t","details":[{"code":"c","message":"m","target":"t"}],"innererror":{"code":"c","message":"m","date":"2026-07-26T21:46:01","request-id":"5f571e91-72d8","client-request-id":"x","status":"429","type":"Microsoft.OData.ODataException","innerError":{"code":"d"}}}}"#;
    check(&[(error, error)]);
    check(&[
        (
            r#"{"error":{"id":"x","displayName":"y","targetUrl":"https://h/","trace":"z","inner":{"message":"m"}}}"#,
            r#"{"error":{"id":"******","displayName":"******","targetUrl":"******","trace":"******","inner":{"message":"******"}}}"#,
        ),
        (
            r#"{"error":{"message":"Bearer hunter2 at https://u:p@h/?code=x","innerError":{"date":"hunter2","request-id":"a b"}}}"#,
            r#"{"error":{"message":"Bearer ****** at https://h/?code=******","innerError":{"date":"******","request-id":"******"}}}"#,
        ),
        (
            r#"{"error":"hunter2","error_description":"x"}"#,
            r#"{"error":"******","error_description":"******"}"#,
        ),
        (
            r#"{"error":["x",{"code":"c"}],"code":"c"}"#,
            r#"{"error":["******",{"code":"c"}],"code":"******"}"#,
        ),
        (r#"{"a":{"error":{"code":"c"}}}"#, r#"{"a":{"error":{"code":"******"}}}"#),
    ]);
}

#[test]
fn credentials_in_known_text_are_masked_in_their_part() {
    check(&[
        (
            r#"{"displayName":"x Bearer hunter2","id":"Bearer hunter2"}"#,
            r#"{"displayName":"x Bearer ******","id":"******"}"#,
        ),
        (r#"{"displayName":"a\nb \"https:\/\/u:p@h\/\""}"#, r#"{"displayName":"a\nb \"https://h/\""}"#),
        (r#"{"id":"https://u:p@h/","ID":"a\tb"}"#, r#"{"id":"******","ID":"******"}"#),
    ]);
}

#[test]
fn a_name_that_could_be_a_credential_is_masked_with_its_value() {
    let long = "x".repeat(65);
    for name in ["aHVudGVyMDA=", "0123456789abcdef", "Bearer x", &long] {
        for value in ["1", "\"x\"", "{\"id\":\"x\"}", "[1]"] {
            check(&[(&format!("{{\"{name}\":{value}}}"), r#"{"******":"******"}"#)]);
        }
        check(&[(&format!("{{\"{name}\":null}}"), r#"{"******":null}"#)]);
    }
    let scrubbed = scrubbed(r#"{"aHVudGVyMDA=":"x"}"#).unwrap();
    assert_eq!(
        scrubbed.unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a name that is not shown"]
    );
}

#[test]
fn a_member_that_the_operator_allows_passes_but_for_credentials_in_it() {
    let config =
        Config { allow_fields: vec!["note".to_owned(), "tokenHint".to_owned()], ..Config::default() };
    let raw = r#"{"note":"x","a":{"note":["y","Bearer hunter2",{"note":"z","b":"w"}]},"tokenHint":"h","Note":"n","note2":"n","authenticationConfiguration":{"note":"x"}}"#;
    let expected = r#"{"note":"x","a":{"note":["y","Bearer ******",{"note":"z","b":"******"}]},"tokenHint":"h","Note":"******","note2":"******","authenticationConfiguration":{"note":"x"}}"#;
    let scrubbed = scrubbed_with(&config, raw).unwrap();
    assert_eq!(String::from_utf8_lossy(scrubbed.body.as_bytes()), expected);
}

#[test]
fn if_unknown_text_is_kept_credential_words_and_authentication_configurations_are_still_masked() {
    let config = Config { unknown: UnknownPolicy::Keep, ..Config::default() };
    let raw = "{\"name\":\"x\",\"p\u{430}ss\":5,\"apiKey\":\"y\",\"a\":[\"z\",{\"username\":\"u\",\"x@odata.context\":\"v\"}],\"target_url\":\"https://h/?code=x\",\"authenticationConfiguration\":{\"name\":\"x\",\"a\":{\"b\":\"c\"}}}";
    let expected = "{\"name\":\"x\",\"p\u{430}ss\":5,\"apiKey\":\"******\",\"a\":[\"z\",{\"username\":\"u\",\"x@odata.context\":\"v\"}],\"target_url\":\"https://h/?code=******\",\"authenticationConfiguration\":{\"name\":\"******\",\"a\":{\"b\":\"******\"}}}";
    let scrubbed = scrubbed_with(&config, raw).unwrap();
    assert_eq!(String::from_utf8_lossy(scrubbed.body.as_bytes()), expected);
}
