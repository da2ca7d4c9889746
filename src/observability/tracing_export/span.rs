//! One span: what it is, how long it took, what is said of it.

use std::time::{Instant, SystemTime};

use http::Version;
use uuid::Uuid;

use crate::http::ids::TraceParent;

/// A span that is over.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The trace it belongs to.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// The span that it is a part of.
    pub parent: Option<u64>,
    /// On which side of a request.
    pub kind: SpanKind,
    /// Its name: one of a handful.
    pub name: &'static str,
    /// When it began.
    pub began: SystemTime,
    /// When it ended: the beginning and what a clock that is never set back has measured.
    pub ended: SystemTime,
    /// What is said of it.
    pub attributes: Vec<Attribute>,
    /// Whether it is to be looked at.
    pub failed: bool,
}

/// A name of the OpenTelemetry conventions, or our own, and a value.
pub type Attribute = (&'static str, AttributeValue);

/// All that an attribute can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A word of a closed vocabulary, or a constant.
    Label(&'static str),
    /// A number.
    Number(i64),
    /// A status, where the conventions want it as a word.
    Status(u16),
    /// The values of a header that holds a GUID and nothing else.
    Guid(Uuid),
    /// The host of `graph.base_url`.
    Host(std::sync::Arc<str>),
}

/// On which side of a request a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Answers.
    Server,
    /// Asks.
    Client,
}

/// A span that goes on.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) place: TraceParent,
    pub(super) parent: Option<u64>,
    kind: SpanKind,
    began: SystemTime,
    since: Instant,
    pub(super) attributes: Vec<Attribute>,
}

impl Running {
    /// Begins now.
    pub(super) fn begin(place: TraceParent, parent: Option<u64>, kind: SpanKind) -> Self {
        let attributes = Vec::with_capacity(ATTRIBUTES);
        Self { place, parent, kind, began: SystemTime::now(), since: Instant::now(), attributes }
    }

    pub(super) fn say(&mut self, name: &'static str, value: AttributeValue) {
        self.attributes.push((name, value));
    }

    /// Ends now.
    pub(super) fn end(&mut self, name: &'static str, failed: bool) -> Finished {
        Finished {
            trace: self.place.trace(),
            id: self.place.span(),
            parent: self.parent,
            kind: self.kind,
            name,
            began: self.began,
            ended: self.began + self.since.elapsed(),
            attributes: std::mem::take(&mut self.attributes),
            failed,
        }
    }
}

/// `network.protocol.version`
pub(super) fn protocol(version: Version) -> AttributeValue {
    AttributeValue::Label(match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    })
}

/// As many as a request has at the most.
const ATTRIBUTES: usize = 9;
