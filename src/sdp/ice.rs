//! ICE in descriptions (RFC 8839): what a peer says of itself, and what our lite side prints.

use super::local::{flag, valued};
use crate::ice::{Credentials, Secret};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Whether a leg speaks ICE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IceSide {
    #[default]
    Never,
    /// We answer checks and never send any (TEAMS-099).
    Lite,
}

/// What a description says of ICE. Its candidates are not kept: who never checks needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ice {
    pub credentials: Credentials,
    /// `a=ice-lite`: this peer sends no checks either.
    pub lite: bool,
    /// `a=remote-candidates` of component 1: our half of the pair that the peer has chosen; its own half stands in
    /// `c=` and `m=` (RFC 8839 §5.2).
    pub chosen: Option<SocketAddr>,
}

/// What the media of a leg with ICE need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceSettled {
    pub local: Credentials,
    pub remote_ufrag: String,
    /// Nobody checks: media goes to the signalled address.
    pub remote_is_lite: bool,
    /// The peer's half of the pair that it says it has chosen (TEAMS-079).
    pub chosen: Option<SocketAddr>,
}

/// Our side: made once for a dialog, so that each description says the same until the peer restarts (TEAMS-101).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LocalIce {
    secret: Secret,
    restarts: u32,
    peer: Option<Credentials>,
}

impl LocalIce {
    pub fn new(secret: Secret) -> LocalIce {
        LocalIce {
            secret,
            restarts: 0,
            peer: None,
        }
    }

    pub fn credentials(&self) -> Credentials {
        Credentials::derive(&self.secret, self.restarts)
    }

    /// Takes an offer of the peer: when its name and its password are others than before, it restarts ICE, and so do we
    /// (TEAMS-078). Who restarts changes both (RFC 8839 §4.4.1.1.1); one alone is taken for none, and costs nothing, as
    /// checks are proven by our half.
    pub fn offered(&mut self, peer: &Credentials) {
        let restarts = |last: &Credentials| last.ufrag != peer.ufrag && last.password != peer.password;
        if self.peer.as_ref().is_some_and(restarts) {
            self.restarts += 1;
        }
        self.peer = Some(peer.clone());
    }

    /// Takes an answer of the peer; forks answer one offer under names of their own.
    pub fn answered(&mut self, peer: &Credentials) {
        self.peer = Some(peer.clone());
    }
}

impl Ice {
    /// Of the m-line, else of the session (RFC 8839 §5.4); `None` without a name and a password that can be ones.
    pub(super) fn read(media: &sdp_types::Media, session: &sdp_types::Session) -> Option<Ice> {
        let stated = |name: &str| {
            let value = |attributes: &[sdp_types::Attribute]| {
                let found = attributes.iter().find(|attribute| attribute.attribute == name)?;
                Some(found.value.as_deref()?.trim().to_owned())
            };
            value(&media.attributes).or_else(|| value(&session.attributes))
        };
        let credentials = Credentials::read(&stated("ice-ufrag")?, &stated("ice-pwd")?)?;
        let is_lite = |attribute: &sdp_types::Attribute| attribute.attribute.trim() == "ice-lite";
        Some(Ice {
            credentials,
            lite: session.attributes.iter().any(is_lite),
            chosen: stated("remote-candidates").and_then(|text| of_rtp(&text)),
        })
    }
}

/// Component 1 of `1 198.51.100.5 30500 2 198.51.100.5 30501`.
fn of_rtp(text: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let (triples, _) = fields.as_chunks::<3>();
    let [_, address, port] = triples.iter().find(|[component, ..]| *component == "1")?;
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

/// Our lines of the m-line; one host candidate a component, each preferred before nobody (RFC 8445 §5.1.2.2).
pub(super) fn lines(ours: &Credentials, address: IpAddr, rtp: u16, rtcp: Option<u16>) -> Vec<sdp_types::Attribute> {
    let mut lines = vec![
        valued("ice-ufrag", ours.ufrag.clone()),
        valued("ice-pwd", ours.password.clone()),
    ];
    for (component, port) in [(1u32, Some(rtp)), (2, rtcp)] {
        let Some(port) = port else { continue };
        let priority = (126 << 24) + (65_535 << 8) + (256 - component);
        let line = format!("1 {component} UDP {priority} {address} {port} typ host");
        lines.push(valued("candidate", line));
    }
    lines
}

/// Our line of the session.
pub(super) fn session_line() -> sdp_types::Attribute {
    flag("ice-lite")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Session;

    fn read(session: &str, media: &str) -> Option<Ice> {
        let text = format!("v=0\r\nc=IN IP4 192.0.2.9\r\n{session}m=audio 4000 RTP/SAVP 0\r\n{media}");
        Session::parse(text.as_bytes()).unwrap().audio().unwrap().ice.clone()
    }

    const NAME: &str = "a=ice-ufrag:tC1u\r\n";
    const PASSWORD: &str = "a=ice-pwd:q3vZ8rT1mK5xW9bN2cL7dF4g\r\n";

    #[test]
    fn the_media_level_is_before_the_session_level() {
        let both = read(&format!("a=ice-lite\r\na=ice-ufrag:zzzz\r\n{PASSWORD}"), NAME).unwrap();
        assert_eq!((both.credentials.ufrag.as_str(), both.lite), ("tC1u", true));
        assert!(!read(&format!("{NAME}{PASSWORD}"), "").unwrap().lite);
    }

    #[test]
    fn what_cannot_be_credentials_is_no_ice() {
        assert_eq!(read("", NAME), None);
        assert_eq!(read("", PASSWORD), None);
        assert_eq!(read("", &format!("{NAME}a=ice-pwd:short\r\n")), None);
        assert_eq!(read("", &format!("a=ice-ufrag:a:b c\r\n{PASSWORD}")), None);
    }

    #[test]
    fn the_chosen_pair_is_of_component_1() {
        let chosen = |text: &str| {
            let line = format!("{NAME}{PASSWORD}a=remote-candidates:{text}\r\n");
            read("", &line).unwrap().chosen.map(|address| address.to_string())
        };
        assert_eq!(chosen("1 198.51.100.5 30500").as_deref(), Some("198.51.100.5:30500"));
        let both = chosen("2 198.51.100.5 30501 1 198.51.100.5 30500");
        assert_eq!(both.as_deref(), Some("198.51.100.5:30500"));
        for text in [
            "2 198.51.100.5 30501",
            "1 host.example 9",
            "1 198.51.100.5",
            "1 198.51.100.5 99999",
        ] {
            assert_eq!(chosen(text), None, "{text}");
        }
    }
}
