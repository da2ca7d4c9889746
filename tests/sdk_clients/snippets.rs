//! The examples of `docs/clients.md`, run as they are printed, apart from the address of the proxy.

use std::path::Path;
use std::process::Command;

use super::harness::{World, installed, require};

/// Returns the first code block of a language in the page.
fn snippet(language: &str) -> String {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md")).unwrap();
    let (_, rest) =
        page.split_once(&format!("```{language}\n")).expect("the page has a block of the language");
    rest.split_once("\n```").expect("the block ends").0.to_owned()
}

/// Runs a program twice, in one process each, and checks that only the first one caused a request to Graph.
fn run_twice(world: &World, mut command: Command) {
    command.env("TOKEN", world.graph.token().user("snippet").mint());
    for _ in 0..2 {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} failed:\n{text}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("apiConnectorConfiguration") || shown.contains("ok"), "{shown}");
    }
    assert_eq!(world.graph.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_curl_example_reads_a_flow() {
    let world = World::start().await;
    let text = snippet("sh").replace("http://127.0.0.1:8080", &format!("http://{}", world.plain.data));
    assert!(text.contains(&world.plain.data.to_string()), "{text}");
    let mut command = world.command("bash");
    command.args(["-c", &text.replace("curl ", "curl -sS --fail ")]);
    run_twice(&world, command);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_reads_a_flow() {
    let python = installed().join("venv/bin/python");
    require(&python);
    let world = World::start().await;
    let body: String = at_the_proxy(&world, &snippet("python"))
        .lines()
        .fold(String::new(), |text, line| format!("{text}    {line}\n"));
    let script = format!(
        "import asyncio, os, time\n\
         from azure.core.credentials import AccessToken\n\
         class Credential:\n    def get_token(self, *_, **__):\n        \
         return AccessToken(os.environ['TOKEN'], int(time.time()) + 3600)\n\
         credential = Credential()\n\
         async def main():\n{body}    assert configuration is not None\n\
         asyncio.run(main())\nprint('ok')\n"
    );
    let mut command = world.command(python);
    command.args(["-c", &script]);
    run_twice(&world, command);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_example_reads_a_flow() {
    require(&installed().join("js/node_modules/@microsoft/microsoft-graph-client"));
    let world = World::start().await;
    let script = format!(
        "const authProvider = {{ getAccessToken: async () => process.env.TOKEN }};\n{}\n\
         if (!configuration.postFederationSignup) throw new Error(JSON.stringify(configuration));\nconsole.log('ok');\n",
        at_the_proxy(&world, &snippet("js"))
    );
    let mut command = world.command("node");
    // Packages are looked up from the working directory.
    command.current_dir(installed().join("js")).args(["--input-type=module", "-e", &script]);
    run_twice(&world, command);
    world.stop().await;
}

/// Replaces the example's address by that of the proxy with TLS.
fn at_the_proxy(world: &World, text: &str) -> String {
    let here = format!("https://localhost:{}", world.tls.data.port());
    let replaced = text.replace("https://cache.example", &here).replace("cache.example", "localhost");
    assert!(replaced.contains(&here), "{replaced}");
    replaced
}
