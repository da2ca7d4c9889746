//! Content negotiation: `Accept-Encoding` (RFC 9110, section 12.5.3) and quality values.
//!
//! The proxy has two codings, identity and gzip. The parser accepts any input; invalid members count as a preference
//! for identity, which every caller can decode.

use http::{HeaderMap, header};

/// A content coding of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// No coding: the bytes are unchanged.
    Identity,
    /// RFC 1952
    Gzip,
}

impl ContentCoding {
    /// Returns the preferred coding of a caller. With equal quality gzip is preferred, since it has fewer bytes.
    ///
    /// By the RFC a request without the field accepts any coding; but callers without the field are usually those that
    /// cannot decode. A caller that excludes both codings gets identity. The RFC allows either; a misspelt field is
    /// the likely cause, and a response helps such a caller more than a 406.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let (mut gzip, mut identity, mut any) = (None, None, None);
        for line in headers.get_all(header::ACCEPT_ENCODING) {
            for member in line.as_bytes().split(|byte| *byte == b',') {
                let (name, quality) = split_quality(member.trim_ascii());
                let slot = match name {
                    _ if name.eq_ignore_ascii_case(b"gzip") => &mut gzip,
                    // Section 8.4.1.3: "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"."
                    _ if name.eq_ignore_ascii_case(b"x-gzip") => &mut gzip,
                    _ if name.eq_ignore_ascii_case(b"identity") => &mut identity,
                    b"*" => &mut any,
                    _ => continue,
                };
                // Of a repeated coding the smaller quality counts.
                *slot = Some(slot.map_or(quality, |known: u16| known.min(quality)));
            }
        }
        // "The asterisk "*" symbol [...] matches any available content coding not explicitly listed in the field."
        let gzip = gzip.or(any).unwrap_or(0);
        // Identity is acceptable if it is not listed, but it is not preferred to gzip.
        let identity = identity.or(any).unwrap_or(0);
        if gzip > 0 && gzip >= identity { Self::Gzip } else { Self::Identity }
    }
}

/// Splits a member into its name and its quality in thousandths. An invalid quality is 0.
fn split_quality(member: &[u8]) -> (&[u8], u16) {
    let Some(end) = member.iter().position(|byte| *byte == b';') else { return (member, 1000) };
    let (name, weight) = member.split_at(end);
    let quality = match weight[1..].trim_ascii() {
        [b'q' | b'Q', b'=', value @ ..] => parse_qvalue(value).unwrap_or(0),
        _ => 0,
    };
    (name.trim_ascii(), quality)
}

/// Parses a `qvalue` (RFC 9110, section 12.4.2) into thousandths. Returns `None` if it is invalid, for example with
/// more than three digits after the point.
pub fn parse_qvalue(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    let fraction = digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    match whole {
        b'0' => Some(fraction),
        b'1' if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Parses a quality that a client may have written with a grammar of its own: `.2`, with more than three digits, or more
/// than 1. Returns thousandths, rounded down except that only zero is 0; more than 1 is 1. Returns `None` for other text.
pub fn parse_lenient_qvalue(value: &str) -> Option<u16> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    if !is_zero(whole) {
        return Some(1000);
    }
    let digits = fraction.bytes().chain(*b"000").take(3);
    let thousandths = digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    Some(if is_zero(fraction) { 0 } else { thousandths.max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn preferred(lines: &[&str]) -> ContentCoding {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        ContentCoding::preferred(&headers)
    }

    #[test]
    fn l54_gzip_is_chosen_if_the_field_lists_it() {
        for lines in [
            &["gzip"][..],
            &["GZip"],
            &["x-gzip"],
            &["gzip, deflate, br"],
            &["deflate, br;q=1.0, gzip;q=0.001"],
            &["br", "gzip"],
            &["gzip;q=0.5"],
            &["gzip ; Q=1"],
            &["gzip;q=1.0, identity; q=0.5, *;q=0"],
            &["gzip, identity"],
            &["identity;q=0, gzip;q=0.1"],
            &["*"],
            &["*;q=0.1"],
            &["identity;q=0, *"],
            &[", ,gzip,"],
        ] {
            assert_eq!(preferred(lines), ContentCoding::Gzip, "{lines:?}");
        }
    }

    #[test]
    fn l54_identity_is_chosen_otherwise() {
        for lines in [
            &[][..],
            &[""],
            &["identity"],
            &["br"],
            &["deflate, br"],
            &["compress;q=1, zstd"],
            &["gzip;q=0"],
            &["gzip;q=0.000"],
            &["x-gzip;q=0"],
            &["gzip;q=0, *"],
            &["*;q=0"],
            &["identity, gzip;q=0.9"],
            &["*, gzip;q=0.5"],
            &["gzipped"],
        ] {
            assert_eq!(preferred(lines), ContentCoding::Identity, "{lines:?}");
        }
    }

    #[test]
    fn l54_an_invalid_member_does_not_select_gzip() {
        for lines in [
            &["gzip;q=2"][..],
            &["gzip;q="],
            &["gzip;q=0.5555"],
            &["gzip;level=9"],
            &["gzip;q=1;q=1"],
            &["gzip;"],
            &["gzip, gzip;q=0"],
            &["gzip", "x-gzip;q=0"],
            &["g\u{fc}zip"],
            &["\"gzip\""],
        ] {
            assert_eq!(preferred(lines), ContentCoding::Identity, "{lines:?}");
        }
    }

    #[test]
    fn l54_a_caller_that_excludes_both_codings_gets_identity() {
        for lines in [&["identity;q=0"][..], &["*;q=0"], &["identity;q=0, gzip;q=0"], &["br, *;q=0"]] {
            assert_eq!(preferred(lines), ContentCoding::Identity, "{lines:?}");
        }
    }

    #[test]
    fn a_quality_is_parsed_to_the_thousandth() {
        for (value, read) in
            [("0", 0), ("0.", 0), ("0.5", 500), ("0.05", 50), ("0.001", 1), ("1", 1000), ("1.000", 1000)]
        {
            assert_eq!(parse_qvalue(value.as_bytes()), Some(read), "{value}");
        }
        for value in ["", ".", ".5", "1.5", "1.001", "2", "01", "0.1234", "0.x", "0,5", "-0.5", "0.5 "] {
            assert_eq!(parse_qvalue(value.as_bytes()), None, "{value}");
        }
    }
    #[test]
    fn a_lenient_quality_may_have_any_digits() {
        for (value, read) in [
            (".2", 200),
            ("0.2", 200),
            ("00.20000", 200),
            ("0.9999", 999),
            ("0.0001", 1),
            ("0", 0),
            (".0", 0),
            ("0.", 0),
            ("1", 1000),
            ("1.0000", 1000),
            ("2", 1000),
            ("1.5", 1000),
        ] {
            assert_eq!(parse_lenient_qvalue(value), Some(read), "{value}");
        }
        for value in ["", ".", "x", "0,5", "-0.5", "+1", "0.5 ", "1.x", "0.5.5"] {
            assert_eq!(parse_lenient_qvalue(value), None, "{value}");
        }
    }
}
