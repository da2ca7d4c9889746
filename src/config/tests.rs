use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use super::*;

mod refusals;

/// Loads a file with this text. Messages name it `FILE`.
fn load(text: &str, env: &[(&str, &str)]) -> Result<EffectiveConfig, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let name = file.path().to_str().unwrap();
    EffectiveConfig::load(Some(file.path()), env).map_err(|error| error.to_string().replace(name, "FILE"))
}

fn default_file() -> &'static str {
    include_str!("../../config/default.toml")
}

/// The file with all keys set, including those that are commented out.
fn default_file_in_full() -> String {
    let lines = default_file().lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_file_and_variables_the_defaults_apply() {
    assert_eq!(Config::load(None, std::iter::empty()).unwrap(), Config::default());
}

#[test]
fn the_default_file_equals_the_built_in_defaults() {
    assert_eq!(load(default_file(), &[]).unwrap().config, Config::default());
}

#[test]
fn the_default_file_contains_each_default_as_check_prints_it() {
    let built_in = EffectiveConfig::load(None, std::iter::empty()).unwrap();
    for Setting { key, value, .. } in &built_in.settings {
        let key = key.name;
        let name = key.rsplit('.').next().unwrap();
        let line = match value {
            Some(value) => format!("\n{name} = {value}\n"),
            None => format!("\n#{name} = "),
        };
        assert!(default_file().contains(&line), "{key}: {line}");
    }
}

#[test]
fn the_default_file_has_every_key_and_no_other() {
    let table: toml::Table = default_file_in_full().parse().unwrap();
    let mut in_file = BTreeSet::new();
    let mut tables = vec![(String::new(), table)];
    while let Some((prefix, table)) = tables.pop() {
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => tables.push((format!("{prefix}{name}."), inner)),
                _ => assert!(in_file.insert(format!("{prefix}{name}"))),
            }
        }
    }
    let built_in = EffectiveConfig::load(None, std::iter::empty()).unwrap();
    let known: BTreeSet<_> = built_in.settings.iter().map(|setting| setting.key.name.to_owned()).collect();
    assert_eq!(in_file, known);
}

#[test]
fn the_samples_in_the_default_file_are_valid() {
    let message = load(&default_file_in_full(), &[]).err().map_or_else(String::new, |error| error.clone());
    // A build without the feature otlp refuses the endpoint.
    let refused_endpoints = usize::from(!cfg!(feature = "otlp"));
    let is_other = |line: &&str| !line.contains(": telemetry.otlp_endpoint");
    assert_eq!(message.lines().filter(is_other).collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(message.lines().count(), refused_endpoints, "{message}");
}

#[test]
fn the_servers_of_the_shared_tier_are_a_url_or_an_array_of_urls() {
    let secret = "shared.secret_file = \"/s\"";
    for (value, written) in [
        ("\"redis://valkey\"", "redis://valkey:6379"),
        ("\"redis+sentinel://a,b/main\"", "redis+sentinel://a:26379,b:26379/main"),
        ("[\"rediss://a:1\", \"rediss://b:2\"]", "rediss+cluster://a:1,b:2"),
    ] {
        let config = load(&format!("shared.url = {value}\n{secret}"), &[]).unwrap().config;
        assert_eq!(config.shared.endpoint.map(|endpoint| endpoint.to_string()).as_deref(), Some(written));
    }
}

#[test]
fn the_environment_overrides_the_file_and_the_file_overrides_the_default() {
    let file = "[cache]\nttl = \"1m\"\nproof_ttl = \"2m\"\n";
    let config = load(file, &[("CONNECTOR_CACHE__CACHE__TTL", "3m")]).unwrap().config;
    assert_eq!(config.freshness.ttl, Duration::from_mins(3));
    assert_eq!(config.freshness.proof_ttl, Duration::from_mins(2));
    assert_eq!(config.freshness.stale_while_revalidate, Duration::from_secs(30));
}

#[test]
fn variables_can_set_nested_keys_and_lists() {
    let env = [
        ("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", "/c"),
        ("CONNECTOR_CACHE__LISTEN__TLS__KEY", "/k"),
        ("CONNECTOR_CACHE__SCRUB__UNKNOWN", "keep"),
        ("CONNECTOR_CACHE__SCRUB__ALLOW_FIELDS", "note, @microsoft.graph.tips"),
        ("CONNECTOR_CACHE__SCRUB__EXTRA_FIELDS", "pin, puk"),
        ("CONNECTOR_CACHE__SCRUB__KEEP_QUERY", r#"["sv", "a,b"]"#),
        ("CONNECTOR_CACHE__LIMITS__CONNECTIONS", "12"),
    ];
    let config = load("", &env).unwrap().config;
    let files = server::TlsFiles { certificate: "/c".into(), key: "/k".into(), client_ca: None };
    assert_eq!(config.server.tls, Some(files));
    assert_eq!(config.scrub.unknown.to_string(), "keep");
    assert_eq!(config.scrub.allow_fields, ["note", "@microsoft.graph.tips"]);
    assert_eq!(config.scrub.extra_fields, ["pin", "puk"]);
    assert_eq!(config.scrub.keep_query, ["sv", "a,b"]);
    assert_eq!(config.server.limits.connections, 12);
}

#[test]
fn an_empty_variable_is_an_empty_list() {
    let config = load("", &[("CONNECTOR_CACHE__SCRUB__KEEP_QUERY", "")]).unwrap().config;
    assert_eq!(config.scrub.keep_query, Vec::<String>::new());
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_ignored() {
    let env = [
        ("CONNECTOR_CACHE_SERVICE_HOST", "10.0.0.1"),
        ("CONNECTOR_CACHE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("CONNECTOR_CACHE_PORT", "tcp://10.0.0.1:8080"),
        ("RUST_LOG", "trace"),
    ];
    assert_eq!(load("", &env).unwrap().config, Config::default());
}

#[test]
fn valid_values_are_accepted() {
    for good in [
        "graph.base_url = \"https://graph.microsoft.us/\"",
        "graph.base_url = \"https://10.1.2.3:8443\"",
        "graph.base_url = \"http://localhost:9999\"",
        "graph.base_url = \"http://127.8.9.1\"",
        "graph.base_url = \"http://[::1]:80\"",
        "cache.ttl = \"1ms\"",
        "cache.ttl = \"24h\"",
        "cache.proof_ttl = \"60m\"",
        "cache.proof_ttl = \"30m 30s\"",
        "cache.stale_if_error = \"0s\"",
        "cache.max_bytes = 1_048_576",
        "cache.max_bytes = \"2 GiB\"",
        "cache.max_bytes = 0x100000",
        "listen.address = \"[::]:0\"\nadmin.address = \"[::]:0\"",
        "listen.address = \"0.0.0.0:80\"\nadmin.address = \"[::1]:80\"",
        "listen.tls = { certificate = \"/c\", key = \"/k\", client_ca = \"/ca\" }",
        "[listen.tls]",
        "[shared]",
        "graph.default_version = \"v1.0\"",
        "graph.timeout = \"1s\"\ngraph.connect_timeout = \"1s\"",
        "scrub.mask = \"\u{2588}\u{2588}\"",
        "log.filter = \"warn,connector_cache::upstream=trace\"",
        "log.filter = \"OFF\"",
        "server.threads = 1",
        "limits.followers = 0",
    ] {
        assert!(load(good, &[]).is_ok(), "{good}: {:?}", load(good, &[]).err());
    }
}

#[test]
fn the_output_of_check_loads_as_the_same_configuration() {
    // The path of a missing file would be redacted.
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key, token) = (file("c \"x\"\\y"), file("k#1"), file("token"));
    std::fs::write(&certificate, "").unwrap();
    let env = [
        ("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", &*certificate),
        ("CONNECTOR_CACHE__LISTEN__TLS__KEY", &*key),
        ("CONNECTOR_CACHE__SERVER__THREADS", "3"),
        ("CONNECTOR_CACHE__SCRUB__EXTRA_FIELDS", "it's,\u{e9}"),
        ("CONNECTOR_CACHE__CACHE__TTL", "1m 1s 1ms"),
        ("CONNECTOR_CACHE__GRAPH__MAX_BODY", "2049"),
        ("CONNECTOR_CACHE__LOG__FORMAT", "text"),
        ("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", &*token),
    ];
    let effective = load("drain.delay = \"90s\"\n", &env).unwrap();
    let again = load(&effective.to_string(), &[]).unwrap();
    assert_eq!(again.config, effective.config);
}

#[test]
fn the_output_of_check_redacts_a_secret_in_place_of_a_path() {
    let effective = load("admin.token_file = \"hunter2\"\n", &[]).unwrap();
    let printed = effective.to_string();
    let line = "# token_file = <hidden: 7 characters, no such file> # ";
    assert!(printed.contains(line) && !printed.contains("hunter2"), "{printed}");
    assert!(load(&printed, &[]).is_ok(), "the output with a redacted value is TOML");
}

#[test]
fn the_output_of_check_names_the_source_of_each_value() {
    let env = [("CONNECTOR_CACHE__GRAPH__TIMEOUT", "7s")];
    let effective = load("[cache]\n# half\nttl = \"30s\"\n", &env).unwrap().to_string();
    assert!(effective.contains("\ntimeout = \"7s\" # env CONNECTOR_CACHE__GRAPH__TIMEOUT\n"), "{effective}");
    assert!(effective.contains("\nproof_ttl = \"5m\" # default\n"), "{effective}");
    assert!(effective.contains("\n# token_file is not set\n"), "{effective}");
    let ttl = effective.lines().find(|line| line.starts_with("ttl = ")).unwrap();
    assert!(ttl.starts_with("ttl = \"30s\" # ") && ttl.ends_with(":3"), "{ttl}");
}
