//! `docs/configuration.md`.

use connector_cache::config::{KeyReference, ValueForm};

use super::markdown::{accepted, code, notice, sections, table};

/// The text of the page.
pub(crate) fn page(keys: &[KeyReference]) -> String {
    let mut text = notice("src/config/schema") + HEAD;
    for (section, keys) in sections(keys) {
        text += &format!("\n## `{section}`\n\n");
        let rows: Vec<_> = keys.into_iter().map(row).collect();
        text += &table(&["key", "default", "accepts", "applied at", "meaning"], &rows);
    }
    text
}

fn row(key: &KeyReference) -> Vec<String> {
    let default = key.default.as_deref().map_or_else(|| "not set".to_owned(), code);
    let accepted = match &key.form {
        ValueForm::OneOf(words) => {
            words.iter().map(|word| code(&format!("\"{word}\""))).collect::<Vec<_>>().join(" or ")
        }
        form => accepted(form),
    };
    let applied = if key.is_live { "reload" } else { "restart" };
    vec![code(key.name), default, accepted, applied.to_owned(), key.help.to_owned()]
}

const HEAD: &str = r#"
# Configuration

Environment variables override a TOML file (`--config FILE`), and the file overrides built-in defaults. The variable of
a key is `CONNECTOR_CACHE__<SECTION>__<KEY>`, with two underscores: `CONNECTOR_CACHE__CACHE__TTL=1m`,
`CONNECTOR_CACHE__LISTEN__TLS__KEY=/run/tls/tls.key`. In a variable, commas separate the items of a list.

An unknown key is an error, in the file and in the environment. `connector-cache check --config FILE` prints each
effective value with its source. [`config/default.toml`](../config/default.toml) contains every key with its default.

Durations have a unit: `"250ms"`, `"10s"`, `"5m"`, `"1h"`. Sizes are `"32KiB"`, `"64MiB"`, or a number of bytes.

The column "applied at" says when a changed value takes effect. "Reload": the proxy checks the file of `--config` every
5 seconds, and immediately on SIGHUP. Limits and timeouts of connections apply to new connections. "Restart": the value
needs a restart, and a line of the log names the changed keys. The environment is always that of the start.
"#;
