//! What every file keeps to.

use std::fs;

use super::source::{Source, relative, root, sources, walk};

#[test]
fn no_source_file_is_long_and_most_are_short() {
    let mut lengths: Vec<_> =
        sources().into_iter().map(|Source { path, text, .. }| (text.lines().count(), path)).collect();
    lengths.sort();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LINES_MAX).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
    let (median, _) = &lengths[lengths.len() / 2];
    assert!(
        *median <= LINES_MEDIAN,
        "half of the files should have at most {LINES_MEDIAN} lines, not {median}"
    );
}

#[test]
fn every_source_file_begins_with_what_it_is_for() {
    let silent = |source: &Source| !source.is_test && !source.text.starts_with("//!");
    let silent: Vec<_> = sources().into_iter().filter(silent).map(|source| source.path).collect();
    assert!(silent.is_empty(), "no //! on the first line: {silent:?}");
}

#[test]
fn nothing_is_put_off() {
    // Spelled so that this file does not find itself.
    assert_free_of(&[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[", "ignore")]);
}

#[test]
fn no_text_has_a_long_dash_or_a_path_of_its_authors_machine() {
    assert_free_of(&["\u{2014}", concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")]);
}

/// No text of the project has one of `marks`.
fn assert_free_of(marks: &[&str]) {
    let root = root();
    let files = PROJECT.iter().flat_map(|at| walk(&root.join(at)));
    let mut found = Vec::new();
    for path in files {
        // What is not text has no lines to look at.
        let text = fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let marks = marks.iter().filter(|mark| line.contains(**mark));
            found.extend(marks.map(|mark| format!("{}:{}: {mark}", relative(&root, &path), number + 1)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const PROJECT: &[&str] = &[
    "src",
    "crates",
    "tests",
    "config",
    "benches",
    "fuzz/Cargo.toml",
    "fuzz/fuzz_targets",
    "fuzz/README.md",
    ".ci",
    ".deny.toml",
    ".config",
    "docs",
    "helm",
    "tools",
    ".github",
    "Cargo.toml",
    "Dockerfile",
    "compose.yaml",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
];
const LINES_MAX: usize = 400;
const LINES_MEDIAN: usize = 160;
