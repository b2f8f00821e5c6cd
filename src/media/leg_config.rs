//! What the owner of a leg decides about it: where the peer is, how it is secured, what may pass. Plain data.

use crate::codec::speech::Speech;
use crate::ice::Credentials;
use crate::sdp::{Codec, DROP, Direction, Negotiated, NegotiatedFormat, PayloadMap, SrtpKeys};
use crate::srtp::MasterKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One leg for the life of the process: worker, slot and the slot's generation. An id of a closed leg never names
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LegId {
    pub(super) worker: u16,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl LegId {
    pub(super) fn slot(self) -> u32 {
        self.slot
    }

    /// The first leg in a slot of the first worker: a name where no worker is asked, in tests and rehearsals.
    pub(crate) const fn first_in(slot: u32) -> LegId {
        LegId {
            worker: 0,
            slot,
            generation: 1,
        }
    }
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker, self.slot, self.generation)
    }
}

/// The outcome of the last offer and answer of a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegConfig {
    /// Where the peer wants RTP. Unspecified or port 0 (RFC 3264 §8.4): nothing is sent.
    pub remote: SocketAddr,
    /// Where the peer wants RTCP.
    pub remote_rtcp: RemoteRtcp,
    /// Seen from us, as our own description prints it: a direction that does not receive drops what comes in.
    pub direction: Direction,
    /// Protection of both directions.
    pub security: Security,
    /// What the peer may send. Everything else is dropped and counted.
    pub payloads: Vec<Payload>,
    /// Packet time that the peer is expected to use, and that it asked for: speech that can be decoded here is cut to it.
    pub packet_time: Duration,
    /// How we speak to the peer ourselves (sounds, prompts).
    pub voice: Option<Voice>,
    /// Payload type of digits that we send ourselves, at a clock of 8 kHz; None: they go in band.
    pub events: Option<u8>,
    /// Where both sides speak ICE.
    #[serde(default)]
    pub ice: Option<IceConfig>,
}

/// How the peer checks us, and whose checks lead media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceConfig {
    /// What a check must prove. Others than before are an ICE restart.
    pub local: Credentials,
    /// The peer's half of the user name; None: forks ring, and each one's checks count.
    pub remote_ufrag: Option<String>,
    /// The peer's half of the pair that it says it has chosen.
    pub chosen: Option<SocketAddr>,
}

impl LegConfig {
    /// What offer and answer settled on a leg. `relay` says what its payload types are called on the bridged leg (all
    /// [`DROP`] while there is none); `latch` counts only on a leg without SRTP.
    pub fn negotiated(media: &Negotiated, relay: &PayloadMap, latch: Latch) -> LegConfig {
        let remote_rtcp = match media.remote_rtcp {
            _ if media.rtcp_mux => RemoteRtcp::Mux,
            Some(address) => RemoteRtcp::At(address),
            None => RemoteRtcp::Nowhere,
        };
        let security = match &media.srtp {
            None => Security::Plain { latch },
            Some(keys) => Security::Sdes {
                local: keys.local.clone(),
                remote: keys.remote.clone(),
                remote_mki_len: keys.remote_mki_length,
                forks: Vec::new(),
            },
        };
        let payloads = media.formats.iter().map(|negotiated| {
            let number = negotiated.receive();
            Payload {
                number,
                clock_rate: negotiated.format.clock,
                kind: match negotiated.format.codec {
                    Codec::TelephoneEvent => PayloadKind::TelephoneEvent,
                    Codec::ComfortNoise if negotiated.format.clock == Speech::CLOCK_RATE => PayloadKind::ComfortNoise,
                    _ => negotiated
                        .format
                        .speech()
                        .map_or(PayloadKind::Audio, PayloadKind::Speech),
                },
                recode: None,
                relay_as: relay.get(usize::from(number)).copied().filter(|number| *number != DROP),
            }
        });
        // Beside wideband audio a peer may take events at two clocks, or at ours alone as Teams does.
        let is_ours = |known: &&NegotiatedFormat| {
            known.format.codec == Codec::TelephoneEvent && known.format.clock == Speech::CLOCK_RATE
        };
        let events = media.formats.iter().find(is_ours);
        LegConfig {
            remote: media.remote_rtp,
            remote_rtcp,
            direction: media.direction,
            security,
            payloads: payloads.collect(),
            packet_time: Duration::from_millis(u64::from(media.ptime)),
            voice: voice(media),
            events: events.map(|event| event.send),
            ice: media.ice.as_ref().map(|ice| IceConfig {
                local: ice.local.clone(),
                remote_ufrag: Some(ice.remote_ufrag.clone()),
                chosen: ice.chosen,
            }),
        }
    }

    /// Packet time of what we send: no shorter than 10 ms and no longer than 60, whatever the peer asks for.
    pub(super) fn spoken_packet_time(&self) -> Duration {
        self.packet_time
            .clamp(Duration::from_millis(10), Duration::from_millis(60))
    }

    /// While forks ring: what any of them sends under its own key may be heard, and checks of each count.
    pub fn while_forks_ring(mut self, keys: &[SrtpKeys]) -> LegConfig {
        if let Security::Sdes { forks, .. } = &mut self.security {
            let keyed = |keys: &SrtpKeys| RemoteKey {
                key: keys.remote.clone(),
                mki_len: keys.remote_mki_length,
            };
            *forks = keys.iter().map(keyed).collect();
            if let Some(ice) = &mut self.ice {
                ice.remote_ufrag = None;
            }
        }
        self
    }

    /// True while forks ring, of which one will be the peer.
    pub(super) fn rings(&self) -> bool {
        self.security.is_of_forks() || self.ice.as_ref().is_some_and(|ice| ice.remote_ufrag.is_none())
    }

    /// Recodes what the bridged leg did not negotiate to the first codec that it did, where both can be decoded here. A gap
    /// in the numbers instead of comfort noise would count as loss there.
    pub fn recoding(mut self, bridged: &Negotiated) -> LegConfig {
        let Some(voice) = voice(bridged) else { return self };
        for payload in &mut self.payloads {
            let known = matches!(payload.kind, PayloadKind::Speech(_) | PayloadKind::ComfortNoise);
            if payload.relay_as.is_none() && known {
                payload.relay_as = Some(voice.number);
                payload.recode = Some(voice.codec);
            }
        }
        self
    }
}

impl LegConfig {
    /// Whether something that may be received is recoded at cost ([`Speech::is_far_from`]).
    pub fn recodes_at_cost(&self) -> bool {
        self.payloads
            .iter()
            .any(|payload| match (payload.kind, payload.recode) {
                (PayloadKind::Speech(from), Some(to)) => from.is_far_from(to),
                _ => false,
            })
    }
}

/// The first format that we can encode.
fn voice(media: &Negotiated) -> Option<Voice> {
    media.formats.iter().find_map(|negotiated| {
        Some(Voice {
            codec: negotiated.format.speech()?,
            number: negotiated.send,
        })
    })
}

/// A codec that we encode, under the number that the peer receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// The first one of the negotiated formats that we can encode.
    pub codec: Speech,
    /// Payload type, 0 to 127.
    pub number: u8,
}

/// Where the peer wants RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteRtcp {
    /// On the RTP port, in both directions (RFC 5761).
    Mux,
    /// On a port of its own: `a=rtcp` (RFC 3605), or the RTP port plus one.
    At(SocketAddr),
    /// Nowhere: none is sent and none is believed.
    Nowhere,
}

/// How a leg's packets are protected, and by that whose packets are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// RTP: believed by source address.
    Plain {
        /// Which addresses.
        latch: Latch,
    },
    /// SRTP with SDES keys: believed when verified, from wherever it came; answers follow the last verified source.
    Sdes {
        /// What we protect with.
        local: MasterKey,
        /// What the peer protects with.
        remote: MasterKey,
        /// Bytes of the master key identifier in the peer's packets; 0 where none was negotiated.
        remote_mki_len: u8,
        /// While forks ring, what each of them protects with; `remote` is one of them.
        #[serde(default)]
        forks: Vec<RemoteKey>,
    },
}

/// A key of one fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteKey {
    /// What it protects with.
    pub key: MasterKey,
    /// As `remote_mki_len`.
    pub mki_len: u8,
}

impl Security {
    /// Several may use a key of their own, of which one will be the peer's.
    pub(super) fn is_of_forks(&self) -> bool {
        matches!(self, Security::Sdes { forks, .. } if !forks.is_empty())
    }

    /// What goes to the peer is protected under the same key, or not at all in both.
    pub(super) fn sends_like(&self, other: &Security) -> bool {
        match (self, other) {
            (Security::Plain { .. }, Security::Plain { .. }) => true,
            (Security::Sdes { local: ours, .. }, Security::Sdes { local: theirs, .. }) => ours == theirs,
            _ => false,
        }
    }

    /// A key that the peer may use stays, or there is none in both.
    pub(super) fn receives_like(&self, other: &Security) -> bool {
        match (self, other) {
            (Security::Plain { .. }, Security::Plain { .. }) => true,
            (Security::Sdes { .. }, Security::Sdes { .. }) => {
                let mut ours = self.remote_keys();
                ours.any(|ours| other.remote_keys().any(|theirs| ours == theirs))
            }
            _ => false,
        }
    }

    /// Each key that the peer may use, with the length of its identifier.
    pub(super) fn remote_keys(&self) -> impl Iterator<Item = (&MasterKey, u8)> {
        let (first, forks) = match self {
            Security::Plain { .. } => (None, &[][..]),
            Security::Sdes {
                remote,
                remote_mki_len,
                forks,
                ..
            } => (Some((remote, *remote_mki_len)), forks.as_slice()),
        };
        let forks = forks.iter().map(|fork| (&fork.key, fork.mki_len));
        let others = forks.filter(move |(key, _)| first.is_none_or(|(first, _)| first != *key));
        first.into_iter().chain(others)
    }
}

/// Which source addresses a plain leg believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Latch {
    /// Only the signalled address and port.
    Signalled,
    /// The peer is behind NAT: until a first packet was believed, one other address within `window` after the
    /// configuration takes the signalled one's place.
    NatOnce {
        /// How long after `configure` the move is possible.
        window: Duration,
        /// The only host that may, from any port; None: any host.
        host: Option<IpAddr>,
    },
}

/// One payload type that the peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The number on this leg, 0 to 127.
    pub number: u8,
    /// RTP clock, Hz.
    pub clock_rate: u32,
    /// What it carries.
    pub kind: PayloadKind,
    /// Its number on the bridged leg; None: it ends here.
    pub relay_as: Option<u8>,
    /// What it becomes on the way there, where it can be decoded here; None: it passes as it is.
    pub recode: Option<Speech>,
}

/// What a payload type carries, as far as the relay cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadKind {
    /// Audio that can be decoded here.
    Speech(Speech),
    /// Audio that only passes through.
    Audio,
    /// The level of the noise that stands for silence (RFC 3389): relayed, or made into a packet of that noise.
    ComfortNoise,
    /// Named events (RFC 4733): relayed and reported.
    TelephoneEvent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::{Format, payload_map};

    fn leg(port: u16, formats: &[(Codec, u8, u8)]) -> Negotiated {
        let format = |(codec, receive, send): &(Codec, u8, u8)| NegotiatedFormat {
            format: Format::new(*receive, codec.clone(), 8000),
            send: *send,
        };
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        Negotiated {
            remote_rtp: remote,
            remote_rtcp: None,
            rtcp_mux: false,
            direction: Direction::SendRecv,
            formats: formats.iter().map(format).collect(),
            srtp: None,
            ice: None,
            ptime: 30,
        }
    }

    #[test]
    fn keys_of_ours_are_events_at_8_khz_beside_wideband_audio_too() {
        let mut wide = leg(
            4000,
            &[
                (Codec::Silk, 104, 104),
                (Codec::TelephoneEvent, 98, 98),
                (Codec::TelephoneEvent, 101, 99),
            ],
        );
        for format in wide.formats.iter_mut().take(2) {
            format.format.clock = 16_000;
        }
        let config = LegConfig::negotiated(&wide, &[DROP; 128], Latch::Signalled);
        assert_eq!((config.voice, config.events), (None, Some(99)));
    }

    #[test]
    fn a_negotiation_becomes_a_configuration() {
        let a = leg(
            4000,
            &[
                (Codec::Pcma, 8, 8),
                (Codec::TelephoneEvent, 101, 96),
                (Codec::Pcmu, 0, 0),
            ],
        );
        let b = leg(5000, &[(Codec::Pcma, 8, 8), (Codec::TelephoneEvent, 97, 100)]);
        let config = LegConfig::negotiated(&a, &payload_map(&a, &b), Latch::Signalled);
        let relayed = |config: &LegConfig| {
            config
                .payloads
                .iter()
                .map(|p| (p.number, p.relay_as))
                .collect::<Vec<_>>()
        };
        assert_eq!(relayed(&config), [(8, Some(8)), (101, Some(100)), (0, None)]);
        assert_eq!(
            config
                .payloads
                .iter()
                .filter(|p| p.kind == PayloadKind::TelephoneEvent)
                .count(),
            1
        );
        assert_eq!(
            (config.remote_rtcp, config.packet_time),
            (RemoteRtcp::Nowhere, Duration::from_millis(30))
        );
        let voice = Voice {
            codec: Speech::Pcma,
            number: 8,
        };
        assert_eq!((config.voice, config.events), (Some(voice), Some(96)));
        assert_eq!(
            config.payloads.first().map(|p| p.kind),
            Some(PayloadKind::Speech(Speech::Pcma))
        );
        assert_eq!(
            config.security,
            Security::Plain {
                latch: Latch::Signalled
            }
        );
        let recoding = config.clone().recoding(&b);
        assert_eq!(relayed(&recoding), [(8, Some(8)), (101, Some(100)), (0, Some(8))]);
        let recoded: Vec<_> = recoding.payloads.iter().map(|p| p.recode).collect();
        assert_eq!(recoded, [None, None, Some(Speech::Pcma)]);
        let quiet = leg(4000, &[(Codec::Pcma, 8, 8), (Codec::ComfortNoise, 13, 13)]);
        let config = LegConfig::negotiated(&quiet, &payload_map(&quiet, &b), Latch::Signalled).recoding(&b);
        let noise = config.payloads.get(1).map(|p| (p.kind, p.relay_as, p.recode));
        let as_speech = (PayloadKind::ComfortNoise, Some(8), Some(Speech::Pcma));
        assert_eq!(noise, Some(as_speech));
        let config = LegConfig::negotiated(&quiet, &payload_map(&quiet, &quiet), Latch::Signalled).recoding(&quiet);
        let noise = config.payloads.get(1).map(|p| (p.relay_as, p.recode));
        assert_eq!(noise, Some((Some(13), None)), "who speaks it gets it");
        let back = LegConfig::negotiated(&b, &payload_map(&b, &a), Latch::Signalled);
        assert_eq!(relayed(&back), [(8, Some(8)), (97, Some(96))]);
        let mux = Negotiated {
            rtcp_mux: true,
            remote_rtcp: Some(a.remote_rtp),
            ..a
        };
        assert_eq!(
            LegConfig::negotiated(&mux, &[DROP; 128], Latch::Signalled).remote_rtcp,
            RemoteRtcp::Mux
        );
    }
}
