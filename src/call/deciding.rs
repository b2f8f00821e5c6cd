//! Where a call leads by what the node knows beside the configuration: ELINs, devices, who is held down.

use super::node::Node;
use crate::carrier::{self, PlanFacts};
use crate::config::{Config, UserName};
use crate::dial::{Attempt, PeerName};
use crate::registrar::{self, Aor, Binding, UserCall};
use crate::route::{self, Caller, Decision, Elin, ElinFacts, Facts, Refusal, Target, Trace};
use crate::teams;

impl Node {
    /// Routes a call by what the node knows of ELINs. One that stands for a user without a device leads where its entry says:
    /// somebody there may know more than nobody.
    pub(super) fn decide(&self, config: &Config, facts: Facts) -> (Facts, Result<Decision, Refusal>, Trace) {
        let facts = self.elins.known_to(config, facts);
        let (decision, trace) = route::decide(config, &facts);
        let is_lost =
            |decision: &Decision| matches!(decision.elin, Elin::CalledBack(_)) && self.reachable(decision).is_err();
        if !decision.as_ref().is_ok_and(is_lost) {
            return (facts, decision, trace);
        }
        let facts = Facts {
            elin: ElinFacts::None,
            ..facts
        };
        let (decision, ways) = route::decide(config, &facts);
        let mut trace = Trace::default();
        trace.step(
            "callback",
            &facts.dialled,
            "the user that it stands for has no device registered",
        );
        trace.0.extend(ways.0);
        (facts, decision, trace)
    }

    /// Refuses a call to a user who is nowhere.
    pub(super) fn reachable(&self, decision: &Decision) -> Result<(), Refusal> {
        let Target::User { name } = &decision.target else {
            return Ok(());
        };
        let devices = self.devices(decision, name);
        match devices.iter().any(|binding| binding.is_reachable()) {
            true => Ok(()),
            false => Err(Refusal::not_registered(&decision.target_text())),
        }
    }

    /// The attempts that ring whom a call is for: facts and caller as the rules of the caller's trunk read them. None for an
    /// application, which says itself whom to ring.
    pub(super) fn attempts(
        &self,
        config: &Config,
        facts: &Facts,
        decision: &Decision,
        caller: &Caller,
    ) -> Vec<Attempt> {
        let now = self.clock.now();
        let held = |peer: &PeerName| self.peers.is_held(peer, now);
        let plan_facts = PlanFacts {
            config,
            decision,
            caller,
            diversions: &facts.diversions,
        };
        match &decision.target {
            Target::Teams { number, voicemail } => vec![teams::plan(plan_facts, *number, *voicemail, held)],
            Target::Carriers { carriers, callee } => vec![carrier::plan(plan_facts, carriers, callee, held)],
            Target::User { name } => self.ring_user(config, facts, decision, name),
            Target::Application { .. } => Vec::new(),
        }
    }

    fn ring_user(&self, config: &Config, facts: &Facts, decision: &Decision, name: &UserName) -> Vec<Attempt> {
        let call = UserCall {
            config,
            tenant: &decision.tenant,
            name,
            caller: &facts.caller,
            number: decision.caller,
            colleague: facts.colleague.as_ref(),
            override_to: None,
        };
        registrar::plan(call, &self.devices(decision, name))
    }

    fn devices(&self, decision: &Decision, name: &UserName) -> Vec<Binding> {
        let Some(realm) = &decision.tenant.realm else {
            return Vec::new();
        };
        let aor = Aor::new(name.as_str(), realm.name.as_str());
        self.registrar.bindings(&aor, self.clock.now())
    }
}
