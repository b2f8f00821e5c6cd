//! A client of Teams on a trunk with media bypass: a full ICE agent, controlling, that nominates what it has checked.

use crate::ice::Credentials;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Whom to check, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) struct Checks {
    pub(in crate::sim) local: Credentials,
    pub(in crate::sim) remote: Credentials,
    /// The one candidate of a lite peer.
    pub(in crate::sim) candidate: SocketAddr,
    /// That of its RTCP, where this has a port of its own on both sides.
    pub(in crate::sim) rtcp_candidate: Option<SocketAddr>,
}

/// The agent of one component of such a stream.
pub(super) struct Checker {
    checks: Checks,
    agent: IceAgent,
    local: SocketAddr,
    nominated: Option<SocketAddr>,
}

impl Checker {
    /// Of RTP. `None` where the addresses can be no candidates.
    pub(super) fn new(checks: &Checks, local: SocketAddr) -> Option<Checker> {
        Checker::of(checks, local, checks.candidate)
    }

    /// Of RTCP, where it has a candidate.
    pub(super) fn of_rtcp(checks: &Checks, local: SocketAddr) -> Option<Checker> {
        Checker::of(checks, local, checks.rtcp_candidate?)
    }

    fn of(checks: &Checks, local: SocketAddr, candidate: SocketAddr) -> Option<Checker> {
        let credentials = |of: &Credentials| IceCreds {
            ufrag: of.ufrag.clone(),
            pass: of.password.clone(),
        };
        let mut agent = IceAgent::new(credentials(&checks.local));
        agent.set_controlling(true);
        agent.add_local_candidate(Candidate::host(local, Protocol::Udp).ok()?);
        agent.set_remote_credentials(credentials(&checks.remote));
        agent.add_remote_candidate(Candidate::host(candidate, Protocol::Udp).ok()?);
        Some(Checker {
            checks: checks.clone(),
            agent,
            local,
            nominated: None,
        })
    }

    pub(super) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Where media may go: only to what was nominated.
    pub(super) fn nominated(&self) -> Option<SocketAddr> {
        self.nominated
    }

    /// Sends what is due.
    pub(super) async fn turn(&mut self, socket: &UdpSocket) {
        self.agent.handle_timeout(Instant::now().into_std());
        while let Some(transmit) = self.agent.poll_transmit() {
            // What is lost is sent again.
            let _ = socket.send_to(&transmit.contents, transmit.destination).await;
        }
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.nominated = Some(destination);
            }
        }
    }

    /// Takes a datagram that looks like STUN.
    pub(super) fn take(&mut self, datagram: &[u8], source: SocketAddr) {
        let Ok(message) = StunMessage::parse(datagram) else {
            return;
        };
        if self.agent.accepts_message(&message) {
            let packet = StunPacket {
                proto: Protocol::Udp,
                source,
                destination: self.local,
                message,
            };
            self.agent.handle_packet(Instant::now().into_std(), packet);
        }
    }
}
