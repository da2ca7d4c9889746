//! Escapes of values: no value can end its line, move the cursor or change the direction of text.

use std::io;

use serde_json::ser::Formatter;

/// JSON formatter that escapes all unprintable characters. JSON requires escapes only below U+0020, so DEL, the C1
/// controls, U+2028 and the direction marks would pass.
#[derive(Debug)]
pub(super) struct PlainJson;

impl Formatter for PlainJson {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, part: &str) -> io::Result<()> {
        let mut units = [0; 2];
        let mut written = 0;
        for (start, character) in part.char_indices().filter(|(_, character)| is_unprintable(*character)) {
            writer.write_all(&part.as_bytes()[written..start])?;
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            written = start + character.len_utf8();
        }
        writer.write_all(&part.as_bytes()[written..])
    }
}

/// Appends `text` with escapes for unprintable characters. A backslash is doubled, so that no value can forge an escape.
pub(super) fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        if character == '\\' || is_unprintable(character) {
            into.extend(character.escape_debug());
        } else {
            into.push(character);
        }
    }
}

/// Appends `text` in quotes.
pub(super) fn quote(text: &str, into: &mut String) {
    into.push('"');
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            into.push_str("\\\"");
        }
        escape(part, into);
    }
    into.push('"');
}

/// Returns whether a character is a control, a line or paragraph separator, a direction mark or unassigned.
fn is_unprintable(character: char) -> bool {
    // `escape_debug` has the table of unprintable characters; it also escapes quotes and the backslash.
    !matches!(character, '\'' | '"' | '\\') && character.escape_debug().len() > 1
}
