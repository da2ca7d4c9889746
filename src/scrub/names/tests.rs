use super::*;

fn names() -> Names {
    Names::new(&["X-Custom Field".to_owned(), "\u{200b}-".to_owned(), "@odata.count".to_owned()])
}

fn field(name: &str) -> Option<ScrubbedField> {
    match names().meaning(name) {
        Meaning::Credential(field) => Some(field),
        _ => None,
    }
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
        // What goes on after the word, so that the word itself is looked for.
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
fn both_sides_of_an_annotation_are_judged() {
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
fn an_innocent_name_covers_nothing_but_itself() {
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
fn the_operator_can_name_what_is_innocent_by_itself() {
    let names = Names::new(&["preTokenIssuance".to_owned(), "targetUrl".to_owned()]);
    for name in ["preTokenIssuance", "preTokenIssuance@odata.context", "targetURL"] {
        assert_eq!(names.meaning(name), Meaning::Credential(Extra), "{name}");
    }
}

#[test]
fn the_members_with_rules_of_their_own_are_found_in_any_spelling() {
    let table = [
        ("AuthenticationConfiguration", Meaning::Authentication),
        ("authentication_configuration", Meaning::Authentication),
        ("authenticationConfiguration@odata.type", Meaning::AuthenticationContext),
        ("authenticationConfiguration@odata.context", Meaning::AuthenticationContext),
        ("authenticationConfiguration@odata.delta", Meaning::AuthenticationAnnotation),
        ("authenticationConfiguration@odata.type@odata.type", Meaning::AuthenticationAnnotation),
        ("authenticationConfigurations", Meaning::Authentication),
        ("authenticationConfigurations@odata.type", Meaning::AuthenticationContext),
        ("authenticationConfigurations@odata.context", Meaning::AuthenticationContext),
        ("authenticationConfigurations@odata.count", Meaning::AuthenticationAnnotation),
        ("authenticationConfigurationss", Meaning::Other),
        ("TargetURL", Meaning::TargetUrl),
        ("targetUrls", Meaning::TargetUrl),
        ("targetUrl@x", Meaning::TargetUrl),
        ("target_url@odata.context", Meaning::TargetUrl),
        ("targetUrl@odata.type@x", Meaning::TargetUrl),
        ("targetUrls@x", Meaning::TargetUrl),
        ("targetUrls@odata.type", Meaning::Other),
        ("x@targetUrl", Meaning::Other),
        ("x@odata.type", Meaning::Other),
        ("@odata.types", Meaning::Other),
        ("targetUrl@odata.type", Meaning::Other),
        ("odata.type", Meaning::Other),
        ("@odata.type", Meaning::TypeAnnotation),
        ("user-name", Meaning::Username),
        ("username@odata.type", Meaning::Other),
    ];
    for (name, meaning) in table {
        assert_eq!(names().meaning(name), meaning, "{name}");
    }
}

#[test]
fn every_word_to_look_for_is_folded_and_has_two_letters_where_it_is_looked_for() {
    for (words, at_end) in [(HELD, false), (ENDS, true)] {
        for word in words.iter().flat_map(|(_, words)| *words) {
            let from = if at_end { word.len() - 2 } else { 0 };
            assert!(word.as_bytes()[from..from + 2].iter().all(u8::is_ascii_lowercase), "{word}");
            assert_eq!(fold(word), *word);
        }
    }
}

#[test]
fn what_is_judged_beforehand_is_judged_by_the_operators_words_too() {
    let names = Names::new(&["display name".to_owned(), "ID".to_owned()]);
    for name in ["displayName", "id"] {
        assert_eq!(names.meaning(name), Meaning::Credential(Extra), "{name}");
    }
    assert_eq!(names.meaning("targetUrl"), Meaning::TargetUrl);
}
