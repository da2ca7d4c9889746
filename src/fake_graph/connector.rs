//! API connectors as JSON, with each credential type of Graph.
//!
//! Graph masks passwords. Here they are in clear text, so that only the proxy's scrubber can hide them.

use serde_json::{Value, json};

use super::names::guid;

/// Returns a connector with Basic authentication.
pub fn basic(name: &str, target_url: &str, username: &str, password: &str) -> Value {
    let credential = json!({"@odata.type": "#microsoft.graph.basicAuthentication", "username": username, "password": password});
    connector(name, target_url, &credential)
}

/// Returns a connector with client certificates, which Graph shows by their thumbprints.
pub fn client_certificate(name: &str, target_url: &str, thumbprints: &[&str]) -> Value {
    let certificate = |thumbprint: &&str| {
        json!({
            "thumbprint": thumbprint,
            "notAfter": 1_897_886_522_i64,
            "notBefore": 1_740_206_522_i64,
            "isActive": true,
        })
    };
    let list: Vec<Value> = thumbprints.iter().map(certificate).collect();
    let credential =
        json!({"@odata.type": "#microsoft.graph.clientCertificateAuthentication", "certificateList": list});
    connector(name, target_url, &credential)
}

/// Returns a connector with an uploaded PKCS #12 file and its password, in the shape in which clients write it.
pub fn pkcs12(name: &str, target_url: &str, value: &str, password: &str) -> Value {
    let credential = json!({"@odata.type": "#microsoft.graph.pkcs12Certificate", "pkcs12Value": value, "password": password});
    connector(name, target_url, &credential)
}

fn connector(name: &str, target_url: &str, credential: &Value) -> Value {
    json!({
        "id": guid(&["connector", name, &format!("{name} {target_url}")]),
        "displayName": name,
        "targetUrl": target_url,
        "authenticationConfiguration": credential,
    })
}
