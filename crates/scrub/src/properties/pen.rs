//! Random documents as text, in the many spellings that JSON allows.

use serde_json::{Map, Value};

/// A document with its expected result.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Must stay unchanged.
    Kept(Value),
    /// Must become the second value.
    Planted(Value, Value),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Writes an object by these choices. Returns the text and the expected result.
pub(super) fn write_document(members: Vec<(String, Node)>, choices: Vec<u8>) -> (String, Value) {
    let mut writer = JsonWriter { text: String::new(), choices: choices.into_iter().cycle() };
    let expected = writer.node(&Node::Object(members));
    (writer.text, expected)
}

/// Writes JSON in one of its many spellings.
struct JsonWriter {
    text: String,
    choices: std::iter::Cycle<std::vec::IntoIter<u8>>,
}

impl JsonWriter {
    fn choice(&mut self) -> u8 {
        self.choices.next().unwrap()
    }

    fn space(&mut self) {
        let choice = usize::from(self.choice());
        self.text.push_str(["", "", "", " ", "\n\t"][choice % 5]);
    }

    fn mark(&mut self, mark: &str) {
        self.space();
        self.text.push_str(mark);
        self.space();
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for symbol in text.chars() {
            if self.choice().is_multiple_of(4) || matches!(symbol, '"' | '\\' | '\0'..='\u{1f}') {
                for unit in symbol.encode_utf16(&mut [0; 2]) {
                    let escape = format!("{unit:04x}");
                    let upper = self.choice().is_multiple_of(2);
                    self.text.push_str("\\u");
                    self.text.push_str(&if upper { escape.to_uppercase() } else { escape });
                }
            } else {
                self.text.push(symbol);
            }
        }
        self.text.push('"');
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(elements) => self.list(("[", "]"), elements, Self::value),
            Value::Object(members) => self.list(("{", "}"), members, |writer, (name, value)| {
                writer.string(name);
                writer.mark(":");
                writer.value(value);
            }),
            Value::String(text) => self.string(text),
            scalar => self.text.push_str(&scalar.to_string()),
        }
    }

    /// Writes the node and returns the expected result.
    fn node(&mut self, node: &Node) -> Value {
        match node {
            Node::Kept(value) => {
                self.value(value);
                value.clone()
            }
            Node::Planted(secret, expected) => {
                self.value(secret);
                expected.clone()
            }
            Node::Array(nodes) => {
                let mut expected = Vec::new();
                self.list(("[", "]"), nodes, |writer, node| expected.push(writer.node(node)));
                expected.into()
            }
            Node::Object(members) => {
                let mut expected = Map::new();
                self.list(("{", "}"), members, |writer, (name, node)| {
                    writer.string(name);
                    writer.mark(":");
                    let value = writer.node(node);
                    expected.insert(name.clone(), value);
                });
                expected.into()
            }
        }
    }

    fn list<T>(
        &mut self,
        brackets: (&str, &str),
        elements: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.mark(brackets.0);
        for (at, element) in elements.into_iter().enumerate() {
            if at > 0 {
                self.mark(",");
            }
            write(self, element);
        }
        self.mark(brackets.1);
    }
}
