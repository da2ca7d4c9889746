//! The effective configuration, as TOML. A value that may be a secret is a comment that does not show it.

use std::fmt;

use super::reader::Setting;

/// Writes every key with its value and, behind it, where the value comes from.
pub(super) fn print(settings: &[Setting], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "# The effective configuration. Behind each value: where it comes from.")?;
    let mut tables: Vec<&str> = Vec::new();
    for setting in settings {
        if !tables.contains(&split(setting.key).0) {
            tables.push(split(setting.key).0);
        }
    }
    for table in tables {
        writeln!(f, "\n[{table}]")?;
        for Setting { key, value, hidden, source } in settings {
            match (split(key), hidden.as_ref().or(value.as_ref())) {
                ((of, name), Some(hint)) if of == table && hidden.is_some() => {
                    writeln!(f, "# {name} = {hint} # {source}")?;
                }
                ((of, name), Some(value)) if of == table => writeln!(f, "{name} = {value} # {source}")?,
                ((of, name), None) if of == table => writeln!(f, "# {name} is not set")?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The table and the name of a key.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}
