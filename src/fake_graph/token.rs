//! Tokens for Graph with the claims that Entra ID's tokens have in captures.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::caller::{READ_WRITE, USER_FLOW_ADMINISTRATOR};
use super::issuer::Issuer;
use super::names::{app_id, service_principal_id, subject, user_id};

/// A builder of tokens. Default: user `ada`, an External ID User Flow Administrator, signed in through the app
/// `portal` with `IdentityUserFlow.ReadWrite.All`, for 75 minutes.
#[derive(Clone)]
pub struct TokenBuilder {
    issuer: Arc<Issuer>,
    tenant: String,
    user: Option<String>,
    app: String,
    scopes: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    directory_roles: Vec<String>,
    lifetime: Duration,
    /// Claims that are set (`Some`) or removed (`None`) after all others, in this order.
    changes: Vec<(String, Option<Value>)>,
}

impl TokenBuilder {
    pub(crate) fn new(issuer: Arc<Issuer>, tenant: &str) -> Self {
        Self {
            issuer,
            tenant: tenant.to_owned(),
            user: Some("ada".to_owned()),
            app: "portal".to_owned(),
            scopes: None,
            roles: None,
            directory_roles: vec![USER_FLOW_ADMINISTRATOR.to_owned()],
            lifetime: Duration::from_mins(75),
            changes: Vec::new(),
        }
    }

    /// Sets the tenant's id.
    #[must_use]
    pub fn tenant(mut self, id: &str) -> Self {
        id.clone_into(&mut self.tenant);
        self
    }

    /// Sets the signed-in user: a name or an object id.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self
    }

    /// Makes an app-only token: `name` is a name or an application id.
    #[must_use]
    pub fn app(mut self, name: &str) -> Self {
        self.user = None;
        self.via(name)
    }

    /// Sets the client app: a name or an application id. Keeps the user.
    #[must_use]
    pub fn via(mut self, app: &str) -> Self {
        app.clone_into(&mut self.app);
        self
    }

    /// Sets `scp`, the permissions that the user granted to the client app.
    #[must_use]
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = Some(to_strings(scopes));
        self
    }

    /// Sets `roles`, the permissions of the app itself.
    #[must_use]
    pub fn roles(mut self, roles: &[&str]) -> Self {
        self.roles = Some(to_strings(roles));
        self
    }

    /// Sets `wids`, the templates of the user's directory roles.
    #[must_use]
    pub fn directory_roles(mut self, templates: &[&str]) -> Self {
        self.directory_roles = to_strings(templates);
        self
    }

    /// Sets the time from now to `exp`.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets a claim to any value.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.changes.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.changes.push((name.to_owned(), None));
        self
    }

    /// Returns the signed token, 1.5 to 2 KB with its usual claims.
    pub fn mint(self) -> String {
        let payload = self.payload();
        self.issuer.sign_jwt(&payload)
    }

    /// Returns a token for the same caller that Graph accepts and other parties cannot read.
    pub fn mint_opaque(self) -> String {
        let payload = self.payload();
        self.issuer.seal_opaque(&payload)
    }

    fn payload(&self) -> String {
        let mut claims = self.common_claims();
        match &self.user {
            Some(user) => self.add_user(user, &mut claims),
            None => self.add_app(&mut claims),
        }
        for (name, value) in &self.changes {
            match value {
                Some(value) => claims.insert(name.clone(), value.clone()),
                None => claims.remove(name),
            };
        }
        Value::Object(claims).to_string()
    }

    fn common_claims(&self) -> Map<String, Value> {
        let tenant = &self.tenant;
        let now = self.issuer.now();
        let unique = Uuid::new_v4().to_string();
        let claims = [
            ("aud", json!("https://graph.microsoft.com")),
            ("iss", json!(format!("https://sts.windows.net/{tenant}/"))),
            ("nbf", json!(now)),
            ("exp", json!(now.saturating_add(self.lifetime.as_secs()))),
            ("aio", json!(format!("k2RgY{}==", subject("aio", &unique)))),
            ("app_displayname", json!(self.app)),
            ("appid", json!(app_id(&self.app))),
            ("appidacr", json!("1")),
            ("rh", json!(format!("1.AXkA{}AAA.", subject("rh", tenant)))),
            ("tenant_region_scope", json!("EU")),
            ("tid", json!(tenant)),
            ("uti", json!(subject("uti", &unique).get(..22))),
            ("ver", json!("1.0")),
            ("xms_cc", json!(["cp1"])),
            ("xms_ftd", json!(subject("ftd", &unique))),
            ("xms_tcdt", json!(1_577_836_800)),
        ];
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn add_user(&self, user: &str, claims: &mut Map<String, Value>) {
        let object = user_id(&self.tenant, user);
        let principal_name = format!("{user}@{}.example", self.tenant);
        let own = subject("sid", &object);
        let scopes = self
            .scopes
            .clone()
            .unwrap_or_else(|| to_strings(&["openid", "profile", "User.Read", READ_WRITE]));
        let added = [
            ("acct", json!(0)),
            ("acr", json!("1")),
            ("amr", json!(["pwd", "mfa"])),
            ("iat", json!(self.issuer.issue_time(&object))),
            ("idtyp", json!("user")),
            ("ipaddr", json!("203.0.113.7")),
            ("name", json!(user)),
            ("platf", json!("3")),
            ("puid", json!(own.get(..16))),
            ("scp", json!(scopes.join(" "))),
            ("sid", json!(user_id("session", &own))),
            ("sub", json!(subject(&self.tenant, &object))),
            ("unique_name", json!(principal_name)),
            ("upn", json!(principal_name)),
            ("wids", json!(self.directory_roles)),
            ("xms_idrel", json!("1 2")),
            ("xms_st", json!({"sub": subject(&app_id(&self.app), &object)})),
            ("oid", json!(object)),
        ];
        claims.extend(added.map(|(name, value)| (name.to_owned(), value)));
        if let Some(roles) = &self.roles {
            claims.insert("roles".to_owned(), json!(roles));
        }
    }

    fn add_app(&self, claims: &mut Map<String, Value>) {
        let object = service_principal_id(&self.tenant, &self.app);
        let roles = self
            .roles
            .clone()
            .unwrap_or_else(|| to_strings(&["User.Read.All", "Group.Read.All", READ_WRITE]));
        let added = [
            ("iat", json!(self.issuer.issue_time(&object))),
            ("idp", json!(format!("https://sts.windows.net/{}/", self.tenant))),
            ("idtyp", json!("app")),
            ("roles", json!(roles)),
            ("sub", json!(object)),
            // Every token of a service principal has this template, which grants nothing.
            ("wids", json!(["0997a1d0-0d1d-4acb-b408-d5ca73121e90"])),
            ("xms_idrel", json!("7 16")),
            ("xms_rd", json!(subject("rd", &object))),
            ("xms_sub_fct", json!("3 9")),
            ("xms_act_fct", json!("9 3")),
            ("oid", json!(object)),
        ];
        claims.extend(added.map(|(name, value)| (name.to_owned(), value)));
        if let Some(scopes) = &self.scopes {
            claims.insert("scp".to_owned(), json!(scopes.join(" ")));
        }
    }
}

fn to_strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|item| (*item).to_owned()).collect()
}

#[cfg(test)]
mod tests;
