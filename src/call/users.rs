//! Requests of users that register here, before there is a call.

use super::node::Node;
use super::sender::Sender;
use super::switchboard::{Switchboard, respond};
use crate::carrier::{self, PlanFacts, Unidentified};
use crate::config::{Config, Tenant, UserName};
use crate::dial::{Attempt, PeerName};
use crate::net::shard::Command;
use crate::registrar::{self, Aor, Clocks, Reply, UserCall, UserProof, plan};
use crate::route::{self, Caller, Decision, Elin, ElinFacts, Facts, Refusal, Target, Trace, Voucher};
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Method};
use crate::teams;
use std::sync::Arc;

impl Switchboard {
    /// A request that came to a listener of users: what it is answered, or who sent it.
    pub(super) fn user_at_the_door(
        &mut self,
        id: ServerTransactionId,
        message: &Message,
        flow: &Flow,
        config: &Arc<Config>,
        commands: &mut Vec<Command>,
    ) -> Option<Sender> {
        let (registrar, now) = (&self.node.registrar, self.node.clock.now());
        let reply = match message.method() {
            Some(Method::Register) => registrar.register(config, message, flow, Clocks::at(now)),
            // A registered device asks whether we are there: it need not prove more than where it is.
            Some(Method::Options) if self.is_device(message, flow) => {
                let status = if self.node.is_draining() { 503 } else { 200 };
                let realm = message.from().ok().and_then(|from| config.realm(from.uri().host()));
                let allow = registrar::allow(realm.map(|(_, realm)| realm));
                Reply::Answer(self.plain(config, status).header(HeaderName::Allow, allow))
            }
            _ => match registrar.sender(config, message, flow, now) {
                UserProof::Proven { tenant, aor, voucher } => {
                    let name = UserName::parse(&aor.user).ok()?;
                    return Some(Sender::User { tenant, name, voucher });
                }
                UserProof::Unproven(reply) => reply,
            },
        };
        commands.push(match reply {
            Reply::Ask(question) => {
                self.ask_hook(id, message, flow, *question);
                return None;
            }
            Reply::Answer(draft) => respond(id, draft),
            Reply::Forgotten(draft) => Command::Refuse { id, draft: Some(draft) },
            Reply::Foreign => self.turn_away(id, config, (message, flow), Unidentified::Realm),
        });
        None
    }

    /// The facts of a call from a user, with what is known of whom it dialled.
    pub(super) fn facts_of_user(
        &self,
        tenant: &Tenant,
        name: &UserName,
        voucher: Option<&Voucher>,
        invite: &Message,
    ) -> Facts {
        let mut facts = Facts::of_user(tenant, name, voucher.cloned(), invite);
        if let Some(realm) = tenant.realm.as_ref().filter(|realm| realm.hook.is_some()) {
            let dialled = Aor::new(&facts.dialled, realm.name.as_str());
            let voucher = self.node.registrar.voucher(&dialled, self.node.clock.now());
            facts.vouched.callee = voucher.is_some();
        }
        facts
    }

    fn is_device(&self, message: &Message, flow: &Flow) -> bool {
        let from = message.from().ok().and_then(|from| Aor::of(from.uri()));
        let now = self.node.clock.now();
        from.is_some_and(|aor| self.node.registrar.is_registered_on(&aor, flow, now))
    }
}

impl Node {
    /// Routes a call by what the node knows of ELINs. One that stands for a user without a device leads where its entry says:
    /// somebody there may know more than nobody.
    pub(super) fn decide(&self, config: &Config, facts: Facts) -> (Facts, Result<Decision, Refusal>, Trace) {
        let facts = self.elins.known_to(config, facts);
        let (decision, trace) = route::decide(config, &facts);
        let is_lost = |decision: &Decision| {
            matches!(decision.elin, Elin::CalledBack(_)) && self.reachable(decision.clone()).is_err()
        };
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
    pub(super) fn reachable(&self, decision: Decision) -> Result<Decision, Refusal> {
        let Target::User { name } = &decision.target else {
            return Ok(decision);
        };
        let devices = self.devices(&decision, name);
        match devices.iter().any(|binding| binding.is_reachable()) {
            true => Ok(decision),
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
        plan(call, &self.devices(decision, name))
    }

    fn devices(&self, decision: &Decision, name: &UserName) -> Vec<crate::registrar::Binding> {
        let Some(realm) = &decision.tenant.realm else {
            return Vec::new();
        };
        let aor = Aor::new(name.as_str(), realm.name.as_str());
        self.registrar.bindings(&aor, self.clock.now())
    }
}
