//! The commands of README.md and of the pages in `docs`, run as they are printed.
//!
//! A command is a line of a fenced block `sh`, or a line with a prompt in a block `console`. Each runs in a shell of its own, in
//! front of a proxy and a stand-in for Graph, and must end with 0. Servers (`serve`, `demo`) must become ready, and end with 0 on
//! Ctrl-C. curl fails on a status of 400 or more. Addresses of the pages are replaced by free ones, so that runs do not disturb
//! each other.
//!
//! A block with a word after `sh` needs more than a sandbox and is not run: `cluster` (Kubernetes), `containers` (Docker or podman),
//! `registry`, `graph` (a tenant of Microsoft), `root`. `not_run.txt` has all of these commands, so that a mark needs two changes.
//! The fences of README.md have no words; its commands are in the list only.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

#[path = "../common/mod.rs"]
mod common;
mod page;
mod sandbox;

use std::collections::BTreeSet;

use common::redis::root;
use page::{Command, Page, pages};
use sandbox::Sandbox;

#[tokio::test]
async fn every_command_of_the_pages_works() {
    let listed = not_run();
    let mut failures = Vec::new();
    let mut count = 0;
    for page in pages() {
        // `tests/cli_docs.rs` runs its examples and compares their output.
        if page.name == "docs/commands.md" {
            continue;
        }
        let commands = page.commands.iter();
        let runs =
            |command: &&Command| command.need.is_none() && !listed.contains(&command.listed(&page.name));
        let commands: Vec<_> = commands.filter(runs).collect();
        if commands.is_empty() {
            continue;
        }
        let sandbox = Sandbox::start(&page).await;
        for command in commands {
            count += 1;
            if let Err(failure) = sandbox.run(&command.text).await {
                failures.push(format!("{}:{}: $ {}\n{failure}", page.name, command.line, command.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(count >= MIN_COMMANDS, "only {count} commands were found");
}

#[test]
fn the_commands_that_do_not_run_are_those_that_are_marked() {
    let listed = not_run();
    let (mut marked, mut of_readme) = (BTreeSet::new(), BTreeSet::new());
    for page in pages() {
        for command in &page.commands {
            let line = command.listed(&page.name);
            if let Some(need) = &command.need {
                assert!(NEEDS.contains(&&**need), "{}:{}: unknown word {need:?}", page.name, command.line);
                marked.insert(line);
            } else if page.name == "README.md" {
                of_readme.insert(line);
            }
        }
    }
    let unlisted: Vec<_> = marked.difference(&listed).collect();
    assert!(unlisted.is_empty(), "marked, but not in tests/manual/not_run.txt: {unlisted:#?}");
    let unmarked: Vec<_> = listed.difference(&marked).filter(|line| !of_readme.contains(*line)).collect();
    assert!(unmarked.is_empty(), "in tests/manual/not_run.txt, but not marked in a page: {unmarked:#?}");
}

#[tokio::test]
async fn a_command_that_does_not_work_is_noticed() {
    let page = Page::parse(
        "docs/page.md",
        "```sh\n\
         connector-cache serv\n\
         connector-cache serve --config missing.toml\n\
         curl -s http://127.0.0.1:8080/elsewhere\n\
         curl -s http://127.0.0.1:9090/cache | grep -q '\"entries\":99'\n\
         missing-command | cat\n\
         curl -s http://127.0.0.1:9090/readyz\n\
         ```\n",
    );
    let sandbox = Sandbox::start(&page).await;
    let mut works = Vec::new();
    for command in &page.commands {
        works.push(sandbox.run(&command.text).await.is_ok());
    }
    assert_eq!(works, [false, false, false, false, false, true]);
}

#[test]
fn links_between_the_pages_have_targets() {
    let pages = pages();
    let mut broken = Vec::new();
    for page in &pages {
        for (line, target) in &page.links {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = root().join(&page.name).parent().unwrap().to_owned();
            let name = if path.is_empty() { root().join(&page.name) } else { folder.join(path) };
            let Ok(file) = name.canonicalize() else {
                broken.push(format!("{}:{line}: {target}", page.name));
                continue;
            };
            let is_target = |page: &&Page| root().join(&page.name).canonicalize().unwrap() == file;
            if let Some(other) = pages.iter().find(is_target)
                && !anchor.is_empty()
                && !other.anchors.contains(anchor)
            {
                broken.push(format!("{}:{line}: no heading for {target}", page.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Commands that need more than a sandbox, as `page: command`.
fn not_run() -> BTreeSet<String> {
    let list = include_str!("not_run.txt").lines();
    list.filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// Words after `sh`.
const NEEDS: &[&str] = &["cluster", "containers", "registry", "graph", "root"];
const MIN_COMMANDS: usize = 25;
