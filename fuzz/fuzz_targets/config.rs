//! A file and an environment to a configuration, or to a message that an operator can read and anybody may see.
//!
//! Input: TOML, then lines of `NAME=VALUE` behind a NUL.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use connector_cache::config::EffectiveConfig;
use libfuzzer_sys::fuzz_target;
use toml::Value;

/// In memory where the system has such a place: it is written thousands of times a second.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let directory = if memory.is_dir() { memory } else { std::env::temp_dir() };
    directory.join(format!("connector-cache-fuzz-{}.toml", std::process::id()))
});
const CANARY: &str = "CANARY7Q";
const PREFIX: &str = "CONNECTOR_CACHE__";

fuzz_target!(|input: &str| {
    let (text, rest) = input.split_once('\0').unwrap_or((input, ""));
    let env: Vec<_> = rest
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned()))
        .collect();
    match load(text, &env) {
        Ok(effective) => {
            // What is printed is a file that means the same.
            let printed = effective.to_string();
            let again = load(&printed, &[]).unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(again.config, effective.config, "{printed}");
        }
        Err(message) => {
            assert!(!message.is_empty());
            let plain = |symbol: char| symbol == '\n' || !symbol.is_control();
            assert!(message.chars().all(plain), "a message that is more than text: {message:?}");
        }
    }
    if !input.contains(CANARY) {
        secrets(text, &env);
    }
});

/// Puts a password into every value that a person could put one into.
fn secrets(text: &str, env: &[(String, String)]) {
    let planted: Vec<_> = env.iter().map(|(name, value)| (name.clone(), with_secret(value))).collect();
    silent(text, &planted);
    let Ok(Value::Table(mut table)) = text.parse::<toml::Table>().map(Value::Table) else {
        // Not TOML: whatever the line is, it is not quoted.
        return silent(&format!("{text}\nx = https://user:{CANARY}@host"), env);
    };
    table.iter_mut().for_each(|(_, value)| plant(value));
    silent(&toml::to_string(&table).unwrap_or_default(), env);
}

fn plant(value: &mut Value) {
    match value {
        Value::String(text) => *text = with_secret(text),
        Value::Array(items) => items.iter_mut().for_each(plant),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| plant(value)),
        _ => {}
    }
}

/// A password in a URL, a key, or a token, after whatever the value was.
fn with_secret(value: &str) -> String {
    match value.len() % 3 {
        0 => format!("{value}https://user:{CANARY}@host"),
        1 => format!("eyJ{CANARY}{value}"),
        _ => format!("{value}-----BEGIN PRIVATE KEY----- {CANARY}"),
    }
}

fn silent(text: &str, env: &[(String, String)]) {
    if let Err(message) = load(text, env) {
        assert!(!message.contains(CANARY), "a secret is in the message: {message}");
    }
}

fn load(text: &str, env: &[(String, String)]) -> Result<EffectiveConfig, String> {
    std::fs::write(&*FILE, text).expect("the temporary directory can be written");
    EffectiveConfig::load(Some(Path::new(&*FILE)), env.iter().cloned()).map_err(|error| error.to_string())
}
