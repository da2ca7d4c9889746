//! One span: its place in the trace, its duration and its attributes.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Version;
use uuid::Uuid;

use crate::http::ids::TraceParent;

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    /// Id of the trace.
    pub trace_id: u128,
    /// Id of the span.
    pub span_id: u64,
    /// Id of the span around this one.
    pub parent_id: Option<u64>,
    /// Side of the request that the span describes.
    pub kind: SpanKind,
    /// Name: one of a handful of constants.
    pub name: &'static str,
    /// Start by the wall clock.
    pub start: SystemTime,
    /// End: the start plus the duration by the monotonic clock.
    pub end: SystemTime,
    /// Attributes, each name once.
    pub attributes: Vec<Attribute>,
    /// True if the span has the status "error".
    pub is_error: bool,
}

/// A name of the OpenTelemetry semantic conventions, or one with the prefix `connector_cache.`, and its value.
pub type Attribute = (&'static str, AttributeValue);

/// A value of an attribute. No variant can hold text of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A label of a closed set, or a constant.
    Label(&'static str),
    /// A number.
    Number(i64),
    /// An HTTP status, for attributes that the conventions define as text.
    Status(u16),
    /// The one value of a header field that holds a GUID.
    Guid(Uuid),
    /// The host of `graph.base_url`.
    Host(Arc<str>),
}

/// Side of a request that a span describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The proxy serves the request.
    Server,
    /// The proxy sends the request.
    Client,
}

/// A span that has not ended.
#[derive(Debug)]
pub(super) struct ActiveSpan {
    context: TraceParent,
    parent_id: Option<u64>,
    kind: SpanKind,
    start: SystemTime,
    started_at: Instant,
    attributes: Vec<Attribute>,
}

impl ActiveSpan {
    /// Starts a span now. `context` holds the ids of the trace and of this span.
    pub(super) fn start(context: TraceParent, parent_id: Option<u64>, kind: SpanKind) -> Self {
        let attributes = Vec::with_capacity(MAX_ATTRIBUTES);
        Self { context, parent_id, kind, start: SystemTime::now(), started_at: Instant::now(), attributes }
    }

    /// Returns the id of the trace.
    pub(super) fn trace_id(&self) -> u128 {
        self.context.trace()
    }

    /// Returns the id of the span.
    pub(super) fn span_id(&self) -> u64 {
        self.context.span()
    }

    /// Adds an attribute.
    pub(super) fn set_attribute(&mut self, name: &'static str, value: AttributeValue) {
        self.attributes.push((name, value));
    }

    /// Ends the span now.
    pub(super) fn end(self, name: &'static str, is_error: bool) -> FinishedSpan {
        FinishedSpan {
            trace_id: self.context.trace(),
            span_id: self.context.span(),
            parent_id: self.parent_id,
            kind: self.kind,
            name,
            start: self.start,
            end: self.start + self.started_at.elapsed(),
            attributes: self.attributes,
            is_error,
        }
    }
}

/// Returns the value of `network.protocol.version`.
pub(super) fn protocol_version(version: Version) -> AttributeValue {
    AttributeValue::Label(match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    })
}

/// Attributes of the largest span.
const MAX_ATTRIBUTES: usize = 9;
