//! Where an INVITE with Replaces finds its call: before it is routed, counted, or given media.

use crate::call::directory::Undelivered;
use crate::call::event::Event;
use crate::call::switchboard::{Switchboard, respond};
use crate::config::Config;
use crate::net::shard::Command;
use crate::sip::Flow;
use crate::sip::header::Replaces;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;

impl Switchboard {
    /// An INVITE of Teams with Replaces goes to the call of its dialog, where that is the tenant's whom it calls; otherwise
    /// it is answered here, and rings nobody. It takes no place: there is no more of calls than before.
    pub(in crate::call) fn replace(
        &mut self,
        id: ServerTransactionId,
        invite: &Message,
        flow: &Flow,
        config: &Config,
    ) -> Option<Command> {
        let refuse = |status| Some(respond(id, self.plain(config, status)));
        let mut values = invite.headers(HeaderName::Replaces);
        let wanted = values.next().map(str::parse::<Replaces>);
        // One dialog at most (RFC 3891 §3).
        let (Some(Ok(replaces)), None) = (wanted, values.next()) else {
            return refuse(400);
        };
        let host = invite.uri().map(|uri| uri.host().to_owned());
        let tenant = host.as_deref().and_then(|host| config.tenant_by_host(host));
        let call = self.node.calls.call_of_tag(&replaces.to_tag);
        let (Some(tenant), Some(call)) = (tenant, call) else {
            return refuse(481);
        };
        let event = Event::Replace {
            transaction: id,
            message: invite.clone(),
            flow: flow.clone(),
            replaces,
            trunk: tenant.fqdn.as_str().into(),
        };
        match self.deliver(call, event) {
            Ok(()) => {
                self.remember(id, call);
                None
            }
            Err(Undelivered::Unknown) => refuse(481),
            Err(Undelivered::Full) => {
                let busy = self.plain(config, 500).header(HeaderName::RetryAfter, "2");
                Some(respond(id, busy))
            }
        }
    }
}
