//! The schema of the resource: kinds of objects, their members, and the class of each member's value.
//!
//! Sources: the v1.0 and beta metadata of Microsoft Graph for `userFlowApiConnectorConfiguration`,
//! `identityApiConnector`, `basicAuthentication`, `clientCertificateAuthentication`, `pkcs12Certificate` and
//! `pkcs12CertificateInformation`; OData JSON Format 4.01, section 4.5, for annotations and section 21 for errors. The
//! members that are credentials (`password`, `pkcs12Value`) are left out on purpose: the keyword index in `names.rs`
//! has them and applies to every kind.

use super::values::is_graph_name;

/// The kind of an object, which position and declared type determine, wherever in the object the type stands: a type
/// that does not belong to the position seals the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// The document: a `userFlowApiConnectorConfiguration`, or an error response.
    Root,
    /// An `identityApiConnector`: the object of a step, or one that declares the type.
    Connector,
    /// An object in a position that the schema does not list: its declared type determines the kind. Without a type no
    /// string of its own passes, but the connectors of its steps do.
    Wrapper,
    /// An authentication configuration of any type.
    Authentication,
    /// A `pkcs12CertificateInformation`.
    Certificate,
    /// Graph's error object, or one of its details.
    Error,
    /// The inner error of an error.
    InnerError,
    /// A bound action, as `odata.metadata=full` lists it.
    Action,
    /// An object in place of another value: none of its strings passes.
    Opaque,
    /// An opaque object inside an authentication configuration, or an object with a type that does not belong to its
    /// position: numbers are masked too, and `scrub.unknown = "keep"` does not apply.
    Sealed,
}

/// The kinds of declared types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypeKind {
    /// A `userFlowApiConnectorConfiguration`.
    Configuration,
    /// An `identityApiConnector`.
    Connector,
    /// An authentication configuration of any type, or the certificate of one.
    Authentication,
    /// A `pkcs12CertificateInformation`.
    Certificate,
    /// An error, or a part of one.
    Error,
    /// Any other type.
    Other,
}

impl TypeKind {
    /// Returns the kind of a type from its name.
    pub(super) fn from_name(name: &str) -> Self {
        let name = name.strip_prefix('#').unwrap_or(name);
        let Some((_, own)) = name.split_at_checked(NAMESPACE.len()).filter(|_| is_graph_name(name)) else {
            return Self::Other;
        };
        let is = |known: &str| own.eq_ignore_ascii_case(known);
        let ends = |end: &str| {
            own.len().checked_sub(end.len()).is_some_and(|at| own[at..].eq_ignore_ascii_case(end))
        };
        if is("identityApiConnector") {
            Self::Connector
        } else if is("userFlowApiConnectorConfiguration") {
            Self::Configuration
        } else if ends("authentication") || is("pkcs12Certificate") {
            Self::Authentication
        } else if is("pkcs12CertificateInformation") {
            Self::Certificate
        } else if ["publicError", "publicInnerError", "publicErrorDetail"].into_iter().any(is) {
            Self::Error
        } else {
            Self::Other
        }
    }
}

/// A member that the schema knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Id,
    DisplayName,
    TargetUrl,
    Authentication,
    Username,
    CertificateList,
    Thumbprint,
    IsActive,
    Validity,
    Error,
    Code,
    Message,
    Target,
    Details,
    InnerError,
    Date,
    RequestId,
    Status,
    Title,
    Type,
}

/// The class of a string, which determines the check of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueClass {
    /// The id of a connector.
    Identifier,
    /// Free text: credentials in it are masked.
    Text,
    /// A URL: user info, query values, path segments with a value, and the fragment are masked.
    Url,
    /// The id of a request.
    RequestId,
    /// A date with a time.
    Date,
    /// The hash of a certificate.
    Thumbprint,
    /// A number, which is a string under `IEEE754Compatible=true`.
    Number,
    /// The number of elements of a collection.
    Count,
    /// A boolean: no string is one.
    Flag,
    /// The name of a type.
    TypeName,
    /// The name of an action.
    ActionTitle,
    /// A link to Graph, or a context URL.
    Link,
}

/// The rule for a member in an object of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberRule {
    /// A string of this class.
    Value(ValueClass),
    /// An object of this kind, or an array of them.
    Objects(ObjectKind),
    /// The user name of an authentication configuration.
    Username,
    /// The schema does not know the member here.
    Unknown,
}

impl ObjectKind {
    /// Returns the rule for a known member in an object of this kind.
    #[expect(clippy::match_same_arms, reason = "a row for each kind and member, as in the metadata")]
    pub(super) fn rule(self, member: Member) -> MemberRule {
        use MemberRule::{Objects, Value};
        match (self, member) {
            (Self::Root, Member::Error) => Objects(Self::Error),
            (Self::Root | Self::Connector, Member::Id) => Value(ValueClass::Identifier),
            (Self::Root | Self::Connector, Member::DisplayName) => Value(ValueClass::Text),
            (Self::Root | Self::Connector, Member::TargetUrl) => Value(ValueClass::Url),
            (Self::Root | Self::Connector | Self::Wrapper, Member::Authentication) => {
                Objects(Self::Authentication)
            }
            (Self::Authentication, Member::Username) => MemberRule::Username,
            (Self::Authentication, Member::CertificateList) => Objects(Self::Certificate),
            (Self::Certificate, Member::Thumbprint) => Value(ValueClass::Thumbprint),
            (Self::Certificate, Member::IsActive) => Value(ValueClass::Flag),
            (Self::Certificate, Member::Validity) => Value(ValueClass::Number),
            (Self::Error, Member::Target) => Value(ValueClass::Text),
            (Self::Error, Member::Details) => Objects(Self::Error),
            (Self::Error | Self::InnerError, Member::Code | Member::Message)
            | (Self::InnerError, Member::Type) => Value(ValueClass::Text),
            (Self::Error | Self::InnerError, Member::InnerError) => Objects(Self::InnerError),
            (Self::InnerError, Member::Date) => Value(ValueClass::Date),
            (Self::InnerError, Member::RequestId) => Value(ValueClass::RequestId),
            (Self::InnerError, Member::Status) => Value(ValueClass::Number),
            (Self::Action, Member::Title) => Value(ValueClass::ActionTitle),
            (Self::Action, Member::Target) => Value(ValueClass::Link),
            _ => MemberRule::Unknown,
        }
    }

    /// Returns the kind of an object under an unknown member.
    pub(super) fn unknown_child(self) -> Self {
        match self {
            Self::Root | Self::Connector | Self::Wrapper => Self::Wrapper,
            _ => self.opaque_child(),
        }
    }

    /// Returns the kind of an object in place of a string.
    pub(super) fn opaque_child(self) -> Self {
        if self.is_strict() { Self::Sealed } else { Self::Opaque }
    }

    /// Returns whether only the known members of the object pass, and neither unknown strings nor numbers: it is, or is
    /// in, an authentication configuration, is sealed, or is an action.
    pub(super) fn is_strict(self) -> bool {
        matches!(self, Self::Authentication | Self::Certificate | Self::Sealed | Self::Action)
    }

    /// Returns whether the object can advertise actions: the schema or its type knows the kind.
    pub(super) fn has_actions(self) -> bool {
        matches!(self, Self::Root | Self::Connector | Self::Authentication | Self::Certificate)
    }

    /// Returns whether the objects under the names of steps are connectors.
    pub(super) fn has_steps(self) -> bool {
        matches!(self, Self::Root | Self::Wrapper)
    }

    /// Returns the kind of an object in this position with a declared type.
    pub(super) fn with_declared_type(self, declared: TypeKind) -> Self {
        match (self, declared) {
            (Self::Root, TypeKind::Configuration)
            | (Self::Connector, TypeKind::Connector)
            | (Self::Authentication, TypeKind::Authentication)
            | (Self::Certificate, TypeKind::Certificate)
            | (Self::Error | Self::InnerError, TypeKind::Error) => self,
            (Self::Root | Self::Wrapper, TypeKind::Connector) => Self::Connector,
            (Self::Wrapper, TypeKind::Configuration) => Self::Wrapper,
            (Self::Wrapper, TypeKind::Authentication) => Self::Authentication,
            (Self::Wrapper, TypeKind::Certificate) => Self::Certificate,
            _ => Self::Sealed,
        }
    }
}

/// Returns the member for a name, in any letter case: Graph's property names are not case-sensitive (its own
/// documentation writes `innerError` and `innererror`).
pub(super) fn member(name: &str) -> Option<Member> {
    MEMBERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, member)| member)
}

/// Returns whether a name is that of a step: one of the three known ones, or `pre`, `post` or `on` followed by an
/// event, as Graph names them.
pub(super) fn is_step(name: &str) -> bool {
    let event = ["pre", "post", "on"].iter().find_map(|prefix| name.strip_prefix(prefix));
    let is_event = |event: &str| {
        event.starts_with(|first: char| first.is_ascii_uppercase())
            && event.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    name.len() <= MAX_STEP_BYTES && event.is_some_and(is_event)
        || STEPS.iter().any(|step| step.eq_ignore_ascii_case(name))
}

const NAMESPACE: &str = "microsoft.graph.";
const STEPS: [&str; 3] = ["postFederationSignup", "postAttributeCollection", "preTokenIssuance"];
/// The longest event of Graph has 58 letters.
const MAX_STEP_BYTES: usize = 64;

const MEMBERS: &[(&str, Member)] = &[
    ("id", Member::Id),
    ("displayName", Member::DisplayName),
    ("targetUrl", Member::TargetUrl),
    ("authenticationConfiguration", Member::Authentication),
    ("username", Member::Username),
    ("certificateList", Member::CertificateList),
    ("thumbprint", Member::Thumbprint),
    ("isActive", Member::IsActive),
    ("notBefore", Member::Validity),
    ("notAfter", Member::Validity),
    ("error", Member::Error),
    ("code", Member::Code),
    ("message", Member::Message),
    ("target", Member::Target),
    ("details", Member::Details),
    ("innerError", Member::InnerError),
    ("date", Member::Date),
    ("request-id", Member::RequestId),
    ("client-request-id", Member::RequestId),
    ("status", Member::Status),
    ("title", Member::Title),
    ("type", Member::Type),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_known_one_or_a_prefix_and_an_event() {
        for name in ["postFederationSignup", "PreTokenIssuance", "postTokenIssuance", "onOtpSend", "preX"] {
            assert!(is_step(name), "{name}");
        }
        let long = format!("on{}", "A".repeat(63));
        for name in ["on", "once", "postal", "pre", "onToken1", "on-Token", "xonToken", "OnToken", "", &long]
        {
            assert!(!is_step(name), "{name}");
        }
    }

    #[test]
    fn a_type_decides_where_the_position_does_not_and_seals_where_it_does_not_belong() {
        use ObjectKind::{Authentication, Certificate, Connector, Error, Root, Sealed, Wrapper};
        for (name, root, connector, wrapper, authentication) in [
            ("#microsoft.graph.basicAuthentication", Sealed, Sealed, Authentication, Authentication),
            (
                "microsoft.graph.ClientCertificateAuthentication",
                Sealed,
                Sealed,
                Authentication,
                Authentication,
            ),
            ("#microsoft.graph.futureAuthentication", Sealed, Sealed, Authentication, Authentication),
            ("#microsoft.graph.pkcs12Certificate", Sealed, Sealed, Authentication, Authentication),
            ("#microsoft.graph.pkcs12CertificateInformation", Sealed, Sealed, Certificate, Sealed),
            ("#microsoft.graph.identityApiConnector", Connector, Connector, Connector, Sealed),
            ("#microsoft.graph.userFlowApiConnectorConfiguration", Root, Sealed, Wrapper, Sealed),
            ("#microsoft.graph.xidentityApiConnector", Sealed, Sealed, Sealed, Sealed),
            ("identityApiConnector", Sealed, Sealed, Sealed, Sealed),
            ("#Collection(microsoft.graph.identityApiConnector)", Sealed, Sealed, Sealed, Sealed),
            ("\u{e9}", Sealed, Sealed, Sealed, Sealed),
        ] {
            let declared = TypeKind::from_name(name);
            let kinds =
                [Root, Connector, Wrapper, Authentication].map(|kind| kind.with_declared_type(declared));
            assert_eq!(kinds, [root, connector, wrapper, authentication], "{name}");
            assert_eq!(Sealed.with_declared_type(declared), Sealed, "{name}");
        }
        assert_eq!(Error.with_declared_type(TypeKind::from_name("#microsoft.graph.publicError")), Error);
    }

    #[test]
    fn a_member_is_known_only_in_its_own_kind_of_object() {
        for (kind, member) in [
            (ObjectKind::Authentication, Member::DisplayName),
            (ObjectKind::Authentication, Member::Id),
            (ObjectKind::Connector, Member::Username),
            (ObjectKind::Connector, Member::Message),
            (ObjectKind::Connector, Member::Error),
            (ObjectKind::Root, Member::Code),
            (ObjectKind::Error, Member::Id),
            (ObjectKind::Opaque, Member::Id),
            (ObjectKind::Wrapper, Member::DisplayName),
            (ObjectKind::Wrapper, Member::TargetUrl),
            (ObjectKind::Sealed, Member::CertificateList),
            (ObjectKind::Certificate, Member::Username),
        ] {
            assert_eq!(kind.rule(member), MemberRule::Unknown, "{kind:?} {member:?}");
        }
    }
}
