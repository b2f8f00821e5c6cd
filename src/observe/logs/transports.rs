//! Lines about connections and what they bring.

use super::lines::LogLines;
use crate::net::{CloseReason, ConnectionInfo, NetEvent, Opener};
use crate::observe::printable;
use tracing::{debug, error, info, warn};

pub(super) fn event(lines: &LogLines, event: &NetEvent<'_>) {
    let throttles = &lines.throttles;
    match event {
        NetEvent::HandshakeRefused {
            listener,
            remote,
            failure,
        } => throttles.handshakes.say(|withheld| {
            warn!(
                listener = lines.listener(*listener),
                %remote,
                reason = failure.label(),
                withheld,
                "TLS refused: {}",
                printable(&failure.to_string())
            );
        }),
        NetEvent::Connected { connection } => {
            if connection.opener == Opener::Us {
                lines.unconnected.connects(connection.flow.remote);
            }
            connected(lines, connection);
        }
        NetEvent::Closed { connection, reason } => closed(lines, connection, reason),
        NetEvent::ConnectFailed { hop, failure } => match lines.unconnected.fails(hop.remote, failure.label()) {
            true => throttles.connects.say(|withheld| {
                warn!(
                    remote = %hop.remote,
                    transport = %hop.transport,
                    name = hop.server_name.as_deref(),
                    reason = failure.label(),
                    withheld,
                    "no connection: {}",
                    printable(&failure.to_string())
                );
            }),
            false => debug!(
                remote = %hop.remote,
                transport = %hop.transport,
                name = hop.server_name.as_deref(),
                reason = failure.label(),
                "still no connection: {}",
                printable(&failure.to_string())
            ),
        },
        // Said with its reason, by whoever knows the configuration.
        NetEvent::NotAdmitted { .. } => {}
        NetEvent::Unparsable { flow, error } => throttles.unparsable.say(|withheld| {
            warn!(
                listener = lines.listener(flow.listener),
                remote = %flow.remote,
                transport = %flow.transport,
                withheld,
                "a message can't be read: {}",
                lines.text(&error.to_string())
            );
        }),
        NetEvent::LongDatagram {
            listener,
            remote,
            length,
        } => throttles.long_datagrams.say(|withheld| {
            warn!(
                listener = lines.listener(*listener),
                %remote,
                length,
                withheld,
                "a message over UDP is longer than 1300 bytes: it leaves in fragments, which many firewalls drop; use TCP or TLS there"
            );
        }),
        NetEvent::AcceptFailed { listener, error } => throttles.accepts.say(|withheld| {
            error!(listener = lines.listener(*listener), %error, withheld, "a connection can't be accepted");
        }),
    }
}

/// The name that the peer proved.
fn peer(connection: &ConnectionInfo) -> Option<String> {
    let certificate = connection.flow.peer.as_ref()?;
    let name = certificate.common_name.as_ref().or(certificate.dns_names.first())?;
    Some(printable(name).into_owned())
}

/// Our own connections and proven peers are news; others come and go.
fn is_news(connection: &ConnectionInfo) -> bool {
    connection.opener == Opener::Us || connection.flow.peer.is_some()
}

fn opener(connection: &ConnectionInfo) -> &'static str {
    match connection.opener {
        Opener::Us => "us",
        Opener::Peer => "the peer",
    }
}

fn connected(lines: &LogLines, connection: &ConnectionInfo) {
    let (flow, peer) = (&connection.flow, peer(connection));
    let (listener, opener) = (lines.listener(flow.listener), opener(connection));
    if is_news(connection) {
        info!(listener, remote = %flow.remote, transport = %flow.transport, peer, opener, "connected");
    } else {
        debug!(listener, remote = %flow.remote, transport = %flow.transport, opener, "connected");
    }
}

fn closed(lines: &LogLines, connection: &ConnectionInfo, reason: &CloseReason) {
    let (flow, peer) = (&connection.flow, peer(connection));
    let (listener, received, sent) = (lines.listener(flow.listener), connection.received, connection.sent);
    let reason = reason.to_string();
    let reason = printable(&reason);
    if is_news(connection) {
        info!(listener, remote = %flow.remote, peer, received, sent, "disconnected: {reason}");
    } else {
        debug!(listener, remote = %flow.remote, received, sent, "disconnected: {reason}");
    }
}
