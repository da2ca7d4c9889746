use super::*;

fn with_extra(names: &[&str]) -> MemberNames {
    MemberNames::new(&Config {
        extra_fields: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Config::default()
    })
}

fn names() -> MemberNames {
    with_extra(&["X-Custom Field", "\u{200b}-", "@odata.count"])
}

fn field(name: &str) -> Option<ScrubbedField> {
    names().find_credential_word(name)
}

#[test]
fn names_of_credentials_are_known_with_their_field() {
    let table: &[(ScrubbedField, &[&str])] = &[
        (Password, &["password", "oldPassword", "passwordHash", "userPwd", "passwd", "pass", "passphrase"]),
        (
            Password,
            &["passcode", "PIN", "otp", "certPassword1", "usernameAndPassword", "pw", "pinCode", "TOTP"],
        ),
        (Secret, &["secret", "clientSecret", "secretText", "client_secret_v2", "appSecrets"]),
        (
            Token,
            &["token", "access_token", "refreshToken", "idTokenHint", "client-assertion", "jwt", "bearer"],
        ),
        (Token, &["SAMLResponse", "jwe", "JWS", "signedJws"]),
        (Key, &["key", "keys", "Key1", "primaryKey", "apiKey", "api_keys", "x-functions-key", "keyMaterial"]),
        (Key, &["Ocp-Apim-Subscription-Key", "symmetricKeyInfo", "accountKeyBase64", "keyValue", "jwks"]),
        (Key, &["commonKey", "addonKey", "daemonKeys", "hockeyKey", "hmac", "JWK"]),
        (Key, &["bodyHmac", "clientJwk", "clientJwks"]),
        // Names that continue after the word, so that the index and not the suffix finds it.
        (
            Key,
            &["apiKeyHeader", "accessKeyId", "accountKeyName", "sharedKeyLite", "symKeyHex", "masterKeyUri"],
        ),
        (Key, &["signingKeyPath", "encryptionKeySource", "subscriptionKeyHeader", "hostKeyList"]),
        (Key, &["functionKeyCode", "functionsKeyCode", "keyData", "keyBytes", "keyBlob", "keyContents"]),
        (Key, &["keyStringValue", "keyPairs", "keychainItem", "keyringFile", "keytabFile", "keyBase64Url"]),
        (Certificate, &["pkcs12Value", "pfx", "pfxBase64", "privateKey", "private", "pem", "certPem", "p12"]),
        (Certificate, &["pkcs8Der", "pemFile", "p12Value"]),
        (ConnectionString, &["connectionString", "sqlConnStr", "DSN", "sas", "blobSas", "sasUrl", "SAS2"]),
        (ConnectionString, &["SharedAccessSignature", "primaryConnectionStr", "sas_uri"]),
        (ConnectionString, &["sentryDsn", "blobSasUrl", "containerSasUri"]),
        (
            Credential,
            &["credential", "passkeyCredentials", "Authorization", "proxy-authorization", "Set-Cookie"],
        ),
        (Credential, &["cookies", "sig", "hmacSig", "signature", "signatureValue", "auth", "awsCreds"]),
        (
            Credential,
            &["authorisation", "code_verifier", "authCode", "auth-header", "basicAuth", "CRED", "userCred"],
        ),
    ];
    for (expected, list) in table {
        for name in *list {
            assert_eq!(field(name), Some(*expected), "{name}");
        }
    }
}

#[test]
fn ordinary_names_are_not_taken_for_credentials() {
    let ordinary = "id displayName targetUrl authenticationConfiguration username certificateList thumbprint isActive
        notAfter notBefore postFederationSignup postAttributeCollection preTokenIssuance PreTokenIssuance
        preTokenIssuance@odata.context preTokenIssuance@odata.navigationLink @odata.type @odata.context @odata.etag
        postFederationSignup@odata.context error code message innerError date request-id client-request-id
        target details value status keyboard keyword keyId keyUsage keynote monkey monkeys donkey turkey hockey jockey design
        assigned assignment signIn config passenger compass passive bypass oauth spin spins kansasCity hasAssets tempEmail
        topEmployees step12 group12 encoder codec description emailAddress authentication authority author
        credit sacred cook caskets tokyo insertion pinned spinning opinion totpage userFlowType locale";
    for name in ordinary.split_whitespace() {
        assert_eq!(field(name), None, "{name}");
    }
}

#[test]
fn no_spelling_hides_a_credential() {
    let spellings = [
        "PASSWORD",
        "pass-word",
        "pass_word",
        "pass word",
        "pass.word",
        "pa\u{200b}ss\u{feff}word",
        "pa\u{17f}\u{17f}word",
        "pa\u{df}word",
        "pa\u{1e9e}word",
        "to\u{212a}en",
        "p\u{301}assword",
        "\u{0}password\u{0}",
        "cl\u{130}entSecret",
        "s\u{131}gnature",
        "pass@word",
        "to@ken",
        "sec@ret@odata.type",
    ];
    for name in spellings {
        assert!(field(name).is_some(), "{name:?}");
    }
}

#[test]
fn both_sides_of_an_annotation_are_checked() {
    for name in [
        "password@odata.type",
        "key1@odata.type",
        "@odata.token",
        "x@secret.y",
        "a@b@sas",
        "@password",
        "key@",
    ] {
        assert!(field(name).is_some(), "{name}");
    }
}

#[test]
fn an_allowlisted_name_is_compared_whole() {
    for name in [
        "preTokenIssuanceSecret",
        "preTokenIssuances",
        "preTokenIssuance@token",
        "preTokenIssuance@pass@word",
    ] {
        assert!(field(name).is_some(), "{name}");
    }
}

#[test]
fn the_operators_names_match_whole_and_folded() {
    for name in ["xcustomfield", "X_CUSTOM_FIELD", "xCustomField@odata.type", "@OData.Count"] {
        assert_eq!(field(name), Some(Extra), "{name}");
    }
    for name in ["xCustomField2", "myXCustomField", "", "-", "@", "x@odata.count"] {
        assert_eq!(field(name), None, "{name}");
    }
}

#[test]
fn the_operator_can_list_an_allowlisted_name() {
    let names = with_extra(&["preTokenIssuance", "targetUrl"]);
    for name in ["preTokenIssuance", "preTokenIssuance@odata.context", "targetURL"] {
        assert_eq!(names.classify(name), FieldClass::Credential(Extra), "{name}");
    }
}

#[test]
fn each_name_has_its_class() {
    let known = FieldClass::Known;
    let note = |term| FieldClass::Annotation(term, None);
    let of_authentication = |term| FieldClass::Annotation(term, Some(Authentication));
    let table = [
        ("AuthenticationConfiguration", known(Member::Authentication)),
        ("authentication_configuration", known(Member::Authentication)),
        ("authenticationConfigurations", known(Member::Authentication)),
        ("authenticationConfigurationss", FieldClass::Unknown),
        ("authenticationConfiguration@odata.type", of_authentication(AnnotationTerm::Type)),
        ("authenticationConfiguration@odata.context", of_authentication(AnnotationTerm::Link)),
        ("authenticationConfiguration@odata.delta", FieldClass::Credential(Authentication)),
        ("authenticationConfiguration@odata.type@odata.type", FieldClass::Credential(Authentication)),
        ("authenticationConfigurations@odata.count", of_authentication(AnnotationTerm::Count)),
        ("TargetURL", known(Member::TargetUrl)),
        ("target_urls", known(Member::TargetUrl)),
        ("targetUrl@x", known(Member::TargetUrl)),
        ("targetUrl@odata.type@x", known(Member::TargetUrl)),
        ("targetUrl@odata.type", FieldClass::Annotation(AnnotationTerm::Type, Some(TargetUrl))),
        ("x@targetUrl", FieldClass::Unknown),
        ("x@odata.type", note(AnnotationTerm::Type)),
        ("notAfter@type", note(AnnotationTerm::Type)),
        ("@odata.type", note(AnnotationTerm::OwnType)),
        ("@Type", note(AnnotationTerm::OwnType)),
        ("@odata.types", FieldClass::Unknown),
        ("odata.type", FieldClass::Unknown),
        ("@odata.context", note(AnnotationTerm::Link)),
        ("x@odata.navigationLink", note(AnnotationTerm::Link)),
        ("x@odata.nextLink", FieldClass::Unknown),
        ("certificateList@odata.count", note(AnnotationTerm::Count)),
        ("password@odata.type", FieldClass::Annotation(AnnotationTerm::Type, Some(Password))),
        ("password@odata.note", FieldClass::Credential(Password)),
        ("\u{e9}@odata.type", FieldClass::NonAscii),
        ("#microsoft.graph.uploadClientCertificate", FieldClass::Action(None)),
        ("#microsoft.graph.rotateSecret", FieldClass::Action(Some(Secret))),
        ("#microsoft.graph.", FieldClass::Unknown),
        ("preTokenIssuance", FieldClass::Step(None)),
        ("postTokenIssuance", FieldClass::Step(Some(Token))),
        ("posttokenissuance", FieldClass::Credential(Token)),
        ("INNERERROR", known(Member::InnerError)),
        ("display-name", FieldClass::Unknown),
        ("displ\u{430}yName", FieldClass::NonAscii),
        ("id\u{200b}", FieldClass::NonAscii),
        ("user-name", FieldClass::Unknown),
        ("", FieldClass::Unknown),
    ];
    for (name, field_class) in table {
        assert_eq!(names().classify(name), field_class, "{name}");
    }
}

#[test]
fn a_name_that_could_be_a_credential_itself_is_suspicious() {
    let (longest, longer) = ("x".repeat(64), "x".repeat(65));
    for name in [
        "aHVudGVyMDA=",
        "Bearer hunter",
        "basic hunter",
        "https://h/x",
        "-----BEGIN x",
        "0123456789abcdef",
        "74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d",
        &longer,
        &format!("{longer}@odata.type"),
    ] {
        assert_eq!(names().classify(name), FieldClass::Suspicious, "{name}");
    }
    for name in ["12345678", "x-functions", "utm2024", "a b", &longest, &format!("{longest}@x")] {
        assert_eq!(names().classify(name), FieldClass::Unknown, "{name}");
    }
}

#[test]
fn allowed_names_are_compared_exactly_and_beat_credential_words_but_not_the_schema() {
    let allow = ["tokenHint", "displayName", "Password", "notes"].map(str::to_owned).to_vec();
    let extra = vec!["Notes".to_owned()];
    let names = MemberNames::new(&Config { allow_fields: allow, extra_fields: extra, ..Config::default() });
    for (name, field_class) in [
        ("tokenHint", FieldClass::Allowed),
        ("TokenHint", FieldClass::Credential(Token)),
        ("displayName", FieldClass::Known(Member::DisplayName)),
        ("Password", FieldClass::Credential(Password)),
        ("notes", FieldClass::Credential(Extra)),
    ] {
        assert_eq!(names.classify(name), field_class, "{name}");
    }
}

#[test]
fn if_unknown_text_is_kept_no_name_is_suspicious() {
    let names = MemberNames::new(&Config { unknown: UnknownPolicy::Keep, ..Config::default() });
    for name in ["aHVudGVyMDA=", "\u{e9}", "0123456789abcdef"] {
        assert_eq!(names.classify(name), FieldClass::Unknown, "{name}");
    }
}

#[test]
fn every_keyword_is_folded_and_has_two_letters_at_its_indexed_end() {
    for (words, at_end) in [(CONTAINS, false), (SUFFIXES, true)] {
        for word in words.iter().flat_map(|(_, words)| *words) {
            let from = if at_end { word.len() - 2 } else { 0 };
            assert!(word.as_bytes()[from..from + 2].iter().all(u8::is_ascii_lowercase), "{word}");
            assert_eq!(fold(word), *word);
        }
    }
}

#[test]
fn common_names_are_also_checked_against_the_operators_names() {
    let names = with_extra(&["display name", "ID"]);
    for name in ["displayName", "id"] {
        assert_eq!(names.classify(name), FieldClass::Credential(Extra), "{name}");
    }
    assert_eq!(names.classify("targetUrl"), FieldClass::Known(Member::TargetUrl));
}
