//! The command line: arguments, environment, exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]

use std::process::{Command, Output};

/// Runs the binary with nothing in its environment but `env`.
fn run(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connector-cache"));
    command.args(arguments).env_clear().envs(env.iter().copied()).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn check_prints_what_is_in_effect_and_takes_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    let file = file.to_str().unwrap();
    std::fs::write(file, "cache.ttl = \"90s\"\n").unwrap();
    let first = run(&["check", "--config", file], &[("CONNECTOR_CACHE__LOG__FILTER", "warn")]);
    assert_eq!((first.status.code(), errors(&first)), (Some(0), String::new()));
    assert!(out(&first).contains(&format!("ttl = \"1m 30s\" # {file}:1\n")), "{}", out(&first));
    assert!(
        out(&first).contains("filter = \"warn\" # env CONNECTOR_CACHE__LOG__FILTER\n"),
        "{}",
        out(&first)
    );

    std::fs::write(file, &first.stdout).unwrap();
    let again = run(&["check", "--config", file], &[]);
    assert_eq!((again.status.code(), errors(&again)), (Some(0), String::new()));
    assert!(
        out(&first).ends_with("\n# valid: 0 warnings\n") || err(&first).contains("warning"),
        "{}",
        out(&first)
    );
    let values = |output: &Output| {
        let lines = out(output).lines().map(|line| line.split(" # ").next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&first));
}

#[test]
fn check_without_a_file_prints_every_default() {
    let output = run(&["check"], &[]);
    assert_eq!((output.status.code(), errors(&output)), (Some(0), String::new()));
    assert!(
        out(&output).contains("base_url = \"https://graph.microsoft.com\" # default\n"),
        "{}",
        out(&output)
    );
}

/// Returns standard error without the warnings, some of which depend on the machine.
fn errors(output: &Output) -> String {
    err(output).lines().filter(|line| !line.starts_with("connector-cache: warning: ")).collect()
}

#[test]
fn check_warns_about_contradictions_and_fails_for_them_if_it_is_strict() {
    let long = [("CONNECTOR_CACHE__CACHE__TTL", "10m")];
    let output = run(&["check"], &long);
    assert_eq!((output.status.code(), errors(&output)), (Some(0), String::new()));
    let warning = "connector-cache: warning: cache.ttl (10m) is longer than cache.proof_ttl (5m)";
    assert!(err(&output).contains(warning), "{}", err(&output));
    let strict = run(&["check", "--strict"], &long);
    assert_eq!((strict.status.code(), err(&strict)), (Some(64), err(&output)));
    let last = |output: &Output| out(output).lines().last().unwrap().to_owned();
    assert!(last(&output).starts_with("# valid: ") && !last(&output).contains(" 0 "), "{}", last(&output));
    assert!(
        last(&strict).starts_with("# not valid: ") && last(&strict).contains("--strict"),
        "{}",
        last(&strict)
    );
}

#[test]
fn check_reads_every_file_that_the_configuration_names() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.pem");
    std::fs::write(&broken, "no PEM").unwrap();
    let broken = broken.to_str().unwrap();
    let tls = [
        ("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", broken),
        ("CONNECTOR_CACHE__LISTEN__TLS__KEY", broken),
    ];
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let token = empty.to_str().unwrap();
    let keys = [("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", token), ("CONNECTOR_CACHE__GRAPH__CA_FILE", broken)];
    let cases = [(&tls[..], "listen.tls"), (&keys[..1], "admin.token_file"), (&keys[1..], "graph.ca_file")];
    for (variables, part) in cases {
        let output = run(&["check"], variables);
        assert_eq!(output.status.code(), Some(1), "{}", err(&output));
        assert!(err(&output).starts_with("connector-cache: a start would fail: "), "{}", err(&output));
        assert!(err(&output).contains(part), "{}", err(&output));
        assert!(
            out(&output).lines().last().unwrap().starts_with("# not valid: 1 error, "),
            "{}",
            out(&output)
        );
    }
}

#[test]
fn an_address_that_cannot_be_bound_is_one_line_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (key, address, advice) in [
        ("listen.address", &*taken, ". Stop the other process, or set another listen.address\n"),
        ("admin.address", &taken, ". Stop the other process, or set another admin.address\n"),
        // TEST-NET-1 of RFC 5737.
        ("listen.address", "192.0.2.1:8080", ". Set listen.address to an address of this machine\n"),
    ] {
        let variable = format!("CONNECTOR_CACHE__{}", key.to_ascii_uppercase().replace('.', "__"));
        let (free_data, free_admin) = (
            ("CONNECTOR_CACHE__LISTEN__ADDRESS", "127.0.0.1:0"),
            ("CONNECTOR_CACHE__ADMIN__ADDRESS", "127.0.0.1:0"),
        );
        let output = run(&["serve"], &[free_data, free_admin, (&variable, address)]);
        assert_eq!(output.status.code(), Some(1), "{}", err(&output));
        // The log, which is no terminal here, has the same error as a field.
        let log = out(&output);
        assert!(log.lines().count() == 1 && log.contains("\"message\":\"cannot start\""), "{log}");
        let begin = format!("connector-cache: {key} = {address}: the port cannot be bound: ");
        assert!(err(&output).starts_with(&begin) && err(&output).ends_with(advice), "{}", err(&output));
        assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
    }
}

#[test]
fn a_misspelt_command_or_option_has_a_suggestion() {
    for (arguments, suggestion) in [(&["ststus"][..], "'status'"), (&["purge", "--flw", "a"], "'--flow'")] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(64));
        assert!(err(&output).contains("similar") && err(&output).contains(suggestion), "{}", err(&output));
    }
}

#[test]
fn check_warns_about_a_file_that_is_on_another_machine() {
    let elsewhere = [("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", "/nowhere/token")];
    let output = run(&["check"], &elsewhere);
    assert_eq!((output.status.code(), errors(&output)), (Some(0), String::new()));
    assert!(err(&output).contains("warning: admin.token_file: "), "{}", err(&output));
    assert_eq!(run(&["check", "--strict"], &elsewhere).status.code(), Some(64));
}

#[test]
fn a_bad_configuration_ends_with_64_and_says_why() {
    for command in ["check", "serve"] {
        let output = run(&[command], &[("CONNECTOR_CACHE__CACHE__TLL", "5m")]);
        assert_eq!((output.status.code(), out(&output)), (Some(64), ""));
        let said = "connector-cache: the configuration is refused:\n\
                    env CONNECTOR_CACHE__CACHE__TLL is not a known key: did you mean CONNECTOR_CACHE__CACHE__TTL?\n";
        assert_eq!(err(&output), said);
    }
}

#[test]
fn f67_a_configuration_that_makes_no_sense_or_no_safety_does_not_start() {
    for (key, value) in [
        ("CACHE__TTL", "0s"),
        ("CACHE__TTL", "-5m"),
        ("CACHE__TTL", "10y"),
        ("CACHE__TTL", ""),
        ("CACHE__PROOF_TTL", "2h"),
        ("GRAPH__BASE_URL", "http://graph.microsoft.com"),
        ("GRAPH__BASE_URL", ""),
        ("LISTEN__ADDRESS", ""),
        ("SHARED__URL", "redis://valkey"),
    ] {
        let variable = format!("CONNECTOR_CACHE__{key}");
        let output = run(&["serve"], &[(&variable, value)]);
        assert_eq!((output.status.code(), out(&output)), (Some(64), ""), "{key}={value}");
        let said = err(&output);
        assert!(said.contains(&variable) && said.contains("refused"), "{key}={value}: {said}");
    }
}

#[test]
fn a_file_that_is_not_there_ends_with_64() {
    let output = run(&["serve", "--config", "/nonexistent.toml"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(err(&output).contains("/nonexistent.toml: the file cannot be read"), "{}", err(&output));
}

#[test]
fn wrong_usage_ends_with_64_and_says_so_on_standard_error() {
    for arguments in [&["sing"][..], &[], &["serve", "--port", "80"], &["check", "--config"]] {
        let output = run(arguments, &[]);
        assert_eq!((output.status.code(), out(&output)), (Some(64), ""), "{arguments:?}");
        assert!(err(&output).contains("--help"), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let version = run(&["--version"], &[]);
    assert_eq!((version.status.code(), err(&version)), (Some(0), ""));
    // The commit is "unknown" in a debug build.
    assert!(
        out(&version).starts_with(concat!("connector-cache ", env!("CARGO_PKG_VERSION"), " (")),
        "{}",
        out(&version)
    );
    let help = run(&["--help"], &[]);
    assert_eq!((help.status.code(), err(&help)), (Some(0), ""));
    for word in ["serve", "check", "CONNECTOR_CACHE__<SECTION>__<KEY>", "64"] {
        assert!(out(&help).contains(word), "{word}: {}", out(&help));
    }
}

#[test]
fn completions_are_printed_for_each_shell() {
    for (shell, part) in [
        ("bash", "complete -F _connector__cache"),
        ("zsh", "#compdef connector-cache"),
        ("fish", "complete -c connector-cache"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[connector-cache]"),
    ] {
        let output = run(&["completions", shell], &[]);
        assert_eq!((output.status.code(), err(&output)), (Some(0), ""), "{shell}");
        for word in [part, "healthcheck", "token-file"] {
            assert!(out(&output).contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "cmd"], &[]).status.code(), Some(64));
}

#[test]
fn the_schema_of_the_configuration_is_json_with_every_section() {
    let output = run(&["check", "--schema"], &[("CONNECTOR_CACHE__CACHE__TTL", "no duration")]);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ttl = &schema["properties"]["cache"]["properties"]["ttl"];
    assert_eq!((&ttl["default"], &schema["additionalProperties"]), (&"5m".into(), &false.into()));
    assert_eq!(run(&["check", "--schema", "--strict"], &[]).status.code(), Some(64));
}

#[test]
fn the_help_of_each_command_for_operators_has_an_example() {
    for command in ["check", "completions", "explain", "healthcheck", "purge", "status"] {
        let help = run(&[command, "--help"], &[]);
        assert_eq!(help.status.code(), Some(0));
        assert!(out(&help).contains("Example"), "{command}: {}", out(&help));
    }
}
