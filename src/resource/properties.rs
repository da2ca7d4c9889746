//! Names that `$expand` and `$select` accept, each in the one spelling that is forwarded.
//!
//! From Graph's metadata: the complex type `userFlowApiConnectorConfiguration` has navigation properties only, one for each
//! step, and the entity type `identityApiConnector` has four properties. Graph matches names without regard to case.

use super::ApiVersion;
use crate::support::labels::Label;

/// A navigation property of the configuration.
#[derive(Debug)]
pub(super) struct ExpandedStep {
    pub(super) name: &'static str,
    versions: &'static [ApiVersion],
}

impl ExpandedStep {
    /// Returns the position in [`STEPS`] of the step with this name, in any letter case.
    pub(super) fn find(name: &str, version: ApiVersion) -> Option<usize> {
        STEPS.iter().position(|step| step.exists_on(version) && step.name.eq_ignore_ascii_case(name))
    }

    fn exists_on(&self, version: ApiVersion) -> bool {
        self.versions.contains(&version)
    }
}

/// The place of a `$select`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectPlace {
    /// The option of the request.
    Request,
    /// Nested in `$expand`.
    Nested,
}

/// Set of names in a `$select`, as bits by position in [`PROPERTIES`]. An empty set means that the option is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PropertySet(u8);

impl PropertySet {
    /// Parses a list of names in any letter case. Returns `None` for an unknown or empty name.
    ///
    /// Blanks around names are ignored: clients write `id, displayName`.
    pub(super) fn parse(list: &str, place: SelectPlace, version: ApiVersion) -> Option<Self> {
        list.split(',').try_fold(Self::default(), |set, name| {
            let name = name.trim_matches(' ');
            let known = |property: &&str| property.eq_ignore_ascii_case(name);
            let property = accepted(place, version).find(known)?;
            let position = PROPERTIES.iter().position(|known| *known == property)?;
            Some(Self(set.0 | 1 << position))
        })
    }

    /// Returns whether the option is absent.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Appends the option's value in its canonical form.
    pub(super) fn write_to(self, to: &mut String) {
        let mut separator = "";
        for (position, name) in PROPERTIES.iter().enumerate() {
            if self.0 >> position & 1 == 1 {
                to.extend([separator, name]);
                separator = ",";
            }
        }
    }
}

/// Returns the names that a `$select` accepts.
///
/// The configuration itself has no property beside its steps. The names of a connector's properties are accepted there as
/// well: SDKs send them, and Graph decides.
pub(super) fn accepted(place: SelectPlace, version: ApiVersion) -> impl Iterator<Item = &'static str> {
    PROPERTIES.into_iter().filter(move |name| {
        let step = STEPS.iter().find(|step| step.name == *name);
        step.is_none_or(|step| place == SelectPlace::Request && step.exists_on(version))
    })
}

/// Returns the names that `$expand` accepts.
pub(super) fn steps(version: ApiVersion) -> impl Iterator<Item = &'static str> {
    STEPS.iter().filter(move |step| step.exists_on(version)).map(|step| step.name)
}

/// The steps, in the order in which they are forwarded.
pub(super) const STEPS: [ExpandedStep; 3] = [
    ExpandedStep { name: "postFederationSignup", versions: ApiVersion::ALL },
    ExpandedStep { name: "postAttributeCollection", versions: ApiVersion::ALL },
    ExpandedStep { name: "preTokenIssuance", versions: &[ApiVersion::Beta] },
];
/// The properties of a connector and the steps, in the order in which they are forwarded.
const PROPERTIES: [&str; 7] = [
    "authenticationConfiguration",
    "displayName",
    "id",
    "postAttributeCollection",
    "postFederationSignup",
    "preTokenIssuance",
    "targetUrl",
];
