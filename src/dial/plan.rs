//! The dial plan: attempts rung in parallel, each a list of hops tried in order.

use super::allow;
use super::outcome::AttemptFailure;
use super::target_name::TargetName;
use crate::app::verb::Hook;
use crate::config::{MediaAddressId, MediaAddressName};
use crate::config::{Network, Ringing};
use crate::route::TraceStep;
use crate::sdp::LegProfile;
use crate::sip::message::HeaderName;
use crate::sip::{Hop, ListenerId, Transport};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Everything that a call needs to ring its destinations; no configuration is read after it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DialPlan {
    /// Rung at once; the first that answers wins and the others are cancelled.
    pub attempts: Vec<Attempt>,
    /// From the INVITE to an answer, all attempts and hops together.
    pub timeout: Duration,
    /// How long one destination may ring before it counts as not answered.
    pub ringing: Duration,
    /// What was decided of targets that are no attempts, since an earlier one leads to the same place; for the record.
    #[serde(default)]
    pub left_out: Vec<TraceStep>,
}

/// How long an emergency number may ring at one hop before the next is tried, whatever the settings say.
pub const EMERGENCY_RINGING: Duration = Duration::from_secs(180);
/// How long its caller may wait for an answer in all.
pub const EMERGENCY_TIMEOUT: Duration = Duration::from_secs(3600);

impl DialPlan {
    /// The plan of a static route. No setting cuts an emergency call short (promise 6).
    pub fn routed(attempts: Vec<Attempt>, timeout: Duration, ringing: Duration) -> DialPlan {
        let urgent = attempts.iter().any(|attempt| attempt.emergency);
        DialPlan {
            timeout: if urgent { EMERGENCY_TIMEOUT } else { timeout },
            ringing,
            attempts,
            left_out: Vec::new(),
        }
    }
}

/// One destination: its hops are tried in order until one answers or fails for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// What an application named; none on a static route.
    pub target: Option<TargetName>,
    /// Its own ring limit; none: the plan's.
    pub ringing: Option<Duration>,
    /// The application that screens it before the caller gets it.
    pub confirm: Option<Hook>,
    /// An emergency call: nothing screens it, no limit applies to it (promise 6).
    pub emergency: bool,
    pub hops: Vec<PlannedHop>,
    /// Without hops: why there are none, and the code that stands for it.
    pub failed: Option<AttemptFailure>,
    /// How a target of an application led here, as far as a record keeps it; empty on a static route, whose trace is the call's.
    #[serde(default)]
    pub trace: Vec<TraceStep>,
}

impl Attempt {
    /// An attempt of a static route.
    pub fn routed(hops: Vec<PlannedHop>) -> Attempt {
        Attempt {
            target: None,
            ringing: None,
            confirm: None,
            emergency: false,
            hops,
            failed: None,
            trace: Vec::new(),
        }
    }

    /// A destination that can't be rung at all: it fails at once, and the others ring on.
    pub fn hopeless(failure: AttemptFailure) -> Attempt {
        Attempt {
            failed: Some(failure),
            ..Attempt::routed(Vec::new())
        }
    }
}

/// One INVITE to be sent, planned to the last header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedHop {
    pub peer: PeerName,
    pub next: NextHop,
    /// Straight there instead of to `next`: the flow that a device registered on.
    pub direct: Option<Hop>,
    /// Request-URI, byte for byte as it goes out.
    pub request_uri: String,
    /// `From` without a tag: a name-addr.
    pub from: String,
    /// `To`: a name-addr.
    pub to: String,
    /// User part of our Contact.
    pub contact_user: String,
    /// Headers beyond those that every INVITE has: identity, privacy, history.
    pub headers: Vec<(HeaderName, String)>,
    /// Headers that an application adds, their names as it wrote them.
    pub extra_headers: Vec<(String, String)>,
    pub terms: Arc<LegTerms>,
    /// No response at all within this: the next hop is tried.
    pub first_response: Duration,
    /// No more than 100 Trying for this long: the next hop is tried, where there is one that is not held down. None: whoever
    /// says 100 has the time that a called party may ring.
    pub progress: Option<Duration>,
    pub hunt: HuntOn,
    /// The peer is held down: it is tried last, and nobody is given up for it who has said 100.
    pub held: bool,
    /// How long the peer is tried last after it failed without naming a time itself.
    pub hold_down: Duration,
}

/// What a hop is called in traces, CDRs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerName {
    /// A Teams hub by its FQDN.
    Hub(Arc<str>),
    /// A hub of Teams as one tenant's own trunk knows it: whether that trunk is known there. No call goes to it by this name.
    Trunk { hub: Arc<str>, trunk: Arc<str> },
    /// A gateway of a carrier.
    Gateway { carrier: Arc<str>, gateway: Arc<str> },
    /// A device of a registered user: `alice@sip.contoso.example`, `udp:192.0.2.9:5060`.
    User { user: Arc<str>, device: Arc<str> },
    /// A server that an application named by SIP URI: its host, and the port when one was written.
    Uri(Arc<str>),
}

impl PeerName {
    /// The carrier whose gateway it is.
    pub fn carrier(&self) -> Option<&str> {
        match self {
            PeerName::Gateway { carrier, .. } => Some(carrier),
            PeerName::Hub(_) | PeerName::Trunk { .. } | PeerName::User { .. } | PeerName::Uri(_) => None,
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerName::Hub(host) | PeerName::Uri(host) => f.write_str(host),
            PeerName::Trunk { hub, trunk } => write!(f, "{hub} for {trunk}"),
            PeerName::Gateway { carrier, gateway } => write!(f, "{carrier}/{gateway}"),
            PeerName::User { user, device } => write!(f, "{user}/{device}"),
        }
    }
}

/// Where to send, before RFC 3263 resolution.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextHop {
    /// Host name or IP literal, without brackets.
    pub host: Arc<str>,
    /// `None`: SRV decides, else the transport's default.
    pub port: Option<u16>,
    /// `None`: NAPTR decides, else UDP.
    pub transport: Option<Transport>,
    pub listener: ListenerId,
    /// The name that a TLS server has to prove; `None` proves `host`.
    pub server_name: Option<Arc<str>>,
    /// The name that our certificate has to bear; `None`: the listener's own.
    #[serde(default)]
    pub presented: Option<Arc<str>>,
}

/// Which failures of a hop move on to the next one; every other final answer ends the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HuntOn {
    /// Status codes, for example 503. User answers (486, 600, 603…) have no place here; a code that means "this user
    /// said no" is never retried (TEAMS-064).
    pub codes: Arc<[u16]>,
    /// Every other refusal moves on as well, and holds nobody down: of an emergency call, which somebody has to take.
    pub every: bool,
}

impl HuntOn {
    /// These codes alone.
    pub fn codes(codes: impl Into<Arc<[u16]>>) -> HuntOn {
        HuntOn {
            codes: codes.into(),
            every: false,
        }
    }

    /// True when a final answer with `status` speaks against the peer, not only against this call.
    pub fn contains(&self, status: u16) -> bool {
        self.codes.contains(&status)
    }
}

/// On whose side a leg stands. What Teams forbids can't be built without going through `Teams`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegKind {
    Teams {
        tenant_fqdn: Arc<str>,
    },
    Carrier {
        carrier: Arc<str>,
    },
    /// A registered user's device. `user` is its address, `alice@sip.contoso.example`, as it has proven or registered it,
    /// whatever its messages name.
    User {
        tenant: Arc<str>,
        user: Arc<str>,
    },
    /// A server that an application named by SIP URI.
    SipUri {
        host: Arc<str>,
    },
}

impl LegKind {
    /// A word for records and metrics.
    pub const fn side(&self) -> &'static str {
        match self {
            LegKind::Teams { .. } => "teams",
            LegKind::Carrier { .. } => "carrier",
            LegKind::User { .. } => "user",
            LegKind::SipUri { .. } => "sip",
        }
    }

    /// The tenant's trunk, the carrier, the user's address, or the host.
    pub fn name(&self) -> &str {
        match self {
            LegKind::Teams { tenant_fqdn: name }
            | LegKind::Carrier { carrier: name }
            | LegKind::User { user: name, .. }
            | LegKind::SipUri { host: name } => name,
        }
    }
}

/// The terms of a leg: fixed when the leg is made, shared by all legs of the same peer and configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegTerms {
    pub kind: LegKind,
    pub listener: ListenerId,
    pub transport: Transport,
    /// Listeners of other transports, for a peer whose Contact or Route may name one (RFC 3261 §12.2.1.1). None: requests
    /// inside the dialog stay on the leg's own.
    pub ways: Arc<[(Transport, ListenerId)]>,
    /// Where the peer may speak from inside a dialog, beside where it has been heard.
    pub networks: Arc<[Network]>,
    /// Names of which the certificate of whoever speaks inside a dialog has to bear one, unless it is for one of
    /// `server_names`; empty: any certificate, or none.
    #[serde(default)]
    pub peer_names: Arc<[Arc<str>]>,
    /// What the peer's TLS certificate may be for on connections for in-dialog requests: what it proved when it was heard
    /// first, else the first of them; empty: the host.
    pub server_names: Arc<[Arc<str>]>,
    /// Host, port and parameters of our Contact URI; the user part is the call's. Toward Teams the host is the tenant's
    /// FQDN (TEAMS-029, TEAMS-030).
    pub contact: Arc<str>,
    /// `Allow` as sent on requests and responses that may carry it.
    pub allow: Arc<str>,
    /// `Supported`, empty for none.
    pub supported: Arc<str>,
    /// `User-Agent` on requests and `Server` on responses.
    pub product: Arc<str>,
    /// Headers on every request and response of the leg, for example `X-MS-SBC` (TEAMS-038).
    pub fixed_headers: Vec<(HeaderName, String)>,
    pub media: LegProfile,
    /// Where our media are.
    #[serde(default)]
    pub media_address: MediaAddressId,
    /// Where they are for a user of Teams who is inside the tenant's network (TEAMS-056).
    #[serde(default)]
    pub local_media: Option<(MediaAddressId, MediaAddressName)>,
    /// The peer is behind NAT: plain RTP may move once, in-dialog requests go back to the flow.
    pub behind_nat: bool,
    /// How keys go to the peer where it settles no telephone-event (TEAMS-098).
    pub keys: KeyForm,
    /// The other side hears what the peer sends while it holds the call, and is not told of that (TEAMS-080).
    pub music_on_hold: bool,
    /// An emergency caller's location goes to this peer (TEAMS-053).
    pub pass_location: bool,
    /// What the peer is told while its call rings.
    pub ringing: Ringing,
    /// How long its call may hear nothing but 100 Trying (TEAMS-045); none: until a minute has passed.
    pub patience: Option<Duration>,
    pub session_timer: SessionTimer,
    /// What the peer's challenges are answered with, in a call to it as in one from it.
    pub credentials: Option<Credentials>,
    /// Where a REFER of the peer may have us call; none: it is not taken.
    pub transfers: Option<Transfers>,
}

/// Where a REFER leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfers {
    /// Teams': back to Teams.
    ToHubs(Arc<ToHubs>),
    /// A carrier's or a user's: where its own calls may go.
    AsCalls,
}

/// What INVITEs are made with that a REFER of Teams asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToHubs {
    /// The hubs, by name and port: it leads nowhere else.
    pub hubs: Vec<(Arc<str>, u16)>,
    /// No response at all within this: the transfer has failed.
    pub first_response: Duration,
    /// The same after no more than 100 Trying.
    pub progress: Duration,
    /// How long a hub is tried last that did not answer.
    pub hold_down: Duration,
}

impl LegTerms {
    /// The host of its Contact: toward Teams the trunk name of the tenant (TEAMS-030).
    pub fn trunk(&self) -> &str {
        self.contact.split([':', ';']).next().unwrap_or_default()
    }

    /// The name that our certificate has to bear on connections for the leg: the host of its Contact, where the peer compares
    /// the two (TEAMS-029).
    pub fn presented(&self) -> Option<Arc<str>> {
        match &self.kind {
            LegKind::Teams { tenant_fqdn } => Some(tenant_fqdn.clone()),
            _ => None,
        }
    }

    /// The same leg in a call that an application steers.
    pub fn steered(self: &Arc<LegTerms>) -> Arc<LegTerms> {
        match self.kind {
            LegKind::Teams { .. } => self.clone(),
            _ => Arc::new(LegTerms {
                allow: allow::STEERED.into(),
                ..LegTerms::clone(self)
            }),
        }
    }

    /// Whether a carrier or a user may refer the other side to whom it may call itself.
    pub fn takes_refer(&mut self, takes: bool) {
        self.transfers = takes.then_some(Transfers::AsCalls);
        self.allow = if takes { allow::ROUTED_REFER } else { allow::ROUTED }.into();
    }

    /// Requests inside the dialog go back to where the peer came from, not to its Contact.
    pub fn keeps_flow(&self) -> bool {
        self.behind_nat || matches!(self.kind, LegKind::User { .. })
    }
}

/// Keys on a leg without telephone-event (RFC 4733).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// None go to the peer, but those that somebody sent as INFO: they are played.
    Events,
    /// Played, and looked for in what the peer says.
    Tones,
    /// INFO.
    Info,
}

/// Session timer settings of a leg (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimer {
    /// Offered Session-Expires; `None` offers none, but still honours the peer's.
    pub expires: Option<Duration>,
    pub min: Duration,
    /// Min-SE of what we propose ourselves is no less, whatever is accepted.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub least_proposed: Duration,
}

/// Digest credentials: answered only to `realm` (any, where none is given) and only on the leg that carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub realm: Option<String>,
    pub username: String,
    pub password: Secret,
}

/// A secret that never shows in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
