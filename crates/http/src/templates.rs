//! Rendered field values that many responses share: a length, a date, a number of seconds. Each thread caches the
//! values that it has rendered last, because rendering and allocating a value costs more than cloning it.
//!
//! The cache holds numbers and their text only, nothing of a caller or a response.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

/// The format of a number.
#[derive(Clone, Copy, Debug)]
pub enum TemplateKind {
    /// `Content-Length` or `Age`: only the number.
    Number,
    /// A date in HTTP's format (RFC 9110, section 5.6.7), from seconds since the Unix epoch.
    Date,
    /// `Cache-Control` of a response that stays fresh for this number of seconds.
    MaxAge,
    /// `Cache-Status` of a hit that stays fresh for this number of seconds.
    Hit,
}

/// Returns the field value of `number`, from the cache or rendered.
#[inline]
pub fn header_value(kind: TemplateKind, number: u64) -> HeaderValue {
    RENDERED.with_borrow_mut(|rendered| {
        let slot = usize::try_from(number).unwrap_or(0) % SLOTS_PER_KIND;
        let known = rendered.get_mut(kind as usize).and_then(|slots| slots.get_mut(slot));
        match known {
            Some(Some((known, value))) if *known == number => value.clone(),
            Some(slot) => slot.insert((number, render(kind, number))).1.clone(),
            None => render(kind, number),
        }
    })
}

fn render(kind: TemplateKind, number: u64) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let text = match kind {
        TemplateKind::Number => digits.to_owned(),
        TemplateKind::Date => {
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(number.min(MAX_UNIX_SECONDS)))
        }
        TemplateKind::MaxAge => ["private, max-age=", digits].concat(),
        TemplateKind::Hit => ["connector-cache; hit; ttl=", digits].concat(),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

type Slots = [Option<(u64, HeaderValue)>; SLOTS_PER_KIND];

thread_local! {
    static RENDERED: RefCell<Box<[Slots]>> =
        RefCell::new((0..KIND_COUNT).map(|_| [const { None }; SLOTS_PER_KIND]).collect());
}

const KIND_COUNT: usize = TemplateKind::Hit as usize + 1;
/// For each kind; about 100 bytes each. The values of hits within one minute span a few hundred seconds.
const SLOTS_PER_KIND: usize = 256;
/// The end of the year 9999, the last one that the format can express.
const MAX_UNIX_SECONDS: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rendered_in_its_format_whatever_the_slot_held() {
        for number in [7, 7 + SLOTS_PER_KIND as u64, 7] {
            assert_eq!(header_value(TemplateKind::Number, number), number.to_string().as_str());
            assert_eq!(
                header_value(TemplateKind::MaxAge, number),
                format!("private, max-age={number}").as_str()
            );
            assert_eq!(
                header_value(TemplateKind::Hit, number),
                format!("connector-cache; hit; ttl={number}").as_str()
            );
        }
        assert_eq!(header_value(TemplateKind::Number, u64::MAX), "18446744073709551615");
    }

    #[test]
    fn a_date_is_rendered_in_http_format() {
        for _ in 0..2 {
            assert_eq!(header_value(TemplateKind::Date, 784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
            assert_eq!(
                header_value(TemplateKind::Date, 784_111_777 + SLOTS_PER_KIND as u64),
                "Sun, 06 Nov 1994 08:53:53 GMT"
            );
            assert_eq!(header_value(TemplateKind::Date, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
            assert_eq!(header_value(TemplateKind::Date, u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        }
    }
}
