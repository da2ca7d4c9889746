//! README.md beside this file and the tests, held against each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of README.md.
struct Row {
    line: usize,
    state: String,
    /// The tests that it names.
    tests: BTreeSet<String>,
}

#[test]
fn every_line_is_there_once_and_in_order() {
    let lines: Vec<usize> = rows().iter().map(|row| row.line).collect();
    assert_eq!(lines, (1..=LINES).collect::<Vec<_>>());
}

#[test]
fn every_line_that_holds_names_its_tests() {
    for row in rows() {
        match row.state.as_str() {
            "holds" | "by mode" => assert!(!row.tests.is_empty(), "line {} names no test", row.line),
            "open" | "partly" | "not ours" => {}
            other => panic!("line {}: {other} is no state", row.line),
        }
    }
}

#[test]
fn every_named_test_is_there() {
    let known = tests();
    for row in rows() {
        let missing: Vec<_> = row.tests.difference(&known).collect();
        assert!(missing.is_empty(), "line {} names tests that are not there: {missing:?}", row.line);
    }
}

#[test]
fn every_test_with_a_line_in_its_name_is_in_that_row() {
    let rows = rows();
    for test in tests() {
        let parts = test.strip_prefix("line_").map_or(test.clone(), |rest| format!("l{rest}"));
        let numbers = parts.split('_').map_while(|part| part.strip_prefix('l')?.parse::<usize>().ok());
        for number in numbers {
            let row = rows.iter().find(|row| row.line == number);
            assert!(row.is_some_and(|row| row.tests.contains(&test)), "row {number} does not name {test}");
        }
    }
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("tests/http/README.md")).unwrap();
    let cells = |line: &str| -> Option<Row> {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let line = cells.next()?.parse().ok()?;
        let (_, state, where_) = (cells.next()?, cells.next()?.to_owned(), cells.next()?);
        let is_test = |word: &&str| word.contains('_') && word.bytes().all(is_of_a_name);
        let tests = where_.split('`').skip(1).step_by(2).filter(is_test).map(str::to_owned).collect();
        Some(Row { line, state, tests })
    };
    text.lines().filter_map(cells).collect()
}

/// The names of all functions of the sources and the tests that could be tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut left = vec![root().join("src"), root().join("tests")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(functions(&fs::read_to_string(path).unwrap()));
        }
    }
    names
}

fn functions(source: &str) -> Vec<String> {
    let starts = source.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
    });
    starts
        .map(|rest| {
            rest.chars().take_while(|letter| letter.is_ascii() && is_of_a_name(*letter as u8)).collect()
        })
        .collect()
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

const LINES: usize = 85;
