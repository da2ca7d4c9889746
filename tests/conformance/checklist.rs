//! Comparison of `README.md` with the tests.

use crate::common::checklist::Checklist;

#[test]
fn every_line_is_listed_once_and_in_order() {
    lines().is_complete(LINES);
}

#[test]
fn every_line_that_holds_names_its_tests() {
    for row in lines().rows {
        match row.state.as_str() {
            "holds" | "by mode" => assert!(!row.tests.is_empty(), "line {} names no test", row.number),
            "open" | "partly" | "not ours" => {}
            other => panic!("line {}: {other} is not a state", row.number),
        }
    }
}

#[test]
fn every_named_test_exists() {
    lines().names_nothing_else();
}

#[test]
fn every_test_with_a_line_in_its_name_is_in_that_row() {
    lines().names_all(|test| {
        let parts = test.strip_prefix("line_").map_or(test.to_owned(), |rest| format!("l{rest}"));
        parts.split('_').map_while(|part| part.strip_prefix('l')?.parse().ok()).collect()
    });
}

fn lines() -> Checklist {
    Checklist::of("conformance", "")
}

const LINES: usize = 85;
