//! Requests of users that register here, before there is a call.

use super::sender::Sender;
use super::switchboard::{Switchboard, respond};
use crate::carrier::Unidentified;
use crate::config::{Config, Tenant, UserName};
use crate::net::shard::Command;
use crate::observe::Happening;
use crate::registrar::{self, Aor, Clocks, Reply, UserProof};
use crate::route::{Facts, Voucher};
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Method};
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
            Reply::Unasked(draft, unasked) => {
                self.node.observer.happened(&Happening::HookUnasked {
                    unasked: &unasked,
                    source: flow.remote,
                    method: message.cseq_method(),
                });
                respond(id, draft)
            }
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
