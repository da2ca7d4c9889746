//! The targets of log lines that the documentation names exist, and lines of the documented level.

use std::collections::BTreeSet;

use super::source::{Source, read, relative, root, sources, walk};
use super::tokens::Token;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// A target in a text, with its level if it is a directive of `log.filter`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Directive {
    page: String,
    target: String,
    level: Option<String>,
}

/// Finds the targets of this crate in a text: `connector_cache::upstream=debug`.
fn directives(page: &str, text: &str) -> Vec<Directive> {
    let is_target = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | ':');
    // A metric has the same prefix, and a single underscore after it.
    let found = text.match_indices("connector_cache").map(|(at, _)| &text[at..]).filter_map(|text| {
        let target = text.split(|c| !is_target(c)).next()?.trim_end_matches(':');
        let level = text[target.len()..]
            .strip_prefix('=')
            .map(|rest| rest.chars().take_while(char::is_ascii_lowercase).collect::<String>());
        let level = level.filter(|level| LEVELS.contains(&level.as_str()));
        let is_named =
            target.starts_with("connector_cache::") || (target == "connector_cache" && level.is_some());
        is_named.then(|| Directive { page: page.to_owned(), target: target.to_owned(), level })
    });
    found.collect()
}

/// All texts for operators.
fn pages() -> Vec<String> {
    let root = root();
    let files = ["README.md", "docs", "config", "helm", "src/config/rules"];
    let files = files.iter().flat_map(|at| walk(&root.join(at))).map(|path| relative(&root, &path));
    let is_text =
        |path: &String| [".md", ".toml", ".yaml", ".json", "text.rs"].iter().any(|end| path.ends_with(end));
    files.filter(is_text).collect()
}

/// Returns the targets of a file's log lines, and their levels.
fn lines(source: &Source) -> BTreeSet<(String, String)> {
    let own = match source.module.as_slice() {
        [only] if only == "lib" || only == "main" => "connector_cache".to_owned(),
        module => format!("connector_cache::{}", module.join("::")),
    };
    let explicit = source.text.split("target: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let targets: Vec<_> = explicit.map(str::to_owned).chain([own]).collect();
    let mut found = BTreeSet::new();
    for window in source.tokens.windows(5) {
        if let [krate, Token::Mark(':'), Token::Mark(':'), Token::Name(level), Token::Mark('!')] = window
            && krate.is("tracing")
            && LEVELS.contains(&level.as_str())
        {
            found.extend(targets.iter().map(|target| (target.clone(), level.clone())));
        }
    }
    found
}

#[test]
fn each_documented_log_directive_selects_lines_of_its_level() {
    let sources = sources();
    let own = sources.iter().filter(|source| source.path.starts_with("src/") && !source.is_test);
    let lines: BTreeSet<_> = own.flat_map(lines).collect();
    let found: Vec<_> = pages().iter().flat_map(|page| directives(page, &read(page))).collect();
    assert!(found.iter().any(|directive| directive.page == "docs/operations.md"), "{found:?}");
    for directive in found {
        let Directive { page, target, level } = &directive;
        let is_below = |line: &str| {
            line.strip_prefix(target.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let selected: Vec<_> = lines.iter().filter(|(line, _)| is_below(line)).collect();
        assert!(!selected.is_empty(), "{page}: no line of the log has the target {target}");
        if let Some(level) = level {
            let is_there = selected.iter().any(|(_, of_line)| of_line == level);
            assert!(is_there, "{page}: no line of {target} has the level {level}");
        }
    }
}

#[test]
fn directives_are_found_in_text() {
    let found = |text| -> Vec<_> {
        directives("", text).into_iter().map(|directive| (directive.target, directive.level)).collect()
    };
    let some = |level: &str| Some(level.to_owned());
    assert_eq!(
        found("info,connector_cache::a_b=debug\","),
        [("connector_cache::a_b".to_owned(), some("debug"))]
    );
    assert_eq!(found("`connector_cache::access`:"), [("connector_cache::access".to_owned(), None)]);
    assert_eq!(found("connector_cache=warn"), [("connector_cache".to_owned(), some("warn"))]);
    assert_eq!(found("connector_cache_requests_total{a=\"b\"} connector_cache::"), []);
}
