//! What the benchmarks share: one request and one answer, as a caller of Graph and Graph would send them.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub mod bare;
pub mod console;
pub mod scene;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod store;
pub mod talk;
pub mod through;

/// The resource that is asked for.
pub fn path(flow: &str) -> String {
    format!(
        "/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration?$expand=postFederationSignup,postAttributeCollection"
    )
}

/// The head of a request as a caller sends it.
pub fn request(host: &str, flow: &str, token: &str) -> Vec<u8> {
    request_with(host, flow, token, "")
}

/// The same with further fields, each with its line end.
pub fn request_with(host: &str, flow: &str, token: &str, fields: &str) -> Vec<u8> {
    let path = path(flow);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nAuthorization: Bearer {token}\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// As many and as long fields as an answer of the cache has.
pub fn fields(length: usize) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let length = length.to_string();
    for (name, value) in [
        ("content-length", length.as_str()),
        (
            "content-type",
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        ),
        ("odata-version", "4.0"),
        ("etag", "W/\"29f035c763035957086f745cd8e589f2\""),
        ("date", "Mon, 23 Nov 2026 04:58:29 GMT"),
        ("vary", "Authorization, Accept, Accept-Encoding"),
        ("cache-control", "private, max-age=299"),
        ("age", "1"),
        ("origin-request-id", "00000000-1c2b-4f0e-9d6a-0123456789ab"),
        ("cache-status", "connector-cache; hit; ttl=299"),
        ("client-request-id", "6c2851d2-4d10-4503-ad3f-920a0b8b197b"),
        ("request-id", "404a78d7-ed6b-433e-b43c-8a93387257fc"),
        ("x-content-type-options", "nosniff"),
    ] {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            fields.insert(name, value);
        }
    }
    fields
}

/// The header fields of a response of Graph.
pub fn graph_fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        (
            "content-type",
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        ),
        ("cache-control", "no-cache"),
        ("vary", "Accept-Encoding"),
        ("odata-version", "4.0"),
        ("request-id", "00000000-1c2b-4f0e-9d6a-0123456789ab"),
        ("client-request-id", "00000000-1c2b-4f0e-9d6a-0123456789ab"),
        ("strict-transport-security", "max-age=31536000"),
        (
            "x-ms-ags-diagnostic",
            r#"{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"003","RoleInstance":"AM1PEPF00000000"}}"#,
        ),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields
}

/// A body of about `length` bytes: connectors with their credentials, one after another.
pub fn connectors(length: usize) -> Bytes {
    let connector = r##"{"id":"ceceb85b-3ed3-43c9-9e52-c7b97e3743f4","displayName":"Enrich profile","targetUrl":"https://contoso.azurewebsites.net/api/enrich?code=planted","authenticationConfiguration":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"ada","password":"planted"}}"##;
    let connectors = vec![connector; (length / connector.len()).max(1)].join(",");
    Bytes::from(format!(r#"{{"value":[{connectors}]}}"#))
}

/// The body of a response of Graph with two connectors, with credentials in a URL and in an authentication.
pub fn configuration() -> Bytes {
    Bytes::from_static(CONFIGURATION.as_bytes())
}

const CONFIGURATION: &str = concat!(
    r##"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_signup')/apiConnectorConfiguration(postFederationSignup(),postAttributeCollection())","##,
    r##""postFederationSignup@odata.context":"https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_signup')/apiConnectorConfiguration/postFederationSignup/$entity","##,
    r##""postFederationSignup":{"id":"ceceb85b-3ed3-43c9-9e52-c7b97e3743f4","displayName":"Fraud check","targetUrl":"https://api.contoso.example/fraud-check","authenticationConfiguration":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"ada","password":"******"}},"##,
    r##""postAttributeCollection@odata.context":"https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_signup')/apiConnectorConfiguration/postAttributeCollection/$entity","##,
    r##""postAttributeCollection":{"id":"74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d","displayName":"Enrich profile","targetUrl":"https://contoso.azurewebsites.net/api/enrich?code=planted","authenticationConfiguration":{"@odata.type":"#microsoft.graph.basicAuthentication","username":"ada","password":"planted"}}}"##,
);

/// What the stub's body says of the request that it answers.
pub fn whose(authorization: &[u8], path: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (authorization, path).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The same of a request for a flow's resource.
pub fn whose_own(token: &str, flow: &str) -> String {
    let target = path(flow);
    whose(format!("Bearer {token}").as_bytes(), target.split('?').next().unwrap_or_default())
}

/// A body of as many bytes.
pub fn body(length: usize) -> Bytes {
    let frame = r#"{"id":"connectors","displayName":""}"#;
    let filling = "x".repeat(length.saturating_sub(frame.len()));
    Bytes::from(frame.replace(r#""displayName":"""#, &format!(r#""displayName":"{filling}""#)))
}
