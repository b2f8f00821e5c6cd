//! Where responses go (RFC 3261 §18.2.2, RFC 3581).

use super::output::SendTo;
use crate::sip::message::Message;
use crate::sip::{Flow, Hop, HopAccount, PeerCertificate, Transport, source_network};
use bytes::Bytes;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The way back of `request`: its connection, or its source as a datagram. A Via that wants no `rport` gets the port
/// of its sent-by. `maddr` is not followed: it would aim our answers at a third party.
pub(super) fn way_back(request: &Message, flow: &Flow) -> SendTo {
    let via = request.top_via();
    let port = via.port().unwrap_or(flow.transport.default_port());
    let sent_by = SocketAddr::new(flow.remote.ip(), port);
    let mut flow = flow.clone();
    let fallback = if flow.transport == Transport::Udp {
        if via.rport().is_none() {
            flow.remote = sent_by;
        }
        None
    } else {
        let is_tls = flow.transport == Transport::Tls;
        // A new connection goes to where the request came from, at the port that its sent-by names.
        Some(Hop {
            transport: flow.transport,
            listener: flow.listener,
            remote: sent_by,
            server_name: is_tls.then(|| proof_of(via.host(), flow.peer.as_deref())),
            connection: None,
            account: Some(HopAccount::Source(source_network(flow.remote.ip()))),
            // Who asked for us by this name is to find it in our certificate.
            presented: request.uri().filter(|_| is_tls).map(|uri| uri.host().into()),
        })
    };
    SendTo::Flow { flow, fallback }
}

/// What has to be proven where a new connection leads: what the peer has proven on the one that is gone, since a Via often
/// names an address, or one host of many (Teams' does). Where it has shown no certificate, what its Via names.
fn proof_of(sent_by: &str, peer: Option<&PeerCertificate>) -> Arc<str> {
    let is_of_one_host = |name: &&str| !name.starts_with("*.");
    let proven = peer.and_then(|peer| match peer.bears(sent_by) {
        true => Some(sent_by),
        false => peer.names().find(is_of_one_host),
    });
    proven.unwrap_or(sent_by).trim_matches(['[', ']']).into()
}

/// The name in the Via of a response, where `fallback` was to prove another one: a client's certificate need not bear what
/// the same host shows as a server.
pub(super) fn other_proof(response: &Bytes, fallback: &Hop) -> Option<Arc<str>> {
    let proof = fallback.server_name.as_deref()?;
    let response = Message::parse(response.clone()).ok()?;
    let named = response.top_via().host();
    (!is_address(named) && !named.eq_ignore_ascii_case(proof)).then(|| named.into())
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}
