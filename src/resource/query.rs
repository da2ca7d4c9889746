//! `$expand` and `$select`: the part of OData's grammar that this resource supports.
//!
//! Options are decoded once, parsed into sets, and written in sorted order: OData ignores order and encoding (OData URL
//! Conventions 4.01, sections 5.1.3 and 5.1.4), so they do not change the key. An unknown option is rejected: without it
//! the response would not be the one that the caller requested.

use url::form_urlencoded;

use super::ApiVersion;
use crate::support::labels::Label;

/// Expansion of each step, in the order in which steps are forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Expand([Expansion; STEPS.len()]);

/// Expansion of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Expansion {
    #[default]
    Absent,
    Whole,
    Selected(PropertyNames),
}

/// Set of property names, sorted. An empty set means that the option is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PropertyNames(Vec<Box<str>>);

/// Parses a raw query. Returns `None` for a query that this resource does not support. Empty parameters (`?`, a trailing
/// `&`) are ignored.
pub(super) fn parse(query: &str, version: ApiVersion) -> Option<(Expand, PropertyNames)> {
    let (mut expand, mut select) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let is_duplicate = match &*name {
            "$expand" | "expand" => expand.replace(Expand::parse(&value, version)?).is_some(),
            "$select" | "select" => select.replace(PropertyNames::parse(&value)?).is_some(),
            _ => return None,
        };
        if is_duplicate {
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
            let expansion = match options {
                None => Expansion::Whole,
                Some(options) => {
                    let (option, names) = options.split_once('=')?;
                    matches!(option, "$select" | "select").then_some(())?;
                    Expansion::Selected(PropertyNames::parse(names)?)
                }
            };
            let slot = expand.0.get_mut(step)?;
            // A repeated step with equal options is the same set; with other options the request is ambiguous.
            if *slot != Expansion::Absent && *slot != expansion {
                return None;
            }
            *slot = expansion;
        }
        Some(expand)
    }

    /// Returns whether no step is expanded.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|step| *step == Expansion::Absent)
    }

    /// Appends the option's value in its canonical form.
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

    /// Returns whether the option is absent.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the option's value in its canonical form.
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

/// Returns whether `name` is an `odataIdentifier` in ASCII within the length limit.
fn is_property_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= MAX_NAME_BYTES
}

/// Splits a list at commas outside parentheses. An unbalanced parenthesis stays in its item and causes a rejection,
/// because no step, option or name contains a parenthesis.
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
/// Limit on the names in one `$select`. The connector has four properties.
const MAX_SELECTED_NAMES: usize = 16;
/// Limit on the length of one name.
const MAX_NAME_BYTES: usize = 64;
