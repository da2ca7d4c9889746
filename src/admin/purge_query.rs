//! Query of `DELETE /cache`, which selects the entries to purge.
//!
//! A value that cannot match any entry is refused: an operator would trust the result "0 purged".

use uuid::Uuid;

use crate::resource::is_flow_id;

/// Selection of cache entries by the operator's names; all entries if no field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeQuery {
    /// Id of a user flow.
    pub flow: Option<String>,
    /// Tenant id in the form of the claim `tid`: a GUID in lower case, with hyphens.
    pub tenant: Option<String>,
    /// Subject id in the form of the claim `oid` (a GUID as above) or `sub`.
    pub subject: Option<String>,
}

impl PurgeQuery {
    /// Parses a query. An unknown name, a repeated name or a name without a value is an error: a typing error must not
    /// purge more or less than intended.
    pub(super) fn parse(query: &str) -> Result<Self, &'static str> {
        let mut selected = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let (field, value) = match &*name {
                "flow" => (&mut selected.flow, parse_flow(&value)),
                "tenant" => (&mut selected.tenant, parse_tenant(&value)),
                "subject" => (&mut selected.subject, parse_subject(&value)),
                _ => return Err("the query has an unknown name; expected are flow, tenant and subject"),
            };
            if field.is_some() {
                return Err("flow, tenant and subject may each occur once, with a value");
            }
            *field = Some(value?);
        }
        Ok(selected)
    }
}

/// Parses the id of a flow. Its case is kept, since Graph compares ids with regard to case.
fn parse_flow(value: &str) -> Result<String, &'static str> {
    let error = "flow must be the id of a user flow: 1 to 128 letters, digits, hyphens and underscores";
    if is_flow_id(value) { Ok(value.to_owned()) } else { Err(error) }
}

fn parse_tenant(value: &str) -> Result<String, &'static str> {
    let error =
        "tenant must be the tenant's id, a GUID like 11111111-2222-3333-4444-555555555555, not a domain name";
    parse_guid(value).ok_or(error)
}

/// Parses an `oid` or a `sub`. An `oid` is a GUID, and so is the `sub` of an application. The `sub` of a user is
/// base64url, 43 characters today. A value of hexadecimal digits and hyphens only is taken for a mistyped GUID.
fn parse_subject(value: &str) -> Result<String, &'static str> {
    let error = "subject must be an oid, a GUID like 11111111-2222-3333-4444-555555555555, \
        or a sub, 20 to 128 letters, digits, hyphens and underscores; not a name or an address";
    if let Some(guid) = parse_guid(value) {
        return Ok(guid);
    }
    let is_base64url = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let is_broken_guid = value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_sub = SUB_LENGTH.contains(&value.len()) && is_base64url && !is_broken_guid;
    if is_sub { Ok(value.to_owned()) } else { Err(error) }
}

/// Parses a GUID in any of its spellings: in braces or parentheses, without hyphens, in upper case.
fn parse_guid(value: &str) -> Option<String> {
    let value = value.trim();
    let inner = [('{', '}'), ('(', ')')]
        .iter()
        .find_map(|(open, close)| value.strip_prefix(*open)?.strip_suffix(*close))
        .unwrap_or(value);
    let is_plain = inner.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let guid = Uuid::try_parse(inner).ok().filter(|_| is_plain)?;
    Some(guid.hyphenated().to_string())
}

/// Characters of a `sub` that is no GUID.
const SUB_LENGTH: std::ops::RangeInclusive<usize> = 20..=128;

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb";
    const SUB: &str = "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbta_";

    fn fields(query: &str) -> Result<[Option<String>; 3], &'static str> {
        PurgeQuery::parse(query).map(|PurgeQuery { flow, tenant, subject }| [flow, tenant, subject])
    }

    #[test]
    fn no_query_selects_everything() {
        assert_eq!(PurgeQuery::parse(""), Ok(PurgeQuery::default()));
    }

    #[test]
    fn each_name_selects_by_its_value() {
        let expected =
            PurgeQuery { flow: Some("B2C_1-x".into()), tenant: Some(GUID.into()), subject: Some(SUB.into()) };
        let query = format!("subject={SUB}&flow=B2C_1-x&tenant=%7B{GUID}%7D");
        assert_eq!(PurgeQuery::parse(&query), Ok(expected));
    }

    #[test]
    fn a_guid_in_any_spelling_is_the_same_tenant_and_subject() {
        let simple = GUID.replace('-', "");
        let spellings = [
            GUID.to_owned(),
            GUID.to_uppercase(),
            simple.clone(),
            simple.to_uppercase(),
            format!("{{{GUID}}}"),
            format!("%7B{}%7D", GUID.to_uppercase()),
            format!("{{{simple}}}"),
            format!("({GUID})"),
            format!("+{GUID}%20"),
        ];
        for spelling in spellings {
            let guid = Some(GUID.to_owned());
            assert_eq!(fields(&format!("tenant={spelling}")), Ok([None, guid.clone(), None]), "{spelling}");
            assert_eq!(fields(&format!("subject={spelling}")), Ok([None, None, guid]), "{spelling}");
        }
    }

    #[test]
    fn a_value_that_no_token_has_is_refused_with_the_expected_form() {
        for tenant in ["contoso.com", "contoso", "common", &GUID[1..], &format!("{{{GUID}"), SUB, "{{}}"] {
            assert!(
                fields(&format!("tenant={tenant}")).is_err_and(|it| it.contains("a GUID like")),
                "{tenant}"
            );
        }
        for subject in [
            "ada",
            "ada@contoso.com",
            &GUID[1..],
            &format!("{GUID}}}"),
            "not-a-guid",
            "x y",
            &"a.".repeat(20),
        ] {
            assert!(fields(&format!("subject={subject}")).is_err_and(|it| it.contains("a sub")), "{subject}");
        }
        for flow in ["a b", "a%2Fb", "%C3%A4", &"a".repeat(129)] {
            assert!(fields(&format!("flow={flow}")).is_err_and(|it| it.contains("flow must be")), "{flow}");
        }
        assert_eq!(
            fields("flow=B2X_1_Case"),
            Ok([Some("B2X_1_Case".into()), None, None]),
            "the case is kept"
        );
    }

    #[test]
    fn a_mistyped_query_is_an_error() {
        for query in
            ["flow", "flow=", "tenant=", "subject=", "flow=a&flow=a", "Flow=a", "flows=a", "flow=a&x=", "&=a"]
        {
            assert!(PurgeQuery::parse(query).is_err(), "{query}");
        }
    }
}
