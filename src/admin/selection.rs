//! What a purge is to drop.

/// A subset of the cache; all of it where nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The id of a user flow.
    pub flow: Option<String>,
    /// A tenant's id, as tokens have it in `tid`.
    pub tenant: Option<String>,
    /// A subject's id, as tokens have it in `oid` or `sub`.
    pub subject: Option<String>,
}

impl Selection {
    /// Reads a query. A name that is unknown, there twice or without a value is refused: a slip must not purge
    /// more, or less, than was meant.
    pub(super) fn parse(query: &str) -> Result<Self, &'static str> {
        let mut selection = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "flow" => &mut selection.flow,
                "tenant" => &mut selection.tenant,
                "subject" => &mut selection.subject,
                _ => return Err("the query may hold flow, tenant and subject"),
            };
            if value.is_empty() || field.is_some() {
                return Err("flow, tenant and subject may each be there once, with a value");
            }
            *field = Some(value.into_owned());
        }
        Ok(selection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_selects_everything() {
        assert_eq!(Selection::parse(""), Ok(Selection::default()));
    }

    #[test]
    fn each_name_selects_by_its_value() {
        let expected =
            Selection { flow: Some("B2C_1".into()), tenant: Some("t 1".into()), subject: Some("s".into()) };
        assert_eq!(Selection::parse("subject=s&flow=B2C_1&tenant=t%201"), Ok(expected));
    }

    #[test]
    fn a_slip_purges_nothing() {
        for query in ["flow", "flow=", "flow=a&flow=a", "Flow=a", "flows=a", "flow=a&x=", "&=a"] {
            assert!(Selection::parse(query).is_err(), "{query}");
        }
    }
}
