//! What the name of a member says about its value.
//!
//! Names are judged folded: case is gone in the Unicode sense, and so is everything that is neither letter nor
//! digit, so `pass-word`, `PASSWORD` and a zero-width space in the middle are all `password`. Only `@` stays: it
//! parts a property from its annotation (OData JSON Format 4.01), and both sides are judged.
//! When in doubt a name is a credential's: the resource has few names, and none of them is in doubt.

use std::collections::HashSet;

use self::lexicon::Lexicon;
use self::usual::Usual;
use crate::cache::status::ScrubbedField::{
    self, Certificate, ConnectionString, Credential, Extra, Key, Password, Secret, Token,
};

mod lexicon;
mod usual;

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The value is a credential, wherever it is found.
    Credential(ScrubbedField),
    /// `authenticationConfiguration`, or several of them under one name.
    Authentication,
    /// The annotations of the same that say what type it is and where it is described.
    AuthenticationContext,
    /// Any other annotation of the same.
    AuthenticationAnnotation,
    /// `targetUrl`, its annotations but for its type, and several of them under one name.
    TargetUrl,
    /// `@odata.type`
    TypeAnnotation,
    /// `username`
    Username,
    /// `certificateList`
    CertificateList,
    /// `thumbprint`
    Thumbprint,
    /// `isActive`
    IsActive,
    /// `notBefore` and `notAfter`
    Validity,
    /// Anything else.
    Other,
}

/// The judge of names.
#[derive(Clone, Debug)]
pub(super) struct Names {
    held: Lexicon,
    ends: Lexicon,
    extra: HashSet<String>,
    usual: Usual,
}

impl Names {
    /// Adds the operator's own names, whole, to the words that every credential's name is known by.
    pub(super) fn new(extra_fields: &[String]) -> Self {
        let mut extra: HashSet<_> = extra_fields.iter().map(|name| fold(name)).collect();
        extra.remove("");
        let mut names = Self {
            held: Lexicon::of_beginnings(HELD),
            ends: Lexicon::of_ends(ENDS),
            extra,
            usual: Usual::default(),
        };
        names.usual = Usual::judged(|name| names.judge(name));
        names
    }

    /// Judges a name, given without its quotes and escapes.
    pub(super) fn meaning(&self, name: &str) -> Meaning {
        self.usual.meaning(name).unwrap_or_else(|| self.judge(name))
    }

    fn judge(&self, name: &str) -> Meaning {
        let folded = fold(name);
        if let Some(field) = self.credential(&folded) {
            return Meaning::Credential(field);
        }
        if let Some((property, annotation)) = folded.split_once('@') {
            return annotated(property, annotation);
        }
        match folded.as_str() {
            "authenticationconfiguration" | "authenticationconfigurations" => Meaning::Authentication,
            "targeturl" | "targeturls" => Meaning::TargetUrl,
            "username" => Meaning::Username,
            "certificatelist" => Meaning::CertificateList,
            "thumbprint" => Meaning::Thumbprint,
            "isactive" => Meaning::IsActive,
            "notbefore" | "notafter" => Meaning::Validity,
            _ => Meaning::Other,
        }
    }

    fn credential(&self, folded: &str) -> Option<ScrubbedField> {
        if !folded.contains('@') {
            return self.part(folded);
        }
        let judged = folded.split('@').find_map(|part| self.part(part));
        if judged.is_some() {
            return judged;
        }
        if self.extra.contains(folded) {
            return Some(Extra);
        }
        // A word may also be hidden across an `@`.
        let mut joined = String::with_capacity(folded.len());
        joined.extend(folded.split('@').filter(|part| !INNOCENT.contains(part)));
        self.held.first_in(&joined)
    }

    /// Judges what stands on one side of an `@`.
    fn part(&self, part: &str) -> Option<ScrubbedField> {
        let listed = || self.extra.contains(part).then_some(Extra);
        if INNOCENT.contains(&part) {
            return listed();
        }
        self.held.first_in(part).or_else(|| whole(part)).or_else(|| self.edge(part)).or_else(listed)
    }

    /// Words that count only at the start or the end of a name: `pem` is in `tempEmail`, `sas` in `hasAssets`, `sig`
    /// in `design`, `key` in `keyboard`, `pass` in `passenger`. A number behind them (`key1`) changes nothing.
    fn edge(&self, part: &str) -> Option<ScrubbedField> {
        if part.starts_with("pem") || part.starts_with("p12") {
            return Some(Certificate);
        }
        self.ends.at_end_of(part.trim_end_matches(char::is_numeric))
    }
}

/// What an annotation says may be what it stands at, but for its type.
fn annotated(property: &str, annotation: &str) -> Meaning {
    match (property, annotation) {
        ("", "odatatype") => Meaning::TypeAnnotation,
        ("authenticationconfiguration" | "authenticationconfigurations", "odatatype" | "odatacontext") => {
            Meaning::AuthenticationContext
        }
        ("authenticationconfiguration" | "authenticationconfigurations", _) => {
            Meaning::AuthenticationAnnotation
        }
        ("targeturl" | "targeturls", annotation) if annotation != "odatatype" => Meaning::TargetUrl,
        _ => Meaning::Other,
    }
}

/// Upper and lower case fold together only by going back and forth: `\u{17f}` is a small `S`, `\u{212a}` a
/// capital `k`, and `\u{1e9e}` needs three steps to `ss`.
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

/// Words too common to look for inside a name, or at the end of one: `oauth` is no credential.
fn whole(part: &str) -> Option<ScrubbedField> {
    matches!(part, "auth").then_some(Credential)
}

/// Names that hold a credential word, or end in one, and hold no credential. They are compared whole: `commonKey` ends
/// in `monkey`.
const INNOCENT: &[&str] = &[
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

/// Words that make a credential of any name that holds them. Each begins with two letters.
const HELD: &[(ScrubbedField, &[&str])] = &[
    (Password, &["password", "passwd", "pwd", "passphrase", "passcode"]),
    (Secret, &["secret"]),
    (Token, &["token", "assertion", "jwt", "bearer", "samlresponse"]),
    // A name that ends in `key` needs no word here; these go on after it.
    (Key, &["apikey", "accesskey", "accountkey", "sharedkey", "symmetrickey", "symkey", "masterkey"]),
    (Key, &["signingkey", "encryptionkey", "subscriptionkey", "functionkey", "functionskey", "hostkey"]),
    (Key, &["keymaterial", "keyvalue", "keydata", "keybytes", "keyblob", "keycontent", "keystring"]),
    (Key, &["keypair", "keychain", "keyring", "keytab", "keybase64"]),
    (Certificate, &["private", "pkcs12", "pkcs8", "pfx"]),
    (ConnectionString, &["connectionstring", "connstr", "sharedaccess"]),
    (Credential, &["credential", "authorization", "authorisation", "cookie", "signature", "codeverifier"]),
];

/// Words that make a credential of any name that ends in them. Each ends in a letter.
const ENDS: &[(ScrubbedField, &[&str])] = &[
    (Password, &["pass", "pw", "pin", "pincode", "otp"]),
    (Token, &["jwe", "jws"]),
    (Key, &["key", "keys", "hmac", "jwk", "jwks"]),
    (Certificate, &["pem"]),
    (ConnectionString, &["sas", "connectionstr", "dsn", "sasuri", "sasurl"]),
    (Credential, &["sig", "cred", "creds", "authcode", "authheader", "basicauth"]),
];

#[cfg(test)]
mod tests;
