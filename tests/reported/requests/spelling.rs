//! One resource in many spellings: letter case, blanks, encoding.

use super::{HIT, PATH, STORED, Setup, cache_status};

/// Asserts that each spelling is 200, that the first of them reaches the origin as `canonical`, and that the others are hits
/// of the same entry.
async fn assert_one_resource(canonical: &str, spellings: &[String]) {
    // Each spelling in turn is the first request.
    for first in spellings {
        let setup = Setup::start().await;
        let miss = setup.get(first, "a", &[]).await;
        assert_eq!((miss.status, cache_status(&miss)), (200, STORED), "{first}");
        for other in spellings {
            let hit = setup.get(other, "a", &[]).await;
            assert_eq!((hit.status, cache_status(&hit)), (200, HIT), "{other} after {first}");
        }
        assert_eq!(setup.forwarded(), [canonical], "{first}");
        setup.stop().await;
    }
}

#[tokio::test]
async fn a1_path_segments_are_matched_in_any_case_and_the_flow_id_keeps_its_case() {
    let spellings = [
        PATH.to_owned(),
        "/Beta/Identity/B2xUserFlows/B2X_1_testuserflow/ApiConnectorConfiguration".to_owned(),
        "/BETA//identity/b2xuserflows/B2X_1_testuserflow/apiconnectorconfiguration".to_owned(),
        "/IDENTITY/B2XUSERFLOWS/B2X_1_testuserflow/APICONNECTORCONFIGURATION".to_owned(),
        "/beta/identity/B2XUserFlows('B2X_1_testuserflow')/apiConnectorConfiguration".to_owned(),
    ];
    assert_one_resource(PATH, &spellings).await;

    let setup = Setup::start().await;
    let lower = PATH.replace("B2X_1_testuserflow", "b2x_1_TestUserFlow");
    setup.get(PATH, "a", &[]).await;
    assert_eq!(cache_status(&setup.get(&lower, "a", &[]).await), STORED, "another flow");
    let v1 = PATH.replace("beta", "v1.0");
    assert_eq!(cache_status(&setup.get(&PATH.replace("beta", "V1.0"), "a", &[]).await), STORED);
    assert_eq!(setup.forwarded(), [PATH, &lower, &v1]);
    setup.stop().await;
}

#[tokio::test]
async fn a1_options_and_names_are_matched_in_any_case() {
    let canonical = format!("{PATH}?$expand=postFederationSignup,preTokenIssuance");
    let queries = [
        "$expand=postFederationSignup,preTokenIssuance",
        "$Expand=PostFederationSignup,PreTokenIssuance",
        "EXPAND=POSTFEDERATIONSIGNUP,pretokenissuance",
        "%24eXpand=pretokenissuance%2Cpostfederationsignup,PostFederationSignup",
    ];
    assert_one_resource(&canonical, &queries.map(|query| format!("{PATH}?{query}"))).await;

    let canonical = format!(
        "{PATH}?$expand=postFederationSignup($select=displayName,id,targetUrl)&$select=postFederationSignup"
    );
    let queries = [
        "$expand=postFederationSignup($select=displayName,id,targetUrl)&$select=postFederationSignup",
        "$EXPAND=PostFederationSignup($Select=Id,DisplayName,TargetURL)&$Select=PostFederationSignup",
        "select=postfederationsignup&expand=postfederationsignup(SELECT=TARGETURL,id,ID,displayname)",
        "$expand=PostFederationSignup%28%24Select%3DId%2CdisplayNAME%2Ctargeturl%29&$SELECT=POSTFEDERATIONSIGNUP",
    ];
    assert_one_resource(&canonical, &queries.map(|query| format!("{PATH}?{query}"))).await;
}

#[tokio::test]
async fn a2_blanks_around_names_are_ignored() {
    let canonical = format!("{PATH}?$expand=postFederationSignup,postAttributeCollection");
    let queries = [
        "$expand=postFederationSignup,%20postAttributeCollection",
        "$expand=postFederationSignup%20,%20%20postAttributeCollection",
        "$expand=%20postFederationSignup%2C%20PostAttributeCollection%20",
    ];
    assert_one_resource(&canonical, &queries.map(|query| format!("{PATH}?{query}"))).await;

    let canonical = format!("{PATH}?$expand=postFederationSignup($select=displayName,id)");
    let queries = [
        "$expand=postFederationSignup($select=id,%20displayName)",
        "$expand=postFederationSignup(%20$select=id%20,displayName%20)",
        "$expand=postFederationSignup%20(%24Select%20=%20Id,%20%20DisplayName)%20",
    ];
    assert_one_resource(&canonical, &queries.map(|query| format!("{PATH}?{query}"))).await;

    let canonical = format!("{PATH}?$select=postAttributeCollection,postFederationSignup");
    let queries = ["$select=postFederationSignup,%20postAttributeCollection"];
    assert_one_resource(&canonical, &queries.map(|query| format!("{PATH}?{query}"))).await;
}
