//! `[[carriers]]`: trunks to the telephone network.

use super::{Host, Limits};
use crate::config::names::{CarrierId, HostName, Secret};
use crate::config::network::Network;
use crate::config::number::{DialString, E164};
use crate::sip::digest::Algorithm;
use crate::sip::{ListenerId, PeerCertificate, Transport};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    pub id: CarrierId,
    /// How its calls to us are known.
    pub identify: Identification,
    /// The name that its TLS servers prove inside calls that came from it. None: the gateway's.
    pub server_name: Option<HostName>,
    /// Tried in this order for calls to it. Empty: it only calls us.
    pub gateways: Vec<Gateway>,
    pub failover: Failover,
    pub numbers: NumberRules,
    pub caller: CarrierCaller,
    pub history: History,
    pub limits: Limits,
    pub media: CarrierMedia,
    pub ringing: Ringing,
    /// It may refer the other side of a call to whom it may call itself (TEAMS-091).
    pub refer: bool,
    /// Session timer offered, RFC 4028. None: none is offered, the carrier's is honoured.
    pub session_expires: Option<Duration>,
    /// How we answer its digest challenges.
    pub credentials: Option<Credentials>,
    /// Its calls to emergency numbers are served.
    pub emergency: bool,
    /// A PIDF-LO location body of an emergency call is passed on (TEAMS-053).
    pub pass_location: bool,
    /// An emergency caller's ELIN is shown to it instead of the caller's number.
    pub elin: bool,
}

/// What a request has to look like to be this carrier's. All that is given has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// Not empty unless the carrier never calls us or `digest` is set.
    pub networks: Vec<Network>,
    /// Empty: any.
    pub transports: Vec<Transport>,
    /// Its certificate bears one of these, where it is not empty: then it calls over TLS alone.
    pub client_names: Vec<HostName>,
    /// Challenged with 401 until it answers with these.
    pub digest: Option<Credentials>,
    /// What the challenge offers, the strongest first.
    pub algorithms: Vec<Algorithm>,
}

impl Identification {
    /// Whether what the peer has shown is for one of its `client_names`.
    pub fn is_shown_by(&self, peer: Option<&PeerCertificate>) -> bool {
        peer.is_some_and(|peer| self.client_names.iter().any(|name| peer.bears(name.as_str())))
    }

    /// The longest prefix among its networks that hold `address`, when `transport` suits: the carrier with the
    /// longest is calling.
    pub fn matches(&self, address: IpAddr, transport: Transport) -> Option<u8> {
        if !self.transports.is_empty() && !self.transports.contains(&transport) {
            return None;
        }
        self.prefix_of(address)
    }

    /// The same, whatever the transport.
    pub fn prefix_of(&self, address: IpAddr) -> Option<u8> {
        self.networks
            .iter()
            .filter(|network| network.contains(address))
            .map(|network| network.prefix())
            .max()
    }
}

/// A user name and its password (RFC 8760).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Ours in a challenge; the only one answered to when the carrier challenges. None: any realm is answered, and our
    /// own challenge names the node.
    pub realm: Option<String>,
    pub username: String,
    pub password: Secret,
}

/// One way into a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    pub host: Host,
    /// None: by SRV, or the transport's default (RFC 3263 §4.2).
    pub port: Option<u16>,
    pub transport: Transport,
    /// The listener that requests leave from; same transport.
    pub listener: ListenerId,
    /// The name that a TLS gateway has to prove. `Some` where, and only where, `transport` is TLS.
    pub server_name: Option<HostName>,
    /// Between OPTIONS. None: its health is known from calls alone.
    pub options_interval: Option<Duration>,
}

/// When the next gateway, or the next carrier, is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// Final codes that move on. Never a user's answer (486, 600, 603 …).
    pub codes: Vec<u16>,
    /// To the first response of an INVITE.
    pub response_timeout: Duration,
    /// From a 100 to anything more.
    pub progress_timeout: Duration,
    /// How long a failed gateway is tried last.
    pub hold_down: Duration,
}

/// How numbers are written on this trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRules {
    /// Where national numbers belong, digits only (`1`, `44`).
    pub country_code: Option<String>,
    /// The trunk prefix in front of national numbers (`0` in most of Europe, empty in North America).
    pub national_prefix: String,
    /// The international access code (`00`, `011`).
    pub international_prefix: String,
    /// What a number is that has neither `+` nor a prefix.
    pub bare: BareNumbers,
    /// Calls from the carrier: the first rule that matches rewrites the number before it is read as E.164.
    pub inbound: Vec<NumberRule>,
    /// Calls to the carrier: the first rule that matches rewrites the E.164 number and settles how it is sent.
    pub outbound: Vec<NumberRule>,
    /// Calls to the carrier: how a number is written that no outbound rule matches.
    pub format: NumberFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BareNumbers {
    /// Country code first: `14255550100` is `+14255550100`.
    International,
    /// `4255550100` is `country_code` and it.
    National,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberFormat {
    /// `+14255550100`
    Plus,
    /// `14255550100`
    Digits,
    /// `international_prefix` and the digits: `0114255550100`
    Prefixed,
    /// Numbers of `country_code`: `national_prefix` and the rest; others as `Prefixed`.
    National,
}

/// Matches a number and rewrites it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRule {
    /// The number begins with it (`+` counts). Empty: every number does.
    pub prefix: DialString,
    /// How many characters the number has, `+` included. None: any.
    pub length: Option<RangeInclusive<usize>>,
    /// Characters taken off the beginning.
    pub strip: usize,
    /// Put in front afterwards.
    pub add: DialString,
}

impl NumberRule {
    /// The number rewritten, or None when the rule does not match it.
    pub fn apply(&self, number: &str) -> Option<String> {
        if !number.starts_with(self.prefix.as_str()) {
            return None;
        }
        if self
            .length
            .as_ref()
            .is_some_and(|lengths| !lengths.contains(&number.len()))
        {
            return None;
        }
        number.get(self.strip..).map(|rest| format!("{}{rest}", self.add))
    }
}

/// Who is shown as the caller, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierCaller {
    /// Calls from the carrier: the header that is believed. The other one serves when it is absent.
    pub read: CallerHeader,
    /// Calls to the carrier: who is shown.
    pub present: CallerSource,
    /// Calls to the carrier carry P-Asserted-Identity.
    pub assert: bool,
    /// Calls to the carrier from somebody who asked for privacy.
    pub private: PrivateCaller,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerHeader {
    From,
    Pai,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerSource {
    From,
    Pai,
    Fixed(E164),
    /// The number of the tenant's that has forwarded the call last, else as `From`.
    Diverting,
}

/// What a carrier learns of a caller who asked for privacy (RFC 3323, 3325).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivateCaller {
    /// From is anonymous; the number goes in P-Asserted-Identity with `Privacy: id`. The carrier is trusted.
    Assert,
    /// The number goes nowhere.
    Withhold,
}

/// How a diverted call tells a carrier of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum History {
    Diversion,
    HistoryInfo,
    None,
}

/// Media toward a carrier. Plain RTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierMedia {
    /// What may be offered to it, the preferred first.
    pub codecs: Vec<Codec>,
    /// Its media may come from another address than its SDP says: one move inside a short window is followed.
    pub nat: bool,
    /// What it sends while it holds a call is heard (TEAMS-080).
    pub music_on_hold: bool,
    /// How keys go over the trunk where no telephone-event is settled (TEAMS-098).
    pub dtmf: Dtmf,
}

/// Keys in calls without telephone-event (RFC 4733).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtmf {
    /// None go to the carrier.
    Events,
    /// As tones in the audio, both ways.
    Tones,
    /// As INFO to the carrier.
    Info,
}

/// What a caller is told while somebody rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ringing {
    pub tell: Tell,
    /// 181 and 182 go on as well.
    pub forwarding: bool,
}

impl Ringing {
    /// Everything as it comes.
    pub const RELAYED: Ringing = Ringing {
        tell: Tell::All,
        forwarding: true,
    };
}

/// Which provisional responses go on (TEAMS-062).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// Each as it comes.
    All,
    /// The first 180 or 183 alone.
    First,
    /// 180 once, and 183 with a description once there is audio.
    Media,
    /// 180 once, and no description before the answer.
    Plain,
    /// 183 with a description, and a tone of ours until there is audio.
    Tone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    Pcmu,
    Pcma,
    G722,
    G729,
    Silk,
}
