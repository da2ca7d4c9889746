//! Names of members that the schema does not know.

use std::borrow::Cow;
use std::fmt;

/// The names of the unknown members of one body whose text was masked: the first few distinct ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownMembers(Vec<MemberName>);

/// The name of an unknown member, safe to log: a short identifier, or a text that says that the name is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberName(Cow<'static, str>);

impl UnknownMembers {
    /// Returns the names in the order of the body.
    pub fn iter(&self) -> impl Iterator<Item = &MemberName> {
        self.0.iter()
    }

    /// Adds a name. A name that may be a credential is not shown. A name that is common in Graph's responses is not
    /// added.
    pub(super) fn add(&mut self, name: &str, may_show: bool) {
        if COMMON_ANNOTATIONS.contains(&name) {
            return;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte);
        let is_safe = may_show && (1..=MAX_SHOWN_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain);
        let name = if is_safe { name } else { NOT_SHOWN };
        if self.0.len() < MAX_NAMES && self.0.iter().all(|known| known.0 != name) {
            self.0.push(MemberName(if is_safe { name.to_owned().into() } else { NOT_SHOWN.into() }));
        }
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const NOT_SHOWN: &str = "a name that is not shown";
/// Common annotations that are masked.
const COMMON_ANNOTATIONS: [&str; 2] = ["@microsoft.graph.tips", "@odata.etag"];
const MAX_SHOWN_NAME_BYTES: usize = 64;
/// Enough for a new object type of Graph; a body can have 200,000 members.
const MAX_NAMES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_shown_only_if_it_is_a_short_identifier() {
        let mut members = UnknownMembers::default();
        let long = "x".repeat(65);
        for name in [
            "@odata.etag",
            "authHeaderValue",
            "x-y_z.1@a",
            "authHeaderValue",
            "a\nb",
            "a b",
            "",
            "\u{e9}",
            &long,
        ] {
            members.add(name, true);
        }
        members.add("hunter2", false);
        let names: Vec<_> = members.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["authHeaderValue", "x-y_z.1@a", NOT_SHOWN]);
    }

    #[test]
    fn names_are_few() {
        let mut members = UnknownMembers::default();
        for number in 0..100 {
            members.add(&format!("x{number}"), true);
        }
        assert_eq!(members.iter().count(), MAX_NAMES);
    }
}
