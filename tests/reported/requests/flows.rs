//! User flows of B2C tenants.

use connector_cache::resource::ApiVersion;

use super::{HIT, PATH, STORED, Setup, bearer, cache_status};
use crate::common::client::{self, Client};
use crate::common::proxy::Proxy;

const B2C: &str = "/beta/identity/b2cUserFlows/B2C_1_testuserflow/apiConnectorConfiguration";

#[tokio::test]
async fn b2c_flows_have_the_same_options_and_spellings() {
    let setup = Setup::start().await;
    let canonical = format!("{B2C}?$expand=postFederationSignup($select=id),preTokenIssuance");
    for (target, status) in [
        (canonical.clone(), STORED),
        (format!("{B2C}?$Expand=PreTokenIssuance,%20postfederationsignup($SELECT=ID)"), HIT),
        (canonical.replace("b2cUserFlows/B2C_1_testuserflow", "B2CUSERFLOWS('B2C_1_testuserflow')"), HIT),
        (canonical.replace("/beta", ""), HIT),
        (canonical.replace("/beta/", "/BETA//"), HIT),
    ] {
        let response = setup.get(&target, "a", &[]).await;
        assert_eq!((response.status, cache_status(&response)), (200, status), "{target}");
    }
    assert_eq!(setup.forwarded(), [canonical]);
    setup.stop().await;
}

#[tokio::test]
async fn b2c_and_b2x_flows_of_one_id_are_two_resources_and_a_purge_selects_both() {
    let setup = Setup::start().await;
    let same_id = PATH.replace("b2xUserFlows", "b2cUserFlows");
    for target in [PATH, &same_id] {
        assert_eq!(cache_status(&setup.get(target, "a", &[]).await), STORED, "{target}");
        assert_eq!(cache_status(&setup.get(target, "a", &[]).await), HIT, "{target}");
    }
    assert_eq!(setup.forwarded(), [PATH, &same_id]);
    let purge = client::purge(setup.proxy.admin, "?flow=B2X_1_testuserflow").await;
    assert_eq!(purge.json()["purged"], 2);
    for target in [PATH, &same_id] {
        assert_eq!(cache_status(&setup.get(target, "a", &[]).await), STORED, "{target}");
    }
    setup.stop().await;
}

#[tokio::test]
async fn b2c_flows_do_not_exist_on_v1() {
    let setup = Setup::start().await;
    let proxy = Proxy::with(&setup.origin.url(), |config| config.default_version = ApiVersion::V1).await;
    for target in [B2C.replace("beta", "v1.0"), B2C.replace("beta", "V1.0"), B2C.replace("/beta", "")] {
        let response =
            Client::connect(proxy.data).await.get(&target, &[("authorization", &bearer("a"))]).await;
        assert_eq!((response.status, cache_status(&response)), (404, "connector-cache; detail=path"));
        let error = &response.json()["error"];
        assert_eq!(error["code"], "NotFound");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("connector-cache: Requested API is not supported."), "{message}");
        assert!(message.contains("b2cUserFlows") && message.contains("v1.0"), "{message}");
    }
    assert_eq!(setup.origin.requests(), 0);
    proxy.stop().await;
    setup.stop().await;
}
