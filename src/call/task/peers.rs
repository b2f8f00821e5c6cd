//! Who else speaks for the peer of a leg: what only configuration, registrations and look-ups can say.

use super::CallTask;
use crate::call::Event;
use crate::call::delivery::target;
use crate::call::leg::Leg;
use crate::carrier;
use crate::config::{self, Carrier, Config, Purpose};
use crate::dial::{LegKind, NextHop};
use crate::registrar::Aor;
use crate::sip::Flow;
use crate::sip::message::Message;
use std::net::IpAddr;
use std::sync::Arc;

impl CallTask {
    /// Notes on a request inside a dialog whether its flow belongs to the leg's peer, where the leg itself can't say.
    pub(super) fn vouch(&self, event: &mut Event) {
        if let Event::Request {
            message, flow, vouched, ..
        }
        | Event::Ack { message, flow, vouched } = event
            && let Some(leg) = self.call.leg_of_dialog(message)
            && let Some(leg) = self.call.legs().get(usize::from(leg.0))
        {
            *vouched = !leg.speaks_from(flow) && self.belongs_to(leg, message, flow);
        }
    }

    fn belongs_to(&self, leg: &Leg, message: &Message, flow: &Flow) -> bool {
        let config = self.node.config.load();
        let purpose = config.sbc.listener(flow.listener).map(|listener| listener.purpose);
        let address = flow.remote.ip().to_canonical();
        match &leg.terms.kind {
            // Any of Teams is known by certificate or network.
            LegKind::Teams { .. } => false,
            LegKind::Carrier { carrier } => {
                let known = config.sbc.carriers.iter().find(|known| known.id.as_str() == &**carrier);
                let at_the_door = purpose == Some(Purpose::Carrier);
                at_the_door && known.is_some_and(|known| self.is_of_carrier(&config, known, flow))
                    || self.leads_to(leg, address)
            }
            LegKind::SipUri { .. } => self.leads_to(leg, address),
            LegKind::User { .. } => {
                let from = message.from().ok().and_then(|from| Aor::of(from.uri()));
                let now = self.node.clock.now();
                let is_device = |aor: &Aor| self.node.registrar.is_registered_on(aor, flow, now);
                purpose == Some(Purpose::Users) && from.as_ref().is_some_and(is_device)
            }
        }
    }

    /// By its networks as they are now, by the address of a gateway; who is known by a password alone may be anywhere
    /// but in another's networks.
    fn is_of_carrier(&self, config: &Config, known: &Arc<Carrier>, flow: &Flow) -> bool {
        match carrier::identify(config, flow) {
            Some(other) if other.id == known.id => return true,
            None if known.identify.networks.is_empty() && known.identify.digest.is_some() => return true,
            _ => {}
        }
        let address = flow.remote.ip().to_canonical();
        known.gateways.iter().any(|gateway| match &gateway.host {
            config::Host::Address(known) => known.to_canonical() == address,
            config::Host::Name(name) => self.is_known_address(
                &NextHop {
                    host: name.as_str().into(),
                    port: gateway.port,
                    transport: Some(gateway.transport),
                    listener: gateway.listener,
                    server_name: None,
                },
                address,
            ),
        })
    }

    /// Whether the name that the INVITE went to, or that the peer put into its Contact or first Route, is known to have
    /// this address: it was looked up for what we sent there.
    fn leads_to(&self, leg: &Leg, address: IpAddr) -> bool {
        let planned = leg.hop.as_ref().map(|hop| hop.next.clone());
        let next = planned.into_iter().chain(leg.next_hops());
        next.into_iter().any(|next| self.is_known_address(&next, address))
    }

    fn is_known_address(&self, next: &NextHop, address: IpAddr) -> bool {
        let answer = target(next)
            .ok()
            .and_then(|target| self.node.resolver.load().try_cached(&target));
        answer.is_some_and(|answer| {
            let mut addresses = answer.candidates.iter().map(|candidate| candidate.address.ip());
            addresses.any(|known| known.to_canonical() == address)
        })
    }
}
