//! Properties of the scrubber over random documents with planted secrets.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use self::pen::{Node, written};
use super::*;

mod pen;

fn canary() -> impl Strategy<Value = String> {
    any::<u32>().prop_map(|number| format!("CANARY{number}"))
}

fn secret() -> impl Strategy<Value = Value> {
    (canary(), 0..5).prop_map(|(canary, shape)| match shape {
        0 => json!([canary, 1, null]),
        1 => json!({ "id": canary }),
        2 => json!({ "a": [{ "b": canary }] }),
        _ => json!(canary),
    })
}

/// A name in random case, with things in it that are neither letter nor digit.
fn disguised(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(names), vec((any::<bool>(), 0..8_usize), 1..8)).prop_map(|(name, choices)| {
        let spell = |(symbol, (upper, gap)): (char, &(bool, usize))| {
            let symbol = if *upper { symbol.to_ascii_uppercase() } else { symbol };
            format!("{}{symbol}", ["-", "_", "\u{200b}", " "].get(*gap).unwrap_or(&""))
        };
        name.chars().zip(choices.iter().cycle()).map(spell).collect()
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn member(child: impl Strategy<Value = Node> + 'static) -> impl Strategy<Value = (String, Node)> {
    let ordinary = prop_oneof![select(ORDINARY).prop_map(str::to_owned), "x[0-9]{1,4}"];
    prop_oneof![
        4 => (ordinary, child),
        2 => (disguised(CREDENTIALS), secret()).prop_map(|(name, secret)| (name, Node::Planted(secret, json!(MASK)))),
        1 => (disguised(&["authenticationconfiguration"]), authentication()),
        1 => (disguised(&["targeturl"]), target_url()),
    ]
}

fn authentication() -> impl Strategy<Value = Node> {
    let masked = |secret| Node::Planted(secret, json!(MASK));
    let named = |name: &str, value: Value| (name.to_owned(), Node::Kept(value));
    let certificate =
        (secret(), "[0-9A-F]{40}", any::<i64>(), any::<bool>()).prop_map(move |(secret, print, at, on)| {
            Node::Object(vec![
                named("thumbprint", json!(print)),
                ("subject".to_owned(), masked(secret)),
                named("notAfter", json!(at)),
                named("notBefore", json!(at.to_string())),
                named("isActive", json!(on)),
            ])
        });
    let member = prop_oneof![
        Just(named("@odata.type", json!("#microsoft.graph.basicAuthentication"))),
        (disguised(&["username", "password", "id", "targeturl"]), secret())
            .prop_map(move |(name, secret)| (name, masked(secret))),
        ("y[0-9]{1,4}", secret()).prop_map(move |(name, secret)| (name, masked(secret))),
        vec(certificate, 0..3).prop_map(|list| ("certificateList".to_owned(), Node::Array(list))),
    ];
    prop_oneof![
        4 => vec(member, 0..4).prop_map(Node::Object),
        1 => canary().prop_map(move |canary| masked(json!(canary))),
        1 => Just(Node::Kept(Value::Null)),
    ]
}

fn target_url() -> impl Strategy<Value = Node> {
    let piece = prop_oneof![
        ("[a-z]{1,4}9", canary())
            .prop_map(|(name, canary)| (format!("{name}={canary}"), format!("{name}={MASK}"))),
        canary().prop_map(|canary| (canary, MASK.to_owned())),
        Just(("sv=1.0".to_owned(), "sv=1.0".to_owned())),
    ];
    let option = proptest::option::of::<BoxedStrategy<String>>;
    let user = option(canary().prop_map(|canary| format!("user:{canary}@")).boxed());
    let fragment = option(canary().prop_map(|canary| format!("#{canary}")).boxed());
    (user, "(/[a-z]{0,4}){0,3}", vec(piece, 1..4), fragment).prop_map(|(user, path, pieces, fragment)| {
        let (source, expected): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
        let (user, fragment) = (user.unwrap_or_default(), fragment.unwrap_or_default());
        Node::Planted(
            json!(format!("https://{user}host.example{path}?{}{fragment}", source.join("&"))),
            json!(format!("https://host.example{path}?{}", expected.join("&"))),
        )
    })
}

fn document() -> impl Strategy<Value = (String, Value)> {
    let node = scalar().prop_map(Node::Kept).prop_recursive(4, 24, 4, |child| {
        prop_oneof![
            vec(child.clone(), 0..4).prop_map(Node::Array),
            vec(member(child), 0..4).prop_map(Node::Object),
        ]
    });
    (vec(member(node), 0..5), vec(any::<u8>(), 1..64))
        .prop_map(|(members, choices)| written(members, choices))
}

fn scrub(raw: &[u8]) -> Result<Scrubbed, ScrubFailure> {
    Scrubber::new(&Config::default(), 1 << 20).scrub(raw)
}

proptest! {
    #[test]
    fn planted_secrets_go_and_all_else_stays((raw, expected) in document()) {
        let body = scrub(raw.as_bytes()).unwrap().body;
        let value: Value = serde_json::from_slice(body.as_bytes()).unwrap();
        prop_assert!(!value.to_string().contains("CANARY"));
        prop_assert!(!String::from_utf8_lossy(body.as_bytes()).contains("CANARY"));
        prop_assert_eq!(value, expected);
    }

    #[test]
    fn a_scrubbed_body_does_not_change_again((raw, _) in document()) {
        let once = scrub(raw.as_bytes()).unwrap();
        let twice = scrub(once.body.as_bytes()).unwrap();
        prop_assert_eq!(twice.removed.total(), 0);
        prop_assert_eq!(once.body.as_bytes(), twice.body.as_bytes());
    }

    #[test]
    fn a_damaged_document_passes_only_if_serde_json_reads_it_as_an_object(
        (raw, _) in document(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)
    ) {
        let mut raw = raw.into_bytes();
        for (at, byte) in damage {
            let at = at.index(raw.len());
            // A Value has no number as large as an exponent can make one; the scrubber has no such limit.
            raw[at] = if matches!(byte, b'e' | b'E') { b'x' } else { byte };
        }
        prop_assert_eq!(scrub(&raw).is_ok(), is_object(&raw));
    }

    #[test]
    fn any_text_passes_only_if_serde_json_reads_it_as_an_object(
        inside in vec(select(TOKENS), 0..12)
    ) {
        let raw = format!("{{{}}}", inside.concat());
        prop_assert_eq!(scrub(raw.as_bytes()).is_ok(), is_object(raw.as_bytes()));
    }

    #[test]
    fn any_bytes_give_an_answer(raw in vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(scrub(&raw).is_ok(), is_object(&raw));
    }
}

fn is_object(raw: &[u8]) -> bool {
    serde_json::from_slice::<Value>(raw).is_ok_and(|value| value.is_object())
}

const MASK: &str = "******";

const ORDINARY: &[&str] = &[
    "@odata.context",
    "code",
    "displayName",
    "id",
    "postFederationSignup",
    "preTokenIssuance",
    "preTokenIssuance@odata.context",
    "username",
];

const CREDENTIALS: &[&str] = &[
    "apikey",
    "authorization",
    "clientsecret",
    "connectionstring",
    "keys",
    "password",
    "password@odata.type",
    "pkcs12value",
    "privatekey",
    "sig",
    "token",
];

const TOKENS: &[&str] = &[
    "\"a\"",
    "\"key\"",
    "\"\\u0041\"",
    "\"\\ud800\"",
    "\"\\",
    ":",
    ":",
    ":",
    ",",
    ",",
    "{",
    "}",
    "[",
    "]",
    "1",
    "-",
    "0.5",
    "true",
    "null",
    " ",
    "\n",
    "\"",
    "\u{feff}",
];
