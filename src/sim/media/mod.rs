//! A media endpoint: sends a tone and digits, hears what comes, speaks RTCP; RTP or SRTP as the descriptions agreed.

mod checks;
mod inbound;
mod outbound;
mod task;

use super::heard::{Heard, Measured};
use super::spoken::{Payloads, Spoken};
use crate::net::Clock;
use crate::sdp::Direction;
use crate::srtp::MasterKey;
pub(super) use checks::Checks;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use task::Task;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How many odd ports are tried before a pair is given up.
const PAIR_ATTEMPTS: usize = 50;
/// Between two looks at a measurement that is awaited.
const GLANCE: Duration = Duration::from_millis(20);

/// What offer and answer agreed on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stream {
    /// Where RTP goes.
    pub(super) remote: SocketAddr,
    /// Where RTCP goes; `None`: to `remote`, on one port.
    pub(super) remote_rtcp: Option<SocketAddr>,
    pub(super) codec: Spoken,
    /// Of the codec, as the peer wants it.
    pub(super) payload_type: u8,
    /// Its packets are remembered.
    pub(super) is_noted: bool,
    /// Of telephone-event, as the peer wants it.
    pub(super) events: Option<u8>,
    pub(super) keys: Option<Keys>,
    /// Seen from here.
    pub(super) direction: Direction,
    /// Hz.
    pub(super) tone: f64,
    /// On a trunk with media bypass: media go where these lead.
    pub(super) checks: Option<Checks>,
}

/// Both directions' SRTP keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) local: MasterKey,
    /// Bytes of key identifier in each packet of ours.
    pub(super) local_mki: u8,
    pub(super) remote: MasterKey,
    pub(super) remote_mki: u8,
}

enum Order {
    Flow(Box<Stream>),
    Digits(String),
}

/// A media endpoint; dropping it closes its ports.
pub(super) struct Endpoint {
    local: SocketAddr,
    rtcp: Option<SocketAddr>,
    orders: mpsc::Sender<Order>,
    ear: Ear,
    task: JoinHandle<()>,
}

/// The measurement of an endpoint; it outlives the endpoint.
#[derive(Clone)]
pub(super) struct Ear {
    measured: Arc<Mutex<Measured>>,
    clock: Clock,
}

impl Endpoint {
    /// One port with RTCP on it, or an even and an odd one.
    pub(super) async fn open(address: IpAddr, mux: bool, clock: Clock) -> io::Result<Endpoint> {
        let (rtp, rtcp) = if mux {
            (UdpSocket::bind((address, 0)).await?, None)
        } else {
            let (rtp, rtcp) = pair(address).await?;
            (rtp, Some(rtcp))
        };
        let local = rtp.local_addr()?;
        let own = rtcp.as_ref().map(UdpSocket::local_addr).transpose()?;
        let ear = Ear {
            measured: Arc::new(Mutex::new(Measured::new())),
            clock,
        };
        let (orders, taken) = mpsc::channel(16);
        let task = Task::new(rtp, rtcp, clock, ear.clone());
        Ok(Endpoint {
            local,
            rtcp: own,
            orders,
            ear,
            task: tokio::spawn(task.run(taken)),
        })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Of RTCP, where it has a port of its own.
    pub(super) fn rtcp(&self) -> Option<SocketAddr> {
        self.rtcp
    }

    /// Sends and hears by these terms from now on.
    pub(super) async fn flow(&self, stream: Stream) {
        // The task ends with this value alone.
        let _ = self.orders.send(Order::Flow(Box::new(stream))).await;
    }

    /// Sends digits, 100 ms each.
    pub(super) async fn digits(&self, digits: &str) {
        let _ = self.orders.send(Order::Digits(digits.to_owned())).await;
    }

    pub(super) fn ear(&self) -> &Ear {
        &self.ear
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    pub(super) fn now(&self) -> Heard {
        self.lock().report()
    }

    /// The packets that are remembered.
    pub(super) fn payloads(&self) -> Payloads {
        self.lock().payloads.clone()
    }

    /// Packets of RTP and RTCP that came, in all.
    pub(super) fn arrived(&self) -> u64 {
        self.lock().arrived()
    }

    /// As soon as 200 ms of audio were heard, or when `bound` is over.
    pub(super) async fn conclusive(&self, bound: Duration) -> Heard {
        let end = Instant::now() + bound;
        while !self.lock().is_conclusive() && Instant::now() < end {
            sleep(GLANCE).await;
        }
        self.now()
    }

    /// Only what comes within `span`.
    pub(super) async fn listen(&self, span: Duration) -> Heard {
        self.restart();
        sleep(span).await;
        self.now()
    }

    /// Forgets what was heard until now.
    pub(super) fn restart(&self) {
        self.lock().restart(self.clock.now());
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two sockets on neighbouring ports, the lower one even (RFC 3550 §11).
async fn pair(address: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..PAIR_ATTEMPTS {
        let first = UdpSocket::bind((address, 0)).await?;
        let port = first.local_addr()?.port();
        if port % 2 == 0
            && let Some(next) = port.checked_add(1)
            && let Ok(second) = UdpSocket::bind((address, next)).await
        {
            return Ok((first, second));
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free pair of ports"))
}

#[cfg(test)]
mod tests;
