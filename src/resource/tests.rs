//! Which requests have equal resources, which have different ones, and which are rejected.

use std::collections::{HashMap, HashSet};

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

const PATH: &str = "/beta/identity/b2xUserFlows/B2X_1_test/apiConnectorConfiguration";

fn parse(path: &str, query: &str) -> Result<Resource, Rejection> {
    Resource::parse(path, Some(query), &HeaderMap::new(), ApiVersion::Beta)
}

fn target(query: &str) -> String {
    parse(PATH, query).unwrap_or_else(|reason| panic!("{query}: {reason}")).target()
}

#[test]
fn the_documented_request_is_forwarded_as_documented() {
    let query = "$expand=postFederationSignup,postAttributeCollection";
    assert_eq!(target(query), format!("{PATH}?{query}"));
    assert_eq!(target(""), PATH);
}

#[test]
fn equivalent_requests_have_equal_resources() {
    let canonical = parse(PATH, "$expand=postFederationSignup,postAttributeCollection").unwrap();
    for query in [
        "$expand=postAttributeCollection,postFederationSignup",
        "%24expand=postFederationSignup%2CpostAttributeCollection",
        "expand=postFederationSignup,postAttributeCollection",
        "$expand=postFederationSignup,postAttributeCollection,postFederationSignup",
        "$expand=post%46ederationSignup,postAttributeCollection&",
        "&$expand=postFederationSignup,postAttributeCollection",
    ] {
        assert!(parse(PATH, query).unwrap() == canonical, "{query}");
    }
    for path in [
        "/beta//identity/b2xUserFlows/B2X_1_test/apiConnectorConfiguration",
        "/identity/b2xUserFlows/B2X_1_test/apiConnectorConfiguration",
        "/beta/identity/b2xUserFlows('B2X_1_test')/apiConnectorConfiguration",
    ] {
        let query = "$expand=postFederationSignup,postAttributeCollection";
        assert!(parse(path, query).unwrap() == canonical, "{path}");
    }
}

#[test]
fn nested_selects_are_sets() {
    let forwarded = "$expand=postFederationSignup($select=displayName,id),postAttributeCollection&$select=id";
    for query in [
        "$expand=postFederationSignup%28%24select%3Did%2CdisplayName%29,postAttributeCollection&$select=id",
        "$select=id&$expand=postAttributeCollection,postFederationSignup($select=id,displayName,id)",
        "select=id&expand=postAttributeCollection,postFederationSignup(select=id,displayName)",
    ] {
        assert_eq!(target(query), format!("{PATH}?{forwarded}"), "{query}");
    }
}

#[test]
fn a_query_that_is_not_supported_is_rejected() {
    for query in [
        "$expand=",
        "$expand",
        "$expand=*",
        "$expand=postFederationSignup&$expand=postFederationSignup",
        "$expand=postFederationSignup&expand=postAttributeCollection",
        "$EXPAND=postFederationSignup",
        "$expand=PostFederationSignup",
        "$expand=postFederationSignup, postAttributeCollection",
        "$expand=postFederationSignup+postAttributeCollection",
        "$expand=postFederationSignup,",
        "$expand=postFederationSignup/$ref",
        "$expand=postFederationSignup()",
        "$expand=postFederationSignup($select=)",
        "$expand=postFederationSignup($select=id",
        "$expand=postFederationSignup($select=id))",
        "$expand=postFederationSignup($select=id;$expand=x)",
        "$expand=postFederationSignup($filter=id)",
        "$expand=postFederationSignup($expand=id)",
        "$expand=postFederationSignup($Select=id)",
        "$expand=postFederationSignup(=id)",
        "$expand=postFederationSignup($select=id)x",
        "$expand=postFederationSignup($select=id),postFederationSignup",
        "$expand=postFederationSignup(($select=id))",
        "$expand=postFederationSignup($select=id,(x))",
        "$expand=postFederationSignup)",
        "$expand=(postFederationSignup)",
        "$expand=postFederationSignup($select=id,postAttributeCollection",
        "%2524expand=postFederationSignup",
        "$expand=post%2546ederationSignup",
        "$expand=postFederationSignup%00",
        "$expand=postFederationSignup%ff",
        "$select=id%26$expand=x",
        "$select=*",
        "$select=a/b",
        "$top=1",
        "$format=json",
        "x",
    ] {
        assert_eq!(parse(PATH, query).err(), Some(Rejection::Query), "{query}");
    }
}

#[test]
fn a_select_has_at_most_16_names_of_at_most_64_letters_digits_and_underscores() {
    let names = |n: u8| (b'a'..b'a' + n).map(char::from).map(String::from).collect::<Vec<_>>().join(",");
    let long = |n: usize| "x".repeat(n);
    for good in ["_", "_a", "a_b", "a1", &names(16), &long(64), &format!("{},a", names(16))] {
        assert!(parse(PATH, &format!("$select={good}")).is_ok(), "{good}");
        assert!(parse(PATH, &format!("$expand=postFederationSignup($select={good})")).is_ok(), "{good}");
    }
    for bad in ["1a", "a-b", "a.b", "\u{e9}", "a%20", &names(17), &long(65)] {
        assert_eq!(parse(PATH, &format!("$select={bad}")).err(), Some(Rejection::Query), "{bad}");
        let nested = format!("$expand=postFederationSignup($select={bad})");
        assert_eq!(parse(PATH, &nested).err(), Some(Rejection::Query), "{bad}");
    }
}

#[test]
fn a_step_that_exists_only_in_beta_is_rejected_on_v1() {
    let v1 = PATH.replace("beta", "v1.0");
    assert!(parse(PATH, "$expand=preTokenIssuance").is_ok());
    assert_eq!(parse(&v1, "$expand=preTokenIssuance").err(), Some(Rejection::Query));
    assert!(parse(&v1, "$expand=postFederationSignup").is_ok());
}

#[test]
fn any_other_path_is_rejected() {
    for (path, reason) in [
        ("/", Rejection::Path),
        ("", Rejection::Path),
        ("*", Rejection::Path),
        ("/beta/identity/b2xUserFlows", Rejection::Path),
        ("/beta/identity/b2xUserFlows/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlows/x/apiConnectorConfiguration/", Rejection::Path),
        ("/beta/identity/b2xUserFlows/x/apiConnectorConfiguration/postFederationSignup", Rejection::Path),
        ("/beta///identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("//identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/beta/identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/v1.0beta/identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/v2.0/identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/BETA/identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/Identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xuserflows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2cUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlows/../b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlows(x)/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlowsx/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlows/x%2fy/apiConnectorConfiguration", Rejection::PercentInPath),
        ("/%62eta/identity/b2xUserFlows/x/apiConnectorConfiguration", Rejection::PercentInPath),
        ("/beta/identity/b2xUserFlows/%2e%2e/apiConnectorConfiguration", Rejection::PercentInPath),
        ("/beta/identity/b2xUserFlows//apiConnectorConfiguration", Rejection::FlowId),
        ("/beta/identity/b2xUserFlows/../apiConnectorConfiguration", Rejection::FlowId),
        ("/beta/identity/b2xUserFlows/..\\/apiConnectorConfiguration", Rejection::FlowId),
        ("/beta/identity/b2xUserFlows/x;y/apiConnectorConfiguration", Rejection::FlowId),
        ("/beta/identity/b2xUserFlows('')/apiConnectorConfiguration", Rejection::FlowId),
        ("/beta/identity/b2xUserFlows('a'b')/apiConnectorConfiguration", Rejection::FlowId),
    ] {
        assert_eq!(parse(path, "").err(), Some(reason), "{path}");
    }
    let every = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    assert_eq!(parse(&PATH.replace("B2X_1_test", every), "").unwrap().flow(), every);
    let long = |n| format!("/beta/identity/b2xUserFlows/{}/apiConnectorConfiguration", "x".repeat(n));
    assert!(parse(&long(128), "").is_ok());
    assert_eq!(parse(&long(129), "").err(), Some(Rejection::FlowId));
}

#[test]
fn a_flow_id_keeps_its_case() {
    assert!(parse(PATH, "") != parse(&PATH.replace("B2X_1_test", "b2x_1_test"), ""));
}

#[test]
fn debug_output_shows_the_version_and_no_flow() {
    assert_eq!(format!("{:?}", parse(PATH, "").unwrap()), "Resource { version: Beta, .. }");
}

#[test]
fn the_flow_is_the_id_in_the_path() {
    assert_eq!(parse(PATH, "").unwrap().flow(), "B2X_1_test");
}

#[test]
fn the_weight_includes_every_name() {
    let weight = |query| parse(PATH, query).unwrap().weight();
    let (bare, name) = (size_of::<Resource>() + "B2X_1_test".len(), size_of::<Box<str>>());
    assert_eq!(weight(""), bare);
    assert_eq!(weight("$select=id"), bare + name + 2);
    assert_eq!(weight("$expand=postFederationSignup"), bare);
    let nested = "$expand=postFederationSignup($select=id,displayName),postAttributeCollection($select=id)";
    assert_eq!(weight(nested), bare + 3 * name + 2 + 11 + 2);
    assert_eq!(weight(&format!("{nested}&$select=id")), bare + 4 * name + 2 + 11 + 2 + 2);
}

#[test]
fn equal_resources_have_equal_digests_and_others_are_spread() {
    let state = RandomState::new();
    let flow = |n: usize| parse(&PATH.replace("B2X_1_test", &n.to_string()), "").unwrap();
    let both = |n: usize| (flow(n).digest(), state.hash_one(flow(n)));
    let (digests, hashes): (HashSet<_>, HashSet<_>) = (0..100).map(both).unzip();
    assert_eq!((digests.len(), hashes.len()), (100, 100));
    assert_eq!(both(7), both(7));
}

/// Paths and queries, valid or nearly valid.
fn request() -> impl Strategy<Value = (String, String)> {
    let step = prop::sample::select(vec![
        "postFederationSignup",
        "postAttributeCollection",
        "preTokenIssuance",
        "postFederationSignup($select=id)",
        "postFederationSignup($select=id,displayName)",
        "postAttributeCollection($select=displayName,id)",
    ]);
    let expand = prop::collection::vec(step, 0..4).prop_map(|steps| steps.join(","));
    let version = prop::sample::select(vec!["/beta", "/v1.0", "", "/beta/"]);
    let flow = prop::sample::select(vec!["/a", "('a')", "/b", "/A"]);
    let select = prop::sample::select(vec!["", "&$select=id", "&select=id,x", "&$select=x,id"]);
    (version, flow, expand, select).prop_map(|(version, flow, expand, select)| {
        let expand = if expand.is_empty() { String::new() } else { format!("$expand={expand}") };
        (
            format!("{version}/identity/b2xUserFlows{flow}/apiConnectorConfiguration"),
            format!("{expand}{select}"),
        )
    })
}

proptest! {
    /// T5: equal keys cause equal requests to Graph, and different keys cause different requests.
    #[test]
    fn t05_two_requests_have_one_key_exactly_when_their_requests_to_graph_are_equal(
        requests in prop::collection::vec(request(), 1..40),
    ) {
        let mut by_target: HashMap<String, Resource> = HashMap::new();
        for resource in requests.iter().filter_map(|(path, query)| parse(path, query).ok()) {
            let known = by_target.entry(resource.target()).or_insert_with(|| resource.clone());
            prop_assert!(*known == resource);
        }
        let targets: HashSet<_> = by_target.values().collect();
        prop_assert_eq!(targets.len(), by_target.len());
    }

    #[test]
    fn the_forwarded_target_parses_to_the_same_resource(request in request()) {
        if let Ok(resource) = parse(&request.0, &request.1) {
            let target = resource.target();
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            prop_assert!(parse(path, query).unwrap() == resource);
        }
    }

    #[test]
    fn no_path_or_query_causes_a_panic(path in ".*", query in ".*") {
        let _ = parse(&path, &query);
    }
}
