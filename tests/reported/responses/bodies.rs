//! Bodies: empty credentials, annotations, steps, byte order marks, content codings and URLs.

use super::harness::{BODY, Harness, cache_status};
use crate::common::reply::{Reply, gzip, gzip_coded};

fn connector(members: &str) -> String {
    format!(r#"{{"postFederationSignup":{{"id":"1","displayName":"d",{members}}}}}"#)
}

fn authentication(members: &str) -> String {
    connector(&format!(
        r##""authenticationConfiguration":{{"@odata.type":"#microsoft.graph.basicAuthentication",{members}}}"##
    ))
}

#[tokio::test]
async fn c1_an_empty_credential_is_neither_masked_nor_counted() {
    let mut harness = Harness::start().await;
    for empty in ["null", r#""""#, "[]", "{}", "[null]", r#""******""#] {
        for name in ["password", "username", "pkcs12Value", "certificateList", "clientSecret"] {
            harness.passes_unchanged(&authentication(&format!(r#""{name}":{empty}"#))).await;
        }
        for name in ["targetUrl", "authenticationConfiguration"] {
            harness.passes_unchanged(&connector(&format!(r#""{name}":{empty}"#))).await;
        }
    }
    harness.becomes(&authentication(r#""password":"x""#), &authentication(r#""password":"******""#)).await;
    harness.stop().await;
}

#[tokio::test]
async fn c1_graphs_own_mask_is_kept_under_another_mask() {
    let mut harness = Harness::with(|config| config.scrub.mask = "REDACTED".to_owned()).await;
    harness.passes_unchanged(&authentication(r#""username":"******","password":"******""#)).await;
    harness.becomes(&authentication(r#""password":"x""#), &authentication(r#""password":"REDACTED""#)).await;
    harness.stop().await;
}

#[tokio::test]
async fn c2_annotations_of_full_metadata_pass() {
    let mut harness = Harness::start().await;
    harness
        .passes_unchanged(&connector(
            r##""displayName@odata.type":"#String","authenticationConfiguration":{"@odata.type":"#microsoft.graph.clientCertificateAuthentication","certificateList@odata.type":"#Collection(microsoft.graph.pkcs12CertificateInformation)","certificateList@odata.count":1,"certificateList":[{"@type":"#microsoft.graph.pkcs12CertificateInformation","notAfter@odata.type":"#Int64","notAfter":1666350522,"notBefore@type":"Int64","notBefore":1508670522}]}"##,
        ))
        .await;
    let flow = "https://graph.microsoft.com/beta/identity/b2xUserFlows('B2X_1_SignUp2023V2')/apiConnectorConfiguration";
    for (name, value) in [
        ("x@odata.type", "#Collection(String)"),
        ("x@odata.type", "#Collection(microsoft.graph.identityApiConnector)"),
        ("password@odata.type", "#String"),
        ("x@type", "Untyped"),
        ("x@odata.type", "#GeographyPoint"),
        ("@odata.id", flow),
        ("postFederationSignup@odata.navigationLink", "postFederationSignup"),
        ("postFederationSignup@odata.associationLink", "identity/apiConnectors('1')/$ref"),
        ("@odata.editLink", "apiConnectorConfiguration/postFederationSignup"),
        ("postTokenIssuance@odata.navigationLink", flow),
    ] {
        harness.passes_unchanged(&format!(r#"{{"{name}":"{value}"}}"#)).await;
    }
    for action in ["uploadClientCertificate", "rotateSecret"] {
        let target = format!("{flow}/postFederationSignup/microsoft.graph.{action}");
        harness
            .passes_unchanged(&connector(&format!(
                r##""#microsoft.graph.{action}":{{"title":"microsoft.graph.{action}","target":"{target}"}}"##
            )))
            .await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn c2_a_forged_annotation_is_masked() {
    let mut harness = Harness::start().await;
    for (name, value) in [
        ("notAfter@odata.type", r#""hunter2""#),
        ("x@odata.type", r##""#q8wLk2mN7pXvR4tY""##),
        ("x@odata.type", r##""#microsoft.graph.q8wLk2mN7pXvR4tY""##),
        ("certificateList@odata.count", r#""hunter2""#),
        ("certificateList@odata.count", "8392018412345"),
        ("@odata.id", r#""https://graph.microsoft.com/x?code=hunter2""#),
        ("@odata.id", r#""https://graph.microsoft.com/q8wLk2mN7pXvR4tY""#),
        ("x@odata.navigationLink", r#""https://evil.example/hunter2""#),
        ("#microsoft.graph.rotateSecret", r#""hunter2""#),
    ] {
        harness.becomes(&format!(r#"{{"{name}":{value}}}"#), &format!(r#"{{"{name}":"******"}}"#)).await;
    }
    harness
        .becomes(
            &connector(
                r##""#microsoft.graph.getToken":{"title":"hunter2","target":"https://evil.example/","x":1}"##,
            ),
            &connector(r##""#microsoft.graph.getToken":{"title":"******","target":"******","x":"******"}"##),
        )
        .await;
    harness.stop().await;
}

#[tokio::test]
async fn c3_the_name_of_a_step_is_no_credential_word() {
    let mut harness = Harness::start().await;
    for step in
        ["postTokenIssuance", "preTokenIssuance", "onTokenIssuanceStart", "onPasswordSubmit", "preKeyUse"]
    {
        let step = |username: &str, password: &str| {
            format!(
                r##"{{"{step}@odata.context":"https://graph.microsoft.com/beta/$metadata#identity/x/$entity","{step}":{{"id":"1","displayName":"d","targetUrl":"https://h/x","authenticationConfiguration":{{"@odata.type":"#microsoft.graph.basicAuthentication","username":"{username}","password":"{password}"}}}}}}"##
            )
        };
        harness.passes_unchanged(&step("******", "******")).await;
        harness.becomes(&step("hunter1", "hunter2"), &step("******", "******")).await;
    }
    for (value, expected) in [
        (r#""hunter2""#, r#""******""#),
        ("31337", r#""******""#),
        (r#"["hunter2",31337,{"x":"hunter2"}]"#, r#"["******","******",{"x":"******"}]"#),
        (r#"{"value":"hunter2","token":7}"#, r#"{"value":"******","token":"******"}"#),
    ] {
        let step = |value: &str| format!(r#"{{"postTokenIssuance":{value}}}"#);
        harness.becomes(&step(value), &step(expected)).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn c4_a_body_with_a_byte_order_mark_is_read_without_it() {
    let mut harness = Harness::start().await;
    let error = r#"{"error":{"code":"Request_ResourceNotFound","message":"Resource does not exist."}}"#;
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let reply = Reply::json(format!("\u{feff}{error}")).status_of(status);
        let response = harness.play(reply).await;
        assert_eq!((response.status, response.text()), (status, error));
        harness.proxy.clock.advance(std::time::Duration::from_secs(6));
    }
    let response = harness.play(Reply::json(format!("\u{feff}{BODY}")).gzip()).await;
    assert_eq!((response.status, response.text()), (200, BODY));
    harness.stop().await;
}

#[tokio::test]
async fn c6_the_members_of_a_gzip_body_are_joined() {
    let mut harness = Harness::start().await;
    let (first, second) = BODY.as_bytes().split_at(17);
    let parts = [
        vec![gzip(first), gzip(second)],
        vec![gzip(b""), gzip(BODY.as_bytes()), gzip(b"")],
        BODY.as_bytes().chunks(7).map(gzip).collect(),
        vec![gzip(BODY.as_bytes()), vec![0; 512]],
    ];
    for parts in parts {
        let response = harness.play(gzip_coded(parts.concat())).await;
        assert_eq!((response.status, response.text()), (200, BODY));
    }
    let whole = gzip(BODY.as_bytes());
    let broken: [&[&[u8]]; 5] = [
        &[&whole, b"junk"],
        &[&whole, &whole[..whole.len() - 1]],
        &[&whole, &[0, 0], b"junk"],
        &[&whole, &[0; 9], &whole],
        &[&whole[..12], &whole],
    ];
    for parts in broken {
        let response = harness.play(gzip_coded(parts.concat())).await;
        let expected = "connector-cache; fwd=uri-miss; detail=encoding";
        assert_eq!((response.status, cache_status(&response)), (502, expected), "{parts:?}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn c6_empty_members_and_identity_in_content_encoding_are_skipped() {
    let mut harness = Harness::start().await;
    let gzipped = gzip(BODY.as_bytes());
    for lines in [
        &["gzip,"] as &[&str],
        &[", gzip"],
        &["gzip, identity"],
        &["identity,,x-gzip"],
        &["", "gzip"],
        &["gzip", "identity"],
    ] {
        let reply = |body: &[u8]| {
            lines.iter().fold(Reply::json(body), |it, line| it.header("content-encoding", line))
        };
        let response = harness.play(reply(&gzipped)).await;
        assert_eq!((response.status, response.text()), (200, BODY), "{lines:?}");
    }
    let plain = Reply::json(BODY).header("content-encoding", "identity").header("content-encoding", " ,");
    assert_eq!(harness.play(plain).await.status, 200);
    // Two codings are two, in one line or in two.
    for lines in [&["gzip, gzip"] as &[&str], &["gzip", "gzip"], &["br", "gzip"]] {
        let twice = gzip(&gzipped);
        let reply = lines.iter().fold(Reply::json(twice), |it, line| it.header("content-encoding", line));
        let response = harness.play(reply).await;
        assert_eq!(cache_status(&response), "connector-cache; fwd=uri-miss; detail=encoding", "{lines:?}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn c6_the_limit_bounds_the_sum_of_the_members() {
    let mut harness = Harness::with(|config| config.upstream.max_body = 4096).await;
    let body = format!(r#"{{"displayName":"{}"}}"#, "x".repeat(4096 - 18));
    let (first, second) = body.as_bytes().split_at(2048);
    let response = harness.play(gzip_coded([gzip(first), gzip(second)].concat())).await;
    assert_eq!((response.status, response.text()), (200, &*body));
    let response = harness.play(gzip_coded([gzip(first), gzip(second), gzip(b" ")].concat())).await;
    assert_eq!(cache_status(&response), "connector-cache; fwd=uri-miss; detail=too-large");
    harness.stop().await;
}

#[tokio::test]
async fn c9_a_target_url_without_anything_to_hide_is_unchanged() {
    let mut harness = Harness::start().await;
    for url in [
        "https://h/{tenant}/x",
        "https://{tenant}.h.example/x",
        "https://h/a b",
        " https://h/x ",
        "https://b\u{fc}cher.example/\u{e9}",
        "HTTPS://EXAMPLE.com:443/X",
        "http://example.com:80",
        "https://h/%7btenant%7D/%2e%2e/a%20b",
        "https://h/x?",
        "https://h/x#",
        "https://h./x|y",
        "https://EXAMPLE.com:443/{tenant}?api-version=1&sp={tenant}",
    ] {
        harness.passes_unchanged(&connector(&format!(r#""targetUrl":"{url}""#))).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn c9_masking_changes_only_the_masked_parts() {
    let mut harness = Harness::start().await;
    for (url, expected) in [
        ("https://EXAMPLE.com:443/{tenant}?code=x", "https://EXAMPLE.com:443/{tenant}?code=******"),
        ("https://u:p@b\u{fc}cher.example/a b", "https://b\u{fc}cher.example/a b"),
        ("https://H/{a}?x={b}&sv=1", "https://H/{a}?x=******&sv=1"),
        ("https://H/{a}#secret", "https://H/{a}"),
        ("https://h/code=hunter2/../{x}", "https://h/code=******/../{x}"),
    ] {
        let member = |url: &str| connector(&format!(r#""targetUrl":"{url}""#));
        harness.becomes(&member(url), &member(expected)).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn a7_int64_properties_may_be_strings_of_digits() {
    let mut harness = Harness::start().await;
    let list = |value: &str| {
        connector(&format!(
            r#""authenticationConfiguration":{{"certificateList":[{{"notAfter":{value},"notBefore":{value}}}]}}"#
        ))
    };
    for value in [r#""1666350522""#, r#""-1""#, r#""9223372036854775807""#, "1666350522"] {
        harness.passes_unchanged(&list(value)).await;
    }
    for value in [r#""hunter2""#, r#""1666350522 ""#, r#""12345678901234567890""#, r#""1e9""#] {
        harness.becomes(&list(value), &list(r#""******""#)).await;
    }
    harness.stop().await;
}
