//! The JSON of a configuration, by `$expand`, `$select` and the metadata level of the request.

use serde_json::{Map, Value, json};

use super::directory::Flow;
use super::request::{ConfigurationRequest, ExpandItem, ODataMetadata};
use crate::support::labels::Label;

/// Builds the body of a 200.
pub(crate) fn configuration(request: &ConfigurationRequest, flow: &Flow) -> Value {
    let path = format!("identity/{}('{}')/apiConnectorConfiguration", flow.kind(), flow.id());
    let context = format!("{GRAPH_URL}/{}/$metadata#{path}", request.version);
    let mut body = Map::new();
    body.insert(CONTEXT_ANNOTATION.to_owned(), json!(format!("{context}{}", shape(request))));
    for (position, expansion) in request.expand.iter().enumerate() {
        let name = expansion.step.as_str();
        let Some(connector) = flow.connector_of(expansion.step) else {
            body.insert(name.to_owned(), Value::Null);
            continue;
        };
        // Graph repeats the type's segment from the second navigation property on.
        let types = "microsoft.graph.userFlowApiConnectorConfiguration/".repeat(position + 1);
        body.insert(format!("{name}{CONTEXT_ANNOTATION}"), json!(format!("{context}/{types}{name}/$entity")));
        body.insert(name.to_owned(), selected(connector, expansion));
    }
    let mut body = Value::Object(body);
    if request.numbers_as_strings {
        write_numbers_as_strings(&mut body);
    }
    match request.metadata {
        ODataMetadata::None => strip(&mut body),
        ODataMetadata::Minimal => {}
        ODataMetadata::Full => annotate(&mut body, &format!("{GRAPH_URL}/{}/{path}", request.version)),
    }
    body
}

/// Returns the selection of the context URL, `(postFederationSignup(),preTokenIssuance(id))`, in the order of the
/// request.
fn shape(request: &ConfigurationRequest) -> String {
    let expanded = request.expand.iter().map(|item| format!("{}({})", item.step, item.select.join(",")));
    let parts: Vec<String> = request.select.iter().cloned().chain(expanded).collect();
    if parts.is_empty() { String::new() } else { format!("({})", parts.join(",")) }
}

fn selected(connector: &Value, expansion: &ExpandItem) -> Value {
    match connector {
        Value::Object(properties) if !expansion.select.is_empty() => {
            let selected = properties.iter().filter(|(name, _)| expansion.select.contains(name));
            Value::Object(selected.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        whole => whole.clone(),
    }
}

/// Writes each `Edm.Int64` as a string (`IEEE754Compatible=true`). The connector has no other numbers.
fn write_numbers_as_strings(value: &mut Value) {
    match value {
        Value::Object(properties) => properties.values_mut().for_each(write_numbers_as_strings),
        Value::Array(items) => items.iter_mut().for_each(write_numbers_as_strings),
        Value::Number(number) => *value = Value::String(number.to_string()),
        _ => {}
    }
}

/// Removes every annotation (`odata.metadata=none`), also the type of the credential.
fn strip(value: &mut Value) {
    match value {
        Value::Object(properties) => {
            properties.retain(|name, _| !name.contains("@odata."));
            properties.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Adds types and links (`odata.metadata=full`).
fn annotate(body: &mut Value, url: &str) {
    let Some(body) = body.as_object_mut() else { return };
    body.insert("@odata.type".to_owned(), json!("#microsoft.graph.userFlowApiConnectorConfiguration"));
    body.insert("@odata.id".to_owned(), json!(url));
    for (name, value) in body.iter_mut() {
        let Some(connector) = value.as_object_mut() else { continue };
        connector.insert("@odata.type".to_owned(), json!("#microsoft.graph.identityApiConnector"));
        connector.insert("@odata.id".to_owned(), json!(format!("{url}/{name}")));
        connector.insert("@odata.editLink".to_owned(), json!(format!("{url}/{name}")));
        let Some(credential) = connector.get_mut("authenticationConfiguration") else { continue };
        annotate_credential(credential);
    }
}

fn annotate_credential(credential: &mut Value) {
    let Some(credential) = credential.as_object_mut() else { return };
    let Some(list) = credential.get_mut("certificateList").and_then(Value::as_array_mut) else { return };
    for certificate in list.iter_mut().filter_map(Value::as_object_mut) {
        certificate.insert("notAfter@odata.type".to_owned(), json!("#Int64"));
        certificate.insert("notBefore@odata.type".to_owned(), json!("#Int64"));
    }
    let collection = "#Collection(microsoft.graph.pkcs12CertificateInformation)";
    credential.insert("certificateList@odata.type".to_owned(), json!(collection));
}

const CONTEXT_ANNOTATION: &str = "@odata.context";
const GRAPH_URL: &str = "https://graph.microsoft.com";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_graph::connector;
    use crate::fake_graph::directory::Step;

    fn body(query: &str, metadata: &str) -> Value {
        let flow = Flow::new("B2X_1_x")
            .connector(Step::PostFederationSignup, connector::basic("One", "https://api.example", "u", "p"))
            .connector(
                Step::PreTokenIssuance,
                connector::client_certificate("Two", "https://api.example", &["0EB2"]),
            );
        let path = "/beta/identity/b2xUserFlows/B2X_1_x/apiConnectorConfiguration";
        let accept = format!("application/json;odata.metadata={metadata}");
        configuration(&ConfigurationRequest::parse(path, query, &accept).unwrap(), &flow)
    }

    #[test]
    fn without_expand_there_is_only_the_context() {
        let context = "https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_x')/apiConnectorConfiguration";
        assert_eq!(body("", "minimal"), json!({"@odata.context": context}));
    }

    #[test]
    fn the_contexts_are_those_of_the_documentation() {
        let body = body("$expand=postFederationSignup,preTokenIssuance", "minimal");
        let prefix = "https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_x')/apiConnectorConfiguration";
        let kind = "microsoft.graph.userFlowApiConnectorConfiguration";
        assert_eq!(body["@odata.context"], format!("{prefix}(postFederationSignup(),preTokenIssuance())"));
        assert_eq!(
            body["postFederationSignup@odata.context"],
            format!("{prefix}/{kind}/postFederationSignup/$entity")
        );
        assert_eq!(
            body["preTokenIssuance@odata.context"],
            format!("{prefix}/{kind}/{kind}/preTokenIssuance/$entity")
        );
    }

    #[test]
    fn a_step_without_a_connector_is_null() {
        assert_eq!(body("$expand=postAttributeCollection", "none"), json!({"postAttributeCollection": null}));
    }

    #[test]
    fn a_nested_select_leaves_the_rest_out() {
        let body = body("$expand=postFederationSignup($select=displayName)", "none");
        assert_eq!(body, json!({"postFederationSignup": {"displayName": "One"}}));
    }

    #[test]
    fn no_metadata_means_no_annotation_at_any_depth() {
        assert!(
            !body("$expand=postFederationSignup,preTokenIssuance", "none").to_string().contains("@odata")
        );
    }

    #[test]
    fn numbers_are_strings_if_the_request_is_compatible_with_ieee_754() {
        let body = body("$expand=preTokenIssuance", "minimal;IEEE754Compatible=true");
        let list = &body["preTokenIssuance"]["authenticationConfiguration"]["certificateList"];
        assert_eq!((&list[0]["notAfter"], &list[0]["isActive"]), (&json!("1897886522"), &json!(true)));
    }

    #[test]
    fn full_metadata_types_the_numbers() {
        let body = body("$expand=preTokenIssuance", "full");
        let list = &body["preTokenIssuance"]["authenticationConfiguration"]["certificateList"];
        assert_eq!(list[0]["notAfter@odata.type"], "#Int64");
    }
}
