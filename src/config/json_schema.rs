//! JSON schema of the configuration file, for editors and pipelines.
//!
//! A file that the proxy accepts is valid under the schema. The opposite does not hold: bounds of sizes and durations, rules
//! between keys and the contents of files are checked by `check` alone.

use serde_json::{Map, Value, json};

use super::EffectiveConfig;
use super::reference::{KeyReference, ValueForm};

impl EffectiveConfig {
    /// Returns the schema (draft 7, which the TOML extensions of editors read). Defaults are the effective values.
    pub fn json_schema(&self) -> Value {
        let mut root = table("Configuration of connector-cache");
        for key in self.reference() {
            insert(&mut root, key.name, key_schema(&key));
        }
        root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
        root["title"] = "connector-cache".into();
        root
    }
}

fn table(description: &str) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": false, "properties": {} })
}

/// Inserts the schema of a key, and those of the tables around it.
fn insert(parent: &mut Value, name: &str, schema: Value) {
    let Some(properties) = parent["properties"].as_object_mut() else { return };
    match name.split_once('.') {
        None => {
            properties.insert(name.to_owned(), schema);
        }
        Some((first, rest)) => {
            let child = properties.entry(first).or_insert_with(|| table(&format!("Keys of {first}.*")));
            insert(child, rest, schema);
        }
    }
}

fn key_schema(key: &KeyReference) -> Value {
    let mut schema = value_schema(&key.form);
    let applied = if key.is_live { "Applied at reload." } else { "Applied at restart." };
    let bounds = match &key.form {
        ValueForm::Size { min, max } | ValueForm::Duration { min, max } => {
            format!(" Values: {min} to {max}.")
        }
        _ => String::new(),
    };
    schema["description"] = format!("{}{bounds} {applied}", key.help).into();
    if let Some(default) = key.default.as_deref().and_then(json_of_toml) {
        schema["default"] = default;
    }
    if let Some(example) = key.sample.and_then(json_of_toml) {
        schema["examples"] = json!([example]);
    }
    schema
}

fn value_schema(form: &ValueForm) -> Value {
    match form {
        ValueForm::Integer { min, max } => {
            let [min, max] = [min, max].map(|bound| bound.parse::<u64>().unwrap_or_default());
            json!({ "anyOf": [
                { "type": "integer", "minimum": min, "maximum": max },
                { "type": "string", "pattern": r"^\+?[0-9]+$" },
            ] })
        }
        ValueForm::Size { .. } => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": SIZE },
        ] }),
        ValueForm::Duration { .. } => string(DURATION),
        ValueForm::OneOf(words) => json!({ "enum": words }),
        ValueForm::Names { max_names, max_chars } => json!({ "anyOf": [
            {
                "type": "array",
                "maxItems": max_names,
                "items": { "type": "string", "minLength": 1, "maxLength": max_chars },
            },
            { "type": "string" },
        ] }),
        ValueForm::StoreUrl => json!({ "anyOf": [
            { "type": "string", "pattern": STORE_URL },
            { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": STORE_URL } },
        ] }),
        ValueForm::BaseUrl | ValueForm::CollectorUrl => string("^[Hh][Tt][Tt][Pp][Ss]?://"),
        ValueForm::SocketAddress => string(r":[0-9]+$"),
        ValueForm::Text { max_chars } => json!({ "type": "string", "minLength": 1, "maxLength": max_chars }),
        ValueForm::KeyPrefix { max_chars } => string(&format!("^[A-Za-z0-9._:-]{{1,{max_chars}}}$")),
        ValueForm::Path | ValueForm::LogFilter => json!({ "type": "string", "minLength": 1 }),
        ValueForm::Refused => json!({ "not": {} }),
    }
}

fn string(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// Converts a value of the reference, which is TOML.
fn json_of_toml(value: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {value}").parse().ok()?;
    let table: Map<String, Value> = serde_json::from_value(serde_json::to_value(table).ok()?).ok()?;
    table.get("value").cloned()
}

/// A number with or without a unit, as the crate `bytesize` reads it.
const SIZE: &str = r"^\s*[0-9.]+\s*([kKmMgGtTpPeE]?[iI]?[bB]?)\s*$";
/// Numbers with units, as the crate `humantime` reads them.
const DURATION: &str = r"^(\s*[0-9.]+\s*[A-Za-zµ]+)+$";
const STORE_URL: &str = r"^\s*[Rr][Ee][Dd][Ii][Ss][Ss]?(\+(cluster|sentinel))?://[^@?#]+$";

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        EffectiveConfig::load(None, std::iter::empty()).unwrap().json_schema()
    }

    #[test]
    fn every_key_is_in_the_schema_with_its_default() {
        let schema = schema();
        for key in EffectiveConfig::load(None, std::iter::empty()).unwrap().reference() {
            let pointer = format!("/properties/{}", key.name.replace('.', "/properties/"));
            let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{}", key.name));
            assert_eq!(found.get("default").is_some(), key.default.is_some(), "{}", key.name);
            assert!(found["description"].as_str().unwrap().starts_with(key.help), "{}", key.name);
        }
    }

    #[test]
    fn a_table_takes_known_keys_only() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["listen"]["properties"]["tls"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["cache"]["properties"]["ttl"]["default"], "5m");
    }
}
