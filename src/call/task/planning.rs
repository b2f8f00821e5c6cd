//! The plan of a dial, from the configuration that the call began with.

use super::CallTask;
use crate::app::verb::Dial;
use crate::call::node::Node;
use crate::config::{Config, E164, Tenant};
use crate::dial::targets::{self, DialFacts};
use crate::dial::{DialPlan, PeerName};
use crate::registrar::Aor;
use crate::route::{Caller, Diversion};
use std::sync::Arc;

/// What the dials of one call are planned from.
pub struct Planner {
    pub config: Arc<Config>,
    pub tenant: Arc<Tenant>,
    /// Nobody for a call that an application placed.
    pub caller: Caller,
    pub shown_instead: Option<E164>,
    pub diversions: Vec<Diversion>,
}

impl Planner {
    /// The plan of a dial as things stand now; the error says what is wrong with the dial.
    pub fn plan(&self, node: &Node, dial: &Dial) -> Result<DialPlan, String> {
        let now = node.clock.now();
        let devices = |aor: &Aor| node.registrar.bindings(aor, now);
        let held = |peer: &PeerName| node.peers.is_held(peer, now);
        let facts = DialFacts {
            config: &self.config,
            tenant: &self.tenant,
            caller: &self.caller,
            shown_instead: self.shown_instead,
            diversions: &self.diversions,
            devices: &devices,
        };
        let (result, _trace) = targets::plan(facts, dial, &held);
        result.map_err(|refusal| refusal.to_string())
    }
}

impl CallTask {
    pub(super) fn plan(&self, dial: &Dial) -> Result<DialPlan, String> {
        match &self.planner {
            Some(planner) => planner.plan(&self.node, dial),
            None => Err("this call has no application".into()),
        }
    }
}
