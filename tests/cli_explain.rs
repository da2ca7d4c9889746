//! The command `explain`, played with the real binary.

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use connector_cache::fake_graph::{CONTOSO, FABRIKAM, FakeGraph, Options, SIGN_UP, user_id};
use serde_json::{Value, json};

/// Tokens in files.
struct Stage {
    graph: FakeGraph,
    dir: tempfile::TempDir,
}

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Stage {
    fn new() -> Self {
        Self { graph: FakeGraph::start(Options::default()).unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn token(&self, name: &str) -> String {
        self.file(name, &self.graph.token().tenant(CONTOSO).user(name).mint())
    }
}

fn run(arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_connector-cache"))
        .arg("explain")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn json_of(arguments: &[&str]) -> Value {
    let ended = run(&[arguments, &["--output", "json"]].concat(), "");
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{} {}", ended.out, ended.err))
}

fn url() -> String {
    format!("/beta/identity/b2xUserFlows/{SIGN_UP}/apiConnectorConfiguration?$expand=postAttributeCollection")
}

#[test]
fn a_request_is_shown_in_its_canonical_form() {
    let spelled = format!(
        "https://cache.example/BETA//identity/B2XUSERFLOWS('{SIGN_UP}')/apiConnectorConfiguration?%24expand=postattributecollection"
    );
    let ended = run(&[&spelled], "");
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{}", ended.out);
    assert!(ended.out.contains(&url()) && ended.out.contains("[ok] accepted"), "{}", ended.out);
    assert_eq!(json_of(&[&spelled])["request"]["target"], url());
}

#[test]
fn a_refusal_has_its_reason_status_and_message() {
    for (url, reason, status, part) in [
        (format!("{}&top=1", url()), "query", 400, "The option top is not supported"),
        (url().replace("$expand", ""), "query", 400, "Put the URL in single quotes."),
        (
            "/v1.0/me".to_owned(),
            "path",
            404,
            "Expected /VERSION/identity/b2xUserFlows/ID/apiConnectorConfiguration",
        ),
        (
            "/v1.0/identity/b2cUserFlows/x/apiConnectorConfiguration".to_owned(),
            "path",
            404,
            "request them from beta",
        ),
        (
            "/beta/identity/b2xUserFlows/a%20b/apiConnectorConfiguration".to_owned(),
            "percent-in-path",
            400,
            "percent",
        ),
        (format!("/{}", "a".repeat(20_000)), "target-too-long", 414, "too long"),
    ] {
        let ended = run(&[&url], "");
        assert_eq!(ended.code, Some(1), "{url}: {}", ended.err);
        let expected = format!("[error] refused: {reason}, {status}. ");
        assert!(ended.out.contains(&expected) && ended.out.contains(part), "{url}: {}", ended.out);
    }
    let refused = json_of(&[&url(), "--accept", "text/html"]);
    assert_eq!((&refused["ok"], &refused["request"]["refused"]["reason"]), (&json!(false), &json!("accept")));
}

#[tokio::test]
async fn a_token_that_may_use_the_cache_is_shown_without_an_identity() {
    let stage = Stage::new();
    let file = stage.token("ada");
    let ended = run(&[&url(), "--token-file", &file], "");
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{}", ended.out);
    for part in
        ["[ok] cacheable", "tid ", "oid ", "(hidden: a GUID)", "cache.proof_ttl 5m", "exp margin      30s"]
    {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let token = std::fs::read_to_string(&file).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let user = user_id(CONTOSO, "ada");
    for secret in [payload, &user, &user[..8], CONTOSO, &CONTOSO[..8]] {
        assert!(!ended.out.contains(secret), "{secret}: {}", ended.out);
    }
    // The digests of two runs have nothing in common.
    let keys = |json: &Value| (json["token"]["entry_key"].clone(), json["token"]["proof_key"].clone());
    let (first, second) =
        (json_of(&[&url(), "--token-file", &file]), json_of(&[&url(), "--token-file", &file]));
    assert!(keys(&first).0 != keys(&second).0 && keys(&first).1 != keys(&second).1);
}

#[tokio::test]
async fn the_reason_of_a_bypass_is_that_of_the_proxy() {
    let stage = Stage::new();
    let mint = || stage.graph.token().tenant(CONTOSO).user("ada");
    for (token, reason) in [
        (mint().mint_opaque(), "token-opaque"),
        (mint().expires_in(Duration::from_secs(20)).mint(), "token-expiring"),
        (mint().expires_in(Duration::from_hours(48)).mint(), "exp-unusable"),
        (mint().claim("cnf", json!({})).mint(), "token-bound"),
        (mint().without("tid").mint(), "claims-incomplete"),
    ] {
        let ended = run(&[&url(), "--token-file", &stage.file("token", &token)], "");
        assert_eq!(ended.code, Some(1), "{reason}: {}", ended.err);
        assert!(ended.out.contains(&format!("[error] bypass: {reason}. ")), "{reason}: {}", ended.out);
    }
}

#[tokio::test]
async fn a_token_comes_from_standard_input_with_or_without_its_scheme() {
    let stage = Stage::new();
    let token = stage.graph.token().mint();
    for input in [token.clone(), format!("{token}\n"), format!("Bearer {token}\r\n")] {
        let ended = run(&[&url(), "--token-file", "-"], &input);
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{}", ended.out);
    }
    for (input, reason) in [("", "no-token, 401"), ("a b", "token-form, 401"), ("a,b", "several-tokens, 400")]
    {
        let ended = run(&[&url(), "--token-file", "-"], input);
        assert_eq!(ended.code, Some(1), "{input}");
        assert!(ended.out.contains(&format!("[error] refused: {reason}. ")), "{input}: {}", ended.out);
    }
}

#[tokio::test]
async fn two_tokens_are_compared_by_the_parts_of_their_keys() {
    let stage = Stage::new();
    let mint = |name: &str, tenant: &str, user: &str| {
        stage.file(name, &stage.graph.token().tenant(tenant).user(user).mint())
    };
    let ada = mint("ada", CONTOSO, "ada");
    let again =
        stage.file("again", &stage.graph.token().tenant(CONTOSO).user("ada").claim("uti", "2").mint());
    let more = stage.graph.token().tenant(CONTOSO).user("ada").scopes(&["User.Read", "Mail.Read"]).mint();
    let more = stage.file("more", &more);
    let compare =
        |other: &str| json_of(&[&url(), "--token-file", &ada, "--compare", other])["comparison"].clone();
    assert_eq!(compare(&ada)["same_token"], true);
    let same = compare(&again);
    assert_eq!((&same["same_token"], &same["differing"]), (&json!(false), &json!([])));
    assert!(same["conclusion"].as_str().unwrap().contains("share entries"), "{same}");
    let parts = |comparison: &Value| -> Vec<String> {
        let differing = comparison["differing"].as_array().unwrap().iter();
        differing.map(|it| it["part"].as_str().unwrap().to_owned()).collect()
    };
    let grace = mint("grace", CONTOSO, "grace");
    let differing = compare(&grace)["differing"].clone();
    assert_eq!(parts(&compare(&grace)), ["oid"]);
    let digests = [&differing[0]["first_digest"], &differing[0]["second_digest"]];
    assert!(digests[0] != digests[1] && digests.iter().all(|digest| digest.as_str().unwrap().len() == 8));
    let text = run(&[&url(), "--token-file", &ada, "--compare", &grace], "").out;
    assert!(!text.contains("[warning]") && text.contains("\n  The tokens share no entry, "), "{text}");
    assert!(parts(&compare(&mint("other", FABRIKAM, "ada"))).contains(&"tid".to_owned()));
    let scopes = compare(&more);
    assert_eq!(parts(&scopes), ["scp"]);
    assert_eq!(scopes["differing"][0]["only_second"], json!(["Mail.Read"]));
    let opaque = compare(&stage.file("opaque", "opaque"));
    assert_eq!((&opaque["other_cacheable"], parts(&opaque).len()), (&json!(false), 0));
}

#[tokio::test]
async fn wrong_usage_ends_with_64_and_shows_no_token() {
    let stage = Stage::new();
    let file = stage.file("lines", "hunter2\nhunter3\n");
    for arguments in [
        &["/a b"][..],
        &[],
        &["/a", "--token-file", "/nowhere/token"],
        &["/a", "--token-file", &file],
        &["/a", "--compare", &file],
        &["/a", "--config", "/nowhere.toml"],
    ] {
        let ended = run(arguments, "");
        assert_eq!((ended.code, &*ended.out), (Some(64), ""), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.is_empty() && !ended.err.contains("hunter"), "{}", ended.err);
        assert!(!ended.err.contains("/nowhere/token") || !ended.err.contains("hidden"), "{}", ended.err);
    }
}
