//! Rules for the shared tier: the URL of its servers, and the prefix of its keys.

use crate::config::reference::ValueForm;
use crate::config::value::{RawValue, Rule, echo_url, literal};
use crate::shared::Endpoint;

/// Servers of the shared tier: one URL, or several as an array or with commas between them.
pub(in crate::config) struct StoreUrl;

impl Rule for StoreUrl {
    type Value = Endpoint;

    fn parse(&self, raw: &RawValue) -> Option<Endpoint> {
        let text = match raw {
            RawValue::Text(text) => text.clone(),
            RawValue::List(urls) => urls.join(","),
            RawValue::Number(_) | RawValue::Other(_) => return None,
        };
        text.parse().ok()
    }

    fn write(&self, value: &Endpoint) -> String {
        literal(&value.to_string())
    }

    fn echo(&self, raw: &RawValue) -> String {
        match raw {
            RawValue::List(urls) => {
                let shown: Vec<_> = urls.iter().map(|url| echo_url(&RawValue::Text(url.clone()))).collect();
                format!("[{}]", shown.join(", "))
            }
            _ => echo_url(raw),
        }
    }

    fn form(&self) -> ValueForm {
        ValueForm::StoreUrl
    }

    fn accepted(&self) -> String {
        "redis://HOST:PORT or rediss://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or \
         redis+sentinel://HOST:PORT,HOST:PORT/MASTER, without user info or query \
         (shared.username and shared.password_file hold the credentials)"
            .to_owned()
    }
}

/// Begin of key names: without braces, which select the slot of a cluster.
pub(in crate::config) struct KeyPrefix;

impl Rule for KeyPrefix {
    type Value = String;

    fn parse(&self, raw: &RawValue) -> Option<String> {
        let RawValue::Text(text) = raw else { return None };
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let good = (1..=MAX_PREFIX_CHARS).contains(&text.len()) && text.bytes().all(valid);
        good.then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn form(&self) -> ValueForm {
        ValueForm::KeyPrefix { max_chars: MAX_PREFIX_CHARS }
    }

    fn accepted(&self) -> String {
        format!("1 to {MAX_PREFIX_CHARS} letters, digits, hyphens, underscores, dots and colons")
    }
}

const MAX_PREFIX_CHARS: usize = 64;
