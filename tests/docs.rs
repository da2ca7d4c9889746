//! Drift check of the files that are generated from the code.
//!
//! `make docs` sets `UPDATE_DOCS=1`, and then the tests write the files instead of comparing them.
#![cfg(feature = "otlp")]
#![expect(clippy::unwrap_used, reason = "a test fails so, and its helpers with it")]
#![expect(clippy::format_push_string, reason = "a generator that reads well matters more than its speed")]

use std::fs;
use std::path::Path;

use connector_cache::config::{EffectiveConfig, KeyReference};

#[path = "docs/chart.rs"]
mod chart;
#[path = "docs/configuration.rs"]
mod configuration;
#[path = "docs/default_file.rs"]
mod default_file;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/metrics.rs"]
mod metrics;
#[path = "docs/reasons.rs"]
mod reasons;

#[test]
fn configuration_md_is_generated_from_the_schema() {
    check("docs/configuration.md", &configuration::page(&keys()));
}

#[test]
fn metrics_md_is_generated_from_the_registry() {
    check("docs/metrics.md", &metrics::page());
}

#[test]
fn reasons_md_is_generated_from_the_labels() {
    check("docs/reasons.md", &reasons::page());
}

#[test]
fn default_toml_is_generated_from_the_schema() {
    check("config/default.toml", &default_file::text(&keys()));
}

#[test]
fn values_yaml_has_the_config_of_the_schema() {
    check_part("helm/connector-cache/values.yaml", "config:\n", "\nservice:\n", &chart::values(&keys()));
}

#[test]
fn values_schema_json_has_the_config_of_the_schema() {
    let config = chart::json_schema(&keys());
    check_part(
        "helm/connector-cache/values.schema.json",
        "    \"config\": {\n",
        "    \"service\": {\n",
        &config,
    );
}

#[test]
fn the_charts_bounds_are_those_of_the_schema() {
    check_part(
        "helm/connector-cache/templates/_check.tpl",
        "{{- define \"connector-cache.bounds\" -}}\n",
        "{{- end -}}\n",
        &chart::bounds(&keys()),
    );
}

#[test]
fn the_charts_live_keys_are_those_that_a_reload_applies() {
    check_part(
        "helm/connector-cache/templates/_config.tpl",
        "{{- define \"connector-cache.live\" -}}\n",
        "{{- end -}}\n",
        &chart::live(&keys()),
    );
}

/// The reference of all keys, with the built-in defaults.
fn keys() -> Vec<KeyReference> {
    EffectiveConfig::load(None, std::iter::empty()).unwrap().reference()
}

/// Compares a file with its generated text, or writes it under `UPDATE_DOCS=1`.
fn check(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, generated).unwrap();
        return;
    }
    let current = fs::read_to_string(&file).unwrap_or_default();
    let mut lines = current.lines().zip(generated.lines()).enumerate();
    let difference = lines.find(|(_, (current, generated))| current != generated);
    let (number, (current_line, generated_line)) = difference.unwrap_or_default();
    assert!(
        current == generated,
        "{path} is out of date: run `make docs`\nline {}: {current_line:?}\nexpected {generated_line:?}",
        number + 1,
    );
}

/// The same for the part of a file from the line `start` up to `end`.
fn check_part(path: &str, start: &str, end: &str, generated: &str) {
    let current = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (before, rest) = current.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    check(path, &format!("{before}{generated}{end}{after}"));
}
