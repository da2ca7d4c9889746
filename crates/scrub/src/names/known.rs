//! Common names in Graph's responses, classified in advance.

use super::FieldClass;

/// Names in Graph's own spelling with their classes, by length.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownNames(Vec<Vec<(&'static str, FieldClass)>>);

impl KnownNames {
    /// Classifies each name once by `classify`.
    pub(super) fn new(classify: impl Fn(&str) -> FieldClass) -> Self {
        let mut by_length = Vec::new();
        for name in COMMON_NAMES {
            if by_length.len() <= name.len() {
                by_length.resize(name.len() + 1, Vec::new());
            }
            by_length[name.len()].push((*name, classify(name)));
        }
        Self(by_length)
    }

    /// Returns the class of a name, if it is a common one.
    pub(super) fn get(&self, name: &str) -> Option<FieldClass> {
        let names = self.0.get(name.len())?;
        names.iter().find(|(known_names, _)| *known_names == name).map(|&(_, field_class)| field_class)
    }
}

/// The members and annotations of this resource, of its errors and of lists.
const COMMON_NAMES: &[&str] = &[
    "@odata.context",
    "@odata.type",
    "authenticationConfiguration",
    "authenticationConfiguration@odata.type",
    "certificateList",
    "client-request-id",
    "code",
    "date",
    "details",
    "displayName",
    "error",
    "id",
    "innerError",
    "innererror",
    "isActive",
    "message",
    "notAfter",
    "notBefore",
    "password",
    "pkcs12Value",
    "postAttributeCollection",
    "postAttributeCollection@odata.context",
    "postFederationSignup",
    "postFederationSignup@odata.context",
    "preTokenIssuance",
    "preTokenIssuance@odata.context",
    "request-id",
    "target",
    "targetUrl",
    "thumbprint",
    "username",
    "value",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_common_name_has_the_class_of_the_classifier() {
        let classified_names = std::cell::RefCell::new(Vec::new());
        let known_names = KnownNames::new(|name| {
            classified_names.borrow_mut().push(name.to_owned());
            if name.len() % 2 == 0 { FieldClass::Allowed } else { FieldClass::Action(None) }
        });
        assert_eq!(classified_names.into_inner(), COMMON_NAMES);
        for name in COMMON_NAMES {
            let field_class =
                if name.len() % 2 == 0 { FieldClass::Allowed } else { FieldClass::Action(None) };
            assert_eq!(known_names.get(name), Some(field_class), "{name}");
        }
    }

    #[test]
    fn another_spelling_is_not_a_common_name() {
        let known_names = KnownNames::new(|_| FieldClass::Unknown);
        let long = "x".repeat(100);
        for name in ["", "ID", "ix", "i", "targetURL", "id ", "displayname", "Password", "\u{e9}", &long] {
            assert_eq!(known_names.get(name), None, "{name}");
        }
        assert_eq!(KnownNames::default().get(""), None);
    }
}
