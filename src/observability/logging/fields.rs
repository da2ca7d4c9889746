//! The fields of an event or a span, each of bounded length.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};

/// Names and values in the order of their first occurrence. A later value of the same name replaces the earlier one.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, FieldValue)>);

/// Value of a field, as a JSON type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FieldValue {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A floating-point number.
    Float(f64),
    /// Text of at most [`MAX_FIELD_CHARS`] characters. If it was cut, the last one is an ellipsis.
    Text(String),
}

impl Fields {
    /// Adds all fields of `others`.
    pub(super) fn merge(&mut self, others: &Fields) {
        for (name, value) in &others.0 {
            self.put(name, value.clone());
        }
    }

    /// Returns all fields except the message.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &FieldValue)> {
        self.0.iter().map(|(name, value)| (*name, value)).filter(|(name, _)| *name != MESSAGE)
    }

    /// Returns the message of the event.
    pub(super) fn message(&self) -> Option<&FieldValue> {
        self.0.iter().find(|(name, _)| *name == MESSAGE).map(|(_, value)| value)
    }

    fn put(&mut self, name: &'static str, value: FieldValue) {
        let name = name.strip_prefix("r#").unwrap_or(name);
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), FieldValue::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), FieldValue::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), FieldValue::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), FieldValue::Float(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), bounded_text(format_args!("{value}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), bounded_text(format_args!("{value:?}")));
    }
}

fn bounded_text(value: fmt::Arguments<'_>) -> FieldValue {
    let mut short = BoundedText { text: String::new(), left: MAX_FIELD_CHARS };
    // Formatting stops with an error at the limit.
    let is_complete = short.write_fmt(value).is_ok();
    if !is_complete {
        short.text.pop();
        short.text.push('\u{2026}');
    }
    FieldValue::Text(short.text)
}

/// Buffer of bounded length. It stops the formatting at the limit, so that a large value costs no more than a small one.
struct BoundedText {
    text: String,
    left: usize,
}

impl Write for BoundedText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

/// Name of the field that holds the message.
const MESSAGE: &str = "message";
/// Characters of one value.
const MAX_FIELD_CHARS: usize = 256;
