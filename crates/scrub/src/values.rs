//! Formats of values that are not credentials.

/// Returns whether a text is a GUID or another text of hexadecimal digits and hyphens.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() <= 36 && text.bytes().all(|byte| GUID_BYTES[usize::from(byte)])
}

/// Returns whether a text can be an id of Graph: short, without white space and control characters.
pub(super) fn is_identifier(text: &str) -> bool {
    text.len() <= 128 && !text.contains(|symbol: char| symbol.is_whitespace() || symbol.is_control())
}

/// Returns whether a text can be the id of a request: usually a GUID, but callers choose `client-request-id`.
pub(super) fn is_request_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 64 && text.bytes().all(plain)
}

/// Returns whether a text looks like a date with a time in ISO 8601, with or without a zone.
pub(super) fn is_date(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_digit() || matches!(byte, b'T' | b'Z' | b't' | b'z' | b':' | b'.' | b'+' | b'-' | b' ')
    };
    text.len() <= 40 && text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(plain)
}

/// Returns whether a text looks like the hash of a certificate: hexadecimal digits up to SHA-512, with or without
/// colons.
pub(super) fn is_thumbprint(text: &str) -> bool {
    text.len() <= 191 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
}

/// Returns whether a text is a whole number of at most 19 digits, as `IEEE754Compatible=true` writes an Int64 (OData
/// JSON Format 4.01, section 3.2).
pub(super) fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (1..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a text is the number of elements of a collection: at most 6 digits, since a longer number can be a
/// code.
pub(super) fn is_count(text: &str) -> bool {
    (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a word looks like a key: letters and digits change more often than in words. The parts of a word
/// are those of a name in camel case (`Pkcs12Certificate` has 3, `q8wLk2mN7pXv` has 9). The known prefixes of flow
/// names are skipped.
pub(super) fn is_random(word: &str) -> bool {
    if !may_be_random(word.as_bytes()) {
        return false;
    }
    let word = FLOW_PREFIXES.iter().find_map(|flow| word.strip_prefix(flow)).unwrap_or(word);
    let (mut length, mut parts) = (0_usize, 0_usize);
    let (mut lower, mut upper, mut digits, mut beyond_hex) = (0_usize, 0_usize, 0_usize, false);
    let mut last = b' ';
    for byte in word.bytes() {
        let class = match byte {
            b'a'..=b'z' => b'a',
            b'A'..=b'Z' => b'A',
            b'0'..=b'9' => b'0',
            _ => b' ',
        };
        length += usize::from(class != b' ');
        lower += usize::from(class == b'a');
        upper += usize::from(class == b'A');
        digits += usize::from(class == b'0');
        beyond_hex |= class != b' ' && !byte.is_ascii_hexdigit();
        parts += usize::from(class != b' ' && class != last && !(class == b'a' && last == b'A'));
        last = class;
    }
    let is_mixed = lower > 0 && upper > 0 && digits > 0;
    let is_one_word = !word.contains(['-', '_', '+', '/']);
    let changes_often = length < 3 * parts && digits > 1;
    (is_mixed && is_one_word && length >= 12 && changes_often)
        || (beyond_hex && digits > 2 && length >= 20 && 2 * length < if is_mixed { 5 } else { 4 } * parts)
}

/// Returns whether one of the alphanumeric words in a text looks like a key.
pub(super) fn has_random_word(text: &str) -> bool {
    // Most texts end here, and the compiler vectorizes the count.
    if text.bytes().filter(u8::is_ascii_digit).count() < 2 {
        return false;
    }
    // A byte beyond ASCII ends a word, as its symbol does.
    let words = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
    words.filter(|word| may_be_random(word)).any(|word| std::str::from_utf8(word).is_ok_and(is_random))
}

/// Returns false for most words: the conditions of [`is_random`] need at least 12 letters or digits, and at least 2 digits.
fn may_be_random(word: &[u8]) -> bool {
    word.len() >= 12 && word.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

/// Returns whether a text is the name of a type: one of Graph, a primitive one, or a collection of either, with or
/// without the leading `#`.
pub(super) fn is_type_name(text: &str) -> bool {
    if COMMON_TYPES.contains(&text) {
        return true;
    }
    let name = text.strip_prefix('#').unwrap_or(text);
    let element = name.strip_prefix("Collection(").and_then(|rest| rest.strip_suffix(')'));
    let name = element.unwrap_or(name);
    is_graph_name(name) || PRIMITIVE_TYPES.contains(&name.strip_prefix("Edm.").unwrap_or(name))
}

/// Returns whether a text is a name in Graph's namespace. Graph's own clients ignore the case.
pub(super) fn is_graph_name(text: &str) -> bool {
    let Some((namespace, name)) = text.split_at_checked("microsoft.graph.".len()) else { return false };
    // A SimpleIdentifier of OData CSDL 4.01 has at most 128 characters.
    namespace.eq_ignore_ascii_case("microsoft.graph.")
        && (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
}

/// Prefixes of the names of user flows and policies.
pub(super) const FLOW_PREFIXES: [&str; 4] = ["B2X_1_", "B2C_1_", "B2C_1A_", "B2X_1A_"];
/// Hexadecimal digits and the hyphen.
const GUID_BYTES: [bool; 256] = {
    let mut listed = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        listed[byte as usize] = byte.is_ascii_hexdigit() || byte == b'-';
        byte += 1;
    }
    listed
};
/// The most frequent types: comparing the whole text is faster than parsing it.
const COMMON_TYPES: [&str; 4] = [
    "#microsoft.graph.basicAuthentication",
    "#microsoft.graph.clientCertificateAuthentication",
    "#microsoft.graph.pkcs12Certificate",
    "#microsoft.graph.identityApiConnector",
];
/// Primitive types (OData CSDL 4.01, section 3.3), with their abstract base types (section 4).
const PRIMITIVE_TYPES: [&str; 37] = [
    "Binary",
    "Boolean",
    "Byte",
    "ComplexType",
    "Date",
    "DateTimeOffset",
    "Decimal",
    "Double",
    "Duration",
    "EntityType",
    "Geography",
    "GeographyCollection",
    "GeographyLineString",
    "GeographyMultiLineString",
    "GeographyMultiPoint",
    "GeographyMultiPolygon",
    "GeographyPoint",
    "GeographyPolygon",
    "Geometry",
    "GeometryCollection",
    "GeometryLineString",
    "GeometryMultiLineString",
    "GeometryMultiPoint",
    "GeometryMultiPolygon",
    "GeometryPoint",
    "GeometryPolygon",
    "Guid",
    "Int16",
    "Int32",
    "Int64",
    "PrimitiveType",
    "SByte",
    "Single",
    "Stream",
    "String",
    "TimeOfDay",
    "Untyped",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(form(text), "{text}");
        }
        for text in bad {
            assert!(!form(text), "{text}");
        }
    }

    #[test]
    fn type_names_are_those_of_graph_or_primitive() {
        let longest = format!("#microsoft.graph.{}", "x".repeat(128));
        let longer = format!("{longest}x");
        check(
            is_type_name,
            &[
                "#microsoft.graph.basicAuthentication",
                "Microsoft.Graph.x",
                "#Collection(microsoft.graph.pkcs12CertificateInformation)",
                "#Int64",
                "#Edm.String",
                "#Collection(String)",
                &longest,
            ],
            &[
                "",
                "#",
                "##Int64",
                "Int65",
                "hunter2",
                "microsoft.graph.",
                "microsoft.graph.x y",
                "microsoft.grapx.x",
                "microsoft.graph\u{e9}x",
                "#Collection(Int64",
                "#Collection(#Int64)",
                "#Collection(hunter2)",
                &longer,
            ],
        );
    }

    #[test]
    fn a_key_changes_between_letters_and_digits_often_and_a_name_does_not() {
        check(
            is_random,
            &[
                "Hunt3rZq8wLk2mN7pXv",
                "q8wLk2mN7pXvA",
                "aB3dE5gH7jK9",
                "aB3-dE5_gH7jK9lM1nO3pQ5",
                "k3j9x7q2m5z8w1v4t6r0p",
                "dTpIdW50M3JacTh3TGsybU43cFh2",
            ],
            &[
                "",
                "displayName",
                "Pkcs12CertificateInformation",
                "IEEE754Compatible",
                "B2X_1_testuserflow",
                "B2X_1_Signup2Flow3Users",
                "74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d",
                "0EB255CBE895360E30BFEDFC7E54BF4BE2D46B2A",
                "x-functions-key",
                "2026-07-26T21",
                "postFederationSignup2",
            ],
        );
    }

    #[test]
    fn the_other_formats_have_few_characters_and_a_limit() {
        check(is_guid, &["74d13179-1d5c-4e0c-8c6c-9f3f0a1b2c3d"], &["g", &"0".repeat(37)]);
        check(is_identifier, &["<guid1>", "1", "74d13179-0000"], &["a b", "a\nb", &"x".repeat(129)]);
        check(is_request_id, &["5f571e91-72d8", "x"], &["a b", "a/b", "a=b", &"x".repeat(65)]);
        check(
            is_date,
            &["2026-07-26T21:46:01", "2026-07-26T21:46:01.123+00:00", "2026-07-26 21:46:01Z"],
            &["", "yesterday", "T12", "2026-07-26T21:46:01 hunter2", &"1".repeat(41)],
        );
        check(is_thumbprint, &["0EB255cb", "0E:B2"], &["hunter2", "0EB2 ", &"0".repeat(192)]);
        check(is_count, &["0", "999999"], &["", "1000000", "-1", "1e3"]);
        check(is_whole_number, &["7", "-1", "1234567890123456789"], &["", "-", "1x", &"1".repeat(20)]);
    }
}
