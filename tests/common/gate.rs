//! A gate: responses wait until the test opens it.

use std::sync::Arc;

use tokio::sync::watch;

/// Closed at first. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Returns when the gate is open.
    pub async fn opened(&self) {
        self.0.subscribe().wait_for(|open| *open).await.expect("the sender lives as long as its clones");
    }
}
