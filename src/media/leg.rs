//! One leg: its sockets, what was negotiated and what was learnt. A leg knows no other leg and no worker.
//! Its packet path is in `inbound` (judging what arrives) and `outbound` (sending).

use super::converter::Converter;
use super::dtmf::{Digit, DigitWatch};
use super::ear::Ear;
use super::latch::{OpenWay, PlainStream, Source};
use super::life::Life;
use super::outgoing::Outgoing;
use super::protection::Protection;
use super::repacker::Repacker;
use super::reports::{self, Reports};
use super::socket::Sockets;
use super::speaker::Speaker;
use super::stats::WorkerStats;
use super::{
    DigitSource, Dropped, Latch, LegConfig, LegId, MediaEvent, MediaEvents, MediaStats, RemoteRtcp, RtcpPort, Security,
};
use crate::ice::Lite;
use crate::moment::Moment;
use crate::srtp::SrtpError;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Places in the owner's queue that digits leave to what comes once.
const RESERVED_EVENTS: usize = 8;

/// Longest media packet: an Ethernet payload. Longer ones are dropped.
pub(super) const MAX_PACKET: usize = 1500;

/// One of a leg's two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Rtp,
    Rtcp,
}

/// A leg. Everything that a move to another worker takes along is in here.
pub(super) struct Leg {
    pub id: LegId,
    pub address: usize,
    pub label: Arc<str>,
    /// Slot of the bridged leg.
    pub peer: Option<u32>,
    /// Whose packets it has sent last, or is about to.
    pub speaks_for: Option<LegId>,
    pub sockets: Sockets,
    pub events: MediaEvents,
    pub(super) settled: Option<Settled>,
    /// Of a plain leg.
    pub(super) stream: PlainStream,
    pub(super) source: Option<reports::Source>,
    pub(super) reports: Reports,
    pub(super) life: Life,
    pub(super) digits: DigitWatch,
    /// XORed into the SSRC of what we send: not 0 where a source repeats sequence numbers under a key of ours.
    pub(super) ssrc_mask: u32,
    pub(super) stats: MediaStats,
    /// Where something received must be recoded for the bridged leg.
    pub(super) converter: Option<Box<Converter>>,
    /// Listens for digits as tones.
    pub(super) ear: Option<Box<Ear>>,
    pub(super) outgoing: Outgoing,
    /// Where the bridged leg sends packets of another length than the peer asked for.
    pub(super) repacker: Option<Box<Repacker>>,
    /// While the leg says something by itself, or since it did.
    pub(super) speaker: Option<Box<Speaker>>,
    /// What its peer says is not passed on, but as silence.
    pub muted: bool,
    /// Answers connectivity checks.
    pub(super) ice: Option<Box<Lite>>,
}

/// What `configure` brought, and what was learnt since.
pub(super) struct Settled {
    pub config: LegConfig,
    pub protection: Option<Box<Protection>>,
    pub rtp: Source,
    /// Where RTCP has a port of its own.
    pub rtcp: Option<Source>,
    /// A plain source may move until then.
    pub open_way: Option<OpenWay>,
    /// The peer's key is new: its next packet may restart the sequence.
    pub rekeyed: bool,
}

impl Leg {
    pub fn new(id: LegId, address: usize, sockets: Sockets, events: MediaEvents, label: Arc<str>) -> Leg {
        Leg {
            id,
            address,
            label,
            peer: None,
            speaks_for: None,
            sockets,
            events,
            settled: None,
            stream: PlainStream::default(),
            source: None,
            reports: Reports::new(),
            life: Life::new(),
            digits: DigitWatch::default(),
            ssrc_mask: 0,
            stats: MediaStats::default(),
            converter: None,
            ear: None,
            outgoing: Outgoing::default(),
            repacker: None,
            speaker: None,
            muted: false,
            ice: None,
        }
    }

    pub fn socket(&self, channel: Channel) -> Option<&UdpSocket> {
        match channel {
            Channel::Rtp => Some(&self.sockets.rtp),
            Channel::Rtcp => self.sockets.rtcp.as_ref(),
        }
    }

    pub fn is_orphan(&self) -> bool {
        self.events.is_closed()
    }

    /// True when `from` is a port of this leg itself.
    pub fn is_from_itself(&self, from: SocketAddr) -> bool {
        let claim = self.sockets.claim;
        from.port() == claim.rtp || (claim.rtcp == RtcpPort::Pair && from.port() == claim.rtp.saturating_add(1))
    }

    pub fn dropped(&mut self) -> &mut Dropped {
        &mut self.stats.received.dropped
    }

    pub fn stats(&self) -> MediaStats {
        let mut stats = self.stats.clone();
        stats.remote = self.settled.as_ref().and_then(|settled| settled.rtp.destination());
        stats.round_trip = self.reports.round_trip();
        if let Some(source) = &self.source {
            stats.received.ssrc = Some(source.ssrc);
            stats.received.lost = source.reception.lost();
            stats.received.jitter_ms = source.reception.jitter_time().as_secs_f64() * 1000.0;
            stats.received.duplicates = source.reception.duplicates();
            stats.received.reordered = source.reception.reordered();
        }
        stats
    }

    /// Queues an event for the owner, or counts it as dropped.
    pub fn tell(&self, event: MediaEvent, totals: &mut WorkerStats) {
        if self.events.try_send(event).is_err() {
            totals.events_dropped += 1;
        }
    }

    pub(super) fn tell_digit(&self, digit: Digit, source: DigitSource, totals: &mut WorkerStats) {
        // A peer sends digits at will; ends of sounds and of the leg come once, and keep their room.
        if self.events.capacity() <= RESERVED_EVENTS.min(self.events.max_capacity() / 2) {
            totals.events_dropped += 1;
            return;
        }
        self.tell(
            MediaEvent::Dtmf {
                leg: self.id,
                digit: digit.sign,
                duration: digit.duration,
                source,
            },
            totals,
        );
    }

    /// Takes a new configuration without losing packets: equal keys keep their contexts, equal addresses what was
    /// learnt about them.
    pub fn configure(&mut self, config: LegConfig, report_interval: Duration, now: Moment) -> Result<(), SrtpError> {
        let rtcp_address = match config.remote_rtcp {
            RemoteRtcp::At(address) => Some(address),
            RemoteRtcp::Mux | RemoteRtcp::Nowhere => None,
        };
        let open_way = match config.security {
            Security::Plain {
                latch: Latch::NatOnce { window, host },
            } => Some(OpenWay {
                until: now + window,
                host,
            }),
            _ => None,
        };
        let receives = config.direction.receives();
        let recodes = config.payloads.iter().any(|payload| payload.recode.is_some());
        self.converter = recodes.then(|| self.converter.take().unwrap_or_default());
        if let Some(ice) = &config.ice {
            self.expect_checks(&ice.local, now);
            let before = self.settled.as_ref().and_then(|settled| settled.config.ice.as_ref());
            let named = ice
                .chosen
                .filter(|_| before.and_then(|before| before.chosen) != ice.chosen);
            if let Some(lite) = &mut self.ice {
                lite.settle(ice.remote_ufrag.as_deref());
                named.into_iter().for_each(|remote| lite.prefer(remote, now));
            }
        }
        if matches!(config.security, Security::Sdes { .. }) && !config.rings() {
            self.stream = PlainStream::default();
        }
        let waits_anew = match &mut self.settled {
            Some(settled) => {
                let (before, security) = (&settled.config.security, &config.security);
                // what was heard of another fork is no address of the one that answers
                let another_was_heard = settled.config.rings()
                    && !config.rings()
                    && settled
                        .protection
                        .as_ref()
                        .is_some_and(|protection| !protection.was_heard_under(security));
                match &mut settled.protection {
                    Some(protection) if matches!(security, Security::Sdes { .. }) => {
                        protection.renew(before, security, now)?;
                    }
                    protection => *protection = Protection::new(security)?,
                }
                settled.rekeyed |= !before.receives_like(security);
                if !before.sends_like(security) {
                    self.ssrc_mask = 0;
                    // Whoever hears it under another key has not heard how far it has come.
                    self.outgoing.begin_anew();
                }
                // while forks ring, the description of one of them does not silence another that is heard (TEAMS-102)
                if another_was_heard {
                    settled.rtp = Source::new(config.remote);
                } else if !(config.rings() && settled.rtp.is_heard()) {
                    settled.rtp.signal(config.remote);
                }
                match (&mut settled.rtcp, rtcp_address) {
                    (Some(source), Some(address)) => source.signal(address),
                    (source, address) => *source = address.map(Source::new),
                }
                settled.open_way = open_way;
                let waits_anew = receives && !settled.config.direction.receives();
                settled.config = config;
                waits_anew
            }
            None => {
                self.settled = Some(Settled {
                    protection: Protection::new(&config.security)?,
                    rtp: Source::new(config.remote),
                    rtcp: rtcp_address.map(Source::new),
                    open_way,
                    rekeyed: false,
                    config,
                });
                self.reports.begin(report_interval, now);
                true
            }
        };
        if waits_anew {
            self.life.wait(now);
        }
        self.follow_pairs();
        Ok(())
    }

    /// Silence counts from now on.
    pub fn await_rtp(&mut self, now: Moment) {
        self.life.wait(now);
    }

    /// The wheel's visit: silence, digits whose end was lost, our report.
    pub fn visit(
        &mut self,
        buffer: &mut [u8],
        report_interval: Duration,
        silence_after: Duration,
        now: Moment,
        totals: &mut WorkerStats,
    ) {
        if let Some(digit) = self.digits.overdue(now) {
            self.tell_digit(digit, DigitSource::Event, totals);
        }
        if let Some(digit) = self.ear.as_mut().and_then(|ear| ear.overdue(now)) {
            self.tell_digit(digit, DigitSource::InBand, totals);
        }
        if self
            .settled
            .as_ref()
            .is_some_and(|settled| settled.config.direction.receives())
            && let Some(event) = self.life.silence(self.id, silence_after, now)
        {
            self.tell(event, totals);
        }
        self.report(buffer, report_interval, now, totals);
    }
}
