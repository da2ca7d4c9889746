//! The declared types of a document's objects, wherever in the object the declaration stands.
//!
//! One pass before the walk finds them all, so that the walk knows the kind of an object before its first member.

use super::json::JsonReader;
use super::schema::TypeKind;
use crate::ScrubFailure;

/// The declared types by the start of their object, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct DeclaredTypes {
    found: Vec<(usize, TypeKind)>,
    next: usize,
}

impl DeclaredTypes {
    /// Finds every declared type in valid JSON, which `reader` has not begun. Stops at the first error of the reader, at which the walk stops as
    /// well.
    pub(super) fn parse(reader: &mut JsonReader<'_>) -> Self {
        let mut found = Vec::new();
        let _refused_by_the_walk_too = value(reader, &mut found);
        found.sort_unstable_by_key(|&(start, _)| start);
        Self { found, next: 0 }
    }

    /// Returns the type of the object that begins at `start`. Must be called in the order of the text.
    pub(super) fn type_at(&mut self, start: usize) -> Option<TypeKind> {
        while let Some(&(at, kind)) = self.found.get(self.next).filter(|(at, _)| *at <= start) {
            self.next += 1;
            if at == start {
                return Some(kind);
            }
        }
        None
    }
}

fn value(reader: &mut JsonReader<'_>, found: &mut Vec<(usize, TypeKind)>) -> Result<(), ScrubFailure> {
    match reader.peek()? {
        b'{' => object(reader, found),
        b'[' => {
            reader.open(b'[')?;
            let mut first = true;
            while reader.next_element(first, b']')?.is_some() {
                value(reader, found)?;
                first = false;
            }
            reader.close(b']').map(|_| ())
        }
        b'"' => reader.read_string().map(|_| ()),
        _ => reader.read_scalar().map(|_| ()),
    }
}

fn object(reader: &mut JsonReader<'_>, found: &mut Vec<(usize, TypeKind)>) -> Result<(), ScrubFailure> {
    let start = reader.open(b'{')?.start;
    let (mut first, mut declared) = (true, None);
    while reader.next_element(first, b'}')?.is_some() {
        let name = reader.read_string()?;
        reader.expect_byte(b':')?;
        if reader.may_begin_with(&name, b'@') && is_declaration(&reader.unescape(&name)?) {
            let kind = declaration(reader, found)?;
            declared = match (declared, kind) {
                (None, kind) => kind,
                (declared, None) => declared,
                // Two different types are the same as an unknown type.
                (Some(one), Some(other)) => Some(if one == other { one } else { TypeKind::Other }),
            };
        } else {
            value(reader, found)?;
        }
        first = false;
    }
    reader.close(b'}')?;
    found.extend(declared.map(|kind| (start, kind)));
    Ok(())
}

fn declaration(
    reader: &mut JsonReader<'_>,
    found: &mut Vec<(usize, TypeKind)>,
) -> Result<Option<TypeKind>, ScrubFailure> {
    if reader.peek()? == b'"' {
        let literal = reader.read_string()?;
        let text = reader.unescape(&literal)?;
        return Ok((!text.is_empty()).then(|| TypeKind::from_name(&text)));
    }
    let is_null = reader.peek()? == b'n';
    value(reader, found)?;
    Ok((!is_null).then_some(TypeKind::Other))
}

/// Returns whether a name is `@odata.type` or `@type`, in any letter case.
fn is_declaration(name: &str) -> bool {
    name.eq_ignore_ascii_case("@odata.type") || name.eq_ignore_ascii_case("@type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_wherever_it_stands_in_its_object() {
        let connector = "#microsoft.graph.identityApiConnector";
        let basic = "#microsoft.graph.basicAuthentication";
        let text = format!(
            r#"{{"a":{{"id":1,"@odata.type":"{connector}"}},"b":[{{"\u0040type":"{basic}"}},{{}}],"c":{{"@type":null}},"d":{{"@Type":"{connector}","@odata.type":"{basic}"}},"e":{{"@type":7}},"@odata.type":"x"}}"#
        );
        let mut types = DeclaredTypes::parse(&mut JsonReader::new(&text));
        let found: Vec<_> = text.match_indices('{').map(|(start, _)| types.type_at(start)).collect();
        assert_eq!(
            found,
            [
                Some(TypeKind::Other),
                Some(TypeKind::Connector),
                Some(TypeKind::Authentication),
                None,
                None,
                Some(TypeKind::Other),
                Some(TypeKind::Other),
            ]
        );
    }

    #[test]
    fn a_skipped_object_does_not_shift_the_types() {
        let text = r##"{"a":{"@type":"x"},"b":{"@type":"#microsoft.graph.identityApiConnector"}}"##;
        let mut types = DeclaredTypes::parse(&mut JsonReader::new(text));
        let last = text.rfind('{').unwrap();
        assert_eq!((types.type_at(0), types.type_at(last)), (None, Some(TypeKind::Connector)));
    }
}
