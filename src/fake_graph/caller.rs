//! The caller and its permissions, from claims that the issuer has verified.

use serde_json::{Map, Value};

/// The claims that decide access.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedCaller {
    /// `tid`.
    pub(crate) tenant: String,
    /// `oid`, else `sub`.
    pub(crate) object: String,
    /// `appid`, else `azp`.
    pub(crate) app: String,
    /// True if the token has a signed-in user (`scp`), false if it is app-only (`roles`).
    delegated: bool,
    permissions: Vec<String>,
    directory_roles: Vec<String>,
}

impl VerifiedCaller {
    /// Reads verified claims. A missing claim is empty and grants nothing.
    pub(crate) fn from_claims(claims: &Map<String, Value>) -> Self {
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| claims.get(*name).and_then(Value::as_str));
            found.unwrap_or_default().to_owned()
        };
        let delegated = claims.contains_key("scp");
        let permissions = if delegated {
            text(&["scp"]).split(' ').map(str::to_owned).collect()
        } else {
            strings(claims.get("roles"))
        };
        Self {
            tenant: text(&["tid"]),
            object: text(&["oid", "sub"]),
            app: text(&["appid", "azp"]),
            delegated,
            permissions,
            directory_roles: strings(claims.get("wids")),
        }
    }

    /// Returns whether the caller may read user flows: it needs a permission, and a user needs a directory role as
    /// well.
    pub(crate) fn reads_user_flows(&self) -> bool {
        let permitted = self.permissions.iter().any(|held| PERMISSIONS.contains(&held.as_str()));
        let in_role = self.directory_roles.iter().any(|held| DIRECTORY_ROLES.contains(&held.as_str()));
        permitted && (in_role || !self.delegated)
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The default permission in `scp` or `roles`.
pub(crate) const READ_WRITE: &str = "IdentityUserFlow.ReadWrite.All";

/// The role template of External ID User Flow Administrator, for `wids`.
pub const USER_FLOW_ADMINISTRATOR: &str = "6e591065-9bad-43ed-90f3-e9424366d2f0";

/// The role template of Global Administrator, for `wids`.
pub const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

const PERMISSIONS: [&str; 2] = [READ_WRITE, "IdentityUserFlow.Read.All"];
const DIRECTORY_ROLES: [&str; 2] = [USER_FLOW_ADMINISTRATOR, GLOBAL_ADMINISTRATOR];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn may_read(claims: &Value) -> bool {
        VerifiedCaller::from_claims(claims.as_object().unwrap()).reads_user_flows()
    }

    #[test]
    fn a_user_needs_the_permission_and_a_directory_role() {
        assert!(may_read(
            &json!({"scp": "User.Read IdentityUserFlow.Read.All", "wids": [GLOBAL_ADMINISTRATOR]})
        ));
    }

    #[test]
    fn a_user_without_a_directory_role_may_not_read() {
        assert!(!may_read(&json!({"scp": READ_WRITE, "wids": []})));
    }

    #[test]
    fn a_user_without_the_permission_may_not_read() {
        assert!(!may_read(&json!({"scp": "User.Read", "wids": [GLOBAL_ADMINISTRATOR]})));
    }

    #[test]
    fn an_app_needs_only_the_permission() {
        assert!(may_read(&json!({"roles": [READ_WRITE]})));
    }

    #[test]
    fn the_roles_claim_does_not_help_a_user() {
        assert!(!may_read(
            &json!({"scp": "User.Read", "roles": [READ_WRITE], "wids": [GLOBAL_ADMINISTRATOR]})
        ));
    }
}
