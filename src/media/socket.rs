//! Media sockets: options, and binding what the port pool hands out.

use super::MediaError;
use super::plane::lock;
use super::ports::{Claim, PortPool, RtcpPort};
use crate::moment::Moment;
use crate::net::mark;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;

/// Receive buffer asked for, bytes: more than a second of audio.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// The sockets of one leg, bound to ports of the pool.
pub(super) struct Sockets {
    pub claim: Claim,
    pub rtp: UdpSocket,
    pub rtcp: Option<UdpSocket>,
}

/// Takes ports from `pool` and binds them on `bind`; ports that somebody else holds are passed over (they rest).
pub(super) fn open(
    bind: IpAddr,
    pool: &Mutex<PortPool>,
    (rtcp, urgent): (RtcpPort, bool),
    dscp: u8,
    now: Moment,
) -> Result<Sockets, MediaError> {
    let start = rand::random::<u32>() as usize;
    let attempts = lock(pool).pairs();
    let mut foreign: Vec<Claim> = Vec::new();
    for _ in 0..attempts.max(1) {
        let Some(claim) = lock(pool).take(rtcp, urgent, start, now) else {
            break;
        };
        match bind_claim(bind, claim, dscp) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => {
                lock(pool).release(claim, now);
                if !foreign.contains(&claim) {
                    foreign.push(claim);
                }
                if error.kind() != io::ErrorKind::AddrInUse {
                    return Err(MediaError::Socket {
                        address: SocketAddr::new(bind, claim.rtp),
                        error,
                    });
                }
            }
        }
    }
    let pool = lock(pool);
    Err(MediaError::PortsExhausted {
        address: bind,
        usage: pool.usage(),
        foreign: foreign.iter().map(|claim| claim.ports()).sum(),
        kept: pool.kept_from(rtcp, urgent),
    })
}

fn bind_claim(bind: IpAddr, claim: Claim, dscp: u8) -> io::Result<Sockets> {
    let rtp = bind_port(SocketAddr::new(bind, claim.rtp), dscp)?;
    let rtcp = match claim.rtcp {
        RtcpPort::Mux => None,
        RtcpPort::Pair => Some(bind_port(SocketAddr::new(bind, claim.rtp.saturating_add(1)), dscp)?),
    };
    Ok(Sockets { claim, rtp, rtcp })
}

fn bind_port(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    mark(SockRef::from(&socket), address.ip(), dscp)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn teams_105_the_kernel_marks_what_leaves_either_port() {
        for (bind, dscp) in [("127.0.0.1", 46), ("127.0.0.1", 0), ("::1", 46)] {
            let bind: IpAddr = bind.parse().expect("IP");
            let pool = Mutex::new(PortPool::new(20_000, 20_999, Duration::ZERO));
            let Ok(sockets) = open(bind, &pool, (RtcpPort::Pair, false), dscp, Moment::ZERO) else {
                assert!(bind.is_ipv6(), "every machine has IPv4");
                continue;
            };
            for socket in [Some(&sockets.rtp), sockets.rtcp.as_ref()].into_iter().flatten() {
                let socket = SockRef::from(socket);
                let class = match bind.is_ipv6() {
                    true => socket.tclass_v6(),
                    false => socket.tos_v4(),
                };
                assert_eq!(class.expect("a class"), u32::from(dscp) << 2);
            }
        }
    }
}
