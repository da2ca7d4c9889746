//! Spans in the JSON of OTLP: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! Ids are hex there, 64-bit numbers are strings, enums are numbers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::trace::{Attribute, Finished, Kind, Value};

/// Who tells: this process.
#[derive(Debug)]
pub(super) struct Resource(Json);

impl Resource {
    /// Each process is an instance of its own, as the conventions have it.
    pub(super) fn new() -> Self {
        let text = |name: &str, value: &str| json!({"key": name, "value": {"stringValue": value}});
        Self(json!({"attributes": [
            text("service.name", NAME),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &Uuid::new_v4().to_string()),
        ]}))
    }

    /// The body of a request with these spans.
    pub(super) fn body(&self, spans: &[Finished]) -> Vec<u8> {
        let scope = json!({"name": NAME, "version": env!("CARGO_PKG_VERSION")});
        let spans: Vec<_> = spans.iter().map(span).collect();
        let scoped = json!([{"scope": scope, "spans": spans}]);
        json!({"resourceSpans": [{"resource": self.0, "scopeSpans": scoped}]}).to_string().into_bytes()
    }
}

fn span(span: &Finished) -> Json {
    let mut json = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "flags": SAMPLED,
        "name": span.name,
        "kind": match span.kind { Kind::Server => 2, Kind::Client => 3 },
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        json["parentSpanId"] = format!("{parent:016x}").into();
    }
    if span.failed {
        json["status"] = json!({"code": 2});
    }
    json
}

fn attribute((name, value): &Attribute) -> Json {
    let value = match value {
        Value::Word(word) => json!({"stringValue": word}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Status(status) => json!({"stringValue": status.to_string()}),
        Value::Guid(id) => json!({"arrayValue": {"values": [{"stringValue": id.to_string()}]}}),
        Value::Host(host) => json!({"stringValue": host.as_ref()}),
    };
    json!({"key": name, "value": value})
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

const NAME: &str = "connector-cache";
/// The flags of a trace that is wanted. Others are not told of.
const SAMPLED: u32 = 1;
