//! Printer of the effective configuration as TOML. A value that may be a secret is replaced by a comment.

use std::fmt;

use super::reader::Setting;

/// Writes every key with its value and the source of the value.
pub(super) fn print(settings: &[Setting], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "# The effective configuration. The comment after each value names its source.")?;
    let mut tables: Vec<&str> = Vec::new();
    for setting in settings {
        let (table, _) = split(setting.key.name);
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    for table in tables {
        writeln!(f, "\n[{table}]")?;
        for setting in settings {
            let (table_of_key, name) = split(setting.key.name);
            if table_of_key == table {
                print_setting(name, setting, f)?;
            }
        }
    }
    Ok(())
}

fn print_setting(name: &str, setting: &Setting, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let source = &setting.source;
    match (&setting.redacted, &setting.value) {
        (Some(hint), _) => writeln!(f, "# {name} = {hint} # {source}"),
        (None, Some(value)) => writeln!(f, "{name} = {value} # {source}"),
        (None, None) => writeln!(f, "# {name} is not set"),
    }
}

/// Splits a key into table and name.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}
