//! Our side of a leg and how it is printed.

use super::codec::{Codec, Format};
use super::direction::Direction;
use super::ice::{self, Ice, IceSettled, IceSide, LocalIce};
use super::profile::{KeyLifetime, LegProfile, Security};
use super::session::{Audio, Protocol};
use crate::ice::{Credentials, Secret};
use crate::srtp::MasterKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// Events that are meant where none are named (RFC 4733 §2.4.1): many peers want to read it.
const ALL_KEYS: &str = "0-15";

/// The tag of the only `a=crypto` line in our offers.
pub(super) const OFFERED_TAG: u32 = 1;

/// A leg's own address, ports, key and session. Toward Teams address and ports never change during a dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalMedia {
    /// As advertised to the peer.
    pub address: IpAddr,
    pub rtp_port: u16,
    /// `None`: RTCP only on the RTP port.
    pub rtcp_port: Option<u16>,
    /// Our sending key, of `AES_CM_128_HMAC_SHA1_80`. A new one in a new description restarts the peer's rollover counter (RFC 4568 §7.1).
    pub key: MasterKey,
    session_id: u64,
    version: u64,
    /// The highest that was ever printed: a version that was taken back is not used for anything else.
    #[serde(default)]
    highest: u64,
    /// SHA-256 of what was printed last, without the version.
    printed: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ice: Option<Box<LocalIce>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    /// How often another key was taken.
    #[serde(default)]
    rekeyed: u32,
    /// Of the peer's last offer: ours keep it (TEAMS-073).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<Protocol>,
    /// Whether our first description had RTCP on the port of RTP: all others do as it did (TEAMS-073).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rtcp_mux: Option<bool>,
    /// The telephone events of our first description that had some, as `a=fmtp` names them: all others name the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events: Option<Box<str>>,
}

impl LocalMedia {
    /// `session_id`: random, unique for the dialog; the top bit is cleared, some parsers read it signed.
    pub fn new(address: IpAddr, rtp_port: u16, rtcp_port: Option<u16>, session_id: u64, key: MasterKey) -> LocalMedia {
        let session_id = session_id & (u64::MAX >> 1);
        LocalMedia {
            address,
            rtp_port,
            rtcp_port,
            key,
            session_id,
            version: 1,
            highest: 1,
            printed: None,
            ice: None,
            secret: None,
            rekeyed: 0,
            protocol: None,
            rtcp_mux: None,
            events: None,
        }
    }

    /// Which telephone events a description names: those of the first one.
    fn says_events(&mut self, usual: Option<&str>) -> &str {
        self.events.get_or_insert_with(|| usual.unwrap_or(ALL_KEYS).into())
    }

    /// Whether a description has RTCP on the port of RTP: as the first one had, which does as is `usual`, and always where
    /// there is no other port.
    pub(super) fn says_rtcp_mux(&mut self, usual: bool) -> bool {
        *self.rtcp_mux.get_or_insert(usual) || self.rtcp_port.is_none()
    }

    /// With what its ICE credentials are made of, for a leg whose profile wants ICE, and its later keys.
    pub fn with_secret(mut self, secret: Secret) -> LocalMedia {
        self.ice = Some(Box::new(LocalIce::new(secret.clone())));
        self.secret = Some(secret);
        self
    }

    /// These are in force again in the place of `later`, which the peer has refused. Where the peer has accepted it, `accepted`,
    /// without our being able to go by it, even these are another description to the peer (RFC 3264 §8).
    pub fn instead_of(&mut self, later: &LocalMedia, accepted: bool) {
        self.highest = later.highest;
        if accepted && later.version != self.version {
            self.printed = Some([0; 32]);
        }
    }

    /// Takes a key that was never used.
    pub fn take_new_key(&mut self) {
        let Some(secret) = &self.secret else { return };
        self.rekeyed += 1;
        let bytes = secret.derive(b"srtp key", self.rekeyed);
        let suite = self.key.suite();
        let key = bytes
            .get(..suite.key_and_salt_len())
            .map(|bytes| MasterKey::from_bytes(suite, bytes));
        if let Some(Ok(key)) = key {
            self.key = key;
        }
    }

    /// Without what a leg of this profile does not need.
    pub fn for_profile(mut self, profile: &LegProfile) -> LocalMedia {
        self.ice.take_if(|_| profile.ice == IceSide::Never);
        self.secret.take_if(|_| profile.security == Security::Plain);
        self
    }

    /// Our ICE credentials, where a leg of this profile prints them: over IPv4 only (TEAMS-099).
    pub fn ice(&self, profile: &LegProfile) -> Option<Credentials> {
        let speaks = profile.ice == IceSide::Lite && self.address.is_ipv4();
        self.ice.as_deref().filter(|_| speaks).map(LocalIce::credentials)
    }

    /// Takes the ICE part of an offer of the peer; what both sides settle.
    pub(super) fn ice_offered(&mut self, profile: &LegProfile, audio: &Audio) -> Option<IceSettled> {
        self.ice(profile)?;
        let (ours, theirs) = (self.ice.as_mut()?, audio.ice.as_ref()?);
        ours.offered(&theirs.credentials);
        self.ice_settled(profile, audio, theirs)
    }

    /// The same for an answer of the peer.
    pub(super) fn ice_answered(&mut self, profile: &LegProfile, audio: &Audio) -> Option<IceSettled> {
        self.ice(profile)?;
        let (ours, theirs) = (self.ice.as_mut()?, audio.ice.as_ref()?);
        ours.answered(&theirs.credentials);
        self.ice_settled(profile, audio, theirs)
    }

    fn ice_settled(&self, profile: &LegProfile, audio: &Audio, theirs: &Ice) -> Option<IceSettled> {
        // a pair with another half than ours is none of this leg, and an address of ours is the peer's only where it checks
        let is_ours = theirs.chosen == Some(self.rtp()) && !profile.addresses.is_own(audio.rtp().ip());
        Some(IceSettled {
            local: self.ice(profile)?,
            remote_ufrag: theirs.credentials.ufrag.clone(),
            remote_is_lite: theirs.lite,
            chosen: is_ours.then(|| audio.rtp()),
        })
    }

    pub(super) fn rtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.rtp_port)
    }

    /// Prints the m-lines under our session; the version moves only when something else did (RFC 3264 §8).
    pub(super) fn print(&mut self, medias: Vec<sdp_types::Media>) -> String {
        let names_candidates =
            |media: &sdp_types::Media| media.attributes.iter().any(|line| line.attribute == "candidate");
        let attributes = medias.iter().any(names_candidates).then(ice::session_line);
        let mut session = sdp_types::Session {
            origin: sdp_types::Origin::with_ip_addr(self.session_id, 0, self.address),
            session_name: "-".to_owned(),
            session_description: None,
            uri: None,
            emails: Vec::new(),
            phones: Vec::new(),
            connection: Some(sdp_types::Connection::from_ip_addr(self.address)),
            bandwidths: Vec::new(),
            times: vec![sdp_types::Time {
                start_time: 0,
                stop_time: 0,
                repeats: Vec::new(),
            }],
            time_zones: Vec::new(),
            key: None,
            attributes: attributes.into_iter().collect(),
            medias,
        };
        let digest: [u8; 32] = Sha256::digest(session.to_string().as_bytes()).into();
        if self.printed.is_some_and(|printed| printed != digest) {
            self.version = self.version.max(self.highest) + 1;
        }
        self.highest = self.version.max(self.highest);
        self.printed = Some(digest);
        session.origin.sess_version = self.version;
        session.to_string()
    }
}

/// What our audio m-line says.
pub(super) struct AudioLine<'a> {
    pub protocol: Protocol,
    pub formats: &'a [Format],
    pub direction: Direction,
    pub rtcp_mux: bool,
    pub crypto_tag: u32,
    pub ice: Option<Credentials>,
}

impl AudioLine<'_> {
    pub(super) fn print(&self, profile: &LegProfile, local: &mut LocalMedia) -> sdp_types::Media {
        let mut attributes = Vec::new();
        let events = Format::our_events();
        for format in self.formats {
            let number = format.payload_type;
            attributes.push(valued("rtpmap", format!("{number} {format}")));
            let fmtp = match &format.fmtp {
                // The ones beside speech (RFC 4733 §2.1); others accompany codecs that only pass through.
                said if format.same_codec(&events) => Some(local.says_events(said.as_deref())),
                None if format.codec == Codec::TelephoneEvent => Some(ALL_KEYS),
                fmtp => fmtp.as_deref(),
            };
            attributes.extend(fmtp.map(|text| valued("fmtp", format!("{number} {text}"))));
        }
        if profile.security == Security::SdesRequired {
            let lifetime = match profile.key_lifetime {
                KeyLifetime::Absent => "",
                KeyLifetime::TwoTo31 => "|2^31",
            };
            let (tag, suite, key) = (self.crypto_tag, local.key.suite().name(), local.key.to_base64());
            attributes.push(valued(
                "crypto",
                format!("{tag} {suite} inline:{}{lifetime}", key.as_str()),
            ));
        }
        match local.rtcp_port {
            None if self.rtcp_mux => attributes.push(valued("rtcp", local.rtp_port.to_string())),
            Some(port) if local.rtp_port.checked_add(1) != Some(port) => {
                attributes.push(valued("rtcp", port.to_string()));
            }
            _ => {}
        }
        if self.rtcp_mux {
            attributes.push(flag("rtcp-mux"));
        }
        if let Some(ours) = &self.ice {
            let rtcp_port = local.rtcp_port.filter(|_| !self.rtcp_mux);
            attributes.extend(ice::lines(ours, local.address, local.rtp_port, rtcp_port));
        }
        attributes.extend(profile.ptime.map(|ms| valued("ptime", ms.to_string())));
        attributes.push(flag(self.direction.as_str()));
        let numbers: Vec<String> = self
            .formats
            .iter()
            .map(|format| format.payload_type.to_string())
            .collect();
        media(
            "audio",
            local.rtp_port,
            self.protocol.as_str(),
            &numbers.join(" "),
            attributes,
        )
    }
}

/// An m-line that refuses its stream (RFC 3264 §6).
pub(super) fn refused(kind: &str, transport: &str, format: &str) -> sdp_types::Media {
    media(kind, 0, transport, format, Vec::new())
}

fn media(
    kind: &str,
    port: u16,
    transport: &str,
    formats: &str,
    attributes: Vec<sdp_types::Attribute>,
) -> sdp_types::Media {
    sdp_types::Media {
        media: kind.to_owned(),
        port,
        num_ports: None,
        proto: transport.to_owned(),
        fmt: formats.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}

pub(super) fn valued(name: &str, value: String) -> sdp_types::Attribute {
    sdp_types::Attribute {
        attribute: name.to_owned(),
        value: Some(value),
    }
}

pub(super) fn flag(name: &str) -> sdp_types::Attribute {
    sdp_types::Attribute {
        attribute: name.to_owned(),
        value: None,
    }
}
