//! Wrong requests of callers over a real socket: no request to Graph, or the documented one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::Bypass;
use connector_cache::http::rejection::Rejection;
use connector_cache::support::labels::Label as _;

use crate::common::client::{Client, Response};
use crate::common::proxy::path;
use crate::common::token;
use crate::harness::{Harness, STORED, cache_status, ok};

/// Sends one request line with these fields, on a connection of its own.
async fn get(harness: &Harness, target: &str, fields: &str) -> Response {
    let mut client = Client::connect(harness.proxy.data).await;
    let host = harness.proxy.data;
    client.send(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n")).await.unwrap();
    client.response().await.unwrap()
}

fn bearer(subject: &str) -> String {
    format!("authorization: Bearer {}\r\n", token::mint(subject))
}

/// Asserts that each target is refused with this status and reason, is counted once, and causes no request to Graph.
async fn refused(harness: &Harness, targets: &[String], status: u16, reason: Rejection) {
    for target in targets {
        let (requests, counted) = (harness.origin.requests(), harness.proxy.metrics.rejected.get(reason));
        let response = get(harness, target, &bearer("a")).await;
        let expected = format!("connector-cache; detail={reason}");
        assert_eq!((response.status, cache_status(&response)), (status, expected.as_str()), "{target}");
        assert_eq!(harness.proxy.metrics.rejected.get(reason), counted + 1, "{target}");
        assert_eq!(harness.origin.requests(), requests, "{target}");
    }
}

fn of_flow(flow: &str) -> String {
    format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration")
}

async fn harness() -> Harness {
    let harness = Harness::start().await;
    harness.origin.any(ok());
    harness
}

#[tokio::test]
async fn f31_a_path_that_hides_another_is_400_without_a_request_to_graph() {
    let harness = harness().await;
    let hidden = ["..%2f", "%2e%2e/", "%252f", "%c0%ae", "%00", "%0d%0a", "a%0d%0aHost:%20b"].map(of_flow);
    refused(&harness, &hidden, 400, Rejection::PercentInPath).await;
    refused(&harness, &["..", "..\\", "a;b", "a.b", "a,b", "a'b", "."].map(of_flow), 400, Rejection::FlowId)
        .await;
    refused(&harness, &["../x", "a/../b", "./a"].map(of_flow), 404, Rejection::Path).await;
    harness.stop().await;
}

#[tokio::test]
async fn f32_a_path_with_a_part_that_is_empty_or_endless_is_refused() {
    let harness = harness().await;
    let slashes = [format!("/{}", of_flow("x")), of_flow("x").replace("/identity", "///identity")];
    refused(&harness, &slashes, 404, Rejection::Path).await;
    refused(&harness, &["", &"x".repeat(129), &"x".repeat(8_000)].map(of_flow), 400, Rejection::FlowId).await;
    let endless = get(&harness, &of_flow(&"x".repeat(20 << 10)), &bearer("a")).await;
    assert_eq!(endless.status, 414);
    assert_eq!(harness.origin.requests(), 0);
    harness.stop().await;
}

#[tokio::test]
async fn f33_the_id_in_parentheses_is_the_same_entry_as_the_id_behind_a_slash() {
    let harness = harness().await;
    let parentheses = "/beta/identity/b2xUserFlows('x')/apiConnectorConfiguration";
    assert_eq!(cache_status(&get(&harness, parentheses, &bearer("a")).await), STORED);
    let hit = get(&harness, &of_flow("x"), &bearer("a")).await;
    assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300");
    let seen = harness.origin.seen();
    assert_eq!((seen.len(), seen[0].target.as_str()), (1, of_flow("x").as_str()));
    harness.stop().await;
}

#[tokio::test]
async fn f34_another_case_of_a_path_is_the_same_entry_and_another_case_of_an_id_is_another_flow() {
    let harness = harness().await;
    assert_eq!(cache_status(&get(&harness, &of_flow("B2X"), &bearer("a")).await), STORED);
    let cases = [
        of_flow("B2X").replace("beta", "BETA"),
        of_flow("B2X").replace("identity", "Identity"),
        of_flow("B2X").replace("b2xUserFlows", "b2xuserflows"),
        of_flow("B2X").replace("apiConnector", "ApiConnector"),
    ];
    for case in &cases {
        let hit = get(&harness, case, &bearer("a")).await;
        assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300", "{case}");
    }
    assert_eq!(cache_status(&get(&harness, &of_flow("b2x"), &bearer("a")).await), STORED);
    assert_eq!(harness.origin.requests(), 2, "two flows cause two requests");
    harness.stop().await;
}

#[tokio::test]
async fn f35_an_option_twice_is_400_and_encoded_or_in_capitals_it_is_the_same() {
    let harness = harness().await;
    let with = |query: &str| format!("{}?{query}", of_flow("x"));
    let bad = [
        "$expand=postFederationSignup&$expand=postFederationSignup",
        "$expand=postFederationSignup&%24expand=postAttributeCollection",
        "$expand=postFederationSignup&$EXPAND=postFederationSignup",
        "$top=1",
    ];
    refused(&harness, &bad.map(with), 400, Rejection::Query).await;
    assert_eq!(
        cache_status(&get(&harness, &with("$expand=postFederationSignup"), &bearer("a")).await),
        STORED
    );
    for same in [
        "%24expand=postFederationSignup",
        "expand=postFederationSignup",
        "$expand=postFederationSignup&",
        "$EXPAND=postFederationSignup",
    ] {
        let hit = get(&harness, &with(same), &bearer("a")).await;
        assert_eq!(cache_status(&hit), "connector-cache; hit; ttl=300", "{same}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn f36_a_long_token_occupies_no_more_memory_than_a_short_one() {
    let harness = harness().await;
    let mut weights = Vec::new();
    for padding in [0, 16 << 10] {
        let before = harness.proxy.series("connector_cache_bytes").await;
        let token = format!("{}{}", token::mint(&format!("padded-{padding:05}")), "x".repeat(padding));
        let field = format!("authorization: Bearer {token}\r\n");
        assert_eq!(cache_status(&get(&harness, &path("B2X_1_x"), &field).await), STORED);
        assert!(cache_status(&get(&harness, &path("B2X_1_x"), &field).await).contains("; hit;"));
        weights.push(harness.proxy.series("connector_cache_bytes").await - before);
    }
    assert!((weights[0] - weights[1]).abs() < 1.0, "{weights:?}");
    harness.stop().await;
}

#[tokio::test]
async fn f37_credentials_in_two_lines_or_odd_forms_are_refused_and_the_scheme_is_case_insensitive() {
    let harness = harness().await;
    let (one, other) = (token::mint("a"), token::mint("b"));
    for (fields, status, reason) in [
        (
            format!("authorization: Bearer {one}\r\nauthorization: Bearer {other}\r\n"),
            400,
            Rejection::SeveralTokens,
        ),
        (format!("authorization: Bearer {one}, Bearer {other}\r\n"), 400, Rejection::SeveralTokens),
        (format!("authorization: Bearer\t{one}\r\n"), 401, Rejection::TokenForm),
        (format!("authorization: Bearer {one} {other}\r\n"), 401, Rejection::TokenForm),
        ("authorization: Bearer\r\n".to_owned(), 401, Rejection::NoToken),
        (format!("authorization: Basic {one}\r\n"), 401, Rejection::Scheme),
    ] {
        let response = get(&harness, &path("B2X_1_x"), &fields).await;
        let expected = format!("connector-cache; detail={reason}");
        assert_eq!((response.status, cache_status(&response)), (status, expected.as_str()), "{fields}");
    }
    assert_eq!(harness.origin.requests(), 0);
    // Blanks around a value are not part of it (RFC 9110, section 5.5).
    for fields in [format!("authorization: bearer {one}\r\n"), format!("authorization: BEARER {one}  \r\n")] {
        assert_eq!(get(&harness, &path("B2X_1_x"), &fields).await.status, 200, "{fields}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn f38_f39_a_token_that_cannot_be_read_is_passed_through_each_time_and_never_stored() {
    let harness = harness().await;
    let token = |payload: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
    let good = URL_SAFE_NO_PAD.decode(token::mint("odd").split('.').nth(1).unwrap()).unwrap();
    let good = String::from_utf8(good).unwrap();
    let exp = |exp: &str| {
        let mut claims: serde_json::Value = serde_json::from_str(&good).unwrap();
        claims.as_object_mut().unwrap().remove("exp");
        let rest = claims.to_string();
        token(&if exp.is_empty() { rest } else { format!("{{\"exp\":{exp},{}", &rest[1..]) })
    };
    let cases = [
        ("opaque".to_owned(), Bypass::Opaque),
        ("a.b".to_owned(), Bypass::Opaque),
        ("a.b.c.d.e".to_owned(), Bypass::Opaque),
        ("a.~~.c".to_owned(), Bypass::Opaque),
        (format!("a.{}.c", URL_SAFE_NO_PAD.encode(b"\x1f\x8b\x08\x00")), Bypass::Unreadable),
        (exp(""), Bypass::ExpUnusable),
        (exp("null"), Bypass::ExpUnusable),
        (exp("1790000000000"), Bypass::ExpUnusable),
        (exp("\"1790000000\""), Bypass::ExpUnusable),
        (exp("1.79e9"), Bypass::ExpUnusable),
        (exp("-1"), Bypass::ExpUnusable),
        (exp("1e300"), Bypass::ExpUnusable),
        (exp("9223372036854775808"), Bypass::ExpUnusable),
        (exp("1790000000,\"exp\":1790000001"), Bypass::Unreadable),
        (exp("1500000000"), Bypass::Expiring),
    ];
    for (token, reason) in cases {
        for _ in 0..2 {
            let requests = harness.origin.requests();
            let response =
                get(&harness, &path("B2X_1_x"), &format!("authorization: Bearer {token}\r\n")).await;
            let expected = format!("connector-cache; fwd=bypass; fwd-status=200; detail={}", reason.as_str());
            assert_eq!((response.status, cache_status(&response)), (200, expected.as_str()), "{token}");
            assert_eq!(harness.origin.requests(), requests + 1);
        }
    }
    harness.stop().await;
}
