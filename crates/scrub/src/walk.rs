//! The walker: one pass over valid JSON that copies the public values and masks the others.
//!
//! The walker branches on the kind of the current object ([`ObjectKind`]) and on the class of a name ([`FieldClass`]).
//! The recursion has one step for each level of the document, and the reader rejects more than 64 levels.

use std::sync::Arc;

use super::check::MemberAction;
use super::config::{UnknownPolicy, UsernamePolicy};
use super::json::{JsonReader, SourceSpan, StringLiteral};
use super::names::{AnnotationTerm, FieldClass};
use super::output::Output;
use super::removed::RemovedCounts;
use super::rules::Rules;
use super::schema::{Member, MemberRule, ObjectKind, ValueClass};
use super::types::DeclaredTypes;
use super::unknown::UnknownMembers;
use super::values;
use crate::{ScrubFailure, ScrubbedField};

/// One walk through one document.
pub(super) struct Walker<'a> {
    rules: &'a Rules,
    reader: JsonReader<'a>,
    output: Output<'a>,
    removed: RemovedCounts,
    unknown: UnknownMembers,
    /// The name of the current member. `None` if the name may not be shown.
    name: Option<StringLiteral>,
    types: DeclaredTypes,
}

/// The result of a walk.
pub(super) struct Walked {
    pub(super) bytes: Arc<[u8]>,
    pub(super) removed: RemovedCounts,
    pub(super) unknown: UnknownMembers,
}

type WalkResult = Result<(), ScrubFailure>;

impl<'a> Walker<'a> {
    pub(super) fn new(rules: &'a Rules, text: &'a str, max_output: usize) -> Self {
        Self {
            rules,
            reader: JsonReader::new(text),
            output: Output::new(text, max_output),
            removed: RemovedCounts::default(),
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
        self.types = DeclaredTypes::parse(&mut self.reader);
        self.reader = self.reader.rewound();
        self.object(ObjectKind::Root)?;
        Ok(Walked { bytes: self.output.into_bytes(), removed: self.removed, unknown: self.unknown })
    }

    /// Walks an object: its declared type may change the kind that its position has.
    fn object(&mut self, position: ObjectKind) -> WalkResult {
        let bracket = self.reader.open(b'{')?;
        let kind = self
            .types
            .type_at(bracket.start)
            .map_or(position, |declared| position.with_declared_type(declared));
        self.output.keep(bracket)?;
        let mut first = true;
        while let Some(comma) = self.reader.next_element(first, b'}')? {
            let name = self.reader.read_string()?;
            let field_class = self.rules.names.classify(&self.reader.unescape(&name)?);
            let colon = self.reader.expect_byte(b':')?;
            self.output.keep(comma)?;
            self.name = Some(name);
            if field_class == FieldClass::Suspicious {
                self.mask_suspicious_name(name.piece)?;
            } else {
                self.output.keep(name.piece)?;
            }
            self.output.keep(colon)?;
            self.member(kind, field_class)?;
            first = false;
        }
        self.output.keep(self.reader.close(b'}')?)
    }

    fn array(&mut self, element: impl Fn(&mut Self) -> WalkResult) -> WalkResult {
        self.output.keep(self.reader.open(b'[')?)?;
        let (name, mut first) = (self.name, true);
        while let Some(comma) = self.reader.next_element(first, b']')? {
            self.output.keep(comma)?;
            self.name = name;
            element(self)?;
            first = false;
        }
        self.output.keep(self.reader.close(b']')?)
    }

    /// Walks the value of a member whose name is already written.
    fn member(&mut self, kind: ObjectKind, field_class: FieldClass) -> WalkResult {
        match field_class {
            FieldClass::Action(credential) if kind.has_actions() => {
                self.objects(ObjectKind::Action, kind, credential)
            }
            FieldClass::Credential(field) | FieldClass::Action(Some(field)) => self.mask(field),
            FieldClass::Suspicious => self.mask(ScrubbedField::Unknown),
            FieldClass::Known(member) => self.known(kind, member),
            FieldClass::Step(credential) => self.step(kind, credential),
            FieldClass::Annotation(term, credential) => self.annotation(kind, term, credential),
            FieldClass::Allowed => self.allowed(kind),
            FieldClass::NonAscii => self.unknown(kind, true),
            FieldClass::Action(None) | FieldClass::Unknown => self.unknown(kind, false),
        }
    }

    fn known(&mut self, kind: ObjectKind, member: Member) -> WalkResult {
        match kind.rule(member) {
            MemberRule::Value(class) => self.schema_value(kind, class),
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

    /// Walks a member of the schema in an object to which it does not belong. Members that are masked elsewhere are
    /// masked here too.
    fn known_elsewhere(&mut self, kind: ObjectKind, member: Member) -> WalkResult {
        match member {
            Member::TargetUrl | Member::Authentication if kind.is_strict() => {
                self.mask(ScrubbedField::Authentication)
            }
            Member::TargetUrl => self.mask(ScrubbedField::TargetUrl),
            Member::Authentication => self.mask(ScrubbedField::Authentication),
            _ => self.unknown(kind, false),
        }
    }

    /// Walks a value that the schema defines as a string of a class.
    fn schema_value(&mut self, kind: ObjectKind, class: ValueClass) -> WalkResult {
        match self.reader.peek()? {
            b'"' => {
                let field = counted_field(kind, class);
                self.checked_string(class, field)
            }
            b'{' | b'[' if class == ValueClass::Url => self.mask(ScrubbedField::TargetUrl),
            b'{' => self.object(kind.opaque_child()),
            b'[' => self.array(|walker| walker.unknown(kind.opaque_child(), false)),
            _ if class == ValueClass::Url => self.mask(ScrubbedField::TargetUrl),
            b'-' | b'0'..=b'9' if kind.is_strict() && class != ValueClass::Number => {
                self.mask(ScrubbedField::Authentication)
            }
            _ => self.output.keep(self.reader.read_scalar()?),
        }
    }

    /// Walks a string and checks it against its class.
    fn checked_string(&mut self, class: ValueClass, field: ScrubbedField) -> WalkResult {
        let string = self.reader.read_string()?;
        let raw = self.reader.source(string.piece);
        // An empty string and a mask stay unchanged.
        if raw == EMPTY_STRING || raw == GRAPH_MASK || raw == self.rules.mask {
            return self.output.keep(string.piece);
        }
        match self.rules.check(class, &self.reader.unescape(&string)?) {
            MemberAction::Keep => self.output.keep(string.piece),
            MemberAction::Replace(clean) => {
                self.removed.add(field);
                self.output.push_json_string(&clean)
            }
            MemberAction::Mask => self.write_mask(field),
        }
    }

    /// Walks a step. Its connector is an object, even if the name contains a credential word; any other value under
    /// such a name is a credential.
    fn step(&mut self, kind: ObjectKind, credential: Option<ScrubbedField>) -> WalkResult {
        match credential {
            Some(field) if kind != ObjectKind::Root => self.mask(field),
            _ if kind.has_steps() => self.objects(ObjectKind::Connector, kind, credential),
            _ => self.unknown(kind, false),
        }
    }

    /// Walks objects of a kind, in arrays of any depth. Another value is masked as `field`, or is unknown.
    fn objects(&mut self, kind: ObjectKind, parent: ObjectKind, field: Option<ScrubbedField>) -> WalkResult {
        match (self.reader.peek()?, field) {
            (b'{', _) => self.object(kind),
            (b'[', _) => self.array(|walker| walker.objects(kind, parent, field)),
            (_, Some(field)) => self.mask(field),
            (_, None) => self.unknown(parent, false),
        }
    }

    fn username(&mut self) -> WalkResult {
        if self.rules.usernames == UsernamePolicy::Keep && self.reader.peek()? == b'"' {
            let string = self.reader.read_string()?;
            return self.output.keep(string.piece);
        }
        self.mask(ScrubbedField::Username)
    }

    fn annotation(
        &mut self,
        kind: ObjectKind,
        term: AnnotationTerm,
        credential: Option<ScrubbedField>,
    ) -> WalkResult {
        match (self.reader.peek()?, credential) {
            // An authentication configuration and a target URL have links and counts; a credential has none.
            (_, Some(field))
                if !matches!(field, ScrubbedField::Authentication | ScrubbedField::TargetUrl)
                    && !matches!(term, AnnotationTerm::Type) =>
            {
                self.mask(field)
            }
            (b'"', _) => {
                let string = self.reader.read_string()?;
                let text = self.reader.unescape(&string)?;
                self.annotation_text(kind, string.piece, (term.class(), &text), credential)
            }
            (b'-' | b'0'..=b'9', _) if term == AnnotationTerm::Count => {
                let count = self.reader.read_scalar()?;
                if values::is_count(self.reader.source(count)) {
                    return self.output.keep(count);
                }
                self.mask_value(count, credential.unwrap_or(ScrubbedField::Unknown))
            }
            (_, Some(field)) => self.mask(field),
            (_, None) => self.unknown(kind, false),
        }
    }

    /// Walks the text of an annotation. Without the format of its class it is a credential, or unknown.
    fn annotation_text(
        &mut self,
        kind: ObjectKind,
        string: SourceSpan,
        (class, text): (ValueClass, &str),
        credential: Option<ScrubbedField>,
    ) -> WalkResult {
        let is_kept = matches!(self.rules.check(class, text), MemberAction::Keep);
        if is_kept || credential.is_none() && self.keeps_unknown(kind) {
            return self.output.keep(string);
        }
        self.mask_value(string, credential.unwrap_or(ScrubbedField::Unknown))
    }

    /// Walks a member of `scrub.allow_fields`: text, or an array of texts. Objects are walked as any other object.
    fn allowed(&mut self, kind: ObjectKind) -> WalkResult {
        match self.reader.peek()? {
            b'"' => self.checked_string(ValueClass::Text, ScrubbedField::Text),
            b'[' => self.array(|walker| walker.allowed(kind)),
            _ => self.unknown(kind, false),
        }
    }

    /// Walks a value that the schema does not list: strings are masked, objects and arrays are walked.
    /// `is_non_ascii_name`: the name may look like a credential word, so numbers are masked as well.
    fn unknown(&mut self, kind: ObjectKind, is_non_ascii_name: bool) -> WalkResult {
        match self.reader.peek()? {
            b'{' => self.object(kind.unknown_child()),
            b'[' => self.array(|walker| walker.unknown(kind, is_non_ascii_name)),
            b'"' if self.keeps_unknown(kind) => {
                let string = self.reader.read_string()?;
                self.output.keep(string.piece)
            }
            b'"' => self.mask(ScrubbedField::Unknown),
            b'-' | b'0'..=b'9' if kind.is_strict() => self.mask(ScrubbedField::Authentication),
            _ if is_non_ascii_name => self.mask(ScrubbedField::Unknown),
            _ => self.output.keep(self.reader.read_scalar()?),
        }
    }

    fn keeps_unknown(&self, kind: ObjectKind) -> bool {
        self.rules.unknown == UnknownPolicy::Keep && !kind.is_strict()
    }

    /// Masks the next value, unless it is empty.
    fn mask(&mut self, field: ScrubbedField) -> WalkResult {
        let value = self.reader.skip_value()?;
        self.mask_value(value, field)
    }

    fn mask_value(&mut self, value: SourceSpan, field: ScrubbedField) -> WalkResult {
        let raw = self.reader.source(value);
        match raw {
            "null" | EMPTY_STRING | "{}" | "[]" | GRAPH_MASK => self.output.keep(value),
            _ if raw == self.rules.mask => self.output.keep(value),
            _ if is_empty(raw) => {
                let compact: String = raw.split_ascii_whitespace().collect();
                self.output.push(&compact)
            }
            _ => self.write_mask(field),
        }
    }

    /// Writes the mask in place of a value, and counts it.
    fn write_mask(&mut self, field: ScrubbedField) -> WalkResult {
        self.removed.add(field);
        if field == ScrubbedField::Unknown
            && let Some(name) = self.name
        {
            let text = self.reader.unescape(&name)?;
            let may_show = self.rules.names.classify(&text) != FieldClass::Suspicious;
            self.unknown.add(&text, may_show);
        }
        self.output.push(&self.rules.mask)
    }

    /// Masks a name that can contain a credential itself.
    fn mask_suspicious_name(&mut self, name: SourceSpan) -> WalkResult {
        if self.reader.source(name) == self.rules.mask {
            return self.output.keep(name);
        }
        self.write_mask(ScrubbedField::Unknown)
    }
}

/// Returns the rule under which a string with a wrong format or masked parts is counted.
fn counted_field(kind: ObjectKind, class: ValueClass) -> ScrubbedField {
    match class {
        ValueClass::Text => ScrubbedField::Text,
        ValueClass::Url => ScrubbedField::TargetUrl,
        _ if kind.is_strict() => ScrubbedField::Authentication,
        _ => ScrubbedField::Unknown,
    }
}

/// Returns whether a value consists of empty values only: arrays of `null`, `""`, `{}` and `[]`.
fn is_empty(raw: &str) -> bool {
    let mut rest = raw;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'[' | b']' | b'{' | b'}' | b',' => 1,
            _ if first.is_ascii_whitespace() => 1,
            _ if rest.starts_with("null") => "null".len(),
            _ if rest.starts_with(EMPTY_STRING) => EMPTY_STRING.len(),
            _ => return false,
        };
        rest = &rest[length..];
        // An object with a member has a name.
        if rest.starts_with(':') {
            return false;
        }
    }
    true
}

const EMPTY_STRING: &str = "\"\"";
/// Graph's own mask of a password, as a JSON string. It hides nothing, whatever `scrub.mask` is.
const GRAPH_MASK: &str = "\"******\"";
