//! The effective configuration, as TOML.

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
        for Setting { key, value, source } in settings {
            match (split(key), value) {
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
