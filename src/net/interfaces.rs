//! The addresses of this machine's interfaces.

use socket2::SockAddr;
use std::net::IpAddr;
use std::ptr;
use std::sync::OnceLock;

/// The addresses of all interfaces, loopback too, as they were when first asked for: none where the system does not say.
pub fn interface_addresses() -> &'static [IpAddr] {
    static ADDRESSES: OnceLock<Vec<IpAddr>> = OnceLock::new();
    ADDRESSES.get_or_init(read)
}

fn read() -> Vec<IpAddr> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the list goes into `first`, which outlives the call.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        let error = std::io::Error::last_os_error();
        tracing::warn!(%error, "the addresses of the interfaces can't be read: none of them is known as our own");
        return Vec::new();
    }
    let mut addresses = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: a node of the list, which is freed only below.
        let node = unsafe { &*next };
        addresses.extend(address(node.ifa_addr));
        next = node.ifa_next;
    }
    // SAFETY: `first` came from getifaddrs and nothing of the list is used any more.
    unsafe { libc::freeifaddrs(first) };
    addresses
}

/// The IP address at `from`, which is null or a socket address of the length that its family has.
fn address(from: *const libc::sockaddr) -> Option<IpAddr> {
    if from.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with its family.
    let length = match i32::from(unsafe { (*from).sa_family }) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: the storage is larger than `length`, and the address at `from` has that length by its family.
    let read = unsafe {
        SockAddr::try_init(|storage, storage_length| {
            ptr::copy_nonoverlapping(from.cast::<u8>(), storage.cast::<u8>(), length);
            *storage_length = length as libc::socklen_t;
            Ok(())
        })
    };
    read.ok()?.1.as_socket().map(|socket| socket.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};

    #[test]
    fn interfaces_have_loopback_and_what_packets_leave_by() {
        let known = interface_addresses();
        assert!(known.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{known:?}");
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // a machine without a route has loopback alone
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(known.contains(&socket.local_addr().unwrap().ip()), "{known:?}");
        }
    }
}
