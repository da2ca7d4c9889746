//! The walker: one pass over valid JSON that writes what may be seen and masks the rest.
//!
//! It branches on where it is ([`Place`]) and on what a name means ([`Meaning`]). It recurses once for each level
//! of the document, and the reader refuses more than 64 of them.

use std::borrow::Cow;

use super::config::Usernames;
use super::json::Reader;
use super::names::Meaning;
use super::output::Output;
use super::removed::Removed;
use super::rules::Rules;
use crate::cache::status::{ScrubFailure, ScrubbedField};

/// One walk through one document.
pub(super) struct Walker<'a> {
    rules: &'a Rules,
    reader: Reader<'a>,
    output: Output<'a>,
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
        let output = Output::new(text, max_output);
        Self { rules, reader: Reader::new(text), output, removed: Removed::default() }
    }

    /// Walks the whole document, which must be an object.
    pub(super) fn document(mut self) -> Result<(Vec<u8>, Removed), ScrubFailure> {
        if self.reader.peek()? != b'{' {
            return Err(ScrubFailure::NotAnObject);
        }
        self.object(Place::Document)?;
        Ok((self.output.into_bytes(), self.removed))
    }

    fn object(&mut self, place: Place) -> Step {
        self.output.keep(self.reader.open(b'{')?)?;
        let mut first = true;
        while let Some(comma) = self.reader.another(first, b'}')? {
            let name = self.reader.string()?;
            let meaning = self.rules.names.meaning(&self.reader.text(&name)?);
            let colon = self.reader.take(b':')?;
            self.output.keep(comma)?;
            self.output.keep(name.piece)?;
            self.output.keep(colon)?;
            self.member(place, meaning)?;
            first = false;
        }
        self.output.keep(self.reader.close(b'}')?)
    }

    fn array(&mut self, element: fn(&mut Self) -> Step) -> Step {
        self.output.keep(self.reader.open(b'[')?)?;
        let mut first = true;
        while let Some(comma) = self.reader.another(first, b']')? {
            self.output.keep(comma)?;
            element(self)?;
            first = false;
        }
        self.output.keep(self.reader.close(b']')?)
    }

    /// The value of a member whose name is already written.
    fn member(&mut self, place: Place, meaning: Meaning) -> Step {
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
            _ => self.output.keep(self.reader.skip()?),
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
        if self.reader.raw(url.piece) == self.rules.mask {
            return self.output.keep(url.piece);
        }
        let text = self.reader.text(&url)?;
        match self.rules.targets.scrub(&text) {
            Some(clean) if clean == text => self.output.keep(url.piece),
            Some(clean) => {
                self.removed.add(ScrubbedField::TargetUrl);
                self.output.add_string(&clean)
            }
            None => {
                self.removed.add(ScrubbedField::TargetUrl);
                self.output.add(&self.rules.mask)
            }
        }
    }

    /// Keeps the next value, whole, if the test on its source allows it, and masks it otherwise. Only a test
    /// that refuses objects and arrays keeps the output free of white space and of what is inside them.
    fn keep_if(&mut self, field: ScrubbedField, keep: impl Fn(&str) -> bool) -> Step {
        let value = self.reader.skip()?;
        let raw = self.reader.raw(value);
        if keep(raw) {
            return self.output.keep(value);
        }
        if raw != self.rules.mask {
            self.removed.add(field);
        }
        self.output.add(&self.rules.mask)
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
        let full = text.strip_prefix('#').unwrap_or(&text);
        let Some((namespace, name)) = full.split_at_checked("microsoft.graph.".len()) else { return false };
        // A SimpleIdentifier of OData CSDL 4.01 has at most 128 characters.
        namespace.eq_ignore_ascii_case("microsoft.graph.")
            && (1..=128).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}
