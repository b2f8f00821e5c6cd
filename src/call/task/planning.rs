//! The plan of a dial, from the configuration that the call began with.

use super::CallTask;
use crate::app::command::NewCall;
use crate::app::verb::Dial;
use crate::call::AppTerms;
use crate::call::application::CallerFacts;
use crate::call::event::{CallNews, Unplanned};
use crate::call::node::Node;
use crate::config::{Config, E164, Tenant, UserName};
use crate::dial::targets::{self, DialFacts, FirstLeg};
use crate::dial::{DialPlan, DialRefusal, PeerName, shown_number};
use crate::registrar::Aor;
use crate::route::{Caller, Diversion, Trace};
use std::sync::Arc;

/// What the dials of one call are planned from.
pub struct Planner {
    pub config: Arc<Config>,
    pub tenant: Arc<Tenant>,
    pub first: FirstLeg,
    pub caller: Caller,
    /// What the application was told of the caller as `from`; empty where it is told of nobody.
    pub told_from: String,
    /// The caller, when it is a user of the tenant.
    pub colleague: Option<UserName>,
    pub shown_instead: Option<E164>,
    pub diversions: Vec<Diversion>,
}

impl Planner {
    /// The plan of a dial as things stand now, and how it was found; the error says what is wrong with the dial.
    pub fn plan(&self, node: &Node, dial: &Dial) -> (Result<DialPlan, DialRefusal>, Trace) {
        let now = node.clock.now();
        let devices = |aor: &Aor| node.registrar.bindings(aor, now);
        let held = |peer: &PeerName| node.peers.is_held(peer, now);
        let facts = DialFacts {
            config: &self.config,
            tenant: &self.tenant,
            first: self.first,
            caller: &self.caller,
            told_from: &self.told_from,
            colleague: self.colleague.as_ref(),
            shown_instead: self.shown_instead,
            diversions: &self.diversions,
            devices: &devices,
        };
        targets::plan(facts, dial, &held)
    }

    /// For a dial that nobody called for.
    pub fn of_nobody(config: Arc<Config>, tenant: Arc<Tenant>) -> Planner {
        Planner {
            config,
            tenant,
            first: FirstLeg::IsCalled,
            caller: Caller::default(),
            told_from: String::new(),
            colleague: None,
            shown_instead: None,
            diversions: Vec::new(),
        }
    }

    /// For the dials of a first leg that was called: they show the number that its application is told of as `from`, as far as
    /// the tenant may show it.
    fn of_called(&self, told: &CallerFacts) -> Planner {
        let number = told.number;
        let number = number.and_then(|number| shown_number(&self.config, &self.tenant, number));
        Planner {
            caller: Caller {
                number: number.map(|number| number.to_string()).unwrap_or_default(),
                private: told.private,
                ..Caller::default()
            },
            told_from: told.from.clone(),
            ..Planner::of_nobody(self.config.clone(), self.tenant.clone())
        }
    }
}

impl CallTask {
    /// Another call, ordered by the application of this one.
    pub(super) fn place_call(&mut self, order: NewCall) {
        if let Err(why) = self.try_place(order) {
            let what = "dial";
            let news = CallNews::ApplicationError {
                what,
                detail: why,
                call_sid: None,
            };
            self.complain(&news);
            self.tell(&news);
        }
    }

    fn try_place(&self, order: NewCall) -> Result<(), String> {
        let (planner, application) = (self.planner.as_ref(), self.call.application());
        let (Some(planner), Some((terms, ..))) = (planner, application) else {
            return Err("this call has no application".into());
        };
        // As over REST, what is in force now counts.
        let config = self.node.config.load_full();
        let tenant = config
            .tenant(&planner.tenant.id)
            .ok_or("the account is not configured any more")?;
        let terms = AppTerms::placed(&config, tenant, &order, Some(&terms))?;
        let placed = self
            .node
            .place(&config, tenant, terms, order)
            .map_err(|error| error.to_string())?;
        tracing::info!(tenant = %tenant.id, call_sid = %placed.call_sid, "a call was placed by an application");
        Ok(())
    }

    pub(super) fn plan(&mut self, dial: &Dial) -> Result<DialPlan, Unplanned> {
        let Some(planner) = &self.planner else {
            let why = "this call has no application".into();
            return Err(Unplanned { why, trace: Vec::new() });
        };
        let (plan, trace) = match self.call.told_of_called() {
            Some(told) => planner.of_called(told).plan(&self.node, dial),
            None => planner.plan(&self.node, dial),
        };
        let tenant = planner.tenant.id.clone();
        let mut plan = plan.map_err(|refusal| Unplanned::of(&refusal, &trace))?;
        let taken = self.take_emergency_places(&mut plan, &tenant);
        taken.map(|()| plan).map_err(|why| Unplanned {
            why,
            trace: trace.bounded(targets::MOST_STEPS),
        })
    }
}
