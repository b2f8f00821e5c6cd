//! The mark that routers read the priority of a packet from (RFC 2474).

use socket2::SockRef;
use std::io;
use std::net::IpAddr;

/// Marks what leaves this socket of `address`'s family; connections that it accepts are marked like it.
pub fn mark(socket: SockRef<'_>, address: IpAddr, dscp: u8) -> io::Result<()> {
    let class = u32::from(dscp) << 2;
    match address {
        IpAddr::V4(_) => socket.set_tos_v4(class),
        IpAddr::V6(_) => socket.set_tclass_v6(class),
    }
}
