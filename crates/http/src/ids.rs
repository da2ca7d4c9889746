//! The ids of a request: the proxy's, the caller's, and the trace's.
//!
//! Ids are for correlation only. A caller's id is accepted only in its exact format, so that it cannot carry other
//! text into a log line, a header field or a request to Graph.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::headers::single_value;

/// The ids of one request.
#[derive(Clone, Debug)]
pub struct Ids {
    /// The proxy's own id: `request-id` of the response.
    pub request: Uuid,
    /// The caller's `client-request-id`. The proxy's own id, as at Graph, if the caller sent none or one that is not a
    /// GUID.
    pub client: Uuid,
    /// The caller's field value, if it sent a valid one.
    client_field: Option<HeaderValue>,
    /// The caller's trace, if it sent one.
    pub trace: Option<TraceParent>,
}

impl Ids {
    /// Creates the ids of a request without fields of the caller.
    #[inline]
    pub fn with_request_id(request: Uuid) -> Self {
        Self { request, client: request, client_field: None, trace: None }
    }

    /// Parses the caller's ids and creates the proxy's id.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_fields(headers.get(&CLIENT_REQUEST_ID_FIELD), single_value(headers, &TRACEPARENT))
    }

    /// Creates the proxy's id, and parses `client-request-id` and `traceparent`.
    #[inline]
    pub fn from_fields(client: Option<&HeaderValue>, trace: Option<&HeaderValue>) -> Self {
        let client_field = client.and_then(|value| Some((value, parse_guid(value)?)));
        let trace = trace.and_then(TraceParent::parse);
        let request = Uuid::new_v4();
        let client = client_field.map_or(request, |(_, client)| client);
        Self { request, client, client_field: client_field.map(|(value, _)| value.clone()), trace }
    }

    /// Returns the values of `client-request-id`, in the caller's own spelling, and of `request-id`.
    pub fn header_values(&self) -> [HeaderValue; 2] {
        self.header_values_with(guid_value(self.request))
    }

    /// Returns both values; `request_id` is the rendered `request-id`.
    #[inline]
    pub fn header_values_with(&self, mut request_id: HeaderValue) -> [HeaderValue; 2] {
        // Not indexed by HPACK: the value never repeats and would evict values that do.
        request_id.set_sensitive(true);
        [self.client_field.clone().unwrap_or_else(|| request_id.clone()), request_id]
    }
}

/// Renders a GUID as a field value.
pub fn guid_value(id: Uuid) -> HeaderValue {
    let [value] = guid_values(|[text]| write_guid(id, text));
    value
}

/// Writes the text of a GUID.
#[inline]
pub fn write_guid(id: Uuid, text: &mut GuidText) {
    id.hyphenated().encode_lower(text);
}

/// Creates field values with the length of a GUID in one allocation, which is faster than one allocation for each.
#[inline]
pub fn guid_values<const N: usize>(write: impl FnOnce(&mut [GuidText; N])) -> [HeaderValue; N] {
    struct GuidBuffer<const N: usize>([GuidText; N]);
    impl<const N: usize> AsRef<[u8]> for GuidBuffer<N> {
        fn as_ref(&self) -> &[u8] {
            self.0.as_flattened()
        }
    }
    let mut buffer = GuidBuffer([[0; Hyphenated::LENGTH]; N]);
    write(&mut buffer.0);
    let mut rest = Bytes::from_owner(buffer);
    std::array::from_fn(|_| {
        let text = rest.split_to(Hyphenated::LENGTH);
        HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
    })
}

/// The text of a GUID.
pub type GuidText = [u8; Hyphenated::LENGTH];

/// The position in a trace: <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    /// The parent span: the caller's, or the proxy's once it has started one.
    span: u64,
    sampled: bool,
}

impl TraceParent {
    /// Parses version 00, or the compatible part of a later version. Ids of zero are invalid.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known_shape = match version {
            "00" => parts.next().is_none(),
            _ => version != "ff" && parse_hex(version, 2).is_some(),
        };
        let trace = parse_hex(trace, 32).filter(|id| *id != 0)?;
        let span = parse_hex(parent, 16).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)?;
        let flags = parse_hex(flags, 2)?;
        known_shape.then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// Returns the trace id, 32 hex digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Returns `traceparent` for a request to Graph in this trace. `span`: the parent; `None` creates a new id.
    pub fn child(self, span: Option<u64>) -> String {
        let span = span.unwrap_or_else(span_id);
        format!("00-{:032x}-{span:016x}-{:02x}", self.trace, u8::from(self.sampled))
    }
}

/// Parts of a trace that only the tracing export uses.
impl TraceParent {
    /// Starts a new trace with `span` as its root.
    pub fn root(span: u64) -> Self {
        Self { trace: Uuid::new_v4().as_u128(), span, sampled: true }
    }

    /// Returns the same trace with `span` as the parent.
    #[must_use]
    pub fn within(self, span: u64) -> Self {
        Self { span, ..self }
    }

    /// Returns the trace id.
    pub fn trace(self) -> u128 {
        self.trace
    }

    /// Returns the parent span.
    pub fn span(self) -> u64 {
        self.span
    }

    /// Returns whether the trace is sampled.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }
}

/// Creates an id for a span. The version digit of the UUID keeps it from being zero.
pub fn span_id() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

/// Parses a GUID: 36 characters with hyphens, as Graph's clients send it.
pub fn parse_guid(value: &HeaderValue) -> Option<Uuid> {
    let text = value.to_str().ok()?;
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn parse_hex(text: &str, digits: usize) -> Option<u128> {
    let lower = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    lower.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Graph's field name for the caller's id of a request.
pub const CLIENT_REQUEST_ID: &str = "client-request-id";
/// Graph's field name for the server's id of a request.
pub const REQUEST_ID: &str = "request-id";
/// [`CLIENT_REQUEST_ID`] as a `HeaderName`. Parsing the name for each lookup takes longer than the lookup.
pub static CLIENT_REQUEST_ID_FIELD: HeaderName = HeaderName::from_static(CLIENT_REQUEST_ID);
/// [`REQUEST_ID`] as a `HeaderName`.
pub static REQUEST_ID_FIELD: HeaderName = HeaderName::from_static(REQUEST_ID);
/// The field of the caller's trace.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(name: &'static str, value: &str) -> Ids {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        Ids::from_headers(&headers)
    }

    #[test]
    fn a_guid_of_the_caller_is_kept_and_anything_else_replaced() {
        let client_field = "b6a0c1de-0c1f-4f0e-9d6a-0123456789ab";
        assert_eq!(ids(CLIENT_REQUEST_ID, client_field).client.to_string(), client_field);
        for bad in [
            "",
            "1",
            "b6a0c1de0c1f4f0e9d6a0123456789ab",
            "{b6a0c1de-0c1f-4f0e-9d6a-0123456789ab}",
            "\u{1f4a9}",
        ] {
            assert_ne!(ids(CLIENT_REQUEST_ID, bad).client.to_string(), bad);
        }
    }

    #[test]
    fn a_trace_goes_on_with_a_new_parent() {
        let trace =
            ids("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").trace.unwrap();
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let child = trace.child(None);
        assert!(
            child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && child.ends_with("-01"),
            "{child}"
        );
        assert!(!child.contains("00f067aa0ba902b7"));
        assert_eq!(trace.child(Some(11)), "00-4bf92f3577b34da6a3ce929d0e0e4736-000000000000000b-01");
    }

    #[test]
    fn a_trace_that_is_not_well_formed_is_not_continued() {
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "secret",
        ] {
            assert_eq!(ids("traceparent", bad).trace, None, "{bad}");
        }
    }
}
