//! The simulators' session descriptions: printed as the real peers print them, read by the project's own reader.

use super::formats::{COMFORT_NOISE, EVENTS_8000, offered};
use super::media::{Checks, Endpoint, Keys, Stream};
use super::sdp_shape::{SdpFormats, SdpProfile, SdpRtcp, SdpShape, SdpSuites};
use super::spoken::Spoken;
use crate::codec::speech::Speech;
use crate::ice::{Credentials, Secret};
use crate::sdp::{Audio, Codec, Direction, Format, Protocol, Session};
use crate::srtp::{MasterKey, Suite};
use std::net::{IpAddr, SocketAddr};

/// The discard port (RFC 863): nobody is there.
const NOWHERE: u16 = 9;

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

/// What an answer takes over from its offer.
#[derive(Clone, Copy)]
struct Taken {
    /// Of the key.
    tag: u32,
    protocol: Protocol,
    rtcp_mux: bool,
}

/// One side's description through a dialog.
pub(super) struct Description {
    shape: Shape,
    /// How it is written, where this is Teams.
    sdp: SdpShape,
    session_id: u64,
    version: u64,
    key: MasterKey,
    /// Of the suite that nobody is to take.
    short_key: MasterKey,
    /// Of a certificate that nobody is to ask for.
    fingerprint: String,
    ice: Credentials,
    /// The one codec that is spoken; None: as the peer is wont to.
    held_to: Option<Spoken>,
    /// Portcullis's halves of the pairs that are named as chosen.
    pub(super) chosen: Option<Chosen>,
    body: String,
    pub(super) form: Form,
}

/// Portcullis's half of the pair of each component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) rtp: SocketAddr,
    /// Where RTCP has a port of its own.
    pub(super) rtcp: Option<SocketAddr>,
}

impl Description {
    pub(super) fn new(shape: Shape, sdp: SdpShape, held_to: Option<Spoken>) -> Description {
        Description {
            shape,
            sdp,
            session_id: u64::from(rand::random::<u32>()),
            version: 0,
            key: MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng()),
            short_key: MasterKey::generate(Suite::AesCm128HmacSha1_32, &mut rand::rng()),
            fingerprint: fingerprint(rand::random()),
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

    /// Keys that were never used.
    pub(super) fn take_new_keys(&mut self) {
        self.key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
        self.short_key = MasterKey::generate(Suite::AesCm128HmacSha1_32, &mut rand::rng());
    }

    /// An offer of everything that this shape speaks.
    pub(super) fn offer(&mut self, endpoint: &Endpoint, direction: Direction) -> String {
        let formats = offered(self.shape, self.sdp.formats);
        let Some(codec) = self.held_to else {
            return self.print(endpoint, formats, None, direction);
        };
        let beside = formats
            .iter()
            .filter(|(number, lines)| *number == COMFORT_NOISE || lines.iter().any(|line| line.contains(EVENTS_8000)));
        let held: Vec<_> = std::iter::once(codec.offered(self.shape))
            .chain(beside.copied())
            .collect();
        self.print(endpoint, &held, None, direction)
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
        let line = offer.crypto.iter().find(|line| is_usable(line.key.as_ref()));
        let taken = Taken {
            tag: line.map_or(1, |line| line.tag),
            protocol: offer.protocol,
            rtcp_mux: offer.rtcp_mux,
        };
        Ok((self.print(endpoint, &formats, Some(taken), stream.direction), stream))
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
                local_mki: self.sdp.mki(),
                remote: key,
                remote_mki: line.mki_length,
            }),
            None => return Err(Disagreement::NoKey),
        };
        let rtcp_mux = remote.rtcp_mux && self.takes_rtcp_mux();
        let remote_rtcp = remote.rtcp.filter(|_| !rtcp_mux);
        let checks = match (self.shape, &remote.ice) {
            (Shape::TeamsBypass, Some(ice)) if ice.lite => Some(Checks {
                local: self.ice.clone(),
                remote: ice.credentials.clone(),
                candidate: remote.rtp(),
                // Who has said rtcp-mux has no candidate for another port.
                rtcp_candidate: remote_rtcp.filter(|_| !remote.rtcp_mux),
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
            remote_rtcp,
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

    /// Whether RTCP shares the port of RTP where the other side wants it.
    fn takes_rtcp_mux(&self) -> bool {
        self.shape.is_teams() && self.sdp.rtcp == SdpRtcp::Mux
    }

    /// The version moves when the text does (RFC 3264 §8). Nothing taken: it is an offer.
    fn print(
        &mut self,
        endpoint: &Endpoint,
        formats: &[(u8, &[&str])],
        taken: Option<Taken>,
        direction: Direction,
    ) -> String {
        let body = self.lines(endpoint, formats, taken, direction);
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

    fn lines(
        &self,
        endpoint: &Endpoint,
        formats: &[(u8, &[&str])],
        taken: Option<Taken>,
        direction: Direction,
    ) -> String {
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
        let direction = direction.as_str();
        let mut text = match self.shape {
            Shape::Teams | Shape::TeamsBypass => {
                let protocol = self.protocol(taken).as_str();
                let (rtcp, keys) = (self.rtcp_lines(endpoint, port, taken), self.key_lines(taken));
                format!(
                    "{connection}b=CT:10000000\r\nt=0 0\r\nm=audio {port} {protocol} {numbers}\r\n{connection}{rtcp}\
                     a=label:main-audio\r\na=mid:1\r\n{keys}a={direction}\r\n"
                )
            }
            Shape::Carrier => format!("{connection}t=0 0\r\nm=audio {port} RTP/AVP {numbers}\r\n"),
        };
        for line in formats.iter().flat_map(|(_, lines)| lines.iter()) {
            text.push_str(&format!("a={line}\r\n"));
        }
        if self.shape == Shape::TeamsBypass {
            text.push_str(&self.ice_lines(endpoint));
        }
        text.push_str("a=ptime:20\r\n");
        if self.shape == Shape::Carrier {
            text.push_str(&format!("a={direction}\r\n"));
        }
        text
    }

    fn protocol(&self, taken: Option<Taken>) -> Protocol {
        match (self.sdp.profile, taken) {
            (SdpProfile::UdpTlsRtpSavp, _) => Protocol::UdpTlsRtpSavp,
            (SdpProfile::RtpSavp, Some(taken)) => taken.protocol,
            (SdpProfile::RtpSavp, None) => Protocol::RtpSavp,
        }
    }

    fn rtcp_lines(&self, endpoint: &Endpoint, port: u16, taken: Option<Taken>) -> String {
        let port = match endpoint.rtcp() {
            Some(_) => port.saturating_add(u16::from(port != 0)),
            None => port,
        };
        match self.takes_rtcp_mux() && taken.is_none_or(|offer| offer.rtcp_mux) {
            true => format!("a=rtcp:{port}\r\na=rtcp-mux\r\n"),
            false => format!("a=rtcp:{port}\r\n"),
        }
    }

    /// An offer has both suites where it has both; an answer has the one that was taken.
    fn key_lines(&self, taken: Option<Taken>) -> String {
        let identified = match self.sdp.mki() {
            0 => "",
            _ => "|1:1",
        };
        let mut lines = String::new();
        let mut key = |tag: u32, key: &MasterKey| {
            let (suite, base64) = (key.suite().name(), key.to_base64());
            let base64 = base64.as_str();
            lines.push_str(&format!("a=crypto:{tag} {suite} inline:{base64}|2^31{identified}\r\n"));
        };
        if taken.is_none() && self.sdp.suites == SdpSuites::Sha1Of32First {
            key(0, &self.short_key);
        }
        key(taken.map_or(1, |offer| offer.tag), &self.key);
        if self.sdp.profile == SdpProfile::UdpTlsRtpSavp {
            let (fingerprint, setup) = (&self.fingerprint, if taken.is_some() { "passive" } else { "actpass" });
            lines.push_str(&format!("a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n"));
        }
        lines
    }

    fn ice_lines(&self, endpoint: &Endpoint) -> String {
        let Credentials { ufrag, password } = &self.ice;
        let rtp = endpoint.local();
        let mut text = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
        for (component, at) in [(1, Some(rtp)), (2, endpoint.rtcp())] {
            let Some(at) = at else { continue };
            let (address, port, of) = (at.ip(), at.port(), 256 - component);
            text.push_str(&format!(
                "a=candidate:1 {component} udp {} {address} {port} typ host\r\n",
                (126 << 24) + (65_535 << 8) + of
            ));
            if self.sdp.formats == SdpFormats::WebRtc {
                // Addresses of documentation (RFC 5737): who checks them finds nobody.
                text.push_str(&format!(
                    "a=candidate:2 {component} udp {} 203.0.113.50 {port} typ srflx raddr {address} rport {port}\r\n\
                     a=candidate:3 {component} udp {} 192.0.2.90 {port} typ relay raddr 203.0.113.50 rport {port}\r\n",
                    (100 << 24) + (65_535 << 8) + of,
                    (11 << 24) + (65_535 << 8) + of
                ));
            }
        }
        if let Some(Chosen { rtp, rtcp }) = self.chosen {
            let rtcp = rtcp.map_or_else(String::new, |rtcp| format!(" 2 {} {}", rtcp.ip(), rtcp.port()));
            text.push_str(&format!("a=remote-candidates:1 {} {}{rtcp}\r\n", rtp.ip(), rtp.port()));
        }
        text
    }
}

/// As a certificate's SHA-256 is written (RFC 8122 §5).
fn fingerprint(digest: [u8; 32]) -> String {
    digest.map(|byte| format!("{byte:02X}")).join(":")
}

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
            let (mut caller, mut called) = (
                Description::new(shape, SdpShape::default(), None),
                Description::new(shape, SdpShape::default(), None),
            );
            let offer = caller.offer(&one, Direction::SendRecv);
            let offer = audio_of(offer.as_bytes()).unwrap();
            let (answer, to_caller) = called.answer(&two, &offer, 440.0).unwrap();
            let to_called = caller
                .answered(&audio_of(answer.as_bytes()).unwrap(), 620.0, Direction::SendRecv)
                .unwrap();
            assert_eq!((to_caller.remote, to_called.remote), (one.local(), two.local()));
            assert_eq!(to_caller.keys.is_some(), shape == Shape::Teams);
            assert_eq!(to_called.events, Some(101));
            let other = match shape {
                Shape::Teams | Shape::TeamsBypass => Shape::Carrier,
                Shape::Carrier => Shape::Teams,
            };
            let refused = Description::new(other, SdpShape::default(), None).answer(&two, &offer, 440.0);
            assert!(matches!(refused, Err(Disagreement::Transport(..))));
        }
    }

    async fn offer_of(words: &str, shape: Shape) -> String {
        let shaped: SdpShape = words.parse().unwrap();
        let mux = shaped.rtcp == SdpRtcp::Mux;
        let endpoint = Endpoint::open(IpAddr::V4(Ipv4Addr::LOCALHOST), mux, Clock::start());
        Description::new(shape, shaped, None).offer(&endpoint.await.unwrap(), Direction::SendRecv)
    }

    /// TEAMS-093 to TEAMS-095, TV-04.
    #[tokio::test]
    async fn an_offer_has_the_shape_that_is_asked_for() {
        let lines = |text: &str, start: &str| -> Vec<String> {
            let found = text.lines().filter_map(|line| line.strip_prefix(start));
            found.map(str::to_owned).collect()
        };
        let usual = offer_of("RTP/SAVP", Shape::Teams).await;
        assert_eq!(lines(&usual, "a=crypto:").len(), 1);
        assert!(
            usual.contains(" RTP/SAVP 104 9 ") && usual.contains("a=rtcp-mux\r\n"),
            "{usual}"
        );
        let client = offer_of(
            "UDP/TLS/RTP/SAVP AES_CM_128_HMAC_SHA1_32 mki webrtc",
            Shape::TeamsBypass,
        )
        .await;
        assert!(
            client.contains(" UDP/TLS/RTP/SAVP 111 103 104 9 0 8 106 13 110 112 113 126\r\n"),
            "{client}"
        );
        let keys = lines(&client, "a=crypto:");
        let start = |line: &String| line.split(" inline:").next().unwrap().to_owned();
        let expected = ["0 AES_CM_128_HMAC_SHA1_32", "1 AES_CM_128_HMAC_SHA1_80"];
        assert_eq!(keys.iter().map(start).collect::<Vec<_>>(), expected);
        assert!(keys.iter().all(|line| line.ends_with("|2^31|1:1")), "{keys:?}");
        assert_ne!(keys[0].split("inline:").last(), keys[1].split("inline:").last());
        assert_eq!(lines(&client, "a=setup:"), ["actpass"]);
        let fingerprints = lines(&client, "a=fingerprint:sha-256 ");
        assert_eq!(fingerprints[0].len(), 32 * 3 - 1);
        assert_eq!(lines(&client, "a=candidate:").len(), 3);
        let apart = offer_of("no-rtcp-mux webrtc", Shape::TeamsBypass).await;
        assert!(!apart.contains("rtcp-mux"), "{apart}");
        let components = lines(&apart, "a=candidate:");
        let of = |component: &str| {
            let fields = |line: &String| line.split(' ').nth(1) == Some(component);
            components.iter().filter(|line| fields(line)).count()
        };
        assert_eq!((of("1"), of("2")), (3, 3));
        let read = audio_of(apart.as_bytes()).unwrap();
        assert_eq!(read.rtcp.map(|rtcp| rtcp.port()), Some(read.port + 1));
    }

    #[tokio::test]
    async fn an_answer_has_the_transport_and_the_tag_of_its_offer() {
        let offer = offer_of("UDP/TLS/RTP/SAVP AES_CM_128_HMAC_SHA1_32 no-rtcp-mux", Shape::Teams).await;
        let offer = audio_of(offer.as_bytes()).unwrap();
        let endpoint = endpoint().await;
        let answered = |words: &str| {
            let mut called = Description::new(Shape::Teams, words.parse().unwrap(), None);
            called.answer(&endpoint, &offer, 440.0).unwrap().0
        };
        let usual = answered("RTP/SAVP");
        assert!(usual.contains(" UDP/TLS/RTP/SAVP 0 101 13\r\n"), "{usual}");
        assert!(usual.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 "), "{usual}");
        assert!(
            !usual.contains("rtcp-mux") && !usual.contains("a=fingerprint"),
            "{usual}"
        );
        let of_dtls = answered("UDP/TLS/RTP/SAVP");
        assert!(of_dtls.contains("a=setup:passive\r\n"), "{of_dtls}");
    }

    #[tokio::test]
    async fn the_version_moves_only_with_the_text() {
        let endpoint = endpoint().await;
        let mut description = Description::new(Shape::Teams, SdpShape::default(), None);
        let first = description.offer(&endpoint, Direction::SendRecv);
        assert_eq!(description.offer(&endpoint, Direction::SendRecv), first);
        let held = description.offer(&endpoint, Direction::Inactive);
        assert!(held.contains(" 1 IN IP4 127.0.0.1\r\n"), "{held}");
    }
}
