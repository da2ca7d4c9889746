use super::*;

const PATH: &str = "/beta/identity/b2xUserFlows/B2X_1_signup/apiConnectorConfiguration";

fn ask(query: &str) -> Result<ConfigurationRequest, UnsupportedRequest> {
    ConfigurationRequest::parse(PATH, query, "application/json")
}

fn expanded(query: &str) -> Vec<&'static str> {
    ask(query).unwrap().expand.iter().map(|item| item.step.as_str()).collect()
}

#[test]
fn both_spellings_of_the_key_name_the_same_flow() {
    for path in [PATH, "/beta/identity/b2xUserFlows('B2X_1_signup')/apiConnectorConfiguration"] {
        assert_eq!(flow_in_path(path), Some("B2X_1_signup"), "{path}");
    }
}

#[test]
fn a_path_that_is_not_the_route_is_not_found() {
    for path in [
        "/",
        "/beta",
        "/v2.0/identity/b2xUserFlows/x/apiConnectorConfiguration",
        "/beta/identity/b2xUserFlows/a/b/apiConnectorConfiguration",
        "/beta/identity/b2xUserFlows//apiConnectorConfiguration",
        "/v1.0/identity/b2cUserFlows/x/apiConnectorConfiguration",
        "/beta/identity/b2aUserFlows/x/apiConnectorConfiguration",
        "/beta//identity/b2xUserFlows/x/apiConnectorConfiguration",
    ] {
        assert_eq!(
            ConfigurationRequest::parse(path, "", ""),
            Err(UnsupportedRequest::UnknownRoute),
            "{path}"
        );
    }
}

#[test]
fn both_kinds_of_flows_have_a_route_in_any_letter_case() {
    let kind = |path: &str| ConfigurationRequest::parse(path, "", "").unwrap().kind;
    assert_eq!(kind("/Beta/identity/B2XUserFlows/B2X_1_a/apiconnectorconfiguration"), FlowCollection::B2x);
    assert_eq!(kind("/beta/Identity/b2cuserflows('B2C_1_a')/ApiConnectorConfiguration"), FlowCollection::B2c);
    assert_eq!(
        flow_in_path("/beta/identity/B2CUSERFLOWS/B2C_1_a/apiConnectorConfiguration"),
        Some("B2C_1_a")
    );
}

#[test]
fn names_are_matched_in_any_letter_case_and_blanks_are_ignored() {
    let request = ask("$Expand=PostFederationSignup($Select=Id,%20DisplayName),%20pretokenissuance").unwrap();
    assert_eq!(request.expand.len(), 2);
    assert_eq!(request.expand[0].select, ["id", "displayName"]);
    assert!(matches!(
        ask("$expand=preTokenIssuance&$Expand=preTokenIssuance"),
        Err(UnsupportedRequest::InvalidQuery(_))
    ));
}

#[test]
fn an_encoded_expand_is_the_same_expand() {
    let both = vec!["postFederationSignup", "postAttributeCollection"];
    assert_eq!(expanded("$expand=postFederationSignup,postAttributeCollection"), both);
    assert_eq!(expanded("%24expand=postFederationSignup%2CpostAttributeCollection"), both);
}

#[test]
fn beta_accepts_an_option_without_dollar_and_v1_ignores_it() {
    assert_eq!(expanded("expand=postFederationSignup"), ["postFederationSignup"]);
    let v1 = ConfigurationRequest::parse(&PATH.replace("beta", "v1.0"), "expand=postFederationSignup", "")
        .unwrap();
    assert_eq!(v1.expand, []);
}

#[test]
fn pre_token_issuance_exists_on_beta_only() {
    assert_eq!(expanded("$expand=preTokenIssuance"), ["preTokenIssuance"]);
    let v1 = ConfigurationRequest::parse(&PATH.replace("beta", "v1.0"), "$expand=preTokenIssuance", "");
    assert!(matches!(v1, Err(UnsupportedRequest::InvalidQuery(_))));
}

#[test]
fn a_nested_select_keeps_its_commas() {
    let request = ask("$expand=postFederationSignup($select=id,displayName),preTokenIssuance").unwrap();
    assert_eq!(request.expand.len(), 2);
    assert_eq!(request.expand[0].select, ["id", "displayName"]);
}

#[test]
fn an_invalid_query_is_a_bad_request() {
    for query in [
        "$expand=nothing",
        "$expand=",
        "$expand=postFederationSignup(",
        "$expand=postFederationSignup($top=1)",
        "$expand=postFederationSignup($select=nothing)",
        "$expand=postFederationSignup postAttributeCollection",
        "$filter=x",
        "$expand=preTokenIssuance&$expand=preTokenIssuance",
    ] {
        assert!(matches!(ask(query), Err(UnsupportedRequest::InvalidQuery(_))), "{query}");
    }
}

#[test]
fn the_metadata_level_is_a_parameter_of_accept() {
    let level = |accept| parse_with_accept(accept).metadata;
    assert_eq!(level("application/json;odata.metadata=none"), ODataMetadata::None);
    assert_eq!(level("text/html, application/json; odata.metadata=full"), ODataMetadata::Full);
    assert_eq!(level("*/*"), ODataMetadata::Minimal);
}

fn parse_with_accept(accept: &str) -> ConfigurationRequest {
    ConfigurationRequest::parse(PATH, "", accept).unwrap()
}
