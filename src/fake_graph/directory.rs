//! The tenants, their user flows, and who may not read which.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use crate::support::labels::labels;

labels! {
    /// A step of a user flow that may call an API connector: a navigation property of the configuration.
    pub enum Step {
        /// After federating with an identity provider.
        PostFederationSignup = "postFederationSignup",
        /// Before the user is created.
        PostAttributeCollection = "postAttributeCollection",
        /// Before the token is issued. On beta only.
        PreTokenIssuance = "preTokenIssuance",
    }
}

/// A user flow and the connectors of its steps. A step without a connector is `null` in an answer.
#[derive(Clone, Debug)]
pub struct Flow {
    id: String,
    connectors: HashMap<Step, Value>,
}

impl Flow {
    /// A flow without connectors. Graph prefixes ids with `B2X_1_`.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), connectors: HashMap::new() }
    }

    /// Gives a step its connector: the JSON of an `identityApiConnector`, such as the module `connector` makes.
    #[must_use]
    pub fn connector(mut self, step: Step, connector: Value) -> Self {
        self.connectors.insert(step, connector);
        self
    }

    /// The flow's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn connector_of(&self, step: Step) -> Option<&Value> {
        self.connectors.get(&step)
    }
}

/// Every tenant that Graph knows.
#[derive(Default)]
pub(crate) struct Directory {
    tenants: BTreeMap<String, BTreeMap<String, Flow>>,
    /// An object id or a whole token, and the id of the flow that it may not read.
    denied: HashSet<(String, String)>,
}

impl Directory {
    /// Adds or replaces a flow, and its tenant when there is none of that id.
    pub(crate) fn put(&mut self, tenant: &str, flow: Flow) {
        self.tenants.entry(tenant.to_owned()).or_default().insert(flow.id.clone(), flow);
    }

    pub(crate) fn remove(&mut self, tenant: &str, flow: &str) {
        if let Some(flows) = self.tenants.get_mut(tenant) {
            flows.remove(flow);
        }
    }

    pub(crate) fn has_tenant(&self, tenant: &str) -> bool {
        self.tenants.contains_key(tenant)
    }

    pub(crate) fn flow(&self, tenant: &str, flow: &str) -> Option<&Flow> {
        self.tenants.get(tenant)?.get(flow)
    }

    /// The ids of the tenants, and of each one's flows.
    pub(crate) fn listing(&self) -> Vec<(String, Vec<String>)> {
        let flows = |flows: &BTreeMap<String, Flow>| flows.keys().cloned().collect();
        self.tenants.iter().map(|(tenant, held)| (tenant.clone(), flows(held))).collect()
    }

    pub(crate) fn deny(&mut self, who: &str, flow: &str) {
        self.denied.insert((who.to_owned(), flow.to_owned()));
    }

    pub(crate) fn allow(&mut self, who: &str, flow: &str) {
        self.denied.remove(&(who.to_owned(), flow.to_owned()));
    }

    pub(crate) fn is_denied(&self, who: &str, flow: &str) -> bool {
        self.denied.contains(&(who.to_owned(), flow.to_owned()))
    }
}
