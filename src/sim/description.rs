//! The simulators' session descriptions: printed as the real peers print them, read by the project's own reader.

use super::media::{Checks, Endpoint, Keys, Stream};
use super::spoken::Spoken;
use crate::codec::speech::Speech;
use crate::ice::{Credentials, Secret};
use crate::sdp::{Audio, Codec, Direction, Format, Protocol, Session};
use crate::srtp::{MasterKey, Suite};
use std::net::{IpAddr, SocketAddr};

/// The discard port (RFC 863): nobody is there.
const NOWHERE: u16 = 9;
/// Payload type of telephone-event in our offers.
const EVENTS: u8 = 101;
const COMFORT_NOISE: u8 = 13;

/// As whom to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// RTP/SAVP with one key and its lifetime, rtcp-mux, label, a long list of formats (TV-03, TV-07).
    Teams,
    /// The same of a client with full ICE, whose `c=` leads nowhere: what a NAT has made of it is found by checks alone.
    TeamsBypass,
    /// RTP/AVP, G.711 of both laws and telephone-event.
    Carrier,
}

impl Shape {
    /// SRTP, and RTCP on the same port.
    pub(super) fn is_teams(self) -> bool {
        self != Shape::Carrier
    }
}

/// How the address and the port are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// The 0.0.0.0 of RFC 2543.
    Blackhole,
    /// Port 0.
    Off,
}

/// Why a peer's description cannot be agreed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Disagreement {
    #[error("the description cannot be read: {0}")]
    Unreadable(String),
    #[error("no audio stream with a port")]
    NoAudio,
    #[error("{0} where {1} is spoken")]
    Transport(&'static str, &'static str),
    #[error("no key of AES_CM_128_HMAC_SHA1_80")]
    NoKey,
    #[error("no ICE, or no ice-lite, on a trunk with media bypass")]
    NoIce,
    #[error("neither PCMU nor PCMA nor G722")]
    NoCodec,
    #[error("no {0}, which is all that is spoken here")]
    NotSpoken(&'static str),
}

/// One side's description through a dialog.
pub(super) struct Description {
    shape: Shape,
    session_id: u64,
    version: u64,
    key: MasterKey,
    ice: Credentials,
    /// The one codec that is spoken; None: as the peer is wont to.
    held_to: Option<Spoken>,
    /// Portcullis's half of the pair that is named as chosen.
    pub(super) chosen: Option<SocketAddr>,
    body: String,
    pub(super) form: Form,
}

impl Description {
    pub(super) fn new(shape: Shape, held_to: Option<Spoken>) -> Description {
        Description {
            shape,
            session_id: u64::from(rand::random::<u32>()),
            version: 0,
            key: MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng()),
            ice: Credentials::derive(&Secret::generate(&mut rand::rng()), 0),
            held_to,
            chosen: None,
            body: String::new(),
            form: Form::Plain,
        }
    }

    /// Begins ICE anew.
    pub(super) fn restart(&mut self) {
        self.ice = Credentials::derive(&Secret::generate(&mut rand::rng()), 0);
        self.chosen = None;
    }

    /// An offer of everything that this shape speaks.
    pub(super) fn offer(&mut self, endpoint: &Endpoint, direction: Direction) -> String {
        let formats = match self.shape {
            Shape::Teams | Shape::TeamsBypass => TEAMS_FORMATS,
            Shape::Carrier => CARRIER_FORMATS,
        };
        let Some(codec) = self.held_to else {
            return self.print(endpoint, formats, 1, direction);
        };
        let beside = formats
            .iter()
            .filter(|(number, _)| matches!(*number, EVENTS | COMFORT_NOISE));
        let held: Vec<_> = std::iter::once(codec.offered(self.shape))
            .chain(beside.copied())
            .collect();
        self.print(endpoint, &held, 1, direction)
    }

    /// The answer to `offer`, and the stream that it makes.
    pub(super) fn answer(
        &mut self,
        endpoint: &Endpoint,
        offer: &Audio,
        tone: f64,
    ) -> Result<(String, Stream), Disagreement> {
        let stream = self.stream(offer, tone, offer.direction.reversed())?;
        // What we want to receive has our own number, whatever the offer calls it (RFC 3264 §6.1).
        let (number, lines) = stream.codec.offered(self.shape);
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let mut formats = vec![(number, lines)];
        if let Some(events) = stream.events {
            let lines = vec![
                format!("rtpmap:{events} telephone-event/8000"),
                format!("fmtp:{events} 0-16"),
            ];
            formats.push((events, lines));
        }
        if offer
            .formats
            .iter()
            .any(|format| format.codec == Codec::ComfortNoise && format.payload_type == COMFORT_NOISE)
        {
            formats.push((COMFORT_NOISE, Vec::new()));
        }
        let formats: Vec<(u8, Vec<&str>)> = formats
            .iter()
            .map(|(number, lines)| (*number, lines.iter().map(String::as_str).collect()))
            .collect();
        let formats: Vec<(u8, &[&str])> = formats
            .iter()
            .map(|(number, lines)| (*number, lines.as_slice()))
            .collect();
        let tag = offer.crypto.iter().find(|line| is_usable(line.key.as_ref()));
        let tag = tag.map_or(1, |line| line.tag);
        Ok((self.print(endpoint, &formats, tag, stream.direction), stream))
    }

    /// The stream that the peer's answer to our offer makes.
    pub(super) fn answered(&self, answer: &Audio, tone: f64, offered: Direction) -> Result<Stream, Disagreement> {
        self.stream(answer, tone, offered.and(answer.direction.reversed()))
    }

    fn stream(&self, remote: &Audio, tone: f64, direction: Direction) -> Result<Stream, Disagreement> {
        let secure = self.shape.is_teams();
        if remote.protocol.is_secure() != secure {
            let spoken = if secure { "RTP/SAVP" } else { "RTP/AVP" };
            return Err(Disagreement::Transport(remote.protocol.as_str(), spoken));
        }
        let keys = match remote.crypto.iter().find(|line| is_usable(line.key.as_ref())) {
            _ if !secure => None,
            Some(line) => line.key.clone().map(|key| Keys {
                local: self.key.clone(),
                remote: key,
                remote_mki: line.mki_length,
            }),
            None => return Err(Disagreement::NoKey),
        };
        let checks = match (self.shape, &remote.ice) {
            (Shape::TeamsBypass, Some(ice)) if ice.lite => Some(Checks {
                local: self.ice.clone(),
                remote: ice.credentials.clone(),
                candidate: remote.rtp(),
            }),
            (Shape::TeamsBypass, _) => return Err(Disagreement::NoIce),
            (Shape::Teams | Shape::Carrier, _) => None,
        };
        // G.722 where there is nothing else: an hour of tones is cheaper in G.711.
        let spoken = |wide: bool| {
            let spoken = |format: &Format| Some((format.speech()?, format.payload_type));
            let mut all = remote.formats.iter().filter_map(spoken);
            all.find(|(codec, _)| wide == (*codec == Speech::G722))
        };
        let (codec, payload_type) = match self.held_to {
            Some(held_to) => {
                let found = remote.formats.iter().find(|format| held_to.is(format));
                let found = found.ok_or(Disagreement::NotSpoken(held_to.name()))?;
                (held_to, found.payload_type)
            }
            None => {
                let (speech, number) = spoken(false).or_else(|| spoken(true)).ok_or(Disagreement::NoCodec)?;
                (Spoken::from(speech), number)
            }
        };
        let events = remote
            .formats
            .iter()
            .find(|format| format.codec == Codec::TelephoneEvent && format.clock == 8000);
        let silent = remote.address.is_unspecified();
        Ok(Stream {
            remote: remote.rtp(),
            remote_rtcp: remote.rtcp.filter(|_| !remote.rtcp_mux),
            codec,
            payload_type,
            is_noted: self.held_to.is_some(),
            events: events.map(|format| format.payload_type),
            keys,
            direction: if silent {
                Direction::RecvOnly.and(direction)
            } else {
                direction
            },
            tone,
            checks,
        })
    }

    /// The version moves when the text does (RFC 3264 §8).
    fn print(&mut self, endpoint: &Endpoint, formats: &[(u8, &[&str])], tag: u32, direction: Direction) -> String {
        let body = self.lines(endpoint, formats, tag, direction);
        if !self.body.is_empty() && self.body != body {
            self.version += 1;
        }
        self.body.clone_from(&body);
        let (id, version) = (self.session_id, self.version);
        let (origin, name) = match self.shape {
            Shape::Teams | Shape::TeamsBypass => (IpAddr::from([127, 0, 0, 1]), "session"),
            Shape::Carrier => (endpoint.local().ip(), "carrier"),
        };
        let family = family(origin);
        format!("v=0\r\no=- {id} {version} IN {family} {origin}\r\ns={name}\r\n{body}")
    }

    fn lines(&self, endpoint: &Endpoint, formats: &[(u8, &[&str])], tag: u32, direction: Direction) -> String {
        let local = endpoint.local();
        let address = match (self.form, local.ip()) {
            (Form::Blackhole, IpAddr::V4(_)) => IpAddr::from([0, 0, 0, 0]),
            (_, address) => address,
        };
        let connection = format!("c=IN {} {address}\r\n", family(address));
        let port = match (self.form, self.shape) {
            (Form::Off, _) => 0,
            (_, Shape::TeamsBypass) if self.chosen.is_none() => NOWHERE,
            (_, Shape::Teams | Shape::TeamsBypass | Shape::Carrier) => local.port(),
        };
        let numbers: Vec<String> = formats.iter().map(|(number, _)| number.to_string()).collect();
        let numbers = numbers.join(" ");
        let mut text = match self.shape {
            Shape::Teams | Shape::TeamsBypass => format!(
                "{connection}b=CT:10000000\r\nt=0 0\r\nm=audio {port} RTP/SAVP {numbers}\r\n{connection}a=rtcp:{port}\r\n\
                 a=rtcp-mux\r\na=label:main-audio\r\na=mid:1\r\n\
                 a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{}|2^31\r\na={}\r\n",
                self.key.to_base64().as_str(),
                direction.as_str()
            ),
            Shape::Carrier => format!("{connection}t=0 0\r\nm=audio {port} RTP/AVP {numbers}\r\n"),
        };
        for line in formats.iter().flat_map(|(_, lines)| lines.iter()) {
            text.push_str(&format!("a={line}\r\n"));
        }
        if self.shape == Shape::TeamsBypass {
            let Credentials { ufrag, password } = &self.ice;
            let (address, port) = (local.ip(), local.port());
            text.push_str(&format!(
                "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
                 a=candidate:1 1 udp 2130706431 {address} {port} typ host\r\n"
            ));
            if let Some(chosen) = self.chosen {
                text.push_str(&format!("a=remote-candidates:1 {} {}\r\n", chosen.ip(), chosen.port()));
            }
        }
        text.push_str("a=ptime:20\r\n");
        if self.shape == Shape::Carrier {
            text.push_str(&format!("a={}\r\n", direction.as_str()));
        }
        text
    }
}

/// Teams' list on a non-bypass leg (TV-03).
const TEAMS_FORMATS: &[(u8, &[&str])] = &[
    (104, &["rtpmap:104 SILK/16000"]),
    (9, &["rtpmap:9 G722/8000"]),
    (103, &["rtpmap:103 SILK/8000"]),
    (111, &["rtpmap:111 SIREN/16000", "fmtp:111 bitrate=16000"]),
    (18, &["rtpmap:18 G729/8000", "fmtp:18 annexb=no"]),
    (0, &["rtpmap:0 PCMU/8000"]),
    (8, &["rtpmap:8 PCMA/8000"]),
    (97, &["rtpmap:97 RED/8000"]),
    (EVENTS, &["rtpmap:101 telephone-event/8000", "fmtp:101 0-16"]),
    (COMFORT_NOISE, &["rtpmap:13 CN/8000"]),
    (118, &["rtpmap:118 CN/16000"]),
];

const CARRIER_FORMATS: &[(u8, &[&str])] = &[
    (8, &["rtpmap:8 PCMA/8000"]),
    (0, &["rtpmap:0 PCMU/8000"]),
    (EVENTS, &["rtpmap:101 telephone-event/8000", "fmtp:101 0-15"]),
];

/// The peer's audio.
pub(super) fn audio_of(body: &[u8]) -> Result<Audio, Disagreement> {
    let session = Session::parse(body).map_err(|error| Disagreement::Unreadable(error.to_string()))?;
    session.audio().cloned().ok_or(Disagreement::NoAudio)
}

/// Where the peer says its media is, and over what.
pub(super) fn place_of(body: &[u8]) -> Option<(SocketAddr, Protocol)> {
    audio_of(body).ok().map(|audio| (audio.rtp(), audio.protocol))
}

/// True when the first audio stream has port 0.
pub(super) fn is_off(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("m=audio "));
    line.is_some_and(|line| line.split_ascii_whitespace().nth(1) == Some("0"))
}

fn is_usable(key: Option<&MasterKey>) -> bool {
    key.is_some_and(|key| key.suite() == Suite::AesCm128HmacSha1_80)
}

const fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Clock;
    use std::net::Ipv4Addr;

    async fn endpoint() -> Endpoint {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Endpoint::open(local, true, Clock::start()).await.unwrap()
    }

    #[tokio::test]
    async fn each_shape_agrees_with_itself_and_not_with_the_other() {
        for shape in [Shape::Teams, Shape::Carrier] {
            let (one, two) = (endpoint().await, endpoint().await);
            let (mut caller, mut called) = (Description::new(shape, None), Description::new(shape, None));
            let offer = caller.offer(&one, Direction::SendRecv);
            let offer = audio_of(offer.as_bytes()).unwrap();
            let (answer, to_caller) = called.answer(&two, &offer, 440.0).unwrap();
            let to_called = caller
                .answered(&audio_of(answer.as_bytes()).unwrap(), 620.0, Direction::SendRecv)
                .unwrap();
            assert_eq!((to_caller.remote, to_called.remote), (one.local(), two.local()));
            assert_eq!(to_caller.keys.is_some(), shape == Shape::Teams);
            assert_eq!(to_called.events, Some(EVENTS));
            let other = match shape {
                Shape::Teams | Shape::TeamsBypass => Shape::Carrier,
                Shape::Carrier => Shape::Teams,
            };
            let refused = Description::new(other, None).answer(&two, &offer, 440.0);
            assert!(matches!(refused, Err(Disagreement::Transport(..))));
        }
    }

    #[tokio::test]
    async fn the_version_moves_only_with_the_text() {
        let endpoint = endpoint().await;
        let mut description = Description::new(Shape::Teams, None);
        let first = description.offer(&endpoint, Direction::SendRecv);
        assert_eq!(description.offer(&endpoint, Direction::SendRecv), first);
        let held = description.offer(&endpoint, Direction::Inactive);
        assert!(held.contains(" 1 IN IP4 127.0.0.1\r\n"), "{held}");
    }
}
