//! The walker: one pass over valid JSON that writes what may be seen and masks the rest.
//!
//! It branches on where it is ([`Place`]) and on what a name means ([`Meaning`]). It recurses once for each level
//! of the document, and the reader refuses more than 64 of them.

use serde_json::Value;

use super::config::Usernames;
use super::json::{Literal, Reader};
use super::names::Meaning;
use super::removed::Removed;
use super::rules::Rules;
use crate::cache::status::{ScrubFailure, ScrubbedField};

/// One walk through one document.
pub(super) struct Walker<'a> {
    rules: &'a Rules,
    reader: Reader<'a>,
    output: Vec<u8>,
    max_output: usize,
    removed: Removed,
}

/// What kind of object the walker is in.
#[derive(Clone, Copy)]
enum Place {
    /// Any object that has no rule of its own: what is not forbidden is kept.
    Document,
    /// An authentication configuration: what is not allowed is masked.
    Authentication,
    /// An element of a certificate list: what is not allowed is masked.
    Certificate,
}

type Step = Result<(), ScrubFailure>;

impl<'a> Walker<'a> {
    pub(super) fn new(rules: &'a Rules, text: &'a str, max_output: usize) -> Self {
        let output = Vec::with_capacity(text.len().min(max_output));
        Self { rules, reader: Reader::new(text), output, max_output, removed: Removed::default() }
    }

    /// Walks the whole document, which must be an object.
    pub(super) fn document(mut self) -> Result<(Vec<u8>, Removed), ScrubFailure> {
        if self.reader.peek()? != b'{' {
            return Err(ScrubFailure::NotAnObject);
        }
        self.object(Place::Document)?;
        Ok((self.output, self.removed))
    }

    fn object(&mut self, place: Place) -> Step {
        self.reader.open(b'{')?;
        self.write("{")?;
        let mut first = true;
        while self.reader.another(first, b'}')? {
            let name = self.reader.string()?;
            self.reader.take(b':')?;
            self.write(if first { "" } else { "," })?;
            self.write(name.raw)?;
            self.write(":")?;
            self.member(place, &name)?;
            first = false;
        }
        self.reader.close(b'}')?;
        self.write("}")
    }

    fn array(&mut self, element: fn(&mut Self) -> Step) -> Step {
        self.reader.open(b'[')?;
        self.write("[")?;
        let mut first = true;
        while self.reader.another(first, b']')? {
            self.write(if first { "" } else { "," })?;
            element(self)?;
            first = false;
        }
        self.reader.close(b']')?;
        self.write("]")
    }

    /// The value of a member whose name is already written.
    fn member(&mut self, place: Place, name: &Literal<'a>) -> Step {
        let meaning = self.rules.names.meaning(&name.text);
        match (place, meaning) {
            (_, Meaning::Credential(field)) => self.keep_if(field, |_| false),
            (Place::Document, meaning) => match meaning {
                Meaning::Authentication => self.authentication(),
                Meaning::AuthenticationContext => self.keep_if(ScrubbedField::Authentication, is_string),
                Meaning::AuthenticationAnnotation => self.keep_if(ScrubbedField::Authentication, |_| false),
                Meaning::TargetUrl => self.target_url(),
                _ => self.value(),
            },
            (Place::Authentication, Meaning::CertificateList) => self.certificate_list(),
            (Place::Authentication, Meaning::Username) => {
                let keep = self.rules.usernames == Usernames::Keep;
                self.keep_if(ScrubbedField::Username, |raw| keep && is_string(raw))
            }
            (place, meaning) => {
                self.keep_if(ScrubbedField::Authentication, |raw| is_public(place, meaning, raw))
            }
        }
    }

    /// A value under no rule: it is kept, but for what is forbidden inside it.
    fn value(&mut self) -> Step {
        match self.reader.peek()? {
            b'{' => self.object(Place::Document),
            b'[' => self.array(Self::value),
            _ => {
                let scalar = self.reader.skip()?;
                self.write(scalar)
            }
        }
    }

    /// An authentication configuration, or an array of them.
    fn authentication(&mut self) -> Step {
        match self.reader.peek()? {
            b'{' => self.object(Place::Authentication),
            b'[' => self.array(Self::authentication),
            _ => self.keep_if(ScrubbedField::Authentication, is_null),
        }
    }

    fn certificate_list(&mut self) -> Step {
        match self.reader.peek()? {
            b'[' => self.array(Self::certificate),
            _ => self.keep_if(ScrubbedField::Authentication, is_null),
        }
    }

    fn certificate(&mut self) -> Step {
        match self.reader.peek()? {
            b'{' => self.object(Place::Certificate),
            _ => self.keep_if(ScrubbedField::Authentication, is_null),
        }
    }

    fn target_url(&mut self) -> Step {
        if self.reader.peek()? != b'"' {
            return self.keep_if(ScrubbedField::TargetUrl, is_null);
        }
        let url = self.reader.string()?;
        // A mask could read as a URL itself; what is masked already stays as it is.
        if url.raw == self.rules.mask {
            return self.write(url.raw);
        }
        match self.rules.targets.scrub(&url.text) {
            Some(clean) if clean == url.text => self.write(url.raw),
            Some(clean) => {
                self.removed.add(ScrubbedField::TargetUrl);
                self.write(&Value::from(clean).to_string())
            }
            None => {
                self.removed.add(ScrubbedField::TargetUrl);
                self.write_mask()
            }
        }
    }

    /// Keeps the next value, whole, if the test on its source allows it, and masks it otherwise. Only a test
    /// that refuses objects and arrays keeps the output free of white space and of what is inside them.
    fn keep_if(&mut self, field: ScrubbedField, keep: impl Fn(&str) -> bool) -> Step {
        let raw = self.reader.skip()?;
        if keep(raw) {
            return self.write(raw);
        }
        if raw != self.rules.mask {
            self.removed.add(field);
        }
        self.write_mask()
    }

    fn write_mask(&mut self) -> Step {
        let rules = self.rules;
        self.write(&rules.mask)
    }

    fn write(&mut self, text: &str) -> Step {
        if text.len() > self.max_output - self.output.len() {
            return Err(ScrubFailure::TooLarge);
        }
        self.output.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether a member of an authentication configuration, or of a certificate in it, is known to be public.
fn is_public(place: Place, meaning: Meaning, raw: &str) -> bool {
    match (place, meaning) {
        (Place::Authentication, Meaning::TypeAnnotation) => is_graph_type(raw),
        (Place::Certificate, Meaning::Thumbprint) => is_string(raw) || is_null(raw),
        (Place::Certificate, Meaning::IsActive) => matches!(raw, "true" | "false" | "null"),
        (Place::Certificate, Meaning::Validity) => is_number(raw) || is_null(raw),
        _ => false,
    }
}

fn is_null(raw: &str) -> bool {
    raw == "null"
}

fn is_string(raw: &str) -> bool {
    raw.starts_with('"')
}

/// A number, or the string of one whole number that `IEEE754Compatible=true` makes of an Int64 (OData JSON
/// Format 4.01, section 3.2).
fn is_number(raw: &str) -> bool {
    let number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    number
        || decoded(raw).is_some_and(|text| {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            (1..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// The name of a type of Graph's, with or without the `#` in front. Graph's own clients ignore the case.
fn is_graph_type(raw: &str) -> bool {
    decoded(raw).is_some_and(|text| {
        let full = text.strip_prefix('#').unwrap_or(&text).to_ascii_lowercase();
        full.strip_prefix("microsoft.graph.").is_some_and(|name| {
            // A SimpleIdentifier of OData CSDL 4.01 has at most 128 characters.
            (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    })
}

fn decoded(raw: &str) -> Option<String> {
    if is_string(raw) { serde_json::from_str(raw).ok() } else { None }
}
