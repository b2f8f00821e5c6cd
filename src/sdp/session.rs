//! A session description as the peer meant it: one entry for each m-line, audio understood, the rest only counted.

use super::codec::Format;
use super::crypto::{Crypto, CryptoFault};
use super::direction::Direction;
use super::error::{Refusal, SdpError};
use super::ice::Ice;
use super::lines::relevant_lines;
use super::profile::{LegProfile, Security};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// A parsed description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub origin: Origin,
    /// In the order of the body: an answer needs one m-line for each (RFC 3264 §6).
    pub media: Vec<MediaLine>,
}

/// The o= line: the same id with the same version is the same description (RFC 3264 §8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub session_id: String,
    pub version: u64,
}

/// One m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `image` …
    pub kind: String,
    /// 0: refused or switched off (RFC 3264 §6, §8.2), which is not hold.
    pub port: u16,
    /// The transport as written.
    pub transport: String,
    /// The first format as written, what a refusing answer repeats.
    pub first_format: String,
    /// Present for audio with a port and a transport that we know.
    pub audio: Option<Audio>,
}

/// The transport of an RTP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    RtpAvp,
    RtpSavp,
    RtpAvpf,
    RtpSavpf,
    UdpTlsRtpSavp,
    UdpTlsRtpSavpf,
}

impl Protocol {
    const ALL: [Protocol; 6] = [
        Protocol::RtpAvp,
        Protocol::RtpSavp,
        Protocol::RtpAvpf,
        Protocol::RtpSavpf,
        Protocol::UdpTlsRtpSavp,
        Protocol::UdpTlsRtpSavpf,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Protocol::RtpAvp => "RTP/AVP",
            Protocol::RtpSavp => "RTP/SAVP",
            Protocol::RtpAvpf => "RTP/AVPF",
            Protocol::RtpSavpf => "RTP/SAVPF",
            Protocol::UdpTlsRtpSavp => "UDP/TLS/RTP/SAVP",
            Protocol::UdpTlsRtpSavpf => "UDP/TLS/RTP/SAVPF",
        }
    }

    /// True for SRTP.
    pub const fn is_secure(self) -> bool {
        !matches!(self, Protocol::RtpAvp | Protocol::RtpAvpf)
    }

    fn read(text: &str) -> Option<Protocol> {
        Protocol::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
    }
}

/// An audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// The unspecified one is the old form of hold and already counted in `direction`.
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
    /// `a=rtcp` (RFC 3605), else the port after RTP's; `None` when there is no such port.
    pub rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// In the describer's order; a payload type number stands once.
    pub formats: Vec<Format>,
    /// Numbers without `a=rtpmap` and without a fixed meaning; some answers leave the map of our own offer out.
    pub unmapped: Vec<u8>,
    /// Milliseconds.
    pub ptime: Option<u16>,
    /// Milliseconds.
    pub maxptime: Option<u16>,
    /// The media level's direction over the session level's; the unspecified address takes receiving away.
    pub direction: Direction,
    pub crypto: Vec<Crypto>,
    /// Of the first `a=crypto` line that has not even a tag and a suite.
    pub unread_crypto: Option<CryptoFault>,
    pub ice: Option<Ice>,
}

impl Session {
    /// Reads a body of type `application/sdp`. Bare LF, text that is not UTF-8, and missing or broken lines of the kinds
    /// that no call depends on are tolerated; sizes are capped.
    pub fn parse(body: &[u8]) -> Result<Session, SdpError> {
        let read = sdp_types::Session::parse(relevant_lines(body)?.as_bytes());
        let read = read.map_err(|error| SdpError::Syntax(error.to_string()))?;
        let media = read
            .medias
            .iter()
            .map(|media| MediaLine::read(media, &read))
            .collect::<Result<_, _>>()?;
        Ok(Session {
            origin: Origin {
                session_id: read.origin.sess_id,
                version: read.origin.sess_version,
            },
            media,
        })
    }

    /// The position and stream that a leg of this profile takes from an offer: the first audio stream of its transport.
    pub(super) fn audio_for(&self, profile: &LegProfile) -> Result<(usize, &Audio), Refusal> {
        let streams = || {
            self.media
                .iter()
                .enumerate()
                .filter_map(|(at, line)| Some((at, line.audio.as_ref()?)))
        };
        let secure = profile.security == Security::SdesRequired;
        streams()
            .find(|(_, audio)| audio.protocol.is_secure() == secure)
            .ok_or_else(|| match (streams().next().is_some(), secure) {
                (false, _) => Refusal::NoAudio,
                (true, true) => Refusal::PlainRtp,
                (true, false) => Refusal::SrtpOnly,
            })
    }

    /// The first audio stream, whatever its transport.
    pub fn audio(&self) -> Option<&Audio> {
        self.media.iter().find_map(|line| line.audio.as_ref())
    }

    /// Whether all audio is switched off: the port of every such stream is 0 (RFC 3264 §8.2). Not where another stream is to
    /// take its place, such as that of a fax (T.38): then there is nothing in common.
    pub fn is_switched_off(&self) -> bool {
        let is_audio = |line: &MediaLine| line.kind.eq_ignore_ascii_case("audio");
        self.media.iter().any(is_audio) && self.media.iter().all(|line| line.port == 0)
    }

    /// True when the media are as in `earlier`: a refresh that asks for nothing, even where the peer moved its version.
    pub fn same_media(&self, earlier: &Session) -> bool {
        self.media == earlier.media
    }
}

impl MediaLine {
    fn read(media: &sdp_types::Media, session: &sdp_types::Session) -> Result<MediaLine, SdpError> {
        let audio = match Protocol::read(&media.proto) {
            Some(protocol) if media.port != 0 && media.media.eq_ignore_ascii_case("audio") => {
                Some(Audio::read(media, session, protocol)?)
            }
            _ => None,
        };
        Ok(MediaLine {
            kind: media.media.clone(),
            port: media.port,
            transport: media.proto.clone(),
            first_format: media.fmt.split_whitespace().next().unwrap_or("0").to_owned(),
            audio,
        })
    }
}

impl Audio {
    fn read(media: &sdp_types::Media, session: &sdp_types::Session, protocol: Protocol) -> Result<Audio, SdpError> {
        let connection = media
            .connections
            .first()
            .or(session.connection.as_ref())
            .ok_or(SdpError::NoConnection)?;
        let address = read_address(&connection.connection_address)?;
        let port = media.port;
        let default_rtcp = port.checked_add(1).map(|next| SocketAddr::new(address, next));
        let rtcp = match first(media, "rtcp") {
            Some(text) => read_rtcp(text, address)?.or(default_rtcp),
            None => default_rtcp,
        };
        let (formats, unmapped) = read_formats(media);
        let stated = direction(&media.attributes).or_else(|| direction(&session.attributes));
        let mut direction = stated.unwrap_or(Direction::SendRecv);
        if address.is_unspecified() {
            direction = direction.and(Direction::SendOnly);
        }
        let lines = || values(&media.attributes, "crypto").map(Crypto::read);
        Ok(Audio {
            address,
            port,
            protocol,
            rtcp,
            rtcp_mux: media
                .attributes
                .iter()
                .any(|attribute| attribute.attribute.trim() == "rtcp-mux"),
            formats,
            unmapped,
            ptime: first(media, "ptime").and_then(read_milliseconds),
            maxptime: first(media, "maxptime").and_then(read_milliseconds),
            direction,
            crypto: lines().filter_map(Result::ok).collect(),
            unread_crypto: lines().find_map(Result::err),
            ice: Ice::read(media, session),
        })
    }

    /// Where the peer receives RTP.
    pub fn rtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// The formats by name, for a refusal.
    pub(super) fn format_names(&self) -> Vec<String> {
        self.formats.iter().map(ToString::to_string).collect()
    }
}

fn values<'a>(attributes: &'a [sdp_types::Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute == name)
        .filter_map(|attribute| attribute.value.as_deref())
}

fn first<'a>(media: &'a sdp_types::Media, name: &str) -> Option<&'a str> {
    values(&media.attributes, name).next()
}

fn direction(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes
        .iter()
        .find_map(|attribute| Direction::from_attribute(attribute.attribute.trim()))
}

/// `192.0.2.80`, `224.2.1.1/127`, `2001:db8::1`.
fn read_address(text: &str) -> Result<IpAddr, SdpError> {
    let address = text.split('/').next().unwrap_or_default();
    address
        .parse()
        .map_err(|_| SdpError::NotAnAddress(text.chars().take(80).collect()))
}

/// `49954` or `49954 IN IP4 192.0.2.80`; an unreadable port, or port 0, leaves the default.
fn read_rtcp(text: &str, address: IpAddr) -> Result<Option<SocketAddr>, SdpError> {
    let mut fields = text.split_ascii_whitespace();
    let Some(port) = fields
        .next()
        .and_then(|port| port.parse().ok())
        .filter(|&port: &u16| port != 0)
    else {
        return Ok(None);
    };
    let address = match fields.nth(2) {
        Some(stated) => read_address(stated)?,
        None => address,
    };
    Ok(Some(SocketAddr::new(address, port)))
}

fn read_milliseconds(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|&ms| (1..=1000).contains(&ms))
}

fn read_formats(media: &sdp_types::Media) -> (Vec<Format>, Vec<u8>) {
    let mapped = |name: &str, number: u8| {
        values(&media.attributes, name).find_map(|value| {
            let (head, rest) = value.trim_start().split_once(' ')?;
            (head.parse() == Ok(number)).then_some(rest)
        })
    };
    let mut seen = [false; 128];
    let mut formats = Vec::new();
    let mut unmapped = Vec::new();
    for number in media.fmt.split_whitespace().filter_map(|text| text.parse::<u8>().ok()) {
        match seen.get_mut(usize::from(number)) {
            Some(slot) if !*slot => *slot = true,
            _ => continue,
        }
        match Format::read(number, mapped("rtpmap", number), mapped("fmtp", number)) {
            Some(format) => formats.push(format),
            None => unmapped.push(number),
        }
    }
    (formats, unmapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 7 3 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";

    #[test]
    fn a_refresh_is_told_from_a_change() {
        let body = |version: u8, port: u16| {
            let text = format!("{HEAD}m=audio {port} RTP/AVP 0\r\n").replace("7 3", &format!("7 {version}"));
            Session::parse(text.as_bytes()).unwrap()
        };
        assert!(body(4, 4000).same_media(&body(3, 4000)));
        assert!(!body(3, 4002).same_media(&body(3, 4000)));
        assert_eq!(
            body(4, 4000).origin,
            Origin {
                session_id: "7".to_owned(),
                version: 4
            }
        );
    }

    #[test]
    fn rtcp_has_a_default_only_where_there_is_a_port() {
        let rtcp = |port: &str, more: &str| {
            let text = format!("{HEAD}m=audio {port} RTP/AVP 0\r\n{more}");
            Session::parse(text.as_bytes())
                .unwrap()
                .audio()
                .unwrap()
                .rtcp
                .map(|address| address.to_string())
        };
        assert_eq!(rtcp("65535", ""), None);
        assert_eq!(rtcp("4000", "a=rtcp:0\r\n").as_deref(), Some("192.0.2.9:4001"));
        assert_eq!(rtcp("4000", "a=rtcp:x\r\n").as_deref(), Some("192.0.2.9:4001"));
        assert_eq!(
            rtcp("4000", "a=rtcp:9 IN IP4 192.0.2.1\r\n").as_deref(),
            Some("192.0.2.1:9")
        );
    }

    #[test]
    fn trailing_nul_and_odd_attributes() {
        let text =
            format!("{HEAD}m=audio 4000 rtp/avp 0\r\na=sendonly \r\na=ptime:0\r\na=maxptime:150\r\na=crypto:x\r\n\0\0");
        let read = Session::parse(text.as_bytes()).unwrap();
        let audio = read.audio().unwrap();
        assert_eq!(
            (audio.direction, audio.ptime, audio.maxptime),
            (Direction::SendOnly, None, Some(150))
        );
        assert!(audio.crypto.is_empty());
    }
}
