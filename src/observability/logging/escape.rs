//! Keeps a value inside its line: nothing in it can end the line, move a cursor or turn the text around.

use std::io;

use serde_json::ser::Formatter;

/// JSON that is plain to whoever reads it by line or on a terminal. JSON itself escapes only what is below
/// U+0020, so DEL, the C1 controls, U+2028 and the marks of direction would pass.
#[derive(Debug)]
pub(super) struct PlainJson;

impl Formatter for PlainJson {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, part: &str) -> io::Result<()> {
        let mut units = [0; 2];
        let mut plain = 0;
        for (start, character) in part.char_indices().filter(|(_, character)| is_unprintable(*character)) {
            writer.write_all(&part.as_bytes()[plain..start])?;
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = start + character.len_utf8();
        }
        writer.write_all(&part.as_bytes()[plain..])
    }
}

/// Text without anything that a terminal obeys. A backslash is doubled, so that an escape cannot be forged.
pub(super) fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        if character == '\\' || is_unprintable(character) {
            into.extend(character.escape_debug());
        } else {
            into.push(character);
        }
    }
}

/// Text in quotes.
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

/// Control characters, line and paragraph separators, marks of direction, unassigned characters.
fn is_unprintable(character: char) -> bool {
    // The standard library's table of what it does not print, but for the quotes and the backslash.
    !matches!(character, '\'' | '"' | '\\') && character.escape_debug().len() > 1
}
