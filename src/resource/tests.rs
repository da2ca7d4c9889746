//! Which requests have equal resources, which have different ones, and which are rejected.

use std::collections::{HashMap, HashSet};

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::http::rejection::Rejection;

const PATH: &str = "/beta/identity/b2xUserFlows/B2X_1_test/apiConnectorConfiguration";

fn parse_fully(path: &str, query: &str) -> Result<Resource, InvalidRequest> {
    Resource::parse(path, Some(query), &HeaderMap::new(), ApiVersion::Beta)
}

fn parse(path: &str, query: &str) -> Result<Resource, Rejection> {
    parse_fully(path, query).map_err(InvalidRequest::rejection)
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
        "$EXPAND=PostFederationSignup,postattributecollection",
        "$expand=postFederationSignup,%20postAttributeCollection",
        "$expand=%20postFederationSignup%20,postAttributeCollection%20,PostFederationSignup",
    ] {
        assert!(parse(PATH, query).unwrap() == canonical, "{query}");
    }
    for path in [
        "/beta//identity/b2xUserFlows/B2X_1_test/apiConnectorConfiguration",
        "/identity/b2xUserFlows/B2X_1_test/apiConnectorConfiguration",
        "/beta/identity/b2xUserFlows('B2X_1_test')/apiConnectorConfiguration",
        "/BETA/Identity/B2XUSERFLOWS/B2X_1_test/ApiConnectorConfiguration",
        "/identity/b2xuserflows('B2X_1_test')/apiconnectorconfiguration",
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
        "$Select=ID&$Expand=postAttributeCollection,PostFederationSignup(%20$Select%20=%20Id,%20DisplayName%20)",
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
        "$expand=postFederationSignup+postAttributeCollection",
        "$expand=postFederationSignup,+postAttributeCollection",
        "$expand=postFederationSignup%20postAttributeCollection",
        "$expand=postFederationSignup,%09postAttributeCollection",
        "$expand=postFederationSignup&$Expand=postFederationSignup",
        "%20$expand=postFederationSignup",
        "$$expand=postFederationSignup",
        "$expand=post%20FederationSignup",
        "$expand=postFederationSignup($select=password)",
        "$expand=postFederationSignup($select=postFederationSignup)",
        "$expand=postFederationSignup($select=id;$select=id)",
        "$select=id&$SELECT=id",
        "$select=id,,displayName",
        "$select=%20",
        "$select=userFlowType",
        "$expand=postFederationSignup,",
        "$expand=postFederationSignup/$ref",
        "$expand=postFederationSignup()",
        "$expand=postFederationSignup($select=)",
        "$expand=postFederationSignup($select=id",
        "$expand=postFederationSignup($select=id))",
        "$expand=postFederationSignup($select=id;$expand=x)",
        "$expand=postFederationSignup($filter=id)",
        "$expand=postFederationSignup($expand=id)",
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
fn a_select_lists_the_properties_of_a_connector_and_in_the_request_also_the_steps() {
    let all = "authenticationConfiguration,displayName,id,targetUrl";
    let nested = format!("$expand=postFederationSignup($select={all})");
    assert_eq!(target(&nested.to_uppercase().replace("$EXPAND", "$expand")), format!("{PATH}?{nested}"));
    let steps = "postAttributeCollection,postFederationSignup,preTokenIssuance,targetUrl";
    assert_eq!(
        target("$select=PRETOKENISSUANCE,targeturl,postFederationSignup,postAttributeCollection"),
        format!("{PATH}?$select={steps}")
    );
    let v1 = PATH.replace("beta", "v1.0");
    assert_eq!(parse(&v1, "$select=preTokenIssuance").err(), Some(Rejection::Query));
    assert!(parse(&v1, "$select=postFederationSignup").is_ok());
}

#[test]
fn the_kind_of_flow_is_part_of_the_resource_and_b2c_flows_are_on_beta_only() {
    let b2c = PATH.replace("b2x", "b2c");
    assert!(parse(PATH, "").unwrap() != parse(&b2c, "").unwrap());
    assert_eq!(
        (parse(&b2c, "").unwrap().kind(), parse(&b2c, "").unwrap().target()),
        (FlowKind::B2c, b2c.clone())
    );
    assert!(parse(&b2c.to_lowercase(), "").unwrap().kind() == FlowKind::B2c);
    for path in [b2c.replace("beta", "v1.0"), b2c.replace("beta", "V1.0").replace("B2X_1_test", "a.b")] {
        assert_eq!(parse_fully(&path, "").err(), Some(InvalidRequest::B2cOnV1), "{path}");
    }
    let unversioned = b2c.replace("/beta", "");
    let parse_on = |version| Resource::parse(&unversioned, None, &HeaderMap::new(), version);
    assert!(parse_on(ApiVersion::Beta).is_ok());
    assert_eq!(parse_on(ApiVersion::V1).err(), Some(InvalidRequest::B2cOnV1));
}

#[test]
fn a_message_begins_with_that_of_its_reason_and_names_the_option_and_the_accepted_names() {
    let message =
        |path: &str, query: &str| parse_fully(path, query).unwrap_err().error().message.into_owned();
    let v1 = PATH.replace("beta", "v1.0");
    for (path, query, end) in [
        (PATH, "$top=1", "The option $top is not supported."),
        (PATH, "api-version=1", "The option api-version is not supported."),
        (PATH, "%22x%22=1", "Another option is not supported."),
        (PATH, "0123456789abcdef=1", "Another option is not supported."),
        (PATH, &format!("{}=1", "x".repeat(25)), "Another option is not supported."),
        (PATH, "=postFederationSignup", UNNAMED),
        (PATH, "=", UNNAMED),
        (PATH, "$select=postFederationSignup&=postFederationSignup", UNNAMED),
        (PATH, "=postFederationSignup(=id)", UNNAMED),
        (PATH, "$expand=postFederationSignup(=id)", UNNAMED),
        (PATH, "$select=id&$Select=id", "$Select occurs more than once."),
        (
            PATH,
            "$expand=x",
            "On beta, each item of $expand must be one of: postFederationSignup, postAttributeCollection, preTokenIssuance.",
        ),
        (
            &v1,
            "$expand=preTokenIssuance",
            "On v1.0, each item of $expand must be one of: postFederationSignup, postAttributeCollection.",
        ),
        (
            PATH,
            "$expand=postFederationSignup($select=x)",
            "On beta, each name in a nested $select must be one of: authenticationConfiguration, displayName, id, targetUrl.",
        ),
        (
            &v1,
            "$select=x",
            "On v1.0, each name in $select must be one of: authenticationConfiguration, displayName, id, \
             postAttributeCollection, postFederationSignup, targetUrl.",
        ),
        (
            PATH,
            "$expand=postFederationSignup($top=1)",
            "In $expand, the parentheses after a step must contain one $select.",
        ),
        (
            PATH,
            "$expand=postFederationSignup,postFederationSignup($select=id)",
            "$expand lists a step more than once, with different options.",
        ),
        (PATH, "$select=id,+displayName", "A plus sign is not a blank: write %20, or no blank."),
    ] {
        let message = message(path, query);
        let begin = Rejection::Query.error().message;
        assert!(message.starts_with(&*begin) && message.ends_with(end), "{query}: {message}");
    }
    assert_eq!(message("/x", ""), Rejection::Path.error().message);
}

#[test]
fn a_query_is_parsed_for_its_own_version_whatever_the_thread_has_parsed_before() {
    let path = |version| format!("/{version}/identity/b2xUserFlows/x/apiConnectorConfiguration");
    let of = |version, query| parse_fully(&path(version), query).map(|resource| resource.target());
    let (both, beta) = ("$expand=postFederationSignup", "$expand=preTokenIssuance");
    for _ in 0..2 {
        assert_eq!(of("beta", beta), Ok(format!("{}?{beta}", path("beta"))));
        assert!(of("v1.0", beta).is_err());
        assert_eq!(of("v1.0", both), Ok(format!("{}?{both}", path("v1.0"))));
        assert_eq!(of("beta", ""), Ok(path("beta")));
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
        ("/beta/identity/b2xUserFlows/../b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlows(x)/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlowsx/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2aUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity//b2xUserFlows/x/apiConnectorConfiguration", Rejection::Path),
        ("/beta/identity/b2xUserFlows/\u{e9}/apiConnectorConfiguration\u{e9}", Rejection::Path),
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
fn debug_output_shows_version_and_kind_and_no_flow() {
    assert_eq!(format!("{:?}", parse(PATH, "").unwrap()), "Resource { version: Beta, kind: B2x, .. }");
}

#[test]
fn the_flow_is_the_id_in_the_path() {
    assert_eq!(parse(PATH, "").unwrap().flow(), "B2X_1_test");
}

#[test]
fn the_weight_includes_the_flow_id() {
    let weight =
        |flow: &str| parse(&PATH.replace("B2X_1_test", flow), "$expand=preTokenIssuance").unwrap().weight();
    assert_eq!(weight("a"), size_of::<Resource>() + 1);
    assert_eq!(weight("abcd"), size_of::<Resource>() + 4);
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
        "PostFederationSignup",
        "%20postattributecollection%20($Select=ID)",
    ]);
    let expand = prop::collection::vec(step, 0..4).prop_map(|steps| steps.join(","));
    let version = prop::sample::select(vec!["/beta", "/v1.0", "", "/beta/", "/Beta"]);
    let flow = prop::sample::select(vec!["/a", "('a')", "/b", "/A"]);
    let select =
        prop::sample::select(vec!["", "&$select=id", "&select=id,targetUrl", "&$Select=TargetUrl,%20id"]);
    let kind = prop::sample::select(vec!["b2xUserFlows", "b2cUserFlows", "B2XUserFlows"]);
    (version, kind, flow, expand, select).prop_map(|(version, kind, flow, expand, select)| {
        let expand = if expand.is_empty() { String::new() } else { format!("$expand={expand}") };
        (format!("{version}/identity/{kind}{flow}/apiConnectorConfiguration"), format!("{expand}{select}"))
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

const UNNAMED: &str =
    "An option has no name: a shell probably replaced $expand or $select. Put the URL in single quotes.";
