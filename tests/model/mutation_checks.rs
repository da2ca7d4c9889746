//! Deliberate faults: the model must notice each of them, by what a caller can see.
//!
//! A fault is a patch in `mutations/` against the sources of the proxy. Its header names the promise that it breaks, the
//! rules of the model that must notice it, and the settings under which the model runs. `make mutants` copies the tree,
//! applies one patch after another, and runs [`the_applied_fault_is_noticed`] in the copy, with the name of the patch in
//! `MUTATION`. The other tests here build nothing: each patch is complete and applies to the sources.

use std::fs;
use std::path::{Path, PathBuf};

use super::op::Settings;
use super::{fleet, run};

#[test]
fn every_fault_has_a_patch_with_a_header() {
    assert_eq!(patches(), FAULTS);
    for name in patches() {
        let patch = Patch::read(&name);
        assert!(!patch.header("Fault: ").is_empty() && !patch.header("Breaks: ").is_empty(), "{name}");
        assert!(!patch.rules().is_empty() && !patch.files().is_empty(), "{name}");
        patch.settings();
    }
}

#[test]
fn every_patch_applies_to_the_sources() {
    let files = patches().into_iter().flat_map(|name| {
        let files = Patch::read(&name).files();
        files.into_iter().map(move |file| (name.clone(), file))
    });
    let stale: Vec<_> =
        files.filter_map(|(name, file)| Some(format!("{name}: {}", file.problem()?))).collect();
    assert!(stale.is_empty(), "adapt these patches to the sources:\n{}", stale.join("\n"));
}

#[test]
fn a_patch_that_does_not_apply_exactly_once_is_reported() {
    let problem = |old: &str| {
        let hunk = Hunk { old: old.to_owned(), new: String::new() };
        PatchedFile { path: "tests/model/mutation_checks.rs".to_owned(), hunks: vec![hunk] }.problem()
    };
    assert_eq!(
        problem("//! Deliberate faults: the model must notice each of them, by what a caller can see.\n"),
        None
    );
    assert!(problem("a line that is not there\n").is_some());
    assert!(problem("#[test]\n").is_some(), "several places fit");
}

/// Runs in the patched copy only. Without `MUTATION` there is no fault to notice.
#[test]
fn the_applied_fault_is_noticed() {
    let Ok(name) = std::env::var("MUTATION") else { return };
    let (patch, seed) = (Patch::read(&name), run::number("MODEL_SEED").unwrap_or(SEED));
    let played = match patch.settings() {
        Some(settings) => {
            run::model(MAX_REQUESTS, seed, settings, true).map(|coverage| format!("{coverage:?}"))
        }
        None => fleet::model(fleet::STEPS, seed).map(|coverage| format!("{coverage:?}")),
    };
    let failure = match played {
        Err(failure) => failure,
        Ok(coverage) => panic!("{name} went unnoticed: {coverage}"),
    };
    let story = failure.lines().take(2).collect::<Vec<_>>().join(", ");
    let rules = patch.rules();
    let broken = rules.iter().find(|rule| story.contains(*rule));
    let broken = broken.unwrap_or_else(|| panic!("{name} was noticed, but not by {rules:?}: {story}"));
    let requests = story.rsplit_once(", after ").map_or("", |(_, rest)| rest);
    println!("noticed: {broken} after {requests}; {story}");
}

/// Text of a patch, header included.
struct Patch(String);

impl Patch {
    fn read(name: &str) -> Self {
        let path = folder().join(name).with_extension("patch");
        Self(fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// The line of the header that begins with `key`, without the key.
    fn header(&self, key: &str) -> &str {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_else(|| panic!("no {key:?} in a patch"))
    }

    /// The rules of the model that must notice the fault, as in `(a)`.
    fn rules(&self) -> Vec<String> {
        let words = self.header(NOTICED_BY).split(|symbol: char| symbol.is_whitespace() || symbol == ',');
        words.filter(|word| word.starts_with('(')).map(str::to_owned).collect()
    }

    /// Settings of one proxy, or `None` for replicas that share a store.
    fn settings(&self) -> Option<Settings> {
        match self.header(NOTICED_BY).rsplit_once("settings: ") {
            Some((_, "operators")) => Some(Settings::Operators),
            Some((_, "rfcs")) => Some(Settings::Rfcs),
            Some((_, "fleet")) => None,
            other => panic!("settings are `operators`, `rfcs` or `fleet`, not {other:?}"),
        }
    }

    fn files(&self) -> Vec<PatchedFile> {
        let mut files: Vec<PatchedFile> = Vec::new();
        for line in self.0.lines() {
            let last = files.last_mut();
            if let Some(path) = line.strip_prefix("+++ b/") {
                files.push(PatchedFile { path: path.to_owned(), hunks: Vec::new() });
            } else if let (Some(file), true) = (last, !line.starts_with("--- ")) {
                file.push(line);
            }
        }
        files
    }
}

/// Changes to one file.
struct PatchedFile {
    /// From the root of the project.
    path: String,
    hunks: Vec<Hunk>,
}

/// Consecutive lines before and after the change.
#[derive(Default)]
struct Hunk {
    old: String,
    new: String,
}

impl PatchedFile {
    fn push(&mut self, line: &str) {
        if line.starts_with("@@ ") {
            self.hunks.push(Hunk::default());
        }
        let Some(hunk) = self.hunks.last_mut() else { return };
        let Some((mark, text)) = line.split_at_checked(1) else { return };
        if matches!(mark, " " | "-") {
            hunk.old.extend([text, "\n"]);
        }
        if matches!(mark, " " | "+") {
            hunk.new.extend([text, "\n"]);
        }
    }

    /// Why the changes do not apply: each hunk must fit one place and change it.
    fn problem(&self) -> Option<String> {
        let text = fs::read_to_string(root().join(&self.path)).unwrap_or_default();
        // Whole lines only.
        let (path, text) = (&self.path, format!("\n{text}"));
        self.hunks.iter().find_map(|Hunk { old, new }| match text.matches(&format!("\n{old}")).count() {
            1 if old != new => None,
            1 => Some(format!("{path}: a hunk changes nothing")),
            0 => Some(format!("{path}: these lines are not there:\n{old}")),
            places => Some(format!("{path}: these lines are there {places} times:\n{old}")),
        })
    }
}

/// Names of the patches in `mutations/`, sorted.
fn patches() -> Vec<String> {
    let names = fs::read_dir(folder())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(".patch")?.to_owned())).collect();
    names.sort();
    names
}

fn folder() -> PathBuf {
    root().join("tests/model/mutations")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const NOTICED_BY: &str = "Noticed by: ";
/// Requests within which a fault must be noticed.
const MAX_REQUESTS: u64 = 20_000;
/// A failure with this seed is the same on every machine.
const SEED: u64 = 100;
/// A patch that is lost is noticed here.
const FAULTS: [&str; 42] = [
    "401-ignored",
    "403-ignored",
    "any-304",
    "claims-trusted",
    "coalescing-by-principal",
    "coalescing-with-revoked-fetch",
    "digest-ignored",
    "divergence-ignored",
    "entry-without-end",
    "entry-without-expand",
    "error-ignored-in-flight",
    "error-stored",
    "expiry-ignored-after-wait",
    "expiry-without-margin",
    "fleet-delete-and-publish",
    "fleet-generation-and-publish",
    "fleet-late-value-admitted",
    "fleet-leases-and-publish",
    "fleet-withdrawal-unpublished",
    "max-stale-extends-proof",
    "no-cache-ignored",
    "no-hits",
    "no-store-ignored",
    "older-replaces-newer",
    "principal-without-tenant",
    "proof-for-any-resource",
    "proof-for-principal",
    "proof-without-end",
    "proof-without-expand",
    "purge-misses-unproven-tokens",
    "purge-revokes-all-leases",
    "purge-takes-all-proofs",
    "request-digest-of-token-alone",
    "revoked-lease-stores",
    "select-not-forwarded",
    "stale-after-403",
    "stale-without-end",
    "thread-cache-misses-revocations",
    "truncated-error-ignored",
    "unproven-token-evicts",
    "unscrubbed",
    "validator-of-another-token",
];
