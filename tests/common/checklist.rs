//! Comparison of a table in a README with the tests that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The numbered rows of a table.
pub struct Checklist {
    pub rows: Vec<Row>,
    /// Text before the number of a row.
    mark: &'static str,
}

/// A row: its first cell is its number, its third its state, and its last names tests.
pub struct Row {
    pub number: usize,
    pub state: String,
    /// The fourth cell, where it is not the last.
    pub words: String,
    pub tests: BTreeSet<String>,
}

impl Checklist {
    /// Reads the table in the README of a folder of `tests/`. Its rows begin with `mark` and their number.
    pub fn of(folder: &str, mark: &'static str) -> Self {
        let text = fs::read_to_string(root().join("tests").join(folder).join("README.md")).unwrap();
        Self { rows: text.lines().filter_map(|line| Row::of(line, mark)).collect(), mark }
    }

    /// Asserts that every number up to `last` is there, once and in order.
    pub fn is_complete(&self, last: usize) {
        let numbers: Vec<usize> = self.rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    }

    /// Asserts that every test that a row names exists.
    pub fn names_nothing_else(&self) {
        let known = tests();
        for Row { number, tests, .. } in &self.rows {
            let missing: Vec<_> = tests.difference(&known).collect();
            assert!(missing.is_empty(), "{}{number} names tests that are not there: {missing:?}", self.mark);
        }
    }

    /// Asserts that the rows name every test with their numbers in its name.
    pub fn names_all(&self, numbers: impl Fn(&str) -> Vec<usize>) {
        for test in tests() {
            for number in numbers(&test) {
                let row = self.rows.iter().find(|row| row.number == number);
                let is_named = row.is_some_and(|row| row.tests.contains(&test));
                assert!(is_named, "{}{number} does not name {test}", self.mark);
            }
        }
    }
}

impl Row {
    fn of(line: &str, mark: &str) -> Option<Self> {
        let line = line.strip_prefix("| ")?.strip_prefix(mark)?.strip_suffix('|')?;
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [number, _, state, .., last] = &cells[..] else { return None };
        let is_test = |word: &&str| word.contains('_') && word.bytes().all(is_of_a_name);
        let tests = last.split('`').skip(1).step_by(2).filter(is_test).map(str::to_owned).collect();
        let words =
            cells.get(3).filter(|_| cells.len() > 4).map_or(String::new(), |words| (*words).to_owned());
        Some(Self { number: number.parse().ok()?, state: (*state).to_owned(), words, tests })
    }
}

/// Names of all functions of the sources and the tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut left = vec![root().join("src"), root().join("crates"), root().join("tests")];
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
