//! Validity period of X.509 certificates.
//!
//! rustls validates the certificates of peers, but neither those that a server shows nor trust anchors. This parser reads only
//! `notBefore` and `notAfter`, and returns `None` for any unexpected encoding.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Validity period of a certificate, both ends included, in seconds since the Unix epoch (RFC 5280, section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertValidity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// Reason why a certificate is not valid at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityError {
    /// The certificate has expired at this time.
    Expired(u64),
    /// The certificate is not valid before this time.
    NotYetValid(u64),
}

impl ValidityError {
    /// Returns whether a certificate with this error is at least as useful as one with the error `other`: one that will be
    /// valid is more useful than one that was, and of two that have expired the one that expired later.
    pub(super) fn is_no_worse_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Expired(own), Self::Expired(other)) => own >= other,
            (Self::NotYetValid(own), Self::NotYetValid(other)) => own <= other,
            (own, _) => matches!(own, Self::NotYetValid(_)),
        }
    }
}

impl CertValidity {
    /// Reads the validity period of a DER certificate.
    pub(crate) fn from_der(certificate: &[u8]) -> Option<Self> {
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
        let (_, _, rest) = element(validity, *validity.first()?)?;
        // A start before 1970 is as far in the past as any other.
        Some(Self { not_before: time(validity).unwrap_or(0), not_after: time(rest)? })
    }

    /// Checks the period at `now`, in seconds since the Unix epoch.
    pub(crate) fn check(self, now: u64) -> Result<(), ValidityError> {
        if now > self.not_after {
            Err(ValidityError::Expired(self.not_after))
        } else if now < self.not_before {
            Err(ValidityError::NotYetValid(self.not_before))
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for ValidityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, seconds) = match self {
            Self::Expired(seconds) => ("expired at", *seconds),
            Self::NotYetValid(seconds) => ("is not valid before", *seconds),
        };
        // The formatter has years of four digits.
        let time = UNIX_EPOCH + Duration::from_secs(seconds.min(END_OF_9999));
        write!(f, "{text} {}", humantime::format_rfc3339_seconds(time))
    }
}

/// Reads the time at the start of `der`.
fn time(der: &[u8]) -> Option<u64> {
    let (tag, text, _) = element(der, *der.first()?)?;
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
/// 9999-12-31T23:59:59Z, which RFC 5280 also uses for certificates without an end.
const END_OF_9999: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn not_after(certificate: &[u8]) -> Option<u64> {
        CertValidity::from_der(certificate).map(|validity| validity.not_after)
    }

    #[test]
    fn not_after_is_read_in_both_forms_of_time() {
        assert_eq!(not_after(&certificate(2031)), Some(1_927_843_200));
        assert_eq!(not_after(&certificate(2060)), Some(2_842_992_000));
    }

    #[test]
    fn both_ends_of_the_period_are_valid() {
        let period = CertValidity { not_before: 100, not_after: 200 };
        assert_eq!(period.check(99), Err(ValidityError::NotYetValid(100)));
        assert_eq!([period.check(100), period.check(200)], [Ok(()), Ok(())]);
        assert_eq!(period.check(201), Err(ValidityError::Expired(200)));
        assert_eq!(ValidityError::Expired(0).to_string(), "expired at 1970-01-01T00:00:00Z");
        let never = ValidityError::NotYetValid(u64::MAX);
        assert_eq!(never.to_string(), "is not valid before 9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_certificate_that_will_be_valid_is_better_than_one_that_was() {
        use ValidityError::{Expired, NotYetValid};
        for (better, worse) in
            [(Expired(2), Expired(1)), (NotYetValid(1), NotYetValid(2)), (NotYetValid(9), Expired(8))]
        {
            assert!(better.is_no_worse_than(worse) && !worse.is_no_worse_than(better), "{better:?}");
            assert!(better.is_no_worse_than(better), "the same certificate, perhaps with another chain");
        }
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
