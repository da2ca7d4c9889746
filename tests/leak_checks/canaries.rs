//! Canaries: texts that must not appear in any output, and the search for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::common::client::Response;

/// Planted texts.
#[derive(Default)]
pub(crate) struct Canaries {
    /// Tokens, and credentials in bodies: in no output, in no encoding.
    secrets: Vec<String>,
    /// Identities of callers and their request texts: for Graph alone.
    identities: Vec<String>,
}

impl Canaries {
    /// A token: any segment's beginning gives it away, and so does what its claims say.
    pub(crate) fn token(&mut self, token: &str) {
        for segment in token.split('.').filter(|segment| segment.len() >= PREFIX) {
            // A log field has a limit, so a leak may lack the end.
            self.secrets.push(segment[..PREFIX].to_owned());
            self.secrets.push(segment[segment.len() - PREFIX..].to_owned());
        }
        let payload = token.split('.').nth(1).unwrap_or_default();
        let claims: Value = URL_SAFE_NO_PAD
            .decode(payload)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        let named =
            ["tid", "oid", "sub", "appid", "sid", "upn", "unique_name", "puid", "uti", "aio", "ipaddr"];
        let said = named.iter().filter_map(|name| claims[name].as_str());
        self.identities.extend(said.map(str::to_owned));
    }

    /// A credential.
    pub(crate) fn secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// Adds a text that a caller sent, or an identity.
    pub(crate) fn identity(&mut self, word: &str) {
        self.identities.push(word.to_owned());
    }

    /// Asserts that an output for operators has no canary.
    pub(crate) fn absent(&self, place: &str, text: &str) {
        let found = |words: &Vec<String>| words.iter().find(|word| text.contains(*word)).cloned();
        let found = found(&self.secrets).or_else(|| found(&self.identities));
        assert!(found.is_none(), "{} in {place}:\n{text}", found.unwrap_or_default());
    }

    /// No credential in an answer, and in one of our own nothing at all. What Graph says to the caller who asked
    /// may name that caller.
    pub(crate) fn absent_in(&self, place: &str, answer: &Response) {
        let text = format!("{:?}\n{}", answer.headers, String::from_utf8_lossy(&answer.body));
        let found = self.secrets.iter().find(|word| text.contains(*word));
        assert!(found.is_none(), "{found:?} in the answer to {place}:\n{text}");
        let of_graph = answer.header("cache-status").is_some_and(|said| said.contains("fwd-status="));
        if answer.status >= 400 && !of_graph {
            self.absent(place, &text);
        }
    }
}

/// Long enough not to occur by chance.
const PREFIX: usize = 20;
