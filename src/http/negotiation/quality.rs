//! The weight of a preference: `q=` in `Accept` and its kin (RFC 9110, section 12.4.2).

/// A `qvalue` in thousandths. None where it is not one: more than three digits behind the point, or more than one.
pub fn thousandths(value: &[u8]) -> Option<u16> {
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

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn a_quality_is_read_to_the_thousandth() {
        for (value, read) in
            [("0", 0), ("0.", 0), ("0.5", 500), ("0.05", 50), ("0.001", 1), ("1", 1000), ("1.000", 1000)]
        {
            assert_eq!(thousandths(value.as_bytes()), Some(read), "{value}");
        }
        for value in ["", ".", ".5", "1.5", "1.001", "2", "01", "0.1234", "0.x", "0,5", "-0.5", "0.5 "] {
            assert_eq!(thousandths(value.as_bytes()), None, "{value}");
        }
    }
}
