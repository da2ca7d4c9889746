//! The path to Graph: addresses, proxies, connections.

#[cfg(feature = "test-net")]
mod addresses;
mod forward_proxy;
mod http2;

/// Body of a 200 of Graph.
const BODY: &str = r#"{"postFederationSignup":null,"postAttributeCollection":null}"#;
