//! Field values that many answers have in common: a length, a date, so many seconds. Each thread remembers those it
//! has spelled last, because to spell one and find room for it costs more than to share it.
//!
//! What is remembered is a number and how that is spelled, so nothing of a caller or an answer is in it.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

/// What a number is the value of.
#[derive(Clone, Copy, Debug)]
pub enum TemplateKind {
    /// `Content-Length`, or an `Age`: the number alone.
    Number,
    /// A date as HTTP has it (RFC 9110, section 5.6.7): seconds since the Unix epoch.
    Date,
    /// `Cache-CacheControl` of what is fresh for so many seconds more.
    MaxAge,
    /// `Cache-Status` of a hit that is fresh for so many seconds more.
    Hit,
}

/// The value of `number`.
pub fn value(kind: TemplateKind, number: u64) -> HeaderValue {
    SPELLED.with_borrow_mut(|spelled| {
        let place = usize::try_from(number).unwrap_or(0) % PLACES;
        let known = spelled.get_mut(kind as usize).and_then(|of_kind| of_kind.get_mut(place));
        match known {
            Some(Some((known, value))) if *known == number => value.clone(),
            Some(place) => place.insert((number, spell(kind, number))).1.clone(),
            None => spell(kind, number),
        }
    })
}

fn spell(kind: TemplateKind, number: u64) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let text = match kind {
        TemplateKind::Number => digits.to_owned(),
        TemplateKind::Date => {
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(number.min(LAST_SECOND)))
        }
        TemplateKind::MaxAge => ["private, max-age=", digits].concat(),
        TemplateKind::Hit => ["connector-cache; hit; ttl=", digits].concat(),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

type TemplateSlots = [Option<(u64, HeaderValue)>; PLACES];

thread_local! {
    static SPELLED: RefCell<Box<[TemplateSlots]>> =
        RefCell::new((0..KINDS).map(|_| [const { None }; PLACES]).collect());
}

const KINDS: usize = TemplateKind::Hit as usize + 1;
/// Of each kind; about 100 bytes each. What answers from memory say in one minute is within a few hundred seconds.
const PLACES: usize = 256;
/// The end of the year 9999: what comes after has no spelling.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_spelled_for_what_it_is_the_value_of_whatever_was_in_its_place() {
        for number in [7, 7 + PLACES as u64, 7] {
            assert_eq!(value(TemplateKind::Number, number), number.to_string().as_str());
            assert_eq!(value(TemplateKind::MaxAge, number), format!("private, max-age={number}").as_str());
            assert_eq!(
                value(TemplateKind::Hit, number),
                format!("connector-cache; hit; ttl={number}").as_str()
            );
        }
        assert_eq!(value(TemplateKind::Number, u64::MAX), "18446744073709551615");
    }

    #[test]
    fn a_date_is_spelled_as_http_has_it() {
        for _ in 0..2 {
            assert_eq!(value(TemplateKind::Date, 784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
            assert_eq!(
                value(TemplateKind::Date, 784_111_777 + PLACES as u64),
                "Sun, 06 Nov 1994 08:53:53 GMT"
            );
            assert_eq!(value(TemplateKind::Date, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
            assert_eq!(value(TemplateKind::Date, u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        }
    }
}
