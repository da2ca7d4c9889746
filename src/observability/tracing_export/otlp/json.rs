//! Spans in the JSON of OTLP: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! Ids are hex there, 64-bit numbers are strings, enums are numbers. Spans are written as they are, without a tree
//! between: at a thousand requests a second that would be most of what they cost.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use uuid::Uuid;

use crate::observability::tracing_export::{AttributeValue, Finished, SpanKind};

/// Who tells: this process.
#[derive(Debug)]
pub(super) struct Resource {
    instance: String,
}

impl Resource {
    /// Each process is an instance of its own, as the conventions have it.
    pub(super) fn new() -> Self {
        Self { instance: Uuid::new_v4().to_string() }
    }

    /// The body of a request with these spans. It fails for nothing but want of memory.
    pub(super) fn body(&self, spans: &[Finished]) -> Vec<u8> {
        let named = |key, value| Attribute { key, value: Any::Text(value) };
        let attributes = [
            named("service.name", NAME),
            named("service.version", VERSION),
            named("service.instance.id", &self.instance),
        ];
        let scope = Map([("name", NAME), ("version", VERSION)]);
        let spans: Vec<_> = spans.iter().map(Span).collect();
        let scoped = Scoped { scope, spans: &spans };
        let whole = Map([("resourceSpans", [Told { resource: Map([("attributes", attributes)]), scoped }])]);
        let mut body = Vec::with_capacity(spans.len() * SPAN_BYTES);
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut body, &whole);
        body
    }
}

/// An object of members of one type.
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

struct Told<'a> {
    resource: Map<[Attribute<'a>; 3], 1>,
    scoped: Scoped<'a>,
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut told = serializer.serialize_struct("ResourceSpans", 2)?;
        told.serialize_field("resource", &self.resource)?;
        told.serialize_field("scopeSpans", &[&self.scoped])?;
        told.end()
    }
}

struct Scoped<'a> {
    scope: Map<&'static str, 2>,
    spans: &'a [Span<'a>],
}

impl Serialize for Scoped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut scoped = serializer.serialize_struct("ScopeSpans", 2)?;
        scoped.serialize_field("scope", &self.scope)?;
        scoped.serialize_field("spans", self.spans)?;
        scoped.end()
    }
}

struct Span<'a>(&'a Finished);

impl Serialize for Span<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut json = serializer.serialize_struct("Span", 10)?;
        json.serialize_field("traceId", &Spelled(format_args!("{:032x}", span.trace)))?;
        json.serialize_field("spanId", &Spelled(format_args!("{:016x}", span.id)))?;
        if let Some(parent) = span.parent {
            json.serialize_field("parentSpanId", &Spelled(format_args!("{parent:016x}")))?;
        }
        json.serialize_field("flags", &SAMPLED)?;
        json.serialize_field("name", span.name)?;
        json.serialize_field("kind", &kind(span.kind))?;
        json.serialize_field("startTimeUnixNano", &Spelled(nanoseconds(span.began)))?;
        json.serialize_field("endTimeUnixNano", &Spelled(nanoseconds(span.ended)))?;
        json.serialize_field("attributes", &Attributes(&span.attributes))?;
        if span.failed {
            json.serialize_field("status", &Map([("code", FAILED)]))?;
        }
        json.end()
    }
}

struct Attributes<'a>(&'a [crate::observability::tracing_export::Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(key, value)| Attribute { key, value: Any::Of(value) }))
    }
}

struct Attribute<'a> {
    key: &'static str,
    value: Any<'a>,
}

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut attribute = serializer.serialize_struct("KeyValue", 2)?;
        attribute.serialize_field("key", self.key)?;
        attribute.serialize_field("value", &self.value)?;
        attribute.end()
    }
}

enum Any<'a> {
    Text(&'a str),
    Of(&'a AttributeValue),
}

impl Serialize for Any<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Of(AttributeValue::Label(text)) => {
                Map([("stringValue", *text)]).serialize(serializer)
            }
            Self::Of(AttributeValue::Host(host)) => {
                Map([("stringValue", host.as_ref())]).serialize(serializer)
            }
            Self::Of(AttributeValue::Status(status)) => {
                Map([("stringValue", Spelled(status))]).serialize(serializer)
            }
            Self::Of(AttributeValue::Number(number)) => {
                Map([("intValue", Spelled(number))]).serialize(serializer)
            }
            Self::Of(AttributeValue::Guid(id)) => {
                let values = [Map([("stringValue", Spelled(id))])];
                Map([("arrayValue", Map([("values", values)]))]).serialize(serializer)
            }
        }
    }
}

/// Anything as a string.
struct Spelled<T>(T);

impl<T: Display> Serialize for Spelled<T> {
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

fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

const NAME: &str = "connector-cache";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The flags of a trace that is wanted. Others are not told of.
const SAMPLED: u32 = 1;
/// `STATUS_CODE_ERROR`
const FAILED: u8 = 2;
/// What a span takes as a rule.
const SPAN_BYTES: usize = 1024;
