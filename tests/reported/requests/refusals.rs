//! Requests that Graph refuses: each is refused with a message that names the option, and without a call to Graph.

use super::{PATH, Setup, cache_status};

/// Asserts that a query is refused, and that the message names these words.
async fn assert_refused(setup: &Setup, query: &str, words: &[&str]) {
    let response = setup.get(&format!("{PATH}?{query}"), "a", &[]).await;
    assert_eq!((response.status, cache_status(&response)), (400, "connector-cache; detail=query"), "{query}");
    let body = response.json();
    assert_eq!(body["error"]["code"], "BadRequest", "{query}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("connector-cache: The query may contain $expand and $select, each once."),
        "{query}: {message}"
    );
    for word in words {
        assert!(message.contains(word), "{query}: {word:?} is not in {message:?}");
    }
}

#[tokio::test]
async fn a_query_that_graph_refuses_is_refused_with_the_name_of_the_option() {
    let setup = Setup::start().await;
    let steps = ["postFederationSignup", "postAttributeCollection", "preTokenIssuance"];
    let properties = ["id", "displayName", "targetUrl", "authenticationConfiguration"];
    for query in ["$top=1", "$Filter=id", "$format=json", "api-version=1", "$expnd=x", "x"] {
        let name = query.split('=').next().unwrap();
        assert_refused(&setup, query, &[name, "$expand", "$select"]).await;
    }
    for query in [
        "$expand=postFederationSignup&$expand=postAttributeCollection",
        "$expand=postFederationSignup&$Expand=postFederationSignup",
        "$expand=postFederationSignup&expand=postFederationSignup",
    ] {
        assert_refused(&setup, query, &["$expand", "more than once"]).await;
    }
    assert_refused(&setup, "$select=id&$Select=id", &["$select", "more than once"]).await;
    for query in [
        "$expand=",
        "$expand=nothing",
        "$expand=*",
        "$expand=postFederationSignup,",
        "$expand=postFederationSignup+,postAttributeCollection",
        "$expand=post%09FederationSignup",
    ] {
        assert_refused(&setup, query, &[&["$expand"], &steps[..]].concat()).await;
    }
    for query in [
        "$expand=postFederationSignup($select=nothing)",
        "$expand=postFederationSignup($Select=Id,password)",
        "$expand=postFederationSignup($select=)",
        "$expand=postFederationSignup($select=*)",
    ] {
        assert_refused(&setup, query, &[&["$select"], &properties[..]].concat()).await;
    }
    for query in [
        "$expand=postFederationSignup($top=1)",
        "$expand=postFederationSignup($select=id;$top=1)",
        "$expand=postFederationSignup($select=id;$select=id)",
        "$expand=postFederationSignup($select=id",
    ] {
        assert_refused(&setup, query, &["$expand", "$select"]).await;
    }
    assert_refused(&setup, "$select=nothing", &[&["$select"], &steps[..]].concat()).await;
    assert_eq!(setup.origin.requests(), 0);
    setup.stop().await;
}

#[tokio::test]
async fn a_step_of_beta_on_v1_is_refused_with_the_steps_of_v1() {
    let setup = Setup::start().await;
    let target = format!("{}?$expand=PreTokenIssuance", PATH.replace("beta", "v1.0"));
    let response = setup.get(&target, "a", &[]).await;
    assert_eq!(response.status, 400);
    let text = response.text();
    assert!(text.contains("$expand") && text.contains("postFederationSignup"), "{text}");
    assert_eq!(setup.origin.requests(), 0);
    setup.stop().await;
}

#[tokio::test]
async fn text_of_the_request_is_never_in_a_message() {
    let setup = Setup::start().await;
    for query in ["$top=hunter2", "$expand=hunter2", "$select=hunter2", "%22hunter2=1", "hunter2%0d%0aabc=1"]
    {
        let response = setup.get(&format!("{PATH}?{query}"), "a", &[]).await;
        assert_eq!(response.status, 400, "{query}");
        assert!(!response.text().contains("hunter2"), "{}", response.text());
    }
    setup.stop().await;
}

#[tokio::test]
async fn a_percent_sign_in_the_path_is_refused() {
    let setup = Setup::start().await;
    for target in [
        PATH.replace("beta", "%62eta"),
        PATH.replace("B2X_1", "B2X%5F1"),
        PATH.replace("/identity", "%2fidentity"),
    ] {
        let response = setup.get(&target, "a", &[]).await;
        assert_eq!(
            (response.status, cache_status(&response)),
            (400, "connector-cache; detail=percent-in-path"),
            "{target}"
        );
    }
    assert_eq!(setup.origin.requests(), 0);
    setup.stop().await;
}
