//! What one leg speaks: built by configuration for each trunk, obeyed by offer and answer.

use super::codec::{Codec, Format};
use super::direction::HoldStyle;
use super::error::Refusal;
use super::ice::IceSide;
use super::session::Audio;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Transport security of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// `RTP/AVP`; an offer or answer of SRTP alone is refused.
    Plain,
    /// `RTP/SAVP` with `AES_CM_128_HMAC_SHA1_80`; plain RTP is refused in both directions.
    SdesRequired,
}

/// RTP and RTCP on one port (RFC 5761).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RtcpMux {
    /// Offered by us, accepted from the peer; works without it.
    Offer,
    /// Only when the peer offers it.
    Accept,
    Never,
}

/// When telephone-event or comfort noise stand in what we print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auxiliary {
    Never,
    /// When the other leg has it.
    WhenOffered,
    /// In each offer of ours; what the other leg can't take is dropped by the payload map.
    Always,
}

/// The lifetime part of our `a=crypto` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyLifetime {
    Absent,
    /// `|2^31`: packets, as Teams and its certified SBCs print it.
    TwoTo31,
}

/// IP versions that a leg's sockets can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressFamilies {
    Ipv4,
    Ipv6,
    Both,
}

impl AddressFamilies {
    /// Of a socket that is bound to this address: one bound to `::` takes IPv6 alone.
    pub fn of(bind: IpAddr) -> AddressFamilies {
        match bind {
            IpAddr::V4(_) => AddressFamilies::Ipv4,
            IpAddr::V6(_) => AddressFamilies::Ipv6,
        }
    }
}

/// Which addresses a peer may name for its media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPolicy {
    pub families: AddressFamilies,
    /// Our own addresses, bound and advertised: media sent there would loop.
    pub own: Vec<IpAddr>,
    /// Sockets of ours that speak SIP: no media are behind them.
    #[serde(default)]
    pub listeners: Vec<SocketAddr>,
    /// Demo and tests: loopback and our own addresses are then fine.
    pub allow_loopback: bool,
}

/// Why an address of ours is refused.
const OWN: &str = "it is our own address";

impl AddressPolicy {
    /// Refuses an address that media must not be sent to. The unspecified one passes: it is the old form of hold (RFC 3264
    /// §8.4).
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        if address.is_unspecified() {
            return Ok(());
        }
        let reason = match self.families {
            AddressFamilies::Ipv4 if address.is_ipv6() => Some("this leg has IPv4 only"),
            AddressFamilies::Ipv6 if address.is_ipv4() => Some("this leg has IPv6 only"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(Refusal::AddressFamily { address, reason });
        }
        let plain = address.to_canonical();
        let broadcast = matches!(plain, IpAddr::V4(v4) if v4.is_broadcast());
        let reason = if plain.is_unspecified() {
            "it is the unspecified address"
        } else if plain.is_multicast() || broadcast {
            "it is a group address"
        } else if is_link_local(plain) {
            "it is a link-local address"
        } else if is_nobodys(plain) {
            "no host has such an address"
        } else if self.allow_loopback {
            return Ok(());
        } else if plain.is_loopback() {
            "it is a loopback address"
        } else if self.is_own(address) {
            OWN
        } else {
            return Ok(());
        };
        Err(Refusal::Address { address, reason })
    }

    /// Whether media that is sent there would come to ourselves, or to somebody who is behind the same address.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        !self.allow_loopback && self.own.iter().any(|own| own.to_canonical() == plain)
    }

    /// Refuses a listener of ours, whatever is allowed: it speaks SIP.
    fn check_port(&self, socket: SocketAddr) -> Result<(), Refusal> {
        let address = socket.ip().to_canonical();
        if self.listeners.contains(&SocketAddr::new(address, socket.port())) {
            return Err(Refusal::Listener { address: socket });
        }
        Ok(())
    }

    /// `own` is never the peer's own socket: such media would loop whatever is allowed.
    pub(super) fn check_socket(&self, remote: SocketAddr, own: SocketAddr) -> Result<(), Refusal> {
        if remote.is_ipv4() != own.is_ipv4() {
            let reason = "our address on this leg is of the other IP version";
            return Err(Refusal::AddressFamily {
                address: remote.ip(),
                reason,
            });
        }
        if remote == own {
            return Err(Refusal::MediaLoop { address: remote });
        }
        Ok(())
    }
}

/// Nobody's media is there, and 169.254.169.254 is where clouds keep their secrets.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// "This network" beside the unspecified address, and what is reserved (RFC 6890 §2.2.2).
fn is_nobodys(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if matches!(v4.octets(), [0 | 240..=255, ..]))
}

/// A leg's media contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegProfile {
    pub security: Security,
    pub rtcp_mux: RtcpMux,
    /// Speech codecs in order of preference; events and comfort noise have switches of their own.
    pub codecs: Vec<Codec>,
    pub telephone_event: Auxiliary,
    pub comfort_noise: Auxiliary,
    /// Milliseconds of audio a packet, printed as `a=ptime`; `None` prints nothing.
    pub ptime: Option<u16>,
    pub hold: HoldStyle,
    pub key_lifetime: KeyLifetime,
    /// G.729 annex B frames never go to this leg (`annexb=no`).
    pub g729_annex_b: bool,
    pub addresses: AddressPolicy,
    #[serde(default)]
    pub ice: IceSide,
}

impl LegProfile {
    /// Microsoft Teams Direct Routing without media bypass.
    pub fn teams() -> LegProfile {
        LegProfile {
            security: Security::SdesRequired,
            rtcp_mux: RtcpMux::Offer,
            codecs: vec![Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::G729, Codec::Silk],
            telephone_event: Auxiliary::Always,
            comfort_noise: Auxiliary::Always,
            ptime: Some(20),
            hold: HoldStyle::Inactive,
            key_lifetime: KeyLifetime::TwoTo31,
            g729_annex_b: false,
            addresses: AddressPolicy {
                families: AddressFamilies::Ipv4,
                own: Vec::new(),
                listeners: Vec::new(),
                allow_loopback: false,
            },
            ice: IceSide::Never,
        }
    }

    /// Microsoft Teams Direct Routing with media bypass: clients and transport relays check us by ICE.
    pub fn teams_bypass() -> LegProfile {
        LegProfile {
            ice: IceSide::Lite,
            ..LegProfile::teams()
        }
    }

    /// A carrier trunk with plain RTP.
    pub fn carrier() -> LegProfile {
        LegProfile {
            security: Security::Plain,
            rtcp_mux: RtcpMux::Accept,
            codecs: vec![Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::G729],
            telephone_event: Auxiliary::WhenOffered,
            comfort_noise: Auxiliary::WhenOffered,
            ptime: Some(20),
            hold: HoldStyle::Directional,
            key_lifetime: KeyLifetime::TwoTo31,
            g729_annex_b: true,
            addresses: AddressPolicy {
                families: AddressFamilies::Both,
                own: Vec::new(),
                listeners: Vec::new(),
                allow_loopback: false,
            },
            ice: IceSide::Never,
        }
    }

    /// Every address that media would be sent to. A peer that checks may say one of ours, as an office has one address for
    /// its clients and for us: nothing is sent there but to what the checks prove.
    pub(super) fn check_addresses(&self, audio: &Audio) -> Result<(), Refusal> {
        let proves = self.ice == IceSide::Lite && audio.ice.as_ref().is_some_and(|ice| !ice.lite);
        let check = |address| match self.addresses.check(address) {
            Err(Refusal::Address { reason: OWN, .. }) if proves => Ok(()),
            verdict => verdict,
        };
        let sockets = std::iter::once(audio.rtp()).chain(audio.rtcp);
        for socket in sockets {
            check(socket.ip())?;
            self.addresses.check_port(socket)?;
        }
        Ok(())
    }

    /// True when this leg may print the format at all.
    pub(super) fn allows(&self, format: &Format) -> bool {
        match format.codec {
            Codec::TelephoneEvent => self.telephone_event != Auxiliary::Never,
            Codec::ComfortNoise => self.comfort_noise != Auxiliary::Never,
            ref codec => self.codecs.contains(codec) && format.is_at_its_clock(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Session;

    #[test]
    fn addresses_that_media_must_not_reach() {
        let mut policy = LegProfile::carrier().addresses;
        policy.own = vec!["198.51.100.5".parse().unwrap()];
        let refused = |policy: &AddressPolicy, text: &str| policy.check(text.parse().unwrap()).is_err();
        for text in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
            "224.2.17.12",
            "255.255.255.255",
            "ff02::1",
            "198.51.100.5",
            "169.254.169.254",
            "::ffff:169.254.0.1",
            "fe80::1",
            "0.0.0.1",
            "240.0.0.1",
            "::ffff:240.0.0.1",
        ] {
            assert!(refused(&policy, text), "{text}");
        }
        for text in ["0.0.0.0", "::", "192.0.2.7", "10.0.0.1", "2001:db8::5"] {
            assert!(!refused(&policy, text), "{text}");
        }
        policy.allow_loopback = true;
        assert!(!refused(&policy, "127.0.0.1") && !refused(&policy, "198.51.100.5"));
        assert!(refused(&policy, "224.0.0.1") && refused(&policy, "169.254.169.254"));
        policy.families = AddressFamilies::Ipv4;
        assert!(refused(&policy, "2001:db8::5"));
    }

    #[test]
    fn a_listener_of_ours_is_refused_even_in_a_demo() {
        let mut profile = LegProfile::carrier();
        profile.addresses.allow_loopback = true;
        profile.addresses.listeners = vec!["127.0.0.1:5060".parse().unwrap()];
        let refused = |port: u16, more: &str| {
            let text = format!("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {port} RTP/AVP 8\r\n{more}");
            let session = Session::parse(text.as_bytes()).unwrap();
            let audio = session.audio().unwrap();
            profile.check_addresses(audio).err().map(|refusal| refusal.to_string())
        };
        let why = "media address 127.0.0.1:5060 is a socket of ours that speaks SIP";
        assert_eq!(refused(5060, "").as_deref(), Some(why));
        assert_eq!(refused(4000, "a=rtcp:5060\r\n").as_deref(), Some(why));
        assert_eq!(refused(4000, ""), None);
    }

    #[test]
    fn our_own_socket_is_refused_even_in_a_demo() {
        let mut policy = LegProfile::carrier().addresses;
        policy.allow_loopback = true;
        let own = "127.0.0.1:30000".parse().unwrap();
        assert!(matches!(policy.check_socket(own, own), Err(Refusal::MediaLoop { .. })));
        assert_eq!(policy.check_socket("127.0.0.1:30002".parse().unwrap(), own), Ok(()));
    }
}
