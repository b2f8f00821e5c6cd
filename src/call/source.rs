//! Who may speak inside a dialog. Call-ID and tags are random, but who has learnt them is not its peer: a request must
//! also come from where the peer of the leg speaks from.
//!
//! | leg | heard from |
//! |---|---|
//! | Teams | Teams' listener, by certificate or from Microsoft's networks: any hub |
//! | carrier | its networks and gateways; where it was heard in this call; where its Contact or first Route leads; with a certificate for one of its `client_names`, if it has some |
//! | carrier without networks | anywhere but from another carrier's networks: a password is all that is known of it |
//! | server of a `sip` target | where it was heard; where its name, its Contact or its first Route leads |
//! | user | where the device was heard in this call; the flow on which the same user has registered since |
//!
//! Ports and transports may change: NATs rebind, and what is too large for UDP comes over TCP.

use super::event::CallNews;
use super::id::LegIndex;
use super::leg::Leg;
use super::value::Call;
use crate::dial::LegKind;
use crate::net::tls::covers;
use crate::registrar::Aor;
use crate::sip::message::Message;
use crate::sip::{Flow, PeerCertificate, Uri};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses of one peer that are remembered: its hosts, and what they resolve to.
const MOST_SOURCES: usize = 8;

impl Call {
    /// Whether a message inside the dialog of `index` comes from the peer of that leg; who else it was is told.
    /// `vouched`: what else is known says so, of a user's device for whom From names.
    pub(super) fn comes_from_peer(
        &mut self,
        index: LegIndex,
        message: &Message,
        (flow, vouched): (&Flow, bool),
    ) -> bool {
        let Some(leg) = self.leg_mut(index) else { return false };
        if leg.is_peer(message, (flow, vouched)) {
            leg.heard_from(flow);
            return true;
        }
        let source = flow.remote;
        self.tell(CallNews::Stranger { leg: index, source });
        false
    }
}

impl Leg {
    /// Notes where the peer was heard, the latest last.
    pub(super) fn heard_from(&mut self, flow: &Flow) {
        let address = flow.remote.ip().to_canonical();
        self.record.address.get_or_insert((flow.transport, flow.remote));
        if self.proven.is_none()
            && let Some(peer) = &flow.peer
        {
            let known = |server: &&Arc<str>| is_for(peer, server);
            self.proven = self.terms.server_names.iter().find(known).cloned();
        }
        self.sources.retain(|known| *known != address);
        if self.sources.len() < MOST_SOURCES {
            self.sources.push(address);
        }
    }

    /// Whether a message inside its dialog is its peer's.
    pub(super) fn is_peer(&self, message: &Message, (flow, vouched): (&Flow, bool)) -> bool {
        let device = matches!(self.terms.kind, LegKind::User { .. });
        self.speaks_from(flow) || vouched && (!device || self.is_of_user(message))
    }

    /// Whether the leg's own facts say that its peer is behind this flow.
    pub(super) fn speaks_from(&self, flow: &Flow) -> bool {
        let address = flow.remote.ip().to_canonical();
        let in_networks = || self.terms.networks.iter().any(|network| network.contains(address));
        match &self.terms.kind {
            LegKind::Teams { .. } => flow.listener == self.terms.listener && (flow.peer.is_some() || in_networks()),
            LegKind::Carrier { .. } => {
                let somewhere = in_networks() || self.sources.contains(&address) || self.names(address);
                somewhere && self.is_certified(flow)
            }
            LegKind::SipUri { .. } => self.sources.contains(&address) || self.names(address),
            LegKind::User { .. } => self.sources.contains(&address),
        }
    }

    /// Whether the certificate is the peer's, where its name is known.
    pub(super) fn is_certified(&self, flow: &Flow) -> bool {
        let (names, servers) = (&self.terms.peer_names, &self.terms.server_names);
        names.is_empty()
            || flow.peer.as_ref().is_some_and(|peer| {
                names.iter().any(|name| peer.bears(name)) || servers.iter().any(|server| is_for(peer, server))
            })
    }

    /// Whether the peer itself has named this address as its own, or as its proxy's.
    fn names(&self, address: IpAddr) -> bool {
        let is_it = |uri: &Uri| {
            let host = uri.host().trim_matches(['[', ']']).parse::<IpAddr>();
            host.is_ok_and(|host| host.to_canonical() == address)
        };
        let dialog = self.dialog.as_ref();
        dialog.is_some_and(|dialog| is_it(dialog.remote_target()) || is_it(&dialog.next_hop_uri()))
    }

    /// Whether a message names the user of this leg as its sender.
    fn is_of_user(&self, message: &Message) -> bool {
        let LegKind::User { user, .. } = &self.terms.kind else {
            return false;
        };
        let theirs = message.from().ok().and_then(|from| Aor::of(from.uri()));
        theirs.is_some_and(|theirs| theirs.to_string() == **user)
    }
}

/// Whether the certificate is for the server of this name.
fn is_for(peer: &PeerCertificate, server: &str) -> bool {
    peer.names().any(|name| covers(name, server))
}
