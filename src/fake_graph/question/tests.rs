use super::*;

const PATH: &str = "/beta/identity/b2xUserFlows/B2X_1_signup/apiConnectorConfiguration";

fn ask(query: &str) -> Result<Question, Unasked> {
    Question::parse(PATH, query, "application/json")
}

fn expanded(query: &str) -> Vec<&'static str> {
    ask(query).unwrap().expand.iter().map(|item| item.step.as_str()).collect()
}

#[test]
fn both_spellings_of_the_key_name_the_same_flow() {
    for path in [PATH, "/beta/identity/b2xUserFlows('B2X_1_signup')/apiConnectorConfiguration"] {
        assert_eq!(flow_of(path), Some("B2X_1_signup"), "{path}");
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
        "/beta//identity/b2xUserFlows/x/apiConnectorConfiguration",
    ] {
        assert_eq!(Question::parse(path, "", ""), Err(Unasked::Path), "{path}");
    }
}

#[test]
fn an_encoded_expand_is_the_same_expand() {
    let both = vec!["postFederationSignup", "postAttributeCollection"];
    assert_eq!(expanded("$expand=postFederationSignup,postAttributeCollection"), both);
    assert_eq!(expanded("%24expand=postFederationSignup%2CpostAttributeCollection"), both);
}

#[test]
fn beta_lets_the_dollar_go_and_v1_ignores_the_option() {
    assert_eq!(expanded("expand=postFederationSignup"), ["postFederationSignup"]);
    let v1 = Question::parse(&PATH.replace("beta", "v1.0"), "expand=postFederationSignup", "").unwrap();
    assert_eq!(v1.expand, []);
}

#[test]
fn pre_token_issuance_exists_on_beta_only() {
    assert_eq!(expanded("$expand=preTokenIssuance"), ["preTokenIssuance"]);
    let v1 = Question::parse(&PATH.replace("beta", "v1.0"), "$expand=preTokenIssuance", "");
    assert!(matches!(v1, Err(Unasked::Query(_))));
}

#[test]
fn a_nested_select_keeps_its_commas() {
    let question = ask("$expand=postFederationSignup($select=id,displayName),preTokenIssuance").unwrap();
    assert_eq!(question.expand.len(), 2);
    assert_eq!(question.expand[0].select, ["id", "displayName"]);
}

#[test]
fn what_cannot_be_read_is_a_bad_request() {
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
        assert!(matches!(ask(query), Err(Unasked::Query(_))), "{query}");
    }
}

#[test]
fn the_metadata_level_is_a_parameter_of_accept() {
    let level = |accept| apply_to(accept).metadata;
    assert_eq!(level("application/json;odata.metadata=none"), Metadata::None);
    assert_eq!(level("text/html, application/json; odata.metadata=full"), Metadata::Full);
    assert_eq!(level("*/*"), Metadata::Minimal);
}

fn apply_to(accept: &str) -> Question {
    Question::parse(PATH, "", accept).unwrap()
}
