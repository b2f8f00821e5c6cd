//! Who else speaks for the peer of a leg: what only configuration, registrations and look-ups can say.

use super::CallTask;
use crate::call::Event;
use crate::call::delivery::target;
use crate::call::leg::Leg;
use crate::call::node::Node;
use crate::carrier;
use crate::config::{self, Carrier, Config, Purpose};
use crate::dial::{LegKind, NextHop};
use crate::registrar::Aor;
use crate::sip::message::{Message, ResponseDraft};
use crate::sip::{Flow, Method};
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
            *vouched = !leg.speaks_from(flow) && self.node.belongs_to(leg, message, flow);
        }
    }

    /// Where this name leads may have changed before its time (TEAMS-063).
    pub(super) fn look_up_anew(&self, name: &NextHop) {
        if let Ok(target) = target(name) {
            self.node.resolver.load().refresh(&target);
        }
    }
}

impl Node {
    /// The answer to a BYE that crossed ours in a call that is over by now.
    pub(in crate::call) fn farewell(&self, message: &Message, flow: &Flow) -> Option<ResponseDraft> {
        if message.method() != Some(&Method::Bye) {
            return None;
        }
        let is_peer = |leg: &Leg| {
            let vouched = !leg.speaks_from(flow) && self.belongs_to(leg, message, flow);
            leg.is_peer(message, (flow, vouched))
        };
        let leg = self.calls.hung_up_too(message, self.clock.now(), is_peer)?;
        Some(leg.decorate(ResponseDraft::new(200)))
    }

    fn belongs_to(&self, leg: &Leg, message: &Message, flow: &Flow) -> bool {
        let config = self.config.load();
        let purpose = config.sbc.listener(flow.listener).map(|listener| listener.purpose);
        let address = flow.remote.ip().to_canonical();
        let looked_up = |next: &NextHop| self.is_known_address(next, address);
        match &leg.terms.kind {
            // Any of Teams is known by certificate or network.
            LegKind::Teams { .. } => false,
            LegKind::Carrier { carrier } => {
                let known = config.sbc.carriers.iter().find(|known| known.id.as_str() == &**carrier);
                let at_the_door = purpose == Some(Purpose::Carrier);
                let is_its = || known.is_some_and(|known| is_of_carrier(&config, known, flow, &looked_up));
                leg.is_certified(flow) && (at_the_door && is_its() || self.leads_to(leg, address))
            }
            LegKind::SipUri { .. } => self.leads_to(leg, address),
            LegKind::User { .. } => {
                let from = message.from().ok().and_then(|from| Aor::of(from.uri()));
                let now = self.clock.now();
                let is_device = |aor: &Aor| self.registrar.is_registered_on(aor, flow, now);
                purpose == Some(Purpose::Users) && from.as_ref().is_some_and(is_device)
            }
        }
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
            .and_then(|target| self.resolver.load().try_cached(&target));
        answer.is_some_and(|answer| {
            let mut addresses = answer.candidates.iter().map(|candidate| candidate.address.ip());
            addresses.any(|known| known.to_canonical() == address)
        })
    }
}

/// By its networks as they are now, by the address of a gateway, or what its name was `looked_up` to; who is known by a
/// password alone may be anywhere but in another's networks.
fn is_of_carrier(config: &Config, known: &Arc<Carrier>, flow: &Flow, looked_up: &dyn Fn(&NextHop) -> bool) -> bool {
    if !carrier::is_certified(config, known, flow.peer.as_deref()) {
        return false;
    }
    match carrier::identify(config, flow) {
        Some(other) if other.id == known.id => return true,
        None if known.identify.networks.is_empty() && known.identify.digest.is_some() => return true,
        _ => {}
    }
    let address = flow.remote.ip().to_canonical();
    known.gateways.iter().any(|gateway| match &gateway.host {
        config::Host::Address(known) => known.to_canonical() == address,
        config::Host::Name(name) => looked_up(&NextHop {
            host: name.as_str().into(),
            port: gateway.port,
            transport: Some(gateway.transport),
            listener: gateway.listener,
            server_name: None,
            presented: None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;
    use crate::sip::{ConnectionId, Transport};

    const CARRIERS: &str = r#"
        [[carriers]]
        id = "north"
        networks = ["203.0.113.0/24"]
        gateways = [{ host = "203.0.112.2", listener = "udp" }]

        [[carriers]]
        id = "named"
        networks = ["203.0.111.0/24"]
        gateways = [{ host = "gw.named.example", listener = "udp" }]

        [[carriers]]
        id = "roaming"
        digest = { username = "trunk", password = "hunter2" }
        gateways = [{ host = "203.0.110.2", listener = "udp" }]
    "#;

    /// Whether a request from `address` is of this carrier, when the gateway's name leads to 198.51.100.7.
    fn is_of(id: &str, address: &str) -> bool {
        let config = Config::from_toml_strs(&machine(CARRIERS), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let listener = config
            .sbc
            .listeners
            .iter()
            .find(|known| known.transport == Transport::Udp);
        let flow = Flow {
            transport: Transport::Udp,
            listener: listener.unwrap().id,
            local: "192.0.2.10:5060".parse().unwrap(),
            remote: format!("{address}:5062").parse().unwrap(),
            connection: ConnectionId::NONE,
            peer: None,
        };
        let known = config.sbc.carriers.iter().find(|carrier| carrier.id.as_str() == id);
        let looked_up = |next: &NextHop| &*next.host == "gw.named.example" && address == "198.51.100.7";
        is_of_carrier(&config, known.unwrap(), &flow, &looked_up)
    }

    #[test]
    fn a_carrier_speaks_from_its_networks_and_its_gateways() {
        assert!(is_of("north", "203.0.113.9") && is_of("north", "203.0.112.2"));
        assert!(!is_of("north", "203.0.112.3"), "beside its gateway");
        assert!(!is_of("north", "203.0.111.9"), "from another carrier's network");
        assert!(!is_of("north", "198.51.100.7"), "where another's name leads");
    }

    #[test]
    fn a_gateways_name_vouches_for_what_it_was_looked_up_to() {
        assert!(is_of("named", "198.51.100.7") && !is_of("named", "198.51.100.8"));
    }

    #[test]
    fn who_is_known_by_a_password_alone_may_be_anywhere_but_at_another_carrier() {
        assert!(is_of("roaming", "198.51.100.8"));
        assert!(!is_of("roaming", "203.0.113.9"));
    }
}
