//! UDP: the receive loop, and sending without waiting.

use super::Listener;
use crate::net::admission::Approach;
use crate::net::context::Context;
use crate::net::guarded::Guarded;
use crate::net::stateless;
use crate::sip::message::Message;
use crate::sip::{ConnectionId, Flow};
use bytes::Bytes;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use tokio::net::UdpSocket;

const LARGEST_DATAGRAM: usize = 65_535;

/// Sends from the listener's port. With several sockets on the port all sends leave through the first.
#[derive(Debug, Clone)]
pub(in crate::net) struct UdpSender(Arc<UdpSocket>);

impl UdpSender {
    pub(super) fn new(socket: Arc<UdpSocket>) -> UdpSender {
        UdpSender(socket)
    }

    /// Hands a datagram to the kernel, or fails: retransmission is the transaction's. The socket itself is asked, not
    /// tokio's notion of its readiness, which is empty until the runtime has polled it.
    pub(in crate::net) fn send(&self, bytes: &[u8], remote: SocketAddr) -> io::Result<()> {
        SockRef::from(&*self.0).send_to(bytes, &remote.into()).map(|_| ())
    }

    /// How full the kernel's receive buffer is: 0 to 1. 0 where the kernel does not tell.
    pub(in crate::net) fn backlog(&self) -> f64 {
        const ALLOCATED: usize = 0;
        const LIMIT: usize = 1;
        let mut figures = [0u32; 16];
        let mut length = size_of_val(&figures) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `figures`, which outlives the call.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                figures.as_mut_ptr().cast(),
                &mut length,
            )
        };
        if result == 0 && figures[LIMIT] > 0 {
            f64::from(figures[ALLOCATED]) / f64::from(figures[LIMIT])
        } else {
            0.0
        }
    }
}

/// Receives until the stop.
pub(in crate::net) async fn receive_loop(socket: Arc<UdpSocket>, listener: Arc<Listener>, context: Arc<Context>) {
    let sender = UdpSender::new(socket.clone());
    let stopping = context.tasks.stopping();
    tokio::pin!(stopping);
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    let mut guarded = Guarded::new(context.counters.clone());
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = &mut stopping => return,
        };
        match received {
            Ok((length, remote)) => {
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                let bytes = buffer.get(..length).unwrap_or_default();
                guarded.run(|| datagram(bytes, remote, &sender, &listener, &context));
            }
            // ICMP errors of earlier sends surface here; the socket lives on.
            Err(_) => context.counters.datagram_errors.add(),
        }
    }
}

fn datagram(bytes: &[u8], remote: SocketAddr, sender: &UdpSender, listener: &Listener, context: &Context) {
    if !context
        .admission
        .admit(listener.id, remote, Approach::Datagram)
        .is_granted()
    {
        context.counters.datagrams_not_admitted.add();
        return;
    }
    // Keep-alive of NAT bindings: line ends or NULs.
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return;
    }
    let flow = Flow {
        transport: listener.transport,
        listener: listener.id,
        local: listener.local,
        remote,
        connection: ConnectionId::NONE,
        peer: None,
    };
    match Message::parse(Bytes::copy_from_slice(bytes)) {
        Ok(message) => {
            context.counters.datagrams_received.add();
            context.inbox.datagram(message, flow);
        }
        Err(error) => {
            context.unparsable(&flow, &error);
            if let Some(refusal) = stateless::refusal(&error, &flow, context)
                && sender.send(&refusal, remote).is_err()
            {
                context.counters.datagrams_not_sent.add();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_tells_how_full_its_buffer_is() {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
        let sender = UdpSender::new(socket.clone());
        let to = socket.local_addr().expect("its address");
        assert_eq!(sender.backlog(), 0.0);
        for _ in 0..20 {
            sender.send(&[0; 1000], to).expect("sent");
        }
        let backlog = sender.backlog();
        assert!(backlog > 0.0 && backlog <= 1.0, "{backlog}");
        for _ in 0..20 {
            socket.recv(&mut [0; 1000]).await.expect("received");
        }
        assert!(sender.backlog() < backlog);
    }
}
