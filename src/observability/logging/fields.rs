//! The fields of an event or a span, each of bounded length.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};

/// Names and values, in the order they came. A name that comes again replaces its value.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, FieldValue)>);

/// A value in the form in which JSON has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FieldValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Signed(i64),
    /// A whole number.
    Unsigned(u64),
    /// Any number.
    Float(f64),
    /// At most [`MAX_CHARS`] characters, the last an ellipsis when there were more.
    Text(String),
}

impl Fields {
    /// Takes over all of `others`.
    pub(super) fn merge(&mut self, others: &Fields) {
        for (name, value) in &others.0 {
            self.put(name, value.clone());
        }
    }

    /// All fields but the message.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &FieldValue)> {
        self.0.iter().map(|(name, value)| (*name, value)).filter(|(name, _)| *name != MESSAGE)
    }

    /// What the event says.
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
        self.put(field.name(), text(format_args!("{value}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), text(format_args!("{value:?}")));
    }
}

fn text(value: fmt::Arguments<'_>) -> FieldValue {
    let mut short = Short { text: String::new(), left: MAX_CHARS };
    // It ends early with an error when the text is too long.
    let whole = short.write_fmt(value).is_ok();
    if !whole {
        short.text.pop();
        short.text.push('\u{2026}');
    }
    FieldValue::Text(short.text)
}

/// Takes so many characters and then no more, so that a large value is not even formatted.
struct Short {
    text: String,
    left: usize,
}

impl Write for Short {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

const MESSAGE: &str = "message";
/// Of one field.
pub(super) const MAX_CHARS: usize = 256;
