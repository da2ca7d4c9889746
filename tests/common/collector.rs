//! A collector of OpenTelemetry for OTLP over HTTP in JSON. It keeps the spans.
//!
//! The fields are those of `opentelemetry/proto/trace/v1/trace.proto` in their JSON names. An unknown field or another type
//! fails the test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::sync::watch;

use super::origin::{OriginServer, Request};
use super::reply::Reply;
use super::within;

/// A running collector.
pub struct Collector {
    origin: OriginServer,
    spans: Arc<Mutex<Vec<Span>>>,
    count: watch::Receiver<usize>,
}

/// A received span.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty without a parent.
    pub parent: String,
    pub name: String,
    pub is_server: bool,
    pub failed: bool,
    pub nanoseconds: u64,
    /// By name; numbers are spelled out.
    pub attributes: BTreeMap<String, String>,
}

impl Span {
    /// An attribute, or the empty text.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    /// Listens, and accepts all exports.
    pub async fn start() -> Self {
        let (origin, spans) = (OriginServer::start().await, Arc::new(Mutex::new(Vec::new())));
        let (counted, count) = watch::channel(0);
        let taken = Arc::clone(&spans);
        origin.handle("/v1/traces", move |request| {
            let mut taken = taken.lock().unwrap();
            taken.extend(read(request));
            counted.send_replace(taken.len());
            Reply::json("{}")
        });
        Self { origin, spans, count }
    }

    /// The base address, as `telemetry.otlp_endpoint` has it.
    pub fn url(&self) -> url::Url {
        self.origin.url().parse().unwrap()
    }

    /// Bodies of the exports.
    pub fn bodies(&self) -> Vec<String> {
        self.origin.seen().into_iter().map(|request| String::from_utf8(request.body).unwrap()).collect()
    }

    /// Returns when at least `count` spans have come: all of them, oldest first.
    pub async fn spans(&self, count: usize) -> Vec<Span> {
        let mut counted = self.count.clone();
        within(&format!("{count} spans"), counted.wait_for(|had| *had >= count)).await.unwrap();
        self.spans.lock().unwrap().clone()
    }
}

fn read(request: &Request) -> Vec<Span> {
    assert_eq!((request.method.as_str(), request.header("content-type")), ("POST", Some("application/json")));
    let export: Export = serde_json::from_slice(&request.body)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&request.body)));
    let mut spans = Vec::new();
    for of_resource in export.resource_spans {
        let resource = attributes(&of_resource.resource.attributes);
        assert_eq!(resource["service.name"], "connector-cache");
        assert!(resource.contains_key("service.version") && resource.contains_key("service.instance.id"));
        for of_scope in of_resource.scope_spans {
            assert!(!of_scope.scope.name.is_empty() && !of_scope.scope.version.is_empty());
            spans.extend(of_scope.spans.iter().map(span));
        }
    }
    spans
}

fn span(raw: &RawSpan) -> Span {
    let (begin, end): (u64, u64) =
        (raw.start_time_unix_nano.parse().unwrap(), raw.end_time_unix_nano.parse().unwrap());
    let hex = |id: &str, digits| id.len() == digits && u128::from_str_radix(id, 16).is_ok_and(|id| id != 0);
    assert!(hex(&raw.trace_id, 32) && hex(&raw.span_id, 16), "{raw:?}");
    assert!(raw.parent_span_id.is_empty() || hex(&raw.parent_span_id, 16), "{raw:?}");
    assert!(begin <= end && raw.flags == 1 && [2, 3].contains(&raw.kind), "{raw:?}");
    Span {
        trace: raw.trace_id.clone(),
        id: raw.span_id.clone(),
        parent: raw.parent_span_id.clone(),
        name: raw.name.clone(),
        is_server: raw.kind == 2,
        failed: raw.status.as_ref().is_some_and(|status| status.code == 2),
        nanoseconds: end - begin,
        attributes: attributes(&raw.attributes),
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for KeyValue { key, value } in list {
        let text = match value {
            AnyValue::String(text) => text.clone(),
            AnyValue::Int(number) => number.parse::<i64>().unwrap().to_string(),
            AnyValue::Array(Values { values }) => format!("{values:?}"),
        };
        assert_eq!(map.insert(key.clone(), text), None, "{key} is there twice");
    }
    map
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Export {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<RawSpan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawSpan {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    flags: u32,
    name: String,
    kind: u32,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue>,
    status: Option<Status>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    code: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Debug, Deserialize)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    String(String),
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "arrayValue")]
    Array(Values),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    values: Vec<AnyValue>,
}
