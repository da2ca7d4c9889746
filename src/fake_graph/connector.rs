//! API connectors as JSON, in the shapes that Graph has for their credentials.
//!
//! Real Graph masks passwords. These carry them in clear, so that only the proxy's own scrubbing keeps them in.

use serde_json::{Value, json};

use super::names::guid;

/// A connector that signs in with a user name and a password.
pub fn basic(name: &str, target_url: &str, username: &str, password: &str) -> Value {
    let credential = json!({"@odata.type": "#microsoft.graph.basicAuthentication", "username": username, "password": password});
    connector(name, target_url, &credential)
}

/// A connector that signs in with certificates, which are shown by their public part: the thumbprints.
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

/// A connector with an uploaded PKCS #12 file and its password, the shape in which they are written.
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
