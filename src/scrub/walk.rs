//! The walker: one pass over valid JSON that writes what may be seen and masks the rest.
//!
//! It branches on the kind of object that it is in ([`ObjectKind`]) and on the meaning of a name ([`FieldClass`]). It
//! recurses once for each level of the document, and the reader refuses more than 64 of them.

use super::config::{Unknown, Usernames};
use super::json::{Literal, Piece, Reader};
use super::names::{FieldClass, Term};
use super::output::Output;
use super::removed::Removed;
use super::rules::{MemberAction, Rules};
use super::schema::{Member, MemberRule, ObjectKind, ValueClass};
use super::types::DeclaredTypes;
use super::unknown::UnknownMembers;
use super::values;
use crate::scrub::{ScrubFailure, ScrubbedField};

/// One walk through one document.
pub(super) struct Walker<'a> {
    rules: &'a Rules,
    text: &'a str,
    reader: Reader<'a>,
    output: Output<'a>,
    removed: Removed,
    unknown: UnknownMembers,
    /// The name of the member whose value is walked. None if it may not be shown.
    name: Option<Literal>,
    types: DeclaredTypes,
}

/// The result of a walk.
pub(super) struct Walked {
    pub(super) bytes: Vec<u8>,
    pub(super) removed: Removed,
    pub(super) unknown: UnknownMembers,
}

type Step = Result<(), ScrubFailure>;

impl<'a> Walker<'a> {
    pub(super) fn new(rules: &'a Rules, text: &'a str, max_output: usize) -> Self {
        Self {
            rules,
            text,
            reader: Reader::new(text),
            output: Output::new(text, max_output),
            removed: Removed::default(),
            unknown: UnknownMembers::default(),
            name: None,
            types: DeclaredTypes::default(),
        }
    }

    /// Walks the whole document, which must be an object.
    pub(super) fn document(mut self) -> Result<Walked, ScrubFailure> {
        if self.reader.peek()? != b'{' {
            return Err(ScrubFailure::NotAnObject);
        }
        self.types = DeclaredTypes::of(self.text);
        self.object(ObjectKind::Root)?;
        Ok(Walked { bytes: self.output.into_bytes(), removed: self.removed, unknown: self.unknown })
    }

    /// An object in a position: its declared type may narrow the kind.
    fn object(&mut self, position: ObjectKind) -> Step {
        let bracket = self.reader.open(b'{')?;
        let kind = self.types.at(bracket.start).map_or(position, |declared| position.declared(declared));
        self.output.keep(bracket)?;
        let mut first = true;
        while let Some(comma) = self.reader.another(first, b'}')? {
            let name = self.reader.string()?;
            let field_class = self.rules.names.field_class(&self.reader.text(&name)?);
            let colon = self.reader.take(b':')?;
            self.output.keep(comma)?;
            self.name = Some(name);
            if field_class == FieldClass::Hidden {
                self.hidden_name(name.piece)?;
            } else {
                self.output.keep(name.piece)?;
            }
            self.output.keep(colon)?;
            self.member(kind, field_class)?;
            first = false;
        }
        self.output.keep(self.reader.close(b'}')?)
    }

    fn array(&mut self, element: impl Fn(&mut Self) -> Step) -> Step {
        self.output.keep(self.reader.open(b'[')?)?;
        let (name, mut first) = (self.name, true);
        while let Some(comma) = self.reader.another(first, b']')? {
            self.output.keep(comma)?;
            self.name = name;
            element(self)?;
            first = false;
        }
        self.output.keep(self.reader.close(b']')?)
    }

    /// The value of a member whose name is already written.
    fn member(&mut self, kind: ObjectKind, field_class: FieldClass) -> Step {
        match field_class {
            FieldClass::Credential(field) => self.mask(field),
            FieldClass::Hidden => self.mask(ScrubbedField::Unknown),
            FieldClass::Known(member) => self.known(kind, member),
            FieldClass::Step(credential) => self.step(kind, credential),
            FieldClass::Annotation(term, credential) => self.annotation(kind, term, credential),
            FieldClass::Action if matches!(kind, ObjectKind::Root | ObjectKind::Connector) => {
                self.objects(ObjectKind::Action, kind, None)
            }
            FieldClass::Allowed => self.allowed(kind),
            FieldClass::Odd => self.unknown(kind, true),
            FieldClass::Action | FieldClass::Unknown => self.unknown(kind, false),
        }
    }

    fn known(&mut self, kind: ObjectKind, member: Member) -> Step {
        match kind.rule(member) {
            MemberRule::Value(class) => self.value(kind, class),
            MemberRule::Objects(ObjectKind::Error) if kind == ObjectKind::Root => {
                self.objects(ObjectKind::Error, kind, None)
            }
            MemberRule::Objects(child) => {
                let field = match child {
                    ObjectKind::Authentication | ObjectKind::Certificate => {
                        Some(ScrubbedField::Authentication)
                    }
                    _ => None,
                };
                self.objects(child, kind, field)
            }
            MemberRule::Username => self.username(),
            MemberRule::Unknown => self.known_elsewhere(kind, member),
        }
    }

    /// A member of the schema in an object that it does not belong to. Those that take something away do so everywhere.
    fn known_elsewhere(&mut self, kind: ObjectKind, member: Member) -> Step {
        match member {
            Member::TargetUrl | Member::Authentication if kind.is_authentication() => {
                self.mask(ScrubbedField::Authentication)
            }
            Member::TargetUrl => self.mask(ScrubbedField::TargetUrl),
            Member::Authentication => self.mask(ScrubbedField::Authentication),
            _ => self.unknown(kind, false),
        }
    }

    /// The value of a member that is a string of a class by the schema.
    fn value(&mut self, kind: ObjectKind, class: ValueClass) -> Step {
        match self.reader.peek()? {
            b'"' => {
                let field = field_of(kind, class);
                self.checked(class, field)
            }
            b'{' | b'[' if class == ValueClass::Url => self.mask(ScrubbedField::TargetUrl),
            b'{' => self.object(kind.opaque_child()),
            b'[' => self.array(|walker| walker.unknown(kind.opaque_child(), false)),
            _ if class == ValueClass::Url => self.mask(ScrubbedField::TargetUrl),
            b'-' | b'0'..=b'9' if kind.is_authentication() && class != ValueClass::Number => {
                self.mask(ScrubbedField::Authentication)
            }
            _ => self.output.keep(self.reader.scalar()?),
        }
    }

    /// A string that is checked against its class.
    fn checked(&mut self, class: ValueClass, field: ScrubbedField) -> Step {
        let string = self.reader.string()?;
        let raw = self.reader.raw(string.piece);
        // What hides nothing, or was masked before, stays as it is.
        if raw == EMPTY || raw == self.rules.mask {
            return self.output.keep(string.piece);
        }
        match self.rules.check(class, &self.reader.text(&string)?) {
            MemberAction::Keep => self.output.keep(string.piece),
            MemberAction::Replace(clean) => {
                self.removed.add(field);
                self.output.add_string(&clean)
            }
            MemberAction::Mask => self.replace(field),
        }
    }

    /// A step: its connector is an object, whatever word its name holds.
    fn step(&mut self, kind: ObjectKind, credential: Option<ScrubbedField>) -> Step {
        let is_step = kind == ObjectKind::Root && matches!(self.reader.peek()?, b'{' | b'[');
        match credential {
            Some(field) if !is_step => self.mask(field),
            _ if kind.has_steps() => self.objects(ObjectKind::Connector, kind, None),
            _ => self.unknown(kind, false),
        }
    }

    /// Objects of a kind, in any depth of arrays. A value that is none is masked as `field`, or is unknown.
    fn objects(&mut self, kind: ObjectKind, parent: ObjectKind, field: Option<ScrubbedField>) -> Step {
        match (self.reader.peek()?, field) {
            (b'{', _) => self.object(kind),
            (b'[', _) => self.array(|walker| walker.objects(kind, parent, field)),
            (_, Some(field)) => self.mask(field),
            (_, None) => self.unknown(parent, false),
        }
    }

    fn username(&mut self) -> Step {
        if self.rules.usernames == Usernames::Keep && self.reader.peek()? == b'"' {
            let string = self.reader.string()?;
            return self.output.keep(string.piece);
        }
        self.mask(ScrubbedField::Username)
    }

    fn annotation(&mut self, kind: ObjectKind, term: Term, credential: Option<ScrubbedField>) -> Step {
        match (self.reader.peek()?, credential) {
            // An authentication configuration or a target URL has links and counts; a credential has none.
            (_, Some(field))
                if !matches!(field, ScrubbedField::Authentication | ScrubbedField::TargetUrl)
                    && !matches!(term, Term::Type) =>
            {
                self.mask(field)
            }
            (b'"', _) => {
                let string = self.reader.string()?;
                let text = self.reader.text(&string)?;
                self.annotation_text(kind, string.piece, (term.class(), &text), credential)
            }
            (b'-' | b'0'..=b'9', _) if term == Term::Count => {
                let count = self.reader.scalar()?;
                if values::is_count(self.reader.raw(count)) {
                    return self.output.keep(count);
                }
                self.mask_value(count, credential.unwrap_or(ScrubbedField::Unknown))
            }
            (_, Some(field)) => self.mask(field),
            (_, None) => self.unknown(kind, false),
        }
    }

    /// The text of an annotation: without the form of its class it is a credential, or unknown.
    fn annotation_text(
        &mut self,
        kind: ObjectKind,
        string: Piece,
        (class, text): (ValueClass, &str),
        credential: Option<ScrubbedField>,
    ) -> Step {
        let is_kept = matches!(self.rules.check(class, text), MemberAction::Keep);
        if is_kept || credential.is_none() && self.keeps_unknown(kind) {
            return self.output.keep(string);
        }
        self.mask_value(string, credential.unwrap_or(ScrubbedField::Unknown))
    }

    /// A member that the operator knows to be harmless: text, or an array of texts. Objects are walked as any other.
    fn allowed(&mut self, kind: ObjectKind) -> Step {
        match self.reader.peek()? {
            b'"' => self.checked(ValueClass::Text, ScrubbedField::Text),
            b'[' => self.array(|walker| walker.allowed(kind)),
            _ => self.unknown(kind, false),
        }
    }

    /// A value that the schema does not know: strings are masked, and objects and arrays are walked. `is_odd` says
    /// that the name may look like a credential word, so that numbers are masked as well.
    fn unknown(&mut self, kind: ObjectKind, is_odd: bool) -> Step {
        match self.reader.peek()? {
            b'{' => self.object(kind.unknown_child()),
            b'[' => self.array(|walker| walker.unknown(kind, is_odd)),
            b'"' if self.keeps_unknown(kind) => {
                let string = self.reader.string()?;
                self.output.keep(string.piece)
            }
            b'"' => self.mask(ScrubbedField::Unknown),
            b'-' | b'0'..=b'9' if kind.is_authentication() => self.mask(ScrubbedField::Authentication),
            _ if is_odd => self.mask(ScrubbedField::Unknown),
            _ => self.output.keep(self.reader.scalar()?),
        }
    }

    fn keeps_unknown(&self, kind: ObjectKind) -> bool {
        self.rules.unknown == Unknown::Keep && !kind.is_authentication()
    }

    /// Masks the next value, whole, unless there is nothing in it.
    fn mask(&mut self, field: ScrubbedField) -> Step {
        let value = self.reader.skip()?;
        self.mask_value(value, field)
    }

    fn mask_value(&mut self, value: Piece, field: ScrubbedField) -> Step {
        let raw = self.reader.raw(value);
        match raw {
            "null" | EMPTY | "{}" | "[]" => self.output.keep(value),
            _ if raw == self.rules.mask => self.output.keep(value),
            _ if is_empty(raw, '{', '}') => self.output.add("{}"),
            _ if is_empty(raw, '[', ']') => self.output.add("[]"),
            _ => self.replace(field),
        }
    }

    /// Writes the mask in the place of a value.
    fn replace(&mut self, field: ScrubbedField) -> Step {
        self.removed.add(field);
        if field == ScrubbedField::Unknown
            && let Some(name) = self.name
        {
            let text = self.reader.text(&name)?;
            let may_show = self.rules.names.field_class(&text) != FieldClass::Hidden;
            self.unknown.add(&text, may_show);
        }
        self.output.add(&self.rules.mask)
    }

    /// A name that can hold a credential itself.
    fn hidden_name(&mut self, name: Piece) -> Step {
        if self.reader.raw(name) == self.rules.mask {
            return self.output.keep(name);
        }
        self.replace(ScrubbedField::Unknown)
    }
}

/// The rule that a string of the wrong form, or with masked parts, is counted under.
fn field_of(kind: ObjectKind, class: ValueClass) -> ScrubbedField {
    match class {
        ValueClass::Text => ScrubbedField::Text,
        ValueClass::Url => ScrubbedField::TargetUrl,
        _ if kind.is_authentication() => ScrubbedField::Authentication,
        _ => ScrubbedField::Unknown,
    }
}

/// Whether there is only white space between two brackets.
fn is_empty(raw: &str, open: char, close: char) -> bool {
    raw.strip_prefix(open)
        .and_then(|rest| rest.strip_suffix(close))
        .is_some_and(|inside| inside.bytes().all(|byte| byte.is_ascii_whitespace()))
}

const EMPTY: &str = "\"\"";
