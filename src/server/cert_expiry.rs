//! Expiry of an X.509 certificate, for a metric.
//!
//! rustls validates certificates. This parser reads only `notAfter`, and returns `None` for any unexpected encoding.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns `notAfter` of a DER certificate (RFC 5280, section 4.1.2.5), in seconds since the Unix epoch.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (_, certificate, _) = element(certificate, SEQUENCE)?;
    let (_, mut rest, _) = element(certificate, SEQUENCE)?;
    // version (optional), serialNumber, signature, issuer
    if rest.first() == Some(&EXPLICIT_VERSION) {
        rest = element(rest, EXPLICIT_VERSION)?.2;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.2;
    }
    let (_, validity, _) = element(rest, SEQUENCE)?;
    let not_before = *validity.first()?;
    let (_, _, rest) = element(validity, not_before)?;
    let (tag, text, _) = element(rest, *rest.first()?)?;
    parse_time(tag, std::str::from_utf8(text).ok()?)
}

/// Splits off the element at the start of `der`. Returns its tag, which must be `expected`, its content, and the bytes
/// after it.
fn element(der: &[u8], expected: u8) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first().filter(|(tag, _)| **tag == expected)?;
    let (&first, der) = der.split_first()?;
    let (length, der) = match first {
        0..=0x7f => (usize::from(first), der),
        0x81 | 0x82 => {
            let (digits, der) = der.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), der)
        }
        // An element of 64 KiB or more, or a length that DER does not allow.
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Converts a time of RFC 5280, section 4.1.2.5, to seconds since the Unix epoch: `YYMMDDHHMMSSZ` through 2049,
/// `YYYYMMDDHHMMSSZ` from 2050 on.
fn parse_time(tag: u8, text: &str) -> Option<u64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let (century, digits) = match (tag, digits.len()) {
        (UTC_TIME, 12) if digits < "50" => ("20", digits),
        (UTC_TIME, 12) => ("19", digits),
        (GENERALIZED_TIME, 14) => digits.split_at(2),
        _ => return None,
    };
    let [year, month, day, hour, minute, second] =
        [0, 2, 4, 6, 8, 10].map(|at| digits.get(at..at + 2).unwrap_or_default());
    let stamp = format!("{century}{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let time: SystemTime = humantime::parse_rfc3339(&stamp).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn not_after_is_read_in_both_forms_of_time() {
        assert_eq!(not_after(&certificate(2031)), Some(1_927_843_200));
        assert_eq!(not_after(&certificate(2060)), Some(2_842_992_000));
    }

    #[test]
    fn a_truncated_certificate_yields_none_and_does_not_panic() {
        let whole = certificate(2031);
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None);
        }
    }

    #[test]
    fn two_digits_of_a_year_span_1950_to_2049() {
        assert_eq!(parse_time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(parse_time(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(parse_time(UTC_TIME, "4912312359+1Z"), None);
    }
}
