//! Spans in the JSON encoding of OTLP: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! Ids are hexadecimal text, 64-bit numbers are text, enums are numbers. Spans are serialized without a tree of values
//! in between: at a thousand requests a second the tree would be most of the cost of the export.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use uuid::Uuid;

use crate::observability::tracing_export::{self, AttributeValue, FinishedSpan, SpanKind};

/// Attributes of this process, which each request to the collector carries.
#[derive(Debug)]
pub(super) struct ResourceAttributes {
    attributes: Vec<(String, String)>,
}

impl ResourceAttributes {
    /// Describes this process by name, version and a random instance id, and by the attributes of the environment. Of
    /// two attributes of one name the later one counts.
    pub(super) fn new(from_environment: Vec<(String, String)>) -> Self {
        let mut attributes = vec![
            ("service.name".to_owned(), NAME.to_owned()),
            ("service.version".to_owned(), VERSION.to_owned()),
            ("service.instance.id".to_owned(), Uuid::new_v4().to_string()),
        ];
        for (name, value) in from_environment {
            match attributes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, slot)) => *slot = value,
                None => attributes.push((name, value)),
            }
        }
        Self { attributes }
    }

    /// Renders the body of a request with these spans.
    pub(super) fn render(&self, spans: &[FinishedSpan]) -> Vec<u8> {
        let attributes: Vec<_> = self
            .attributes
            .iter()
            .map(|(key, value)| KeyValue { key, value: AnyValue::Text(value) })
            .collect();
        let scope = Map([("name", NAME), ("version", VERSION)]);
        let spans: Vec<_> = spans.iter().map(Span).collect();
        let scope_spans = ScopeSpans { scope, spans: &spans };
        let resource = Map([("attributes", attributes.as_slice())]);
        let request = Map([("resourceSpans", [ResourceSpans { resource, scope_spans }])]);
        let mut body = Vec::with_capacity(spans.len() * TYPICAL_SPAN_BYTES);
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut body, &request);
        body
    }
}

/// An object whose members have one type.
struct Map<T, const N: usize>([(&'static str, T); N]);

impl<T: Serialize, const N: usize> Serialize for Map<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(N))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

struct ResourceSpans<'a> {
    resource: Map<&'a [KeyValue<'a>], 1>,
    scope_spans: ScopeSpans<'a>,
}

impl Serialize for ResourceSpans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("ResourceSpans", 2)?;
        json.serialize_field("resource", &self.resource)?;
        json.serialize_field("scopeSpans", &[&self.scope_spans])?;
        json.end()
    }
}

struct ScopeSpans<'a> {
    scope: Map<&'static str, 2>,
    spans: &'a [Span<'a>],
}

impl Serialize for ScopeSpans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("ScopeSpans", 2)?;
        json.serialize_field("scope", &self.scope)?;
        json.serialize_field("spans", self.spans)?;
        json.end()
    }
}

struct Span<'a>(&'a FinishedSpan);

impl Serialize for Span<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut json = serializer.serialize_struct("Span", 10)?;
        json.serialize_field("traceId", &AsText(format_args!("{:032x}", span.trace_id)))?;
        json.serialize_field("spanId", &AsText(format_args!("{:016x}", span.span_id)))?;
        if let Some(parent) = span.parent_id {
            json.serialize_field("parentSpanId", &AsText(format_args!("{parent:016x}")))?;
        }
        json.serialize_field("flags", &FLAG_SAMPLED)?;
        json.serialize_field("name", span.name)?;
        json.serialize_field("kind", &kind(span.kind))?;
        json.serialize_field("startTimeUnixNano", &AsText(unix_nanoseconds(span.start)))?;
        json.serialize_field("endTimeUnixNano", &AsText(unix_nanoseconds(span.end)))?;
        json.serialize_field("attributes", &Attributes(&span.attributes))?;
        if span.is_error {
            json.serialize_field("status", &Map([("code", STATUS_CODE_ERROR)]))?;
        }
        json.end()
    }
}

struct Attributes<'a>(&'a [tracing_export::Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.iter().map(|(key, value)| KeyValue { key, value: AnyValue::Span(value) }))
    }
}

struct KeyValue<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

impl Serialize for KeyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut attribute = serializer.serialize_struct("KeyValue", 2)?;
        attribute.serialize_field("key", self.key)?;
        attribute.serialize_field("value", &self.value)?;
        attribute.end()
    }
}

enum AnyValue<'a> {
    /// Value of a resource attribute.
    Text(&'a str),
    /// Value of a span attribute.
    Span(&'a AttributeValue),
}

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Span(AttributeValue::Label(text)) => {
                Map([("stringValue", *text)]).serialize(serializer)
            }
            Self::Span(AttributeValue::Host(host)) => {
                Map([("stringValue", host.as_ref())]).serialize(serializer)
            }
            Self::Span(AttributeValue::Status(status)) => {
                Map([("stringValue", AsText(status))]).serialize(serializer)
            }
            Self::Span(AttributeValue::Number(number)) => {
                Map([("intValue", AsText(number))]).serialize(serializer)
            }
            Self::Span(AttributeValue::Guid(id)) => {
                let values = [Map([("stringValue", AsText(id))])];
                Map([("arrayValue", Map([("values", values)]))]).serialize(serializer)
            }
        }
    }
}

/// Serializes a value as text.
struct AsText<T>(T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    }
}

fn unix_nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

const NAME: &str = "connector-cache";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Flags of a span: the trace is sampled. Spans of other traces do not exist.
const FLAG_SAMPLED: u32 = 1;
/// `Status.StatusCode` of a failed span.
const STATUS_CODE_ERROR: u8 = 2;
/// Size of a typical span in JSON, bytes.
const TYPICAL_SPAN_BYTES: usize = 1024;
