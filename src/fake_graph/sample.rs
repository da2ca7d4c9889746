//! Sample data at start: three tenants with the same flow ids and different contents.
//!
//! Every credential is planted: unique, recognisable and listed, so that a test can search all output of the proxy for
//! it.

use uuid::Uuid;

use super::connector::{basic, client_certificate, pkcs12};
use super::directory::{Directory, Flow, Step};
use super::names::guid;

/// The default tenant of a token.
pub const CONTOSO: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
/// The second tenant.
pub const FABRIKAM: &str = "5f571e91-72d8-4c9a-8f0e-93e4f8cdef31";
/// The third tenant.
pub const NORTHWIND: &str = "0b1d3c77-90aa-4a0c-b0b5-6e5910659bad";

/// A flow with connectors for all three steps: Basic authentication, a function key, a signed Logic Apps URL.
pub const SIGN_UP: &str = "B2X_1_signup";
/// A flow with certificates in both shapes, and no connector before the token is issued.
pub const PARTNERS: &str = "B2X_1_partners";
/// A flow with one connector, whose URL has a user name and a password.
pub const INVITATIONS: &str = "B2X_1_invitations";
/// A flow without connectors.
pub const BARE: &str = "B2X_1_bare";
/// A B2C flow with a connector, whose URL has a function key, before the token is issued.
pub const B2C_SIGN_UP: &str = "B2C_1_signup";

/// All planted credentials.
#[derive(Default)]
pub(crate) struct PlantedSecrets(Vec<String>);

impl PlantedSecrets {
    /// Creates a credential, `planted-<kind>-<32 hex digits>`.
    pub(crate) fn plant(&mut self, kind: &str) -> String {
        let secret = format!("planted-{kind}-{}", Uuid::new_v4().simple());
        self.0.push(secret.clone());
        secret
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// Fills the directory with the sample tenants.
pub(crate) fn add_sample_data(directory: &mut Directory, planted: &mut PlantedSecrets) {
    for (tenant, host) in [(CONTOSO, "contoso"), (FABRIKAM, "fabrikam"), (NORTHWIND, "northwind")] {
        directory.put(tenant, sign_up(host, planted));
        directory.put(tenant, partners(host, planted));
        directory.put(tenant, invitations(host, planted));
        directory.put(tenant, Flow::new(BARE));
        directory.put(tenant, b2c_sign_up(host, planted));
    }
}

fn sign_up(host: &str, planted: &mut PlantedSecrets) -> Flow {
    let mut plant = |kind| planted.plant(kind);
    let fraud = format!("https://api.{host}.example/fraud-check");
    let function = format!("https://{host}.azurewebsites.net/api/enrich?code={}", plant("code"));
    let logic_app = format!(
        "https://prod-03.westus.logic.azure.com:443/workflows/{}/triggers/manual/run\
         ?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={}",
        guid(&["workflow", host]).replace('-', ""),
        plant("sig"),
    );
    Flow::new(SIGN_UP)
        .connector(
            Step::PostFederationSignup,
            basic("Fraud check", &fraud, &plant("username"), &plant("password")),
        )
        .connector(
            Step::PostAttributeCollection,
            basic("Enrich profile", &function, &plant("username"), &plant("password")),
        )
        .connector(
            Step::PreTokenIssuance,
            basic("Add claims", &logic_app, &plant("username"), &plant("password")),
        )
}

fn partners(host: &str, planted: &mut PlantedSecrets) -> Flow {
    let thumbprint = |which| {
        guid(&["certificate", &format!("{host} {which}")]).replace('-', "").to_uppercase() + "0EB255CB"
    };
    let approval = format!("https://approvals.{host}.example/start");
    Flow::new(PARTNERS)
        .connector(
            Step::PostFederationSignup,
            client_certificate("Approval", &approval, &[&thumbprint("current"), &thumbprint("next")]),
        )
        .connector(
            Step::PostAttributeCollection,
            pkcs12("Approval upload", &approval, &planted.plant("pkcs12"), &planted.plant("password")),
        )
}

fn invitations(host: &str, planted: &mut PlantedSecrets) -> Flow {
    let (user, password) = (planted.plant("userinfo"), planted.plant("password"));
    let target = format!("https://{user}:{password}@invite.{host}.example/check");
    let connector =
        basic("Invitation check", &target, &planted.plant("username"), &planted.plant("password"));
    Flow::new(INVITATIONS).connector(Step::PostFederationSignup, connector)
}

fn b2c_sign_up(host: &str, planted: &mut PlantedSecrets) -> Flow {
    let function = format!("https://{host}.azurewebsites.net/api/claims?code={}", planted.plant("code"));
    let connector =
        basic("Loyalty claims", &function, &planted.plant("username"), &planted.plant("password"));
    Flow::b2c(B2C_SIGN_UP).connector(Step::PreTokenIssuance, connector)
}
