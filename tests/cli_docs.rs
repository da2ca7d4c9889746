//! The examples of `docs/commands.md`, run as they are printed, with a proxy before the stand-in for Graph.
//!
//! Numbers and digests differ between runs, so each run of digits counts as one digit. `UPDATE_DOCS=1` writes the outputs into
//! the page instead.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::proxy::path;
use common::serve::Serve;
use common::within;
use connector_cache::fake_graph::{CONTOSO, FakeGraph, Options, SIGN_UP};

/// An example: a command line and its output.
struct Example {
    command: String,
    output: String,
}

/// Returns the blocks `console` of the page. Each has one line with a prompt.
fn examples() -> Vec<Example> {
    let page = include_str!("../docs/commands.md");
    let blocks = page.split("```console\n$ ").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let example = |block: &str| {
        let (command, output) = block.split_once('\n').unwrap();
        Example { command: command.to_owned(), output: output.to_owned() }
    };
    blocks.map(example).collect()
}

/// Replaces what differs between two runs: digests, and runs of digits.
fn normalized(text: &str) -> String {
    let is_digest = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = |word: &str| {
        let mut out = String::new();
        for char in word.chars() {
            match char {
                '0'..='9' if out.ends_with('0') => {}
                '0'..='9' => out.push('0'),
                other => out.push(other),
            }
        }
        out
    };
    let word = |word: &str| if is_digest(word) { "digest".to_owned() } else { digits(word) };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    // Whether a quantile is the bound of a bucket depends on the times.
    text.replace("<= ", "").lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn shell(command: &str, dir: &Path, env: &[(&str, &str)]) -> String {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(dir)
        .env_clear()
        .envs(env.iter().copied());
    shell.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap());
    String::from_utf8(within("the example", output).await.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn the_examples_of_the_page_print_what_it_shows() {
    let graph = FakeGraph::start(Options::default()).unwrap();
    let url = graph.url();
    let proxy = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    let dir = tempfile::tempdir().unwrap();
    let token = |user: &str| graph.token().tenant(CONTOSO).user(user).mint();
    for user in ["ada", "grace"] {
        std::fs::write(dir.path().join(format!("{user}.token")), token(user)).unwrap();
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_connector-cache")).parent().unwrap();
    let path_variable = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let admin = proxy.admin.to_string();
    let env = [
        ("PATH", &*path_variable),
        ("CONNECTOR_CACHE__ADMIN__ADDRESS", &*admin),
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", &*url),
    ];
    // One entry, and the token of the entry has a hit. The console has both after its next sample.
    let ada = token("ada");
    for _ in 0..2 {
        assert_eq!(proxy.get(&path(SIGN_UP), &ada).await.status, 200);
    }
    within("the sample", async {
        while !shell("connector-cache status", dir.path(), &env).await.contains("hit 1") {}
    })
    .await;
    let examples = examples();
    assert!(examples.len() >= 8, "{}", examples.len());
    for Example { command, output } in examples {
        let printed = shell(&command, dir.path(), &env).await;
        if std::env::var_os("UPDATE_DOCS").is_some() {
            update(&command, &output, &printed.replace(&admin, "127.0.0.1:9090").replace(&url, GRAPH));
            continue;
        }
        let printed = printed.replace(&url, GRAPH);
        assert_eq!(normalized(&printed), normalized(&output), "$ {command}\n{printed}");
    }
}

/// Writes the output of a command into the page.
fn update(command: &str, old: &str, new: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (from, to) = (format!("$ {command}\n{old}```"), format!("$ {command}\n{new}```"));
    std::fs::write(&page, text.replacen(&from, &to, 1)).unwrap();
}

/// Address of Graph in the page.
const GRAPH: &str = "https://graph.microsoft.com";
