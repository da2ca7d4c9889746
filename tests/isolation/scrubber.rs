//! Credentials in positions that no list of keywords covers.

use connector_cache::config::Config;
use connector_cache::scrub::UnknownPolicy;
use connector_cache::scrub::{ScrubFailure, ScrubbedField};

use crate::common::client::Response;
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::token;

/// A proxy before a scripted Graph.
struct Stage {
    origin: OriginServer,
    proxy: Proxy,
    subjects: usize,
}

impl Stage {
    async fn set() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        let proxy = Proxy::with(&origin.url(), change).await;
        Self { origin, proxy, subjects: 0 }
    }

    /// Lets Graph send this response to a new caller. Returns the miss and the hit.
    async fn answers(&mut self, reply: Reply) -> (Response, Response) {
        self.subjects += 1;
        self.origin.any(reply);
        let token = token::mint(&format!("subject-{}", self.subjects));
        (self.proxy.read(&token).await, self.proxy.read(&token).await)
    }

    /// Returns the scrubbed text of a body, which is the same in a miss, a hit and an error response.
    async fn body(&mut self, raw: &str) -> String {
        let (miss, hit) = self.answers(Reply::json(raw)).await;
        assert_eq!((miss.status, hit.status), (200, 200), "{raw}");
        assert!(hit.header("cache-status").unwrap().contains("; hit"), "{hit:?}");
        let (refused, _) = self.answers(Reply::json(raw).with_status(403)).await;
        assert_eq!(refused.status, 403);
        assert_eq!((hit.text(), refused.text()), (miss.text(), miss.text()));
        miss.text().to_owned()
    }

    async fn check(&mut self, raw: &str, expected: &str) {
        assert_eq!(self.body(raw).await, expected, "{raw}");
    }

    async fn passes(&mut self, raw: &str) {
        self.check(raw, raw).await;
    }

    async fn clear(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

/// A configuration with one connector that has these members.
fn connector(members: &str) -> String {
    format!(r#"{{"postFederationSignup":{{"id":"74d13179","displayName":"Fraud check",{members}}}}}"#)
}

#[tokio::test]
async fn a_string_that_graphs_schema_does_not_know_is_masked_whatever_its_name() {
    let mut stage = Stage::set().await;
    for (raw, expected) in [
        (
            r#""headers":[{"name":"x-functions-key","value":"hunter2"}]"#,
            r#""headers":[{"name":"******","value":"******"}]"#,
        ),
        (
            r#""headers":[{"key":"Authorization","value":"Bearer hunter2"}]"#,
            r#""headers":[{"key":"******","value":"******"}]"#,
        ),
        (r#""settings":"{\"password\":\"hunter2\"}""#, r#""settings":"******""#),
        (
            r#""authHeaderValue":"hunter2","certPemData":"MIIhunter2""#,
            r#""authHeaderValue":"******","certPemData":"******""#,
        ),
        (r#""clientP12":"hunter2","dbUrl":"sql://u:hunter2@h""#, r#""clientP12":"******","dbUrl":"******""#),
        (
            r#""callbackUrl":"https://u:hunter2@h/","webhookUrl":"https://h/?code=hunter2""#,
            r#""callbackUrl":"******","webhookUrl":"******""#,
        ),
        (
            "\"p\u{430}ssword\":\"hunter2\",\"api\u{212b}ey\":31337",
            "\"p\u{430}ssword\":\"******\",\"api\u{212b}ey\":\"******\"",
        ),
        (
            r#""tags":["hunter2",["hunter2"]],"size":3,"on":true"#,
            r#""tags":["******",["******"]],"size":3,"on":true"#,
        ),
        (
            r#""displayName":{"a":"hunter2"},"id":["hunter2"]"#,
            r#""displayName":{"a":"******"},"id":["******"]"#,
        ),
        (r#""aHVudGVyMg==":1,"aHVudGVyMw==":"x""#, r#""******":"******","******":"******""#),
    ] {
        stage.check(&connector(raw), &connector(expected)).await;
    }
    let unknown = stage.proxy.series("connector_cache_scrubbed_total{field=\"unknown\"}").await;
    assert!(unknown > 20.0, "{unknown} were counted");
    stage.clear().await;
}

#[tokio::test]
async fn the_user_name_of_a_known_authentication_type_is_masked_under_another_member_name() {
    let mut stage = Stage::set().await;
    for name in ["config", "authentication", "authenticationSettings", "clientConfig"] {
        let config = |user: &str| {
            connector(&format!(
                r##""{name}":{{"@odata.type":"#microsoft.graph.basicAuthentication","username":"{user}","login":"{user}","id":"{user}"}}"##
            ))
        };
        stage.check(&config("hunter2"), &config("******")).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn a_target_url_carries_no_credential_in_any_part_of_its_query_or_path() {
    let mut stage = Stage::set().await;
    for (raw, expected) in [
        ("https://h/x?aHVudGVyMkZGRkZGRkZGRkZGMDA=", "https://h/x?******"),
        ("https://h/x?aHVudGVyMDA==", "https://h/x?******"),
        ("https://h/x?hunter2", "https://h/x?******"),
        ("https://h/x?sv=1&aHVudGVyMkZGRkZGRkZGRkZGRkZGRkZG=1", "https://h/x?sv=1&******"),
        ("https://h/x?hun%20ter2=1", "https://h/x?******"),
        ("https://h/x;code=hunter2/y", "https://h/x;code=******/y"),
        ("https://h/x%3Fcode=hunter2", "https://h/x%3F******"),
        ("https://h/https://hunter2@other/", "https://h/https://******@other/"),
        ("https://u:hunter2@h/x#hunter2", "https://h/x"),
    ] {
        let target = |url: &str| connector(&format!("\"targetUrl\":\"{url}\""));
        stage.check(&target(raw), &target(expected)).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn credentials_in_the_text_of_names_and_messages_are_masked_in_their_part() {
    let mut stage = Stage::set().await;
    for (raw, expected) in [
        ("at https://u:hunter2@h/x now", "at https://h/x now"),
        ("see https://h/x?code=hunter2.", "see https://h/x?code=******."),
        ("Bearer hunter2 was refused", "Bearer ****** was refused"),
        ("Basic dTpodW50ZXIy", "Basic ******"),
        ("-----BEGIN PRIVATE KEY-----hunter2-----END PRIVATE KEY----- x", "****** x"),
        (r#"got {\"name\":\"x-functions-key\",\"value\":\"hunter2\"}"#, "got ******"),
        ("AccountKey=hunter2==", "AccountKey=******"),
    ] {
        let name = |text: &str| format!(r#"{{"postFederationSignup":{{"displayName":"{text}"}}}}"#);
        stage.check(&name(raw), &name(expected)).await;
        let error = |text: &str| {
            format!(r#"{{"error":{{"code":"c","message":"{text}","details":[{{"message":"{text}"}}]}}}}"#)
        };
        stage.check(&error(raw), &error(expected)).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn a_content_type_says_utf_8_whatever_charset_graph_names() {
    let mut stage = Stage::set().await;
    let raw = r#"{"displayName":"+AG8-"}"#;
    for charset in ["utf-16", "UTF-7", "iso-8859-1;charset=utf-8", "\"utf-16le\""] {
        let reply = || {
            Reply::status(200)
                .body(raw)
                .header("content-type", &format!("application/json;odata.metadata=none;charset={charset}"))
        };
        let (miss, hit) = stage.answers(reply()).await;
        let (refused, _) = stage.answers(reply().with_status(404)).await;
        for (response, status) in [(miss, 200), (hit, 200), (refused, 404)] {
            let media_type = response.header("content-type").unwrap().to_ascii_lowercase();
            assert_eq!((response.status, response.text()), (status, raw));
            assert!(media_type.ends_with("charset=utf-8"), "{media_type}");
            assert_eq!(media_type.matches("charset").count(), 1, "{media_type}");
        }
    }
    let utf16: Vec<u8> = raw.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (refused, again) = stage.answers(Reply::json(utf16)).await;
    assert_eq!((refused.status, again.status), (502, 502));
    assert_eq!(stage.proxy.metrics.scrub_failures.get(ScrubFailure::BadJson), 2);
    stage.clear().await;
}

#[tokio::test]
async fn empty_values_are_not_masked() {
    let mut stage = Stage::set().await;
    for raw in [
        // Cases C1, C2 and C9.
        r#"{"postFederationSignup":{"targetUrl":"","authenticationConfiguration":{"username":null,"password":null,"pkcs12Value":null}}}"#,
        r##"{"postFederationSignup":{"authenticationConfiguration":{"@type":"#microsoft.graph.clientCertificateAuthentication","certificateList@odata.type":"#Collection(microsoft.graph.pkcs12CertificateInformation)","certificateList@odata.count":1,"certificateList":[{"notAfter@odata.type":"#Int64","notAfter":1666350522}]}}}"##,
        &connector(r#""targetUrl":"https://{tenant}.example/{tenant}/a b""#),
        &connector("\"targetUrl\":\"HTTPS://b\u{fc}cher.example/\u{e9}\""),
        r#"{"error":{"code":"BadRequest","message":"Parsing OData failed.","innerError":{"date":"2026-07-26T21:46:01","request-id":"5f571e91-72d8-4c9a-8f0e-93e4f8cdef31"}}}"#,
    ] {
        stage.passes(raw).await;
    }
    let masked: u64 = [
        ScrubbedField::Unknown,
        ScrubbedField::Authentication,
        ScrubbedField::TargetUrl,
        ScrubbedField::Password,
        ScrubbedField::Username,
        ScrubbedField::Certificate,
    ]
    .map(|field| stage.proxy.metrics.scrubbed.get(field))
    .iter()
    .sum();
    assert_eq!(masked, 0);
    stage.clear().await;
}

#[tokio::test]
async fn a_new_step_keeps_the_known_members_of_its_connector() {
    let mut stage = Stage::set().await;
    for step in ["postTokenIssuance", "onPasswordReset"] {
        let body = |secret: &str| {
            format!(
                r##"{{"{step}@odata.context":"https://graph.microsoft.com/beta/$metadata#identity/apiConnectors/$entity","{step}":{{"id":"1","displayName":"d","targetUrl":"https://h/x","note":"{secret}","authenticationConfiguration":{{"@odata.type":"#microsoft.graph.basicAuthentication","username":"{secret}","password":"{secret}"}}}}}}"##
            )
        };
        stage.check(&body("hunter2"), &body("******")).await;
        let scalar = |value: &str| format!(r#"{{"{step}":{value}}}"#);
        stage.check(&scalar("\"hunter2\""), &scalar("\"******\"")).await;
    }
    stage.clear().await;
}

#[tokio::test]
async fn a_byte_order_mark_hides_neither_a_response_nor_the_message_of_an_error() {
    let mut stage = Stage::set().await;
    let error = r#"{"error":{"code":"BadRequest","message":"m"}}"#;
    assert_eq!(stage.body(&format!("\u{feff}{error}")).await, error);
    stage.clear().await;
}

#[tokio::test]
async fn the_operator_can_keep_unknown_text_or_some_of_it() {
    let raw = connector(r#""note":"n","memo":"m Bearer hunter2","clientSecret":"hunter2""#);
    let mut keeping = Stage::with(|config| config.scrub.unknown = UnknownPolicy::Keep).await;
    let kept = connector(r#""note":"n","memo":"m Bearer hunter2","clientSecret":"******""#);
    keeping.check(&raw, &kept).await;
    keeping.clear().await;
    let mut allowing = Stage::with(|config| config.scrub.allow_fields = vec!["memo".to_owned()]).await;
    let allowed = connector(r#""note":"******","memo":"m Bearer ******","clientSecret":"******""#);
    allowing.check(&raw, &allowed).await;
    allowing.clear().await;
}

#[tokio::test]
async fn one_line_a_minute_names_a_member_that_graph_has_not_sent_before() {
    let origin = OriginServer::start().await;
    let url = origin.url();
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    for (subject, members) in [
        ("a", r#""newMember":"hunter2""#),
        ("b", r#""newMember":"hunter2""#),
        ("c", r#""otherMember":"hunter2","hunter2 \n":"x""#),
    ] {
        origin.any(Reply::json(connector(members)));
        assert_eq!(serve.get(&path("B2X_1_x"), &token::mint(subject)).await.status, 200);
    }
    let (status, log, _) = serve.stop().await;
    assert!(status.success());
    let lines: Vec<_> = log.iter().filter(|line| line.contains("scrub.allow_fields")).collect();
    assert_eq!(lines.len(), 1, "{log:?}");
    assert!(lines[0].contains("newMember") && !log.concat().contains("hunter2"), "{log:?}");
    origin.finish().await;
}
