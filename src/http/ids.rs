//! The ids that follow a request: ours, the caller's, and the trace's.
//!
//! They correlate and nothing else. What a caller sends is taken only in the exact form it should have, so
//! that no id can carry anything else into a log line, a header or Graph.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::http::headers::only;

/// The ids of one request.
#[derive(Clone, Debug)]
pub struct Ids {
    /// Our own: the header `request-id` of the answer.
    pub request: Uuid,
    /// The caller's `client-request-id`; ours, as at Graph, where it sent none or one that is not a GUID.
    pub client: Uuid,
    /// How the caller spells its own, where it sent one.
    theirs: Option<HeaderValue>,
    /// The trace that the caller is in, if it said so.
    pub trace: Option<TraceParent>,
}

impl Ids {
    /// Those of a request that has its number already, and of which its caller says nothing.
    pub fn numbered(request: Uuid) -> Self {
        Self { request, client: request, theirs: None, trace: None }
    }

    /// Reads the caller's ids and makes ours.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_fields(headers.get(&CLIENT_ID), only(headers, &TRACE_PARENT))
    }

    /// Makes ours beside what the caller tells in `client-request-id` and `traceparent`.
    pub fn from_fields(client: Option<&HeaderValue>, trace: Option<&HeaderValue>) -> Self {
        let theirs = client.and_then(|value| Some((value, guid(value)?)));
        let trace = trace.and_then(TraceParent::parse);
        let request = Uuid::new_v4();
        let client = theirs.map_or(request, |(_, client)| client);
        Self { request, client, theirs: theirs.map(|(value, _)| value.clone()), trace }
    }

    /// The values of `client-request-id`, in the caller's own spelling, and of `request-id`.
    pub fn spelled(&self) -> [HeaderValue; 2] {
        self.with(spelled(self.request))
    }

    /// The same where `request-id` is spelled already.
    pub fn with(&self, mut ours: HeaderValue) -> [HeaderValue; 2] {
        // It will not come again: in HTTP/2's table of fields it would only push out what will.
        ours.set_sensitive(true);
        [self.theirs.clone().unwrap_or_else(|| ours.clone()), ours]
    }
}

/// A GUID as a field has it.
pub fn spelled(id: Uuid) -> HeaderValue {
    let [value] = templates(|[text]| spell(id, text));
    value
}

/// Writes a GUID as a field has it.
pub fn spell(id: Uuid, text: &mut Text) {
    id.hyphenated().encode_lower(text);
}

/// Field values as long as a GUID that stand in one piece of memory: one is found as quickly as another, and so is
/// room for all of them.
pub fn templates<const N: usize>(write: impl FnOnce(&mut [Text; N])) -> [HeaderValue; N] {
    struct HeaderTemplates<const N: usize>([Text; N]);
    impl<const N: usize> AsRef<[u8]> for HeaderTemplates<N> {
        fn as_ref(&self) -> &[u8] {
            self.0.as_flattened()
        }
    }
    let mut templates = HeaderTemplates([[0; Hyphenated::LENGTH]; N]);
    write(&mut templates.0);
    let mut rest = Bytes::from_owner(templates);
    std::array::from_fn(|_| {
        let text = rest.split_to(Hyphenated::LENGTH);
        HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static(""))
    })
}

/// A GUID's text.
pub type Text = [u8; Hyphenated::LENGTH];

/// Where a trace stands: <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    /// The span that asks: the caller's, or ours once there is one.
    span: u64,
    sampled: bool,
}

impl TraceParent {
    /// Reads version 00, or the part of a later version that is the same. Ids of zero are invalid.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known_shape = match version {
            "00" => parts.next().is_none(),
            _ => version != "ff" && hex(version, 2).is_some(),
        };
        let trace = hex(trace, 32).filter(|id| *id != 0)?;
        let span = hex(parent, 16).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0)?;
        let flags = hex(flags, 2)?;
        known_shape.then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// The trace id, 32 hex digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The header for a request of ours within this trace. `span`: the one that asks; a new id where none is told of.
    pub fn child(self, span: Option<u64>) -> String {
        let span = span.unwrap_or_else(span_id);
        format!("00-{:032x}-{span:016x}-{:02x}", self.trace, u8::from(self.sampled))
    }
}

/// What only whoever tells of spans needs.
impl TraceParent {
    /// A trace of our own, of which `span` is the first.
    pub fn root(span: u64) -> Self {
        Self { trace: Uuid::new_v4().as_u128(), span, sampled: true }
    }

    /// The same trace, as `span` hands it on.
    #[must_use]
    pub fn within(self, span: u64) -> Self {
        Self { span, ..self }
    }

    /// The trace's number.
    pub fn trace(self) -> u128 {
        self.trace
    }

    /// The span that asks.
    pub fn span(self) -> u64 {
        self.span
    }

    /// Whether spans of it are wanted.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }
}

/// A new id for a span. The version's digit of the UUID keeps it from being zero.
pub fn span_id() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

/// The GUID in a header value: 36 characters with hyphens, as Graph's clients send it.
pub fn guid(value: &HeaderValue) -> Option<Uuid> {
    let text = value.to_str().ok()?;
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    lower.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Graph's name for the caller's id of a request.
pub const CLIENT_REQUEST_ID: &str = "client-request-id";
/// Graph's name for the server's id of a request.
pub const REQUEST_ID: &str = "request-id";
/// [`CLIENT_REQUEST_ID`] as a field's name. A name that is parsed for each look-up takes longer than the look-up.
pub static CLIENT_ID: HeaderName = HeaderName::from_static(CLIENT_REQUEST_ID);
/// [`REQUEST_ID`] as a field's name.
pub static OUR_ID: HeaderName = HeaderName::from_static(REQUEST_ID);
/// The caller's trace.
pub static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

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
        let theirs = "b6a0c1de-0c1f-4f0e-9d6a-0123456789ab";
        assert_eq!(ids(CLIENT_REQUEST_ID, theirs).client.to_string(), theirs);
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
