//! F24: the response of Graph's documentation, as published and corrected.

use connector_cache::scrub::ScrubFailure;

use crate::common::reply::Reply;
use crate::harness::{Harness, cache_status};

#[tokio::test]
async fn f24_the_documented_answer_lacks_a_comma_and_is_a_502_that_quotes_nothing() {
    let mut harness = Harness::start().await;
    let response = harness.unscrubbable(SAMPLE, ScrubFailure::BadJson).await;
    let whole = format!("{:?} {}", response.headers, response.text());
    for word in ["USERNAME", "guid1", "Test API", "someapi", "displayName", "basicAuthentication", "odata"] {
        assert!(!whole.contains(word), "{word} in {whole}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn f24_with_the_comma_it_passes_and_every_credential_is_masked() {
    let mut harness = Harness::start().await;
    let mended = SAMPLE.replacen("    }\n    \"post", "    },\n    \"post", 1);
    // The documentation masks them itself; Graph may forget.
    let mended = mended.replacen("******", "hunter2-canary", 1);
    let miss = harness.passes(Reply::json(mended)).await;
    let body = miss.json();
    for step in ["postFederationSignup", "postAttributeCollection"] {
        let authentication = &body[step]["authenticationConfiguration"];
        assert_eq!(
            (&authentication["password"], &authentication["username"]),
            (&"******".into(), &"******".into())
        );
        assert_eq!(authentication["@odata.type"], "#microsoft.graph.basicAuthentication");
    }
    assert_eq!(body["postFederationSignup"]["displayName"], "Test API Connector 1");
    assert_eq!(body["postAttributeCollection"]["targetUrl"], "https://someotherapi.com/api/endpoint");
    for secret in ["hunter2-canary", "USERNAME"] {
        assert!(!miss.text().contains(secret), "{secret} in {}", miss.text());
    }
    let hit = harness.get_again().await;
    assert_eq!((cache_status(&hit), hit.text()), ("connector-cache; hit; ttl=300", miss.text()));
    harness.stop().await;
}

/// The response that the documentation shows for this resource, as it stands there.
const SAMPLE: &str = include_str!("../../crates/scrub/src/tests/documented_response.txt");
