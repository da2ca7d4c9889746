//! README.md beside this file and the tests, held against each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of README.md.
struct Row {
    number: usize,
    state: String,
    /// The tests that it names.
    tests: BTreeSet<String>,
    /// What it says beside them.
    words: String,
}

#[test]
fn every_fault_is_there_once_and_in_order() {
    let numbers: Vec<usize> = rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=FAULTS).collect::<Vec<_>>());
}

#[test]
fn every_fault_has_a_test_or_a_reason() {
    for Row { number, state, tests, words } in rows() {
        match state.as_str() {
            "as listed" => assert!(!tests.is_empty(), "F{number:02} names no test"),
            "ours" | "not built" => {
                assert!(!tests.is_empty() && words.len() > 20, "F{number:02} names no test, or no reason");
            }
            other => panic!("F{number:02}: {other} is no state"),
        }
    }
}

#[test]
fn every_test_that_a_fault_names_is_there() {
    let known = tests();
    for row in rows() {
        let missing: Vec<_> = row.tests.difference(&known).collect();
        assert!(missing.is_empty(), "F{:02} names tests that are not there: {missing:?}", row.number);
    }
}

#[test]
fn every_test_with_a_fault_in_its_name_is_in_that_row() {
    let rows = rows();
    for test in tests() {
        let numbers = test.split('_').map_while(|part| {
            part.strip_prefix('f').filter(|digits| digits.len() == 2)?.parse::<usize>().ok()
        });
        for number in numbers {
            let row = rows.iter().find(|row| row.number == number);
            assert!(row.is_some_and(|row| row.tests.contains(&test)), "F{number:02} does not name {test}");
        }
    }
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("tests/faults/README.md")).unwrap();
    let row = |line: &str| -> Option<Row> {
        let mut cells = line.strip_prefix("| F")?.split(" | ").map(str::trim);
        let number = cells.next()?.parse().ok()?;
        let (_, state, words, named) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        let is_test = |word: &&str| word.contains('_') && word.bytes().all(is_of_a_name);
        let tests = named.split('`').skip(1).step_by(2).filter(is_test).map(str::to_owned).collect();
        Some(Row { number, state: state.to_owned(), tests, words: words.to_owned() })
    };
    text.lines().filter_map(row).collect()
}

/// The names of all functions of the sources and the tests that could be tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut left = vec![root().join("src"), root().join("tests")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            let functions = source.lines().map(str::trim_start);
            let functions =
                functions.filter_map(|line| line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn "));
            let name =
                |rest: &str| rest.bytes().take_while(|byte| is_of_a_name(*byte)).map(char::from).collect();
            names.extend(functions.map(name));
        }
    }
    names
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

const FAULTS: usize = 68;
