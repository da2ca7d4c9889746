//! Tests that docs/security-model.md names must exist.

use std::collections::BTreeSet;
use std::fs;

use super::source::{read, root, walk};

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let (security, tests) = (read("docs/security-model.md"), tests());
    let named: BTreeSet<_> = security.split('`').skip(1).step_by(2).filter(|name| is_test(name)).collect();
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(named.len() > 50 && missing.is_empty(), "{} are named, not there: {missing:?}", named.len());
}

#[test]
fn every_threat_is_in_the_model_once_and_has_something_to_show() {
    let security = read("docs/security-model.md");
    let rows = security.lines().filter(|line| line.starts_with("| T"));
    let rows: Vec<Vec<_>> = rows.map(|line| line.trim_matches('|').split(" | ").collect()).collect();
    assert!(rows.iter().all(|cells| cells.len() == 4 && cells[3].contains('`')), "a row is not whole");
    let number = |cells: &Vec<&str>| cells[0].trim().strip_prefix('T')?.parse::<u32>().ok();
    let threats: Vec<_> = rows.iter().map(|cells| number(cells).unwrap_or_default()).collect();
    assert!(threats.is_sorted_by(|one, next| one < next), "twice, or not in order: {threats:?}");
    let missing: Vec<_> = (1..=25).chain([28]).filter(|number| !threats.contains(number)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[test]
fn only_the_shared_tier_restores_scrubbed_bodies() {
    let calls = |path: &&std::path::PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.contains("ScrubbedBody::restore(") || text.contains("GzippedBody::restore")
    };
    let files: Vec<_> = ["src", "crates"].iter().flat_map(|folder| walk(&root().join(folder))).collect();
    let callers: Vec<_> = files.iter().filter(calls).filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(callers, ["record.rs"]);
}

/// The names of tests are sentences; nothing else in the text has so many underscores.
fn is_test(name: &str) -> bool {
    name.matches('_').count() > 3 && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// What is defined as a function, in Rust or in the chart's Python, without the prefix that the latter needs.
fn tests() -> BTreeSet<String> {
    let files =
        ["src", "crates", "tests", "tools/chart/tests"].iter().flat_map(|folder| walk(&root().join(folder)));
    let texts = files.filter_map(|path| fs::read_to_string(path).ok());
    let names = |text: String| -> Vec<String> {
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        let definitions = words.windows(2).filter(|pair| matches!(pair[0], "fn" | "def"));
        let name = |pair: &[&str]| pair[1].split('(').next().unwrap_or_default().to_owned();
        definitions.map(name).map(|name| name.trim_start_matches("test_").to_owned()).collect()
    };
    texts.flat_map(names).collect()
}
