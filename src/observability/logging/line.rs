//! Rendering of an event as one line of JSON or text, in one write.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::{SerializeMap, Serializer};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::Format;
use super::escape::{PlainJson, escape, quote};
use super::fields::{FieldValue, Fields};

/// Writes each event as a line, with the fields of the spans around it.
#[derive(Debug)]
pub(super) struct LineLayer<W> {
    format: Format,
    writer: W,
}

impl<W> LineLayer<W> {
    /// Creates a layer that writes to `writer`.
    pub(super) fn new(format: Format, writer: W) -> Self {
        Self { format, writer }
    }
}

impl<S, W> Layer<S> for LineLayer<W>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(span_fields) = span.extensions().get::<Fields>() {
                fields.merge(span_fields);
            }
        }
        event.record(&mut fields);
        // The formatter panics at a time before the epoch.
        let time = humantime::format_rfc3339_millis(SystemTime::now().max(UNIX_EPOCH));
        let line = match self.format {
            Format::Json => render_json(&time, event.metadata(), &fields),
            Format::Text => Some(render_text(&time, event.metadata(), &fields).into_bytes()),
        };
        if let Some(line) = line {
            // A line that cannot be written does not fail the request.
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
        }
    }
}

fn render_json(time: &impl Display, metadata: &Metadata<'_>, fields: &Fields) -> Option<Vec<u8>> {
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, PlainJson);
    let mut map = serializer.serialize_map(None).ok()?;
    map.serialize_entry("time", &time.to_string()).ok()?;
    map.serialize_entry("level", metadata.level().as_str()).ok()?;
    map.serialize_entry("target", metadata.target()).ok()?;
    for (name, value) in fields.message().map(|value| ("message", value)).into_iter().chain(fields.iter()) {
        match value {
            // A name occurs once in a line. A field cannot replace the fields that every line has.
            _ if COMMON_FIELDS.contains(&name) => Ok(()),
            FieldValue::Bool(value) => map.serialize_entry(name, value),
            FieldValue::Signed(value) => map.serialize_entry(name, value),
            FieldValue::Unsigned(value) => map.serialize_entry(name, value),
            FieldValue::Float(value) => map.serialize_entry(name, value),
            FieldValue::Text(value) => map.serialize_entry(name, value),
        }
        .ok()?;
    }
    map.end().ok()?;
    line.push(b'\n');
    Some(line)
}

fn render_text(time: &impl Display, metadata: &Metadata<'_>, fields: &Fields) -> String {
    let mut line = format!("{time} {:>5} {}:", metadata.level().as_str(), metadata.target());
    if let Some(FieldValue::Text(message)) = fields.message() {
        line.push(' ');
        escape(message, &mut line);
    }
    for (name, value) in fields.iter() {
        // Writing to a string does not fail.
        let _ = write!(line, " {name}=");
        let _ = match value {
            FieldValue::Bool(value) => write!(line, "{value}"),
            FieldValue::Signed(value) => write!(line, "{value}"),
            FieldValue::Unsigned(value) => write!(line, "{value}"),
            FieldValue::Float(value) => write!(line, "{value}"),
            FieldValue::Text(value) if is_word(value) => write!(line, "{value}"),
            FieldValue::Text(value) => {
                quote(value, &mut line);
                Ok(())
            }
        };
    }
    line.push('\n');
    line
}

/// Returns whether a value needs no quotes.
fn is_word(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
    !text.is_empty() && text.bytes().all(is_plain)
}

/// Names of the fields that every line has.
const COMMON_FIELDS: [&str; 3] = ["time", "level", "target"];
