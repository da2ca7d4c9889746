//! Comparison of `README.md` with the tests.

use crate::common::checklist::{Checklist, Row};

#[test]
fn every_fault_is_listed_once_and_in_order() {
    faults().is_complete(FAULTS);
}

#[test]
fn every_fault_has_a_test_or_a_reason() {
    for Row { number, state, tests, words } in faults().rows {
        match state.as_str() {
            "as listed" => assert!(!tests.is_empty(), "F{number:02} names no test"),
            "ours" | "not built" => {
                assert!(!tests.is_empty() && words.len() > 20, "F{number:02} names no test, or no reason");
            }
            other => panic!("F{number:02}: {other} is not a state"),
        }
    }
}

#[test]
fn every_test_that_a_fault_names_exists() {
    faults().names_nothing_else();
}

#[test]
fn every_test_with_a_fault_in_its_name_is_in_that_row() {
    faults().names_all(|test| {
        let digits = |part: &str| part.strip_prefix('f').filter(|digits| digits.len() == 2)?.parse().ok();
        test.split('_').map_while(digits).collect()
    });
}

fn faults() -> Checklist {
    Checklist::of("faults", "F")
}

const FAULTS: usize = 68;
