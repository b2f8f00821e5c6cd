//! Connectivity checks on a leg's sockets (RFC 8445): answered where they came to, and what they prove of where media goes.

use super::leg::{Channel, Leg, Settled};
use super::outbound::send;
use super::stats::WorkerStats;
use crate::ice::{Component, Credentials, Heard, Lite, Why};
use crate::moment::Moment;
use std::net::SocketAddr;

impl Leg {
    /// From now on checks under these credentials are answered: they come before any answer of the peer (TEAMS-100).
    pub fn expect_checks(&mut self, ours: &Credentials, now: Moment) {
        match &mut self.ice {
            Some(ice) => ice.describe(ours, now),
            None => self.ice = Some(Box::new(Lite::new(ours.clone()))),
        }
    }

    /// Judges a datagram that looks like STUN.
    pub(super) fn receive_check(
        &mut self,
        channel: Channel,
        packet: &[u8],
        from: SocketAddr,
        now: Moment,
        totals: &mut WorkerStats,
    ) {
        let received = &mut self.stats.received;
        let Some(ice) = &mut self.ice else {
            received.dropped.not_negotiated += 1;
            return;
        };
        let component = match channel {
            Channel::Rtp => Component::Rtp,
            Channel::Rtcp => Component::Rtcp,
        };
        let reply = match ice.receive(component, packet, from, now) {
            Heard::Check(reply) => {
                received.checks += 1;
                reply
            }
            Heard::RoleConflict(reply) => {
                received.dropped.stun_role += 1;
                reply
            }
            Heard::Indication => return,
            Heard::Dropped(why) => {
                match why {
                    Why::Malformed => received.dropped.malformed += 1,
                    Why::UnknownUser => received.dropped.stun_user += 1,
                    Why::Integrity => received.dropped.stun_integrity += 1,
                }
                return;
            }
        };
        let (bytes, Some(socket)) = (reply.as_slice(), self.socket(channel)) else {
            return;
        };
        if !send(socket, bytes, bytes.len(), from, totals) {
            self.stats.sent.errors += 1;
        }
        self.follow_pairs();
    }

    /// Sends media where the checks lead, as long as both sides speak ICE.
    pub(super) fn follow_pairs(&mut self) {
        if let (Some(ice), Some(settled)) = (&self.ice, &mut self.settled) {
            follow(ice, settled);
        }
    }
}

/// As [`Leg::follow_pairs`].
pub(super) fn follow(ice: &Lite, settled: &mut Settled) {
    let speaks = settled.config.ice.is_some();
    let of = |component| match speaks {
        true => (ice.nominated(component), ice.checked(component)),
        false => (None, None),
    };
    settled.rtp.pair(of(Component::Rtp));
    if let Some(rtcp) = &mut settled.rtcp {
        rtcp.pair(of(Component::Rtcp));
    }
}
