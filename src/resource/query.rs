//! `$expand` and `$select`: the part of OData's grammar that this resource has.
//!
//! Options are decoded once, read into sets, and written back sorted: order and encoding do not matter to
//! OData (OData URL Conventions 4.01, sections 5.1.3 and 5.1.4), so they do not make another key. Whatever
//! is not understood is refused: an option that was dropped would answer another question than the caller's.

use url::form_urlencoded;

use super::ApiVersion;
use crate::support::labels::Label;

/// What becomes of each step, in the order in which they are forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Expand([Expansion; STEPS.len()]);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Expansion {
    #[default]
    Absent,
    Whole,
    Selected(PropertyNames),
}

/// A set of property names, sorted. Empty means that the option was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PropertyNames(Vec<Box<str>>);

/// Reads a raw query. `None` for whatever is not a query of ours. Empty pieces (`?`, a trailing `&`) mean nothing.
pub(super) fn parse(query: &str, version: ApiVersion) -> Option<(Expand, PropertyNames)> {
    let (mut expand, mut select) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let seen_before = match &*name {
            "$expand" | "expand" => expand.replace(Expand::parse(&value, version)?).is_some(),
            "$select" | "select" => select.replace(PropertyNames::parse(&value)?).is_some(),
            _ => return None,
        };
        if seen_before {
            return None;
        }
    }
    Some((expand.unwrap_or_default(), select.unwrap_or_default()))
}

impl Expand {
    fn parse(list: &str, version: ApiVersion) -> Option<Self> {
        let mut expand = Self::default();
        for item in split_outside_parentheses(list) {
            let (name, options) = match item.split_once('(') {
                Some((name, options)) => (name, Some(options.strip_suffix(')')?)),
                None => (item, None),
            };
            let step = STEPS.iter().position(|(step, since)| *step == name && since.contains(&version))?;
            let wanted = match options {
                None => Expansion::Whole,
                Some(options) => {
                    let (option, names) = options.split_once('=')?;
                    matches!(option, "$select" | "select").then_some(())?;
                    Expansion::Selected(PropertyNames::parse(names)?)
                }
            };
            let slot = expand.0.get_mut(step)?;
            // Twice the same is the same set; twice with other options is two questions.
            if *slot != Expansion::Absent && *slot != wanted {
                return None;
            }
            *slot = wanted;
        }
        Some(expand)
    }

    /// Nothing is expanded.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|step| *step == Expansion::Absent)
    }

    /// Writes the option's value, the one canonical way.
    pub(super) fn write_to(&self, to: &mut String) {
        let mut separator = "";
        for ((step, _), expansion) in STEPS.iter().zip(&self.0) {
            let names = match expansion {
                Expansion::Absent => continue,
                Expansion::Whole => None,
                Expansion::Selected(names) => Some(names),
            };
            to.extend([separator, step]);
            if let Some(names) = names {
                to.push_str("($select=");
                names.write_to(to);
                to.push(')');
            }
            separator = ",";
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|step| if let Expansion::Selected(names) = step { names.weight() } else { 0 }).sum()
    }
}

impl PropertyNames {
    fn parse(list: &str) -> Option<Self> {
        let mut names: Vec<Box<str>> =
            list.split(',').map(|name| is_property_name(name).then(|| name.into())).collect::<Option<_>>()?;
        names.sort_unstable();
        names.dedup();
        (names.len() <= MAX_SELECTED_NAMES).then_some(Self(names))
    }

    /// The option was not given.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the option's value, the one canonical way.
    pub(super) fn write_to(&self, to: &mut String) {
        let mut separator = "";
        for name in &self.0 {
            to.extend([separator, name]);
            separator = ",";
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|name| name.len() + size_of::<Box<str>>()).sum()
    }
}

/// An `odataIdentifier`, in ASCII and of a sane length.
fn is_property_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= MAX_NAME_BYTES
}

/// The pieces between commas that are not inside parentheses. Those that do not match stay in their piece, and no
/// step, option or name has any, so the piece is refused.
fn split_outside_parentheses(list: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    list.split(move |symbol| {
        match symbol {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        symbol == ',' && !inside
    })
}

/// The navigation properties of `userFlowApiConnectorConfiguration`, and the versions that have them.
const STEPS: [(&str, &[ApiVersion]); 3] = [
    ("postFederationSignup", ApiVersion::ALL),
    ("postAttributeCollection", ApiVersion::ALL),
    ("preTokenIssuance", &[ApiVersion::Beta]),
];
/// Names in one `$select`; the connector has four properties.
const MAX_SELECTED_NAMES: usize = 16;
/// Bytes of one name.
const MAX_NAME_BYTES: usize = 64;
