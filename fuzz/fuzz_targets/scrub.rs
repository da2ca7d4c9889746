//! The scrubber. What is planted where Graph's schema has no public string never comes out, however it is spelled.
//!
//! Input: 32 bytes that choose what is planted, where, and in which spelling; then a body. The body is also
//! scrubbed as it is.
#![no_main]

use std::sync::LazyLock;

use connector_cache::scrub::ScrubFailure;
use connector_cache::scrub::{Config, Scrubber};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

mod pen;
use pen::Pen;

const LIMIT: usize = 1 << 20;
/// It begins with no hexadecimal digit, or `%BC` and what follows could spell it by chance.
const CANARY: &str = "QCANARY7";
const CHOICES: usize = 32;
/// Nested objects and arrays that the scrubber takes.
const DEPTH: usize = 64;

static SCRUBBER: LazyLock<Scrubber> = LazyLock::new(|| Scrubber::new(&Config::default(), LIMIT));
/// No query value is public, so none may come out.
static STRICT: LazyLock<Scrubber> =
    LazyLock::new(|| Scrubber::new(&Config { keep_query: Vec::new(), ..Config::default() }, LIMIT));

fuzz_target!(|input: &[u8]| {
    let (choices, body) = input.split_at(input.len().min(CHOICES));
    as_it_is(body);
    if let (false, Ok(Value::Object(document))) = (choices.is_empty(), serde_json::from_slice(body)) {
        planted(document, choices);
    }
});

fn as_it_is(body: &[u8]) {
    let outcome = SCRUBBER.scrub(body);
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value = serde_json::from_slice::<Value>(body);
    match &outcome {
        Ok(scrubbed) => {
            let out = scrubbed.body.as_bytes();
            let again = SCRUBBER.scrub(out).expect("what came out goes in");
            assert!(again.body.as_bytes() == out && again.removed.total() == 0, "it changes a second time");
            let length = out.len() as u64;
            // A text can have a mask for every character of a pair's value.
            let most = 8 * body.len() as u64 + 64 * scrubbed.removed.total() + 6 * 8192;
            assert!(length <= most, "{length} bytes came of {}", body.len());
            if let Ok(value) = value {
                assert!(value.is_object() && depth(&value) <= DEPTH);
                let out: Value = serde_json::from_slice(out).expect("what came out is JSON");
                same_shape(&value, &out);
            } else {
                // Only a number that no Value can hold sets the two apart.
                assert!(serde_json::from_slice::<IgnoredAny>(body).is_ok());
                assert!(value.is_err_and(|error| error.to_string().starts_with("number out of range")));
            }
        }
        Err(reason) => {
            let taken = value.is_ok_and(|value| value.is_object() && depth(&value) <= DEPTH);
            assert!(!taken || matches!(reason, ScrubFailure::TooLarge), "{reason} is no reason here");
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Members keep their names, but for those that could be a credential; what is kept is what was there, and the rest is
/// masked, or a text with less in it, or with a URL that was rewritten.
fn same_shape(before: &Value, after: &Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            if after.contains_key("******") && !before.contains_key("******") {
                return;
            }
            assert!(before.keys().eq(after.keys()), "a member came or went");
            before.values().zip(after.values()).for_each(|(before, after)| same_shape(before, after));
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().zip(after).for_each(|(before, after)| same_shape(before, after));
        }
        (before, after) if before == after => {}
        (Value::String(before), Value::String(text)) => {
            let is_known = text.contains("******") || text.len() < before.len();
            assert!(is_known || text.to_ascii_lowercase().contains("http"), "{text:?} is new")
        }
        (_, Value::String(text)) => assert!(text == "******", "{text:?} is new"),
        (_, after) => panic!("{after} is new"),
    }
}

fn planted(document: Map<String, Value>, choices: &[u8]) {
    let mut pen = Pen::new(choices);
    let mut document = Value::Object(document);
    if document.to_string().contains(CANARY) || depth(&document) + 4 > DEPTH {
        return;
    }
    plant(&mut document, &mut pen);
    let raw = pen.write(&document);
    match STRICT.scrub(raw.as_bytes()) {
        Ok(scrubbed) => {
            let out: Value = serde_json::from_slice(scrubbed.body.as_bytes()).expect("what came out is JSON");
            assert!(!out.to_string().contains(CANARY), "a secret came out of {raw}");
            let text = String::from_utf8_lossy(scrubbed.body.as_bytes());
            assert!(!text.contains(CANARY), "a secret came out of {raw}");
        }
        Err(reason) => assert!(matches!(reason, ScrubFailure::TooLarge), "{reason}: {raw}"),
    }
}

/// Adds a member with a secret to some of the objects.
fn plant(value: &mut Value, pen: &mut Pen<'_>) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(|value| plant(value, pen));
            let (name, secret) = match pen.choice() % 5 {
                0 => (pen.disguised(pen::CREDENTIALS), secret(pen)),
                1 => {
                    let (name, inner) = (pen.disguised(&["authenticationConfiguration"]), pen.text(&[]));
                    (name, json!({ inner: secret(pen), "certificateList": [{ "subject": secret(pen) }] }))
                }
                2 => (pen.disguised(&["targetUrl"]), Value::from(url(pen, members))),
                3 => (pen.disguised(pen::UNKNOWN), secret(pen)),
                _ => return,
            };
            members.insert(name, secret);
        }
        Value::Array(items) => items.iter_mut().for_each(|value| plant(value, pen)),
        _ => {}
    }
}

fn secret(pen: &mut Pen<'_>) -> Value {
    match pen.choice() % 4 {
        0 => json!([CANARY, null]),
        1 => json!({ "id": { "a": CANARY } }),
        _ => json!(format!("{}{CANARY}", pen.text(&[]))),
    }
}

/// A URL with a secret in its user info, query or fragment, next to text from the document itself.
fn url(pen: &mut Pen<'_>, members: &Map<String, Value>) -> String {
    let texts: Vec<_> = members.values().filter_map(Value::as_str).collect();
    let (before, after) = (pen.text(&texts), pen.text(&texts));
    match pen.choice() % 3 {
        0 => format!("https://user:{CANARY}@host/{before}"),
        1 => format!("https://host/p?{before}={CANARY}{after}"),
        _ => format!("https://host/p#{before}{CANARY}{after}"),
    }
}
