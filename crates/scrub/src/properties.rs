//! Properties of the scrubber over random documents with planted secrets.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use self::pen::{Node, write_document};
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

/// A name in random case, with characters that are neither letter nor digit.
fn disguised(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(names), vec((any::<bool>(), 0..8_usize), 1..8)).prop_map(|(name, choices)| {
        let spell = |(symbol, (upper, gap)): (char, &(bool, usize))| {
            let symbol = if *upper { symbol.to_ascii_uppercase() } else { symbol };
            format!("{}{symbol}", ["-", "_", "\u{200b}", "."].get(*gap).unwrap_or(&""))
        };
        name.chars().zip(choices.iter().cycle()).map(spell).collect()
    })
}

/// A value under a name that is not in the schema, or in a position without a string.
fn scalar() -> impl Strategy<Value = Node> {
    prop_oneof![
        Just(Node::Kept(Value::Null)),
        Just(Node::Kept(json!(""))),
        any::<bool>().prop_map(|value| Node::Kept(value.into())),
        any::<i64>().prop_map(|value| Node::Kept(value.into())),
        (canary(), any::<String>())
            .prop_map(|(canary, text)| Node::Planted(json!(canary + &text), json!(MASK))),
    ]
}

/// The expected result of a value that is walked in an authentication configuration.
fn walked(value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Number(_) => json!(MASK),
        Value::Array(values) => values.iter().map(walked).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), walked(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        scalar => scalar.clone(),
    }
}

/// A member of the schema in any connector, with a value of its format.
fn known() -> impl Strategy<Value = (String, Node)> {
    let link = "https://graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_x')";
    let member = |name: &str, value: String| (name.to_owned(), Node::Kept(json!(value)));
    prop_oneof![
        "[a-z0-9-]{0,12}".prop_map(move |id| member("id", id)),
        "[A-Z][a-z]{0,4}( [0-9a-z\u{e9}/()]{1,5}){0,3}".prop_map(move |name| member("displayName", name)),
        select(&["@odata.context", "postFederationSignup@odata.context", "x@odata.navigationLink"][..])
            .prop_map(move |name| member(name, link.to_owned())),
        select(&["X@odata.type", "x@odata.type"][..])
            .prop_map(move |name| member(name, "#microsoft.graph.identityApiConnector".to_owned())),
    ]
}

fn member(child: impl Strategy<Value = Node> + 'static) -> impl Strategy<Value = (String, Node)> {
    let ordinary = prop_oneof![select(ORDINARY).prop_map(str::to_owned), "x[0-9]{1,4}"];
    prop_oneof![
        4 => (ordinary, child),
        2 => (disguised(CREDENTIALS), secret()).prop_map(|(name, secret)| (name, Node::Planted(secret, json!(MASK)))),
        1 => (disguised(&["authenticationconfiguration"]), authentication()),
    ]
}

fn authentication() -> impl Strategy<Value = Node> {
    let masked = |secret| Node::Planted(secret, json!(MASK));
    let unknown = |secret: Value| {
        let expected = walked(&secret);
        Node::Planted(secret, expected)
    };
    let named = |name: &str, value: Value| (name.to_owned(), Node::Kept(value));
    let certificate =
        (secret(), "[0-9A-F]{40}", any::<i64>(), any::<bool>()).prop_map(move |(secret, print, at, on)| {
            Node::Object(vec![
                named("thumbprint", json!(print)),
                ("subject".to_owned(), unknown(secret)),
                named("notAfter", json!(at)),
                named("notBefore", json!(at.to_string())),
                named("isActive", json!(on)),
            ])
        });
    let member = prop_oneof![
        Just(named("@odata.type", json!("#microsoft.graph.basicAuthentication"))),
        (disguised(&["password", "targeturl"]), secret())
            .prop_map(move |(name, secret)| (name, masked(secret))),
        (select(&["username", "UserName"][..]), secret())
            .prop_map(move |(name, secret)| (name.to_owned(), masked(secret))),
        ("(y[0-9]{1,4}|id|displayName|user-name|code)", secret())
            .prop_map(move |(name, secret)| (name, unknown(secret))),
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
    let node = scalar().prop_recursive(4, 24, 4, |child| {
        prop_oneof![
            vec(child.clone(), 0..4).prop_map(Node::Array),
            vec(member(child), 0..4).prop_map(Node::Object),
        ]
    });
    // The members of a connector are known at the top level and in its steps.
    let connector = vec(
        prop_oneof![
            2 => member(node.clone()),
            2 => known(),
            1 => (disguised(&["targeturl"]), target_url()),
        ],
        0..5,
    );
    let step = (select(STEPS), connector.clone())
        .prop_map(|(name, members)| vec![(name.to_owned(), Node::Object(members))]);
    let members = prop_oneof![connector, step];
    (members, vec(any::<u8>(), 1..64)).prop_map(|(members, choices)| write_document(members, choices))
}

fn scrub(raw: &[u8]) -> Result<Scrubbed, ScrubFailure> {
    Scrubber::new(&Config::default(), 1 << 20).scrub(raw)
}

proptest! {
    #[test]
    fn planted_secrets_are_removed_and_all_other_values_stay((raw, expected) in document()) {
        let body = scrub(raw.as_bytes()).unwrap().body;
        let value: Value = serde_json::from_slice(body.as_bytes()).unwrap();
        prop_assert!(!value.to_string().contains("CANARY"));
        prop_assert!(!String::from_utf8_lossy(body.as_bytes()).contains("CANARY"));
        prop_assert_eq!(value, expected);
    }

    #[test]
    fn no_string_outside_of_the_schema_passes(members in vec((select(ANYWHERE), anything()), 0..6)) {
        let document: Value = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into();
        let scrubbed = scrub(document.to_string().as_bytes()).unwrap();
        let text = String::from_utf8_lossy(scrubbed.body.as_bytes()).into_owned();
        prop_assert!(!text.contains("CANARY"), "{} of {}", text, document);
        let again = scrub(text.as_bytes()).unwrap();
        prop_assert_eq!(again.body.as_bytes(), text.as_bytes());
    }

    #[test]
    fn a_document_of_the_schema_passes_unchanged(document in prop_oneof![configuration(), error()]) {
        let scrubbed = scrub(document.to_string().as_bytes()).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(scrubbed.body.as_bytes()), document.to_string());
        prop_assert_eq!(scrubbed.removed, RemovedCounts::default());
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
            // A `Value` cannot hold every number that an exponent can express; the scrubber has no such limit.
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
    fn any_bytes_give_a_result(raw in vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(scrub(&raw).is_ok(), is_object(&raw));
    }
}

fn is_object(raw: &[u8]) -> bool {
    serde_json::from_slice::<Value>(raw).is_ok_and(|value| value.is_object())
}

/// Any JSON; all its strings are planted.
fn anything() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        4 => (select(AROUND), canary(), select(AROUND)).prop_map(|(before, canary, after)| json!(format!("{before}{canary}{after}"))),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    scalar.prop_recursive(5, 32, 4, |child| {
        let member = (select(ANYWHERE), child.clone()).prop_map(|(name, value)| (name.to_owned(), value));
        prop_oneof![
            vec(child, 0..4).prop_map(Value::from),
            vec(member, 0..5)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn configuration() -> impl Strategy<Value = Value> {
    let certificate = ("[0-9A-F]{40}", any::<i64>(), any::<bool>()).prop_map(|(thumbprint, at, on)| {
        json!({"thumbprint": thumbprint, "notAfter": at, "notBefore": at.to_string(), "isActive": on})
    });
    let authentication = prop_oneof![
        Just(Value::Null),
        Just(json!({"@odata.type": "#microsoft.graph.basicAuthentication", "username": null, "password": "******"})),
        vec(certificate, 0..3).prop_map(|list| {
            json!({"@odata.type": "#microsoft.graph.clientCertificateAuthentication", "certificateList": list})
        }),
    ];
    let target =
        "https://[a-z]{1,8}\\.example(:[1-9][0-9]{1,3})?(/[a-z0-9{}. -]{0,6}){0,3}(\\?sv=[0-9.]{1,4})?";
    let connector = ("[0-9a-f]{8}-[0-9a-f]{4}", "[A-Z][a-z\u{e9}]{0,8}( [a-z0-9]{1,8}){0,3}", target, authentication).prop_map(
        |(id, name, target, authentication)| {
            json!({"id": id, "displayName": name, "targetUrl": target, "authenticationConfiguration": authentication})
        },
    );
    let steps = &["postFederationSignup", "postAttributeCollection", "preTokenIssuance", "onTokenIssued"][..];
    vec((select(steps), proptest::option::of(connector)), 0..4).prop_map(|steps| {
        let mut document = serde_json::Map::new();
        for (name, connector) in steps {
            let link = format!(
                "https://graph.microsoft.com/v1.0/$metadata#identity/b2xUserFlows('B2X_1_x')/{name}/$entity"
            );
            document.insert(format!("{name}@odata.context"), link.into());
            document.insert(name.to_owned(), connector.into());
        }
        document.into()
    })
}

fn error() -> impl Strategy<Value = Value> {
    ("[A-Za-z_]{1,20}", "([A-Z][aeiou]{1,8}[.:,]? ){0,6}", "[0-9a-f-]{0,36}").prop_map(
        |(code, message, id)| {
            let inner = json!({"date": "2026-07-26T21:46:01", "request-id": id, "client-request-id": id});
            let details = json!([{"code": code, "message": message, "target": code}]);
            json!({"error": {"code": code, "message": message, "details": details, "innerError": inner}})
        },
    )
}

/// Names of any kind but those of strings that are free text or an id.
const ANYWHERE: &[&str] = &[
    "postFederationSignup",
    "postTokenIssuance",
    "authenticationConfiguration",
    "certificateList",
    "error",
    "details",
    "innererror",
    "@odata.type",
    "@odata.context",
    "x@odata.type",
    "password",
    "p\u{430}ssword",
    "authHeaderValue",
    "username",
    "targetUrl",
    "callbackUrl",
    "thumbprint",
    "notAfter",
    "isActive",
    "date",
    "status",
    "name",
    "value",
    "title",
    "#microsoft.graph.x",
    "aHVudGVyMDA=",
    "displayName\u{200b}",
    "",
];

const AROUND: &[&str] =
    &["", "https://h/?", "https://u:", "Bearer ", "{\"a\":\"", "\"", "#microsoft.graph. ", "@h", "=", " "];

const MASK: &str = "******";

const ORDINARY: &[&str] = &["DISPLAY_NAME", "code", "message", "preTokenIssuance@odata.context", "username"];

const STEPS: &[&str] = &["postFederationSignup", "preTokenIssuance", "postTokenIssuance"];

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
