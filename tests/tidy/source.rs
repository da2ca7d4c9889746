//! The files of `src`, and which of them are only there for tests.

use std::fs;
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};

/// One file of `src`.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the project's root, with slashes: `src/cache/store.rs`.
    pub(crate) path: String,
    /// The module path: `["cache", "store"]`; `["lib"]` and `["main"]` for the roots.
    pub(crate) module: Vec<String>,
    /// The text, as it is.
    pub(crate) text: String,
    /// What the compiler sees without `cfg(test)`.
    pub(crate) tokens: Vec<Token>,
    /// The whole file is only compiled for tests.
    pub(crate) is_test: bool,
}

/// All of them, sorted by path.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut test_modules: Vec<Vec<String>> = Vec::new();
    let mut sources = Vec::new();
    let files = ["src", "crates"].iter().flat_map(|folder| walk(&root.join(folder)));
    for path in files.filter(|path| has_extension(path, "rs")) {
        let path = relative(&root, &path);
        let text = read(&path);
        let module = module(&path);
        let (tokens, children) = tokens(&text);
        let parent: &[String] = if is_root(&module) { &[] } else { &module };
        test_modules.extend(children.into_iter().map(|child| [parent, &[child]].concat()));
        sources.push(Source { path, module, text, tokens, is_test: false });
    }
    for source in &mut sources {
        source.is_test = test_modules.iter().any(|test| source.module.starts_with(test));
    }
    sources
}

/// The text of a file of the project.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder, or the file itself, sorted. Nothing where nothing is, nor of what a compiler made.
pub(crate) fn walk(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    // What was built is nobody's text.
    if at.ends_with("target") {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let mut found: Vec<_> = entries.flat_map(|entry| walk(&entry.unwrap().path())).collect();
    found.sort();
    found
}

/// A path as it is written in the project.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/")
}

/// Where the project is.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|is| is == extension)
}

fn is_root(module: &[String]) -> bool {
    matches!(module, [only] if only == "lib" || only == "main")
}

/// The module of a file. The file `crates/http/src/date.rs` is the module `http::date`.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let inner = match path.strip_prefix("crates/").and_then(|path| path.split_once("/src/")) {
        Some((room, "lib")) => room.to_owned(),
        Some((room, inner)) => format!("{room}/{inner}"),
        None => path.trim_start_matches("src/").to_owned(),
    };
    inner.split('/').map(str::to_owned).collect()
}
