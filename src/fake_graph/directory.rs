//! The tenants, their user flows, and the denied callers.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::support::labels::{Label, labels};

labels! {
    /// A step of a user flow that can call an API connector: a navigation property of the configuration.
    pub enum Step {
        /// After federating with an identity provider.
        PostFederationSignup = "postFederationSignup",
        /// Before the user is created.
        PostAttributeCollection = "postAttributeCollection",
        /// Before the token is issued. On beta only.
        PreTokenIssuance = "preTokenIssuance",
    }
}

labels! {
    /// The kind of a user flow, by the collection that it is in.
    pub enum FlowCollection {
        /// A flow for guests of a workforce tenant.
        B2x = "b2xUserFlows",
        /// A flow of an Azure AD B2C tenant. On beta only.
        B2c = "b2cUserFlows",
    }
}

/// A user flow and the connectors of its steps. A step without a connector is `null` in the response.
#[derive(Clone, Debug)]
pub struct Flow {
    kind: FlowCollection,
    id: String,
    connectors: HashMap<Step, Value>,
}

impl Flow {
    /// Creates a flow without connectors. Graph's ids begin with `B2X_1_`.
    pub fn new(id: &str) -> Self {
        Self { kind: FlowCollection::B2x, id: id.to_owned(), connectors: HashMap::new() }
    }

    /// Creates a B2C flow without connectors. Graph's ids begin with `B2C_1_`.
    pub fn b2c(id: &str) -> Self {
        Self { kind: FlowCollection::B2c, ..Self::new(id) }
    }

    /// Sets the connector of a step: the JSON of an `identityApiConnector`, for example from the module `connector`.
    #[must_use]
    pub fn connector(mut self, step: Step, connector: Value) -> Self {
        self.connectors.insert(step, connector);
        self
    }

    /// Returns the flow's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the flow's kind.
    pub fn kind(&self) -> FlowCollection {
        self.kind
    }

    pub(crate) fn connector_of(&self, step: Step) -> Option<&Value> {
        self.connectors.get(&step)
    }
}

/// All tenants.
#[derive(Default)]
pub(crate) struct Directory {
    /// By tenant; the flows by kind and id.
    tenants: BTreeMap<String, BTreeMap<(&'static str, String), Flow>>,
    /// An object id or a whole token, and the id of the denied flow.
    denied: HashSet<(String, String)>,
}

impl Directory {
    /// Adds or replaces a flow. Creates the tenant if it does not exist.
    pub(crate) fn put(&mut self, tenant: &str, flow: Flow) {
        let key = (flow.kind.as_str(), flow.id.clone());
        self.tenants.entry(tenant.to_owned()).or_default().insert(key, flow);
    }

    /// Removes the flows of both kinds with this id.
    pub(crate) fn remove(&mut self, tenant: &str, flow: &str) {
        if let Some(flows) = self.tenants.get_mut(tenant) {
            flows.retain(|(_, id), _| id != flow);
        }
    }

    pub(crate) fn has_tenant(&self, tenant: &str) -> bool {
        self.tenants.contains_key(tenant)
    }

    pub(crate) fn flow(&self, tenant: &str, kind: FlowCollection, flow: &str) -> Option<&Flow> {
        self.tenants.get(tenant)?.get(&(kind.as_str(), flow.to_owned()))
    }

    /// Returns the id of each tenant with its flows.
    pub(crate) fn listing(&self) -> Vec<(String, Vec<Flow>)> {
        let flows = |flows: &BTreeMap<_, Flow>| flows.values().cloned().collect();
        self.tenants.iter().map(|(tenant, held)| (tenant.clone(), flows(held))).collect()
    }

    pub(crate) fn deny(&mut self, subject: &str, flow: &str) {
        self.denied.insert((subject.to_owned(), flow.to_owned()));
    }

    pub(crate) fn allow(&mut self, subject: &str, flow: &str) {
        self.denied.remove(&(subject.to_owned(), flow.to_owned()));
    }

    pub(crate) fn is_denied(&self, subject: &str, flow: &str) -> bool {
        self.denied.contains(&(subject.to_owned(), flow.to_owned()))
    }
}
