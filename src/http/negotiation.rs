//! The header `Accept-Encoding`, read (RFC 9110, section 12.5.3).
//!
//! There are two codings here, identity and gzip. The reader is total, and what it cannot read errs towards
//! identity, which every caller understands.

pub mod quality;

use http::{HeaderMap, header};

use crate::http::negotiation::quality::thousandths;

/// A content coding that an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// None: the bytes as they are.
    Identity,
    /// RFC 1952
    Gzip,
}

impl ContentCoding {
    /// The one that a caller likes best. Where it likes both alike it is gzip: fewer bytes.
    ///
    /// By the letter a caller that says nothing accepts anything; but whoever says nothing is who decodes nothing.
    /// A caller that refuses both gets identity as well. The RFC leaves that open, and to a service that most likely
    /// misspelt its wish an answer is worth more than a 406.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let (mut gzip, mut identity, mut any) = (None, None, None);
        for line in headers.get_all(header::ACCEPT_ENCODING) {
            for member in line.as_bytes().split(|byte| *byte == b',') {
                let (name, quality) = weighted(member.trim_ascii());
                let slot = match name {
                    _ if name.eq_ignore_ascii_case(b"gzip") => &mut gzip,
                    // Section 8.4.1.3: "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"."
                    _ if name.eq_ignore_ascii_case(b"x-gzip") => &mut gzip,
                    _ if name.eq_ignore_ascii_case(b"identity") => &mut identity,
                    b"*" => &mut any,
                    _ => continue,
                };
                // Of one that is there twice the smaller counts.
                *slot = Some(slot.map_or(quality, |known: u16| known.min(quality)));
            }
        }
        // "The asterisk "*" symbol [...] matches any available content coding not explicitly listed in the field."
        let gzip = gzip.or(any).unwrap_or(0);
        // Identity is acceptable where it is not listed, but nobody has asked for it.
        let identity = identity.or(any).unwrap_or(0);
        if gzip > 0 && gzip >= identity { Self::Gzip } else { Self::Identity }
    }
}

/// A coding's name and its weight in thousandths. A weight that cannot be read is none.
fn weighted(member: &[u8]) -> (&[u8], u16) {
    let Some(end) = member.iter().position(|byte| *byte == b';') else { return (member, 1000) };
    let (name, weight) = member.split_at(end);
    let quality = match weight[1..].trim_ascii() {
        [b'q' | b'Q', b'=', value @ ..] => thousandths(value).unwrap_or(0),
        _ => 0,
    };
    (name.trim_ascii(), quality)
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
    fn l54_gzip_is_for_who_asks_for_it() {
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
    fn l54_identity_is_for_everybody_else() {
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
    fn l54_what_cannot_be_read_is_no_wish_for_gzip() {
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
    fn l54_who_refuses_all_that_there_is_gets_identity() {
        for lines in [&["identity;q=0"][..], &["*;q=0"], &["identity;q=0, gzip;q=0"], &["br, *;q=0"]] {
            assert_eq!(preferred(lines), ContentCoding::Identity, "{lines:?}");
        }
    }
}
