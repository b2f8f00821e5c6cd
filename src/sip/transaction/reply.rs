//! Where responses go (RFC 3261 §18.2.2, RFC 3581).

use super::output::SendTo;
use crate::sip::message::Message;
use crate::sip::{Flow, Hop, HopAccount, Transport, source_network};
use std::net::SocketAddr;
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
        // A new connection goes to where the request came from, at the port that its sent-by names.
        let server_name = (flow.transport == Transport::Tls).then(|| Arc::from(via.host()));
        let provable = server_name.is_none() || !is_address(via.host());
        provable.then_some(Hop {
            transport: flow.transport,
            listener: flow.listener,
            remote: sent_by,
            server_name,
            connection: None,
            account: Some(HopAccount::Source(source_network(flow.remote.ip()))),
            presented: None,
        })
    };
    SendTo::Flow { flow, fallback }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}
