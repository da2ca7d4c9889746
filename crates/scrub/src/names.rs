//! Classes of member names.
//!
//! Names of the schema are compared without regard to case, otherwise exactly. The operator's names and the credential
//! words are searched in the folded name: without case in the Unicode sense, and without characters that are neither
//! letter nor digit, so `pass-word`, `PASSWORD` and a zero-width space in the middle are all `password`. Only `@`
//! stays: it separates a property from its annotation (OData JSON Format 4.01), and both sides are checked. A name can
//! contain a credential itself: see [`classify_unknown`].

use std::collections::HashSet;

use self::keyword_index::KeywordIndex;
use self::known::KnownNames;
use super::config::{Config, UnknownPolicy};
use super::schema::{self, Member, ValueClass};
use super::values::is_random;
use crate::ScrubbedField;
use crate::ScrubbedField::{
    Authentication, Certificate, ConnectionString, Credential, Extra, Key, Password, Secret, TargetUrl, Token,
};

mod keyword_index;
mod known;

/// The class of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldClass {
    /// The value is a credential in any position.
    Credential(ScrubbedField),
    /// A member of the schema.
    Known(Member),
    /// A step of a user flow, and the credential word in its name.
    Step(Option<ScrubbedField>),
    /// An annotation whose value has a known format, and the credential word in the name of the annotated member.
    Annotation(AnnotationTerm, Option<ScrubbedField>),
    /// A bound action: `#microsoft.graph.` and its name, and the credential word in it.
    Action(Option<ScrubbedField>),
    /// A name of `scrub.allow_fields`.
    Allowed,
    /// An unknown name.
    Unknown,
    /// An unknown name with symbols beyond ASCII, which can look like a credential word.
    NonAscii,
    /// A name that can contain a credential itself.
    Suspicious,
}

/// The annotations whose values have a known format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnnotationTerm {
    /// The type of the object that the annotation is in.
    OwnType,
    /// The type of a member.
    Type,
    /// A context URL, or a link.
    Link,
    /// The number of elements of a collection.
    Count,
}

impl AnnotationTerm {
    /// Returns the class of the value if it is a string.
    pub(super) fn class(self) -> ValueClass {
        match self {
            Self::OwnType | Self::Type => ValueClass::TypeName,
            Self::Link => ValueClass::Link,
            Self::Count => ValueClass::Count,
        }
    }
}

/// The classifier of names.
#[derive(Clone, Debug)]
pub(super) struct MemberNames {
    contains: KeywordIndex,
    suffixes: KeywordIndex,
    extra: HashSet<String>,
    allowed: HashSet<String>,
    /// True if unknown names pass unchanged (`scrub.unknown = "keep"`).
    keeps_unknown: bool,
    known_names: KnownNames,
}

impl MemberNames {
    /// Creates a classifier with the credential words and the operator's own names, which are compared whole.
    pub(super) fn new(config: &Config) -> Self {
        let mut extra: HashSet<_> = config.extra_fields.iter().map(|name| fold(name)).collect();
        extra.remove("");
        let mut names = Self {
            contains: KeywordIndex::anywhere(CONTAINS),
            suffixes: KeywordIndex::at_end(SUFFIXES),
            extra,
            allowed: config.allow_fields.iter().cloned().collect(),
            keeps_unknown: config.unknown == UnknownPolicy::Keep,
            known_names: KnownNames::default(),
        };
        names.known_names = KnownNames::new(|name| names.compute_class(name));
        names
    }

    /// Returns the class of a name, given without its quotes and escapes.
    pub(super) fn classify(&self, name: &str) -> FieldClass {
        self.known_names.get(name).unwrap_or_else(|| self.compute_class(name))
    }

    /// Returns the field of the credential word in a name.
    pub(super) fn find_credential_word(&self, name: &str) -> Option<ScrubbedField> {
        self.find_credential(&fold(name))
    }

    fn compute_class(&self, name: &str) -> FieldClass {
        let folded = fold(name);
        let credential = self.find_credential(&folded);
        if let Some(field) = credential.filter(|_| self.is_extra(&folded)) {
            return FieldClass::Credential(field);
        }
        if let Some(member) = schema::member(name).or_else(|| masked_member(&folded)) {
            return FieldClass::Known(member);
        }
        if schema::is_step(name) {
            return FieldClass::Step(credential);
        }
        let unknown_class = if self.keeps_unknown { FieldClass::Unknown } else { classify_unknown(name) };
        if self.contains_value(name) {
            return FieldClass::Suspicious;
        }
        if unknown_class == FieldClass::Suspicious {
            return unknown_class;
        }
        if let Some(field_class) = classify_annotation(name, &folded, credential) {
            return field_class;
        }
        match credential {
            _ if self.allowed.contains(name) && !CREDENTIAL_MEMBERS.contains(&folded.as_str()) => {
                FieldClass::Allowed
            }
            _ if is_action(name) => FieldClass::Action(credential),
            Some(field) => FieldClass::Credential(field),
            None => unknown_class,
        }
    }

    /// Returns whether other text follows a credential word (`password:...`), or the name looks like a key.
    fn contains_value(&self, name: &str) -> bool {
        let is_separator = |symbol: char| {
            symbol.is_whitespace() || symbol.is_ascii_control() || SEPARATORS.contains(&symbol)
        };
        let value = name.split_once(is_separator).filter(|(word, rest)| {
            !rest.trim_matches(is_separator).is_empty() && self.find_credential_word(word).is_some()
        });
        let is_part = |symbol: char| !symbol.is_ascii_alphanumeric();
        value.is_some() || name.split(is_part).any(is_random)
    }

    fn is_extra(&self, folded: &str) -> bool {
        !self.extra.is_empty()
            && (self.extra.contains(folded) || folded.split('@').any(|part| self.extra.contains(part)))
    }

    fn find_credential(&self, folded: &str) -> Option<ScrubbedField> {
        if !folded.contains('@') {
            return self.find_in_part(folded);
        }
        let found = folded.split('@').find_map(|part| self.find_in_part(part));
        if found.is_some() {
            return found;
        }
        if self.extra.contains(folded) {
            return Some(Extra);
        }
        // A word may also be split by an `@`.
        let mut joined = String::with_capacity(folded.len());
        joined.extend(folded.split('@').filter(|part| !ALLOWLIST.contains(part)));
        self.contains.find_first(&joined)
    }

    /// Checks the part on one side of an `@`.
    fn find_in_part(&self, part: &str) -> Option<ScrubbedField> {
        let listed = || self.extra.contains(part).then_some(Extra);
        if ALLOWLIST.contains(&part) {
            return listed();
        }
        self.contains
            .find_first(part)
            .or_else(|| match_whole(part))
            .or_else(|| self.find_at_edge(part))
            .or_else(listed)
    }

    /// Checks words that count only at the start or the end of a name: `pem` is in `tempEmail`, `sas` in `hasAssets`,
    /// `sig` in `design`, `key` in `keyboard`, `pass` in `passenger`. A number after them (`key1`) changes nothing.
    fn find_at_edge(&self, part: &str) -> Option<ScrubbedField> {
        if part.starts_with("pem") || part.starts_with("p12") {
            return Some(Certificate);
        }
        self.suffixes.find_suffix(part.trim_end_matches(char::is_numeric))
    }
}

/// Members whose values are masked in part: their names are found in any spelling, as those of credentials are, also
/// in the plural.
fn masked_member(folded: &str) -> Option<Member> {
    match folded {
        "authenticationconfiguration" | "authenticationconfigurations" => Some(Member::Authentication),
        "targeturl" | "targeturls" => Some(Member::TargetUrl),
        _ => None,
    }
}

/// Returns the class of an annotation whose value has a known format. Any other annotation of a target URL is treated
/// as a URL. Any other annotation of an authentication configuration is masked, since it may contain the whole
/// configuration.
fn classify_annotation(name: &str, folded: &str, credential: Option<ScrubbedField>) -> Option<FieldClass> {
    let (property, annotation) = name.split_once('@')?;
    let masked = folded.split_once('@').and_then(|(property, _)| masked_member(property));
    // A step whose name contains a credential word has links, as an authentication configuration has.
    let credential = credential.map(|field| if schema::is_step(property) { Authentication } else { field });
    let field = credential.or(match masked {
        Some(Member::Authentication) => Some(Authentication),
        Some(_) => Some(TargetUrl),
        None => None,
    });
    let term = annotation.strip_prefix("odata.").unwrap_or(annotation);
    let known =
        ANNOTATION_TERMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(term)).map(|&(_, term)| term);
    let is_property = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.#".contains(&byte);
    match known.filter(|_| property.bytes().all(is_property)) {
        Some(AnnotationTerm::Type) if property.is_empty() => {
            Some(FieldClass::Annotation(AnnotationTerm::OwnType, field))
        }
        Some(term) => Some(FieldClass::Annotation(term, field)),
        None if credential.is_some() => None,
        None => match masked? {
            Member::TargetUrl => Some(FieldClass::Known(Member::TargetUrl)),
            _ => Some(FieldClass::Credential(Authentication)),
        },
    }
}

fn is_action(name: &str) -> bool {
    name.strip_prefix('#').is_some_and(super::values::is_graph_name)
}

/// Classifies an unknown name. Graph's names are identifiers: the longest part has 58 letters, and digits are few.
/// Longer names, and those with many digits among letters, can be keys, ids or tokens.
fn classify_unknown(name: &str) -> FieldClass {
    let is_long = name.split('@').any(|part| part.chars().nth(MAX_NAME_SYMBOLS).is_some());
    let is_dense = name.len() > 8 && name.bytes().filter(u8::is_ascii_digit).count() > 4;
    let is_pair = name.contains('=') || name.contains("://") || name.contains("-----");
    let is_scheme = ["bearer ", "basic "]
        .iter()
        .any(|scheme| name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    if is_long || is_dense || is_pair || is_scheme {
        FieldClass::Suspicious
    } else if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        FieldClass::Unknown
    } else {
        FieldClass::NonAscii
    }
}

/// Folds a name. Upper and lower case fold together only by several conversions: `\u{17f}` is a small `S`, `\u{212a}`
/// a capital `k`, and `\u{1e9e}` needs three steps to `ss`.
fn fold(name: &str) -> String {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'@') {
        return name.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(name.len());
    for symbol in name.chars() {
        if symbol.is_ascii_alphanumeric() || symbol == '@' {
            folded.push(symbol.to_ascii_lowercase());
        } else if !symbol.is_ascii() {
            let cases = symbol.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            folded.extend(cases.filter(|symbol| symbol.is_alphanumeric()));
        }
    }
    folded
}

/// Checks words that are too common inside a name or at its end: `oauth` is not a credential.
fn match_whole(part: &str) -> Option<ScrubbedField> {
    matches!(part, "auth").then_some(Credential)
}

/// Separators between a name and a value in one text.
const SEPARATORS: [char; 13] =
    [':', '=', ';', ',', '|', '/', '>', '?', '&', '"', '\'', '\u{ff1a}', '\u{ff1d}'];
/// Maximum number of symbols on one side of an `@` in a name that is shown.
const MAX_NAME_SYMBOLS: usize = 64;

/// The members of the schema that are credentials, folded. `scrub.allow_fields` cannot allow them.
const CREDENTIAL_MEMBERS: &[&str] = &["password", "pkcs12value"];

/// Annotations whose values have a known format (OData JSON Format 4.01, section 4.5). Annotations with a token in
/// their value (`nextLink`, `deltaLink`) and those of media are not listed: the resource has none.
const ANNOTATION_TERMS: &[(&str, AnnotationTerm)] = &[
    ("type", AnnotationTerm::Type),
    ("context", AnnotationTerm::Link),
    ("id", AnnotationTerm::Link),
    ("editLink", AnnotationTerm::Link),
    ("readLink", AnnotationTerm::Link),
    ("navigationLink", AnnotationTerm::Link),
    ("associationLink", AnnotationTerm::Link),
    ("count", AnnotationTerm::Count),
];

/// Names that contain or end in a credential word and are not credentials. They are compared whole: `commonKey` ends
/// in `monkey`.
const ALLOWLIST: &[&str] = &[
    "pretokenissuance",
    "monkey",
    "monkeys",
    "donkey",
    "turkey",
    "hockey",
    "jockey",
    "bypass",
    "compass",
    "sacred",
    "spin",
];

/// Words that make any name that contains them a credential. Each begins with two letters.
const CONTAINS: &[(ScrubbedField, &[&str])] = &[
    (Password, &["password", "passwd", "pwd", "passphrase", "passcode"]),
    (
        Password,
        &["securitycode", "accesscode", "verificationcode", "totpcode", "otpcode", "totpseed", "otpseed"],
    ),
    (
        Password,
        &["securitypin", "accesspin", "verificationpin", "securityseed", "accessseed", "verificationseed"],
    ),
    (Password, &["securityotp", "accessotp", "verificationotp"]),
    (Secret, &["secret"]),
    (Token, &["token", "assertion", "jwt", "bearer", "samlresponse"]),
    // A name that ends in `key` is found by its suffix; in these the name continues after the word.
    (Key, &["apikey", "accesskey", "accountkey", "sharedkey", "symmetrickey", "symkey", "masterkey"]),
    (Key, &["signingkey", "encryptionkey", "subscriptionkey", "functionkey", "functionskey", "hostkey"]),
    (Key, &["keymaterial", "keyvalue", "keydata", "keybytes", "keyblob", "keycontent", "keystring"]),
    (Key, &["keypair", "keychain", "keyring", "keytab", "keybase64"]),
    (Certificate, &["private", "pkcs12", "pkcs8", "pfx"]),
    (ConnectionString, &["connectionstring", "connstr", "sharedaccess"]),
    (Credential, &["credential", "authorization", "authorisation", "cookie", "signature", "codeverifier"]),
];

/// Words that make any name that ends in them a credential. Each ends in a letter.
const SUFFIXES: &[(ScrubbedField, &[&str])] = &[
    (Password, &["pass", "pw", "pin", "pincode", "otp"]),
    (Token, &["jwe", "jws"]),
    (Key, &["key", "keys", "hmac", "jwk", "jwks"]),
    (Certificate, &["pem"]),
    (ConnectionString, &["sas", "connectionstr", "dsn", "sasuri", "sasurl"]),
    (Credential, &["sig", "cred", "creds", "authcode", "authheader", "basicauth"]),
];

#[cfg(test)]
mod tests;
