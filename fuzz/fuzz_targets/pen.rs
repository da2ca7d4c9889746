//! Writes JSON in one of its many spellings, as the input chooses.

use serde_json::Value;

/// Where the choices come from: the input's first bytes, over and over.
pub struct Pen<'a> {
    choices: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl<'a> Pen<'a> {
    /// `choices` may not be empty.
    pub fn new(choices: &'a [u8]) -> Self {
        Self { choices: choices.iter().cycle() }
    }

    pub fn choice(&mut self) -> u8 {
        self.choices.next().copied().unwrap_or_default()
    }

    /// One of the names, in some case, with things in it that are neither letter nor digit.
    pub fn disguised(&mut self, names: &[&str]) -> String {
        let name = names[usize::from(self.choice()) % names.len()];
        let mut written = String::new();
        for symbol in name.chars() {
            let choice = self.choice();
            let gap = ["-", "_", " ", "\u{200b}", ".", "\u{301}\u{20}"].get(usize::from(choice >> 3));
            written.push_str(gap.copied().unwrap_or_default());
            written.push(if choice & 1 == 1 { symbol.to_ascii_uppercase() } else { symbol });
        }
        written
    }

    /// One of the texts, or something of its own.
    pub fn text<'b>(&mut self, texts: &[&'b str]) -> &'b str {
        let own = ["", "a", "sv", "a=1&b", ";", "%26", "@", "\\", "?", "\u{e9}", "/../", "x y", "\t"];
        let all = texts.len() + own.len();
        let at = usize::from(self.choice()) % all;
        texts.get(at).or_else(|| own.get(at - texts.len())).copied().unwrap_or_default()
    }

    /// The whole value.
    pub fn write(&mut self, value: &Value) -> String {
        let mut text = String::new();
        self.value(value, &mut text);
        text
    }

    fn value(&mut self, value: &Value, to: &mut String) {
        match value {
            Value::Array(items) => {
                to.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.space(if at > 0 { "," } else { "" }, to);
                    self.value(item, to);
                }
                to.push(']');
            }
            Value::Object(members) => {
                to.push('{');
                for (at, (name, item)) in members.iter().enumerate() {
                    self.space(if at > 0 { "," } else { "" }, to);
                    self.string(name, to);
                    self.space(":", to);
                    self.value(item, to);
                }
                to.push('}');
            }
            Value::String(text) => self.string(text, to),
            scalar => to.push_str(&scalar.to_string()),
        }
    }

    fn space(&mut self, mark: &str, to: &mut String) {
        to.push_str(mark);
        to.push_str(["", "", " ", "\r\n\t"][usize::from(self.choice()) % 4]);
    }

    fn string(&mut self, text: &str, to: &mut String) {
        to.push('"');
        for symbol in text.chars() {
            if self.choice() % 8 == 0 || matches!(symbol, '"' | '\\' | '\0'..='\u{1f}') {
                for unit in symbol.encode_utf16(&mut [0; 2]) {
                    to.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                to.push(symbol);
            }
        }
        to.push('"');
    }
}

/// Names that say what their value is.
pub const CREDENTIALS: &[&str] = &[
    "password",
    "clientSecret",
    "apiKey",
    "privateKey",
    "access_token",
    "authorization",
    "connectionString",
    "pkcs12Value",
    "sig",
    "token",
    "keys",
    "passphrase",
    "credentials",
    "password@odata.type",
    "cookie",
];

/// Names that the schema does not know, and that hold no credential word.
pub const UNKNOWN: &[&str] = &[
    "name",
    "value",
    "headers",
    "authHeaderValue",
    "callbackUrl",
    "dbUrl",
    "settings",
    "p\u{430}ssword",
    "userName ",
];
