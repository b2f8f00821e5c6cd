//! Where one device of a user is.

use crate::moment::Moment;
use crate::route::Voucher;
use crate::sip::message::Message;
use crate::sip::{ConnectionId, Flow, Hop, ListenerId, Transport, Uri};
use std::net::SocketAddr;

/// A device as it names itself in a Contact of its REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub contact: Uri,
    /// Thousandths: 1000 is rung first.
    pub q: u16,
    /// `+sip.instance`: stays the same while its address changes (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// Which of several flows of one device (RFC 5626 §4.2).
    pub reg_id: Option<u32>,
}

impl Device {
    /// Whether `other` is this device anew: by its instance, else by its address.
    pub fn is_same(&self, other: &Device) -> bool {
        match (&self.instance, &other.instance) {
            (Some(mine), Some(others)) => mine == others && self.reg_id == other.reg_id,
            _ => same_address(&self.contact, &other.contact),
        }
    }
}

/// A device and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub device: Device,
    pub transport: Transport,
    pub listener: ListenerId,
    /// Where the REGISTER came from.
    pub remote: SocketAddr,
    /// The connection that it came on; `None` on UDP, after a restart, and where it is asked for once it is gone.
    pub connection: Option<ConnectionId>,
    /// The Contact's address is not where the REGISTER came from.
    pub behind_nat: bool,
    pub call_id: String,
    pub cseq: u32,
    pub user_agent: Option<String>,
    pub expires: Moment,
    /// What the tenant's registration hook said of the user; `None` for one that the file lists.
    pub voucher: Option<Voucher>,
}

impl Binding {
    /// The way that requests take to the device instead of to its Contact's address: the source of its REGISTER over
    /// UDP, the connection that it opened. `None`: it opened none that still stands, and the Contact has to do.
    pub fn flow(&self) -> Option<Hop> {
        let reachable = self.transport == Transport::Udp || self.connection.is_some();
        reachable.then_some(Hop {
            transport: self.transport,
            listener: self.listener,
            remote: self.remote,
            server_name: None,
            connection: self.connection,
            account: None,
            presented: None,
        })
    }

    /// Whether there is any way to the device: one behind NAT whose connection is gone has none until it registers again.
    pub fn is_reachable(&self) -> bool {
        self.flow().is_some() || !self.behind_nat
    }

    /// Whether `flow` is the one that the device registered on.
    pub fn is_on(&self, flow: &Flow) -> bool {
        match self.connection {
            Some(connection) => connection == flow.connection,
            None => {
                flow.transport == Transport::Udp
                    && self.transport == Transport::Udp
                    && self.listener == flow.listener
                    && self.remote == flow.remote
            }
        }
    }
}

/// Whether a Contact is at another address than `flow` comes from: somebody between rewrites addresses.
pub fn is_behind_nat(contact: &Uri, flow: &Flow) -> bool {
    let port = contact.port().unwrap_or(flow.transport.default_port());
    let at_source = contact
        .host_ip()
        .is_some_and(|ip| ip.to_canonical() == flow.remote.ip().to_canonical());
    // A stream's source port is the client's own, not the one that it listens on.
    !at_source || (flow.transport == Transport::Udp && port != flow.remote.port())
}

/// The same of the device that sent an INVITE.
pub fn is_caller_behind_nat(invite: &Message, flow: &Flow) -> bool {
    let contact = invite.contact().ok().flatten();
    contact.is_none_or(|contact| is_behind_nat(contact.uri(), flow))
}

/// RFC 3261 §19.1.4 for what tells devices apart: user, host, port and transport.
fn same_address(a: &Uri, b: &Uri) -> bool {
    let transport = |uri: &Uri| uri.param("transport").unwrap_or("udp").to_ascii_lowercase();
    a.user() == b.user()
        && a.host().eq_ignore_ascii_case(b.host())
        && a.port() == b.port()
        && transport(a) == transport(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(contact: &str, instance: Option<&str>, reg_id: Option<u32>) -> Device {
        Device {
            contact: Uri::parse(contact).expect("a URI"),
            q: 1000,
            instance: instance.map(str::to_owned),
            reg_id,
        }
    }

    #[test]
    fn a_device_is_known_by_its_instance_else_by_its_address() {
        let old = device("sip:a@192.0.2.1:5060", None, None);
        assert!(old.is_same(&device("sip:a@192.0.2.1:5060;ob", None, None)));
        assert!(!old.is_same(&device("sip:a@192.0.2.1:5062", None, None)));
        assert!(!old.is_same(&device("sip:a@192.0.2.1:5060;transport=TCP", None, None)));
        let one = device("sip:a@192.0.2.1:5060", Some("<urn:uuid:1>"), None);
        assert!(one.is_same(&device("sip:a@198.51.100.9:1024", Some("<urn:uuid:1>"), None)));
        assert!(!one.is_same(&device("sip:a@192.0.2.1:5060", Some("<urn:uuid:2>"), None)));
        assert!(!one.is_same(&device("sip:a@192.0.2.1:5060", Some("<urn:uuid:1>"), Some(1))));
        assert!(one.is_same(&old), "a device that forgot its instance keeps its address");
    }
}
