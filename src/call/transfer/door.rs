//! Where an INVITE with Replaces finds its call: before it is routed, counted, or given media.

use crate::call::directory::Undelivered;
use crate::call::event::Event;
use crate::call::leg::hub_of;
use crate::call::switchboard::{Switchboard, respond};
use crate::config::Config;
use crate::dial::LegTerms;
use crate::net::shard::Command;
use crate::observe::Happening;
use crate::route::Refusal;
use crate::sip::Flow;
use crate::sip::header::Replaces;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::ServerTransactionId;
use crate::teams::terms_under;
use std::net::SocketAddr;
use std::sync::Arc;

/// An INVITE with Replaces that takes nobody's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedReplace {
    pub status: u16,
    /// In words, for the log alone: whoever asks is told no more than the status.
    pub why: String,
    /// The trunk name that it calls.
    pub trunk: String,
    /// The hub that it came by.
    pub hub: Option<String>,
    pub source: Option<SocketAddr>,
}

/// The trunk that an INVITE with Replaces calls.
#[derive(Debug, Clone)]
pub struct CalledTrunk {
    pub name: Arc<str>,
    /// All names of its tenant: each is as good.
    pub others: Box<[Arc<str>]>,
    /// Of a leg of that trunk. `None` for a tenant that is configured no more.
    pub terms: Option<Arc<LegTerms>>,
}

impl RefusedReplace {
    /// Statuses that they have, beside those that other INVITEs are refused with.
    pub const STATUSES: [u16; 8] = [400, 422, 483, 486, 488, 491, 500, 603];

    pub(in crate::call) fn of(invite: &Message, flow: &Flow, status: u16, why: impl Into<String>) -> RefusedReplace {
        RefusedReplace {
            status,
            why: why.into(),
            trunk: invite.uri().map(|uri| uri.host().to_owned()).unwrap_or_default(),
            hub: hub_of(invite),
            source: Some(flow.remote),
        }
    }
}

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
        let mut values = invite.headers(HeaderName::Replaces);
        let host = invite.uri().map(|uri| uri.host().to_owned()).unwrap_or_default();
        let tenant = config.tenant_by_host(&host);
        let refuse = |status, why: String| {
            let refused = RefusedReplace::of(invite, flow, status, why);
            self.node.observer.happened(&Happening::ReplaceRefused {
                tenant: tenant.map(|tenant| tenant.id.as_str()),
                refused: &refused,
            });
            self.plain(config, status)
        };
        // One dialog at most (RFC 3891 §3).
        let wanted = values.next().map(str::parse::<Replaces>);
        let replaces = match (wanted, values.next()) {
            (Some(Ok(replaces)), None) => replaces,
            (Some(Err(fault)), None) => return Some(respond(id, refuse(400, fault.to_string()))),
            _ => return Some(respond(id, refuse(400, "it has more than one Replaces".into()))),
        };
        let Some(call) = self.node.calls.call_of_tag(&replaces.to_tag) else {
            let why = match tenant {
                Some(_) => "the to-tag of its Replaces is none that this node has given".to_owned(),
                None => Refusal::unknown_tenant(&host).sentence,
            };
            return Some(respond(id, refuse(481, why)));
        };
        // Calls outlive their tenant's file: the dialog has the name that it began with.
        let names = tenant.iter().flat_map(|tenant| tenant.trunks());
        let trunk = CalledTrunk {
            name: host.as_str().into(),
            others: names.map(|name| name.as_str().into()).collect(),
            terms: tenant.map(|tenant| terms_under(config, tenant, &host)),
        };
        let event = Event::Replace {
            transaction: id,
            message: invite.clone(),
            flow: flow.clone(),
            replaces,
            trunk: Box::new(trunk),
        };
        match self.deliver(call, event) {
            Ok(()) => {
                self.remember(id, call);
                None
            }
            Err(Undelivered::Unknown) => {
                let why = format!("the call {call} of the dialog in its Replaces is over");
                Some(respond(id, refuse(481, why)))
            }
            Err(Undelivered::Full) => {
                let why = format!("the call {call} of the dialog in its Replaces is too busy to be asked");
                let busy = refuse(500, why).header(HeaderName::RetryAfter, "2");
                Some(respond(id, busy))
            }
        }
    }
}
