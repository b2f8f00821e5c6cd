//! A leg: one side of a call, its dialog, its media, its part of the record. A value that may change its owner.

use super::answer::COMPLETED_ELSEWHERE;
use super::cause::Party;
use super::event::To;
use super::id::{LegIndex, Token};
use super::keys::KeyWays;
use super::leg_media::{LegMedia, Sockets};
use super::realign::Realign;
use super::record::LegRecord;
use super::session_clock::SessionClock;
use crate::config::MediaAddressId;
use crate::dial::{LegKind, LegTerms, NextHop, PlannedHop};
use crate::media;
use crate::moment::Moment;
use crate::net::inside;
use crate::sip::dialog::{Dialog, Forks, Initiation};
use crate::sip::message::{HeaderName, Message, RequestDraft, ResponseDraft};
use crate::sip::session_timer::{SessionTimerAnswer, SessionTimerOffer, parse_seconds};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{Flow, Hop, Method, NameAddr, Transport, Uri, escaped_user};
use crate::teams::UserPlace;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a leg behind NAT may show another address than it signalled.
const NAT_WINDOW: Duration = Duration::from_secs(5);

/// Headers of a BYE that are kept, and bytes of each.
const MOST_FAREWELLS: usize = 32;
const LONGEST_FAREWELL: usize = 1_024;

/// Where a leg stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegState {
    /// Its media is being opened.
    Opening,
    /// INVITE sent or received, no final answer yet.
    Inviting,
    /// We gave up on it; its final answer is still to come.
    Cancelling,
    /// 200 sent or received.
    Up,
    /// To be hung up as soon as the ACK of our 200 has come (RFC 3261 §15).
    AwaitingAck,
    /// Another leg has its place: its peer is to say BYE until then.
    Leaving {
        until: Moment,
    },
    /// BYE sent.
    Closing,
    Gone,
}

impl LegState {
    /// When we say BYE to who was to say it.
    pub fn leaves_at(self) -> Option<Moment> {
        match self {
            LegState::Leaving { until } => Some(until),
            _ => None,
        }
    }
}

/// Whether we have said BYE: the peer's may have crossed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HungUp {
    #[default]
    No,
    Yes,
    /// It has reached nobody yet, or nobody who could pass it on, and is said again: so long the peer takes the call for one
    /// that goes on.
    Unheard,
}

/// The INVITE that we sent on a leg, and the dialogs that its responses made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentInvite {
    /// Of the last try.
    pub token: Token,
    pub initiation: Initiation,
    pub forks: Forks,
    /// Session-Expires and Min-SE as sent, raised after a 422.
    pub session: Option<SessionTimerOffer>,
    /// Challenges answered with credentials.
    pub challenged: u8,
    /// Authorization or Proxy-Authorization of the next try.
    pub authorization: Option<(HeaderName, String)>,
}

/// The last NOTIFY of a REFER, which must not overtake the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeDue {
    /// The NOTIFY before it.
    pub after: Token,
    /// Of the subscription, where it has one.
    pub id: Option<u32>,
    pub status: u16,
}

/// What a re-INVITE changes only when it is accepted: one that is refused leaves the target as it was (RFC 3261 §12.2.2).
#[derive(Debug, Clone)]
pub struct Moving {
    pub reinvite: Message,
    /// [`Leg::way`] of it.
    pub flow: Option<Hop>,
}

/// One side of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leg {
    pub index: LegIndex,
    pub side: Party,
    pub terms: Arc<LegTerms>,
    pub state: LegState,
    /// User part of our Contact.
    pub contact_user: String,
    /// The dialog that counts: the caller's, or the callee's once answered.
    pub dialog: Option<Dialog>,
    pub invite: Option<SentInvite>,
    pub hop: Option<PlannedHop>,
    /// Where its media are: as in the terms, or local ones.
    #[serde(default)]
    pub media_address: MediaAddressId,
    pub media: LegMedia,
    pub session: Option<SessionClock>,
    /// The largest Min-SE that its peer has said, seconds: ours is no smaller (RFC 4028 §7.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_se_heard: Option<u32>,
    pub record: LegRecord,
    /// Where in-dialog requests go instead of the Contact: the flow of a peer behind NAT.
    pub flow: Option<Hop>,
    /// Where the peer has been heard: of its INVITE, and of its responses to ours.
    pub sources: Vec<IpAddr>,
    /// Which of the terms' server names the peer's certificate was for when it was heard first.
    pub proven: Option<Arc<str>>,
    pub key_ways: KeyWays,
    /// The other side hears nothing of its peer, nor gets its keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// Our BYE that waits for its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<Token>,
    #[serde(default)]
    pub hung_up: HungUp,
    /// The Reason of our BYE: one that waits for an ACK, or is sent again with credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub farewell: Option<String>,
    /// Headers that an application wants in the BYE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub farewell_headers: Vec<(String, String)>,
    /// What the peer's BYE said in headers that no standard knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub farewell_heard: Vec<(String, String)>,
    /// Our BYE was challenged and has credentials now.
    pub farewell_authorized: bool,
    /// Our last re-INVITE: its 2xx may be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinvited: Option<Token>,
    /// What our last INVITE on this leg had to be authorized with: its ACK repeats it (RFC 3261 §22.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<(HeaderName, String)>,
    /// Its peer has sent a REFER that we took.
    pub has_referred: bool,
    /// What came of the REFER, told once the peer has heard that it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_due: Option<OutcomeDue>,
    /// It took another leg's place then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<Moment>,
    /// The peer has the other side on hold since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_since: Option<Moment>,
    /// The peer is still to be told what the other side has settled.
    pub realign: Option<Realign>,
    /// How the peer's INVITE, when we accept it, is answered about session timers.
    #[serde(skip)]
    pub session_answer: Option<SessionTimerAnswer>,
    /// Where the peer's re-INVITE that waits would have us send.
    #[serde(skip)]
    pub moving: Option<Moving>,
    /// The peer's INVITE that waits for our final answer: of the call, or a re-INVITE.
    #[serde(skip)]
    pub waiting: Option<ServerTransactionId>,
    /// Our 2xx that waits for its ACK.
    #[serde(skip)]
    pub unacknowledged: Option<ServerTransactionId>,
}

impl Leg {
    /// A leg whose media is still to be opened.
    pub fn new(index: LegIndex, side: Party, terms: Arc<LegTerms>, contact_user: String) -> Leg {
        Leg {
            index,
            side,
            media_address: terms.media_address,
            terms,
            state: LegState::Opening,
            contact_user,
            dialog: None,
            invite: None,
            hop: None,
            media: LegMedia::default(),
            session: None,
            min_se_heard: None,
            record: LegRecord::default(),
            flow: None,
            sources: Vec::new(),
            proven: None,
            key_ways: KeyWays::default(),
            muted: false,
            closing: None,
            hung_up: HungUp::No,
            farewell: None,
            farewell_headers: Vec::new(),
            farewell_heard: Vec::new(),
            farewell_authorized: false,
            reinvited: None,
            authorization: None,
            has_referred: false,
            outcome_due: None,
            came: None,
            holds_since: None,
            realign: None,
            session_answer: None,
            moving: None,
            waiting: None,
            unacknowledged: None,
        }
    }

    /// Keeps the Min-SE of a 422, or of a request that begins or refreshes the session.
    pub fn note_min_se(&mut self, message: &Message) {
        let heard = message.header(HeaderName::MinSe).and_then(parse_seconds);
        self.min_se_heard = self.min_se_heard.max(heard);
    }

    /// Our Contact: the tenant's FQDN toward Teams, the listener's advertised address toward a carrier.
    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", escaped_user(&self.contact_user), self.terms.contact)
    }

    /// A request inside the dialog and where it goes. `None` without a dialog.
    pub fn request(&mut self, method: Method) -> Option<(RequestDraft, To)> {
        let invites = method == Method::Invite;
        let dialog = self.dialog.as_mut()?;
        let mut draft = dialog.request(method);
        if invites {
            draft = draft.header(HeaderName::Contact, self.contact());
            draft = draft.header(HeaderName::Allow, &*self.terms.allow);
            draft = with_supported(draft, &self.terms);
        }
        let to = self.destination()?;
        Some((decorate_request(draft, &self.terms), to))
    }

    /// The ACK of a 2xx with this CSeq number.
    pub fn ack(&self, cseq: u32) -> Option<(RequestDraft, To)> {
        let mut draft = self.dialog.as_ref()?.ack(cseq);
        if let Some((name, value)) = &self.authorization {
            draft = draft.header(*name, value.clone());
        }
        Some((decorate_request(draft, &self.terms), self.destination()?))
    }

    /// Where in-dialog requests go: the first route, else the Contact (RFC 3261 §12.2.1.1); a peer behind NAT that set
    /// no route is reached where it came from. Neither leads us away from a device: it is a stranger's to write.
    fn destination(&self) -> Option<To> {
        let dialog = self.dialog.as_ref()?;
        if matches!(self.terms.kind, LegKind::User { .. }) {
            let rung = self.hop.as_ref();
            let flow = self.flow.as_ref().or_else(|| rung.and_then(|hop| hop.direct.as_ref()));
            return match flow {
                Some(flow) => Some(To::Hop(flow.clone())),
                None => rung.map(|hop| To::Next(hop.next.clone())),
            };
        }
        let next = dialog.next_hop_uri();
        match &self.flow {
            Some(flow) if next == *dialog.remote_target() => Some(To::Hop(flow.clone())),
            _ => Some(To::Next(self.next_hop(&next))),
        }
    }

    /// Where a URI of its dialog leads. A server that an application named may name another one, which proves its own name.
    fn next_hop(&self, uri: &Uri) -> NextHop {
        let is_other = matches!(self.terms.kind, LegKind::SipUri { .. }) && uri.host_ip().is_none();
        NextHop {
            server_name: self.server_name().filter(|_| !is_other),
            ..next_hop(uri, &self.terms)
        }
    }

    /// What the peer has to prove where we connect to it. A hub the name that it was dialled by, or called with, whatever its
    /// Record-Route says.
    fn server_name(&self) -> Option<Arc<str>> {
        let is_teams = matches!(self.terms.kind, LegKind::Teams { .. });
        let dialled = self.hop.as_ref().filter(|_| is_teams);
        dialled
            .and_then(|hop| hop.next.server_name.clone())
            .or_else(|| self.proven.clone())
            .or_else(|| self.terms.server_names.first().cloned())
    }

    /// The way back to a peer that is behind NAT, or to a device: on a stream the connection that it opened, since nobody
    /// listens where that comes from. Only where we have connected (`dialled`) may a carrier be connected to again.
    pub fn way_back(&self, flow: &Flow, dialled: bool) -> Hop {
        let is_device = matches!(self.terms.kind, LegKind::User { .. });
        let kept = self.flow.as_ref().filter(|kept| kept.remote == flow.remote);
        let ours = !is_device && (dialled || kept.is_some_and(|kept| kept.connection.is_none()));
        Hop {
            transport: flow.transport,
            listener: flow.listener,
            remote: flow.remote,
            server_name: self.server_name().filter(|_| flow.transport == Transport::Tls),
            connection: (!ours && flow.transport.is_reliable()).then_some(flow.connection),
            account: None,
            presented: self.terms.presented(),
        }
    }

    /// Where requests inside the dialog go after this message of the peer, which makes or refreshes it: `None` for where its
    /// Contact leads.
    pub fn way(&self, message: &Message, flow: &Flow, dialled: bool) -> Option<Hop> {
        let contact = message.contact().ok().flatten();
        match contact {
            _ if self.terms.keeps_flow() => Some(self.way_back(flow, dialled)),
            Some(contact) if !self.is_inside(contact.uri(), flow) => None,
            // Where it was dialled it is reached again; where a connection of its own comes from nobody listens.
            Some(_) if flow.transport.is_reliable() && self.flow.is_some() => self.flow.clone(),
            Some(_) => Some(self.way_back(flow, dialled)),
            None => self.flow.clone(),
        }
    }

    /// Whether a server that an application named, at an address that everybody can reach, says an address of some inside
    /// network in its Contact: there it believes to be, and there we may not go.
    fn is_inside(&self, contact: &Uri, flow: &Flow) -> bool {
        let is_named = matches!(self.terms.kind, LegKind::SipUri { .. });
        let is_there = contact.host_ip().is_some_and(|address| inside(address).is_some());
        is_named && is_there && inside(flow.remote.ip()).is_none()
    }

    /// Gives up the connection that a carrier had opened, when it is gone: its Contact is left. False where there was none.
    /// A device is never reached by its Contact.
    pub fn leave_connection(&mut self) -> bool {
        let is_device = matches!(self.terms.kind, LegKind::User { .. });
        let gone = self.flow.take_if(|flow| flow.connection.is_some() && !is_device);
        gone.is_some()
    }

    /// Where the peer's Contact and first Route lead.
    pub fn next_hops(&self) -> Vec<NextHop> {
        let dialog = self.dialog.as_ref();
        let uris = dialog.map(|dialog| [dialog.remote_target().clone(), dialog.next_hop_uri()]);
        uris.iter().flatten().map(|uri| self.next_hop(uri)).collect()
    }

    /// The transport that the peer's Contact or first Route names and that requests to it will not take.
    pub fn transport_passed_over(&self) -> Option<String> {
        let next = self.dialog.as_ref()?.next_hop_uri();
        let (named, taken) = (next.param("transport")?, next_hop(&next, &self.terms).transport?);
        let by_contact = self.flow.is_none() && !matches!(self.terms.kind, LegKind::User { .. });
        (by_contact && !taken.uri_name().eq_ignore_ascii_case(named)).then(|| named.to_owned())
    }

    /// Makes a fork of the INVITE the dialog of the leg.
    pub fn take_fork(&mut self, fork: usize) {
        if let Some(dialog) = self.invite.as_ref().and_then(|invite| invite.forks.get(fork)) {
            self.dialog = Some(dialog.clone());
        }
    }

    /// Makes a fork of the INVITE, reached by its own way, the dialog of the leg for a moment; what was it before.
    pub fn step_into(&mut self, fork: usize, way: Option<Hop>) -> (Option<Dialog>, Option<Hop>) {
        let kept = (self.dialog.clone(), std::mem::replace(&mut self.flow, way));
        self.take_fork(fork);
        kept
    }

    /// Adds what every response of this leg carries.
    pub fn decorate(&self, draft: ResponseDraft) -> ResponseDraft {
        let mut draft = draft.header(HeaderName::Server, &*self.terms.product);
        for (name, value) in &self.terms.fixed_headers {
            draft = draft.header(*name, value);
        }
        draft
    }

    /// A response that establishes or refreshes the dialog: Contact, Allow, Supported beside the rest.
    pub fn dialog_response(&self, status: u16, to_tag: &str) -> ResponseDraft {
        let mut draft = ResponseDraft::new(status)
            .to_tag(to_tag)
            .header(HeaderName::Contact, self.contact())
            .header(HeaderName::Allow, &*self.terms.allow);
        if !self.terms.supported.is_empty() && status >= 200 {
            draft = draft.header(HeaderName::Supported, &*self.terms.supported);
        }
        self.decorate(draft)
    }

    /// Drops what only a leg that may still be talked to needs; the record stays.
    pub fn forget(&mut self) {
        self.invite = None;
        self.hop = None;
        self.media = LegMedia {
            sockets: self.media.sockets,
            ..LegMedia::default()
        };
    }

    /// What of a leg that is over still tells who its peer is.
    pub fn remains(self) -> Leg {
        Leg {
            dialog: self.dialog,
            hop: self.hop,
            sources: self.sources,
            hung_up: self.hung_up,
            ..Leg::new(self.index, self.side, self.terms, self.contact_user)
        }
    }

    /// Whether the leg can still be spoken to inside its dialog.
    pub fn is_up(&self) -> bool {
        self.state == LegState::Up
    }

    /// Whether the leg rings or talks: there is something to hang up.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, LegState::Opening | LegState::Inviting | LegState::Up)
    }

    /// Whether another destination got the call, and this one was told so.
    pub fn has_lost(&self) -> bool {
        self.farewell.as_deref() == Some(COMPLETED_ELSEWHERE)
    }

    /// Whether nothing more is expected of the leg.
    pub fn is_over(&self) -> bool {
        self.state == LegState::Gone && self.media.sockets == Sockets::None
    }

    /// What the media worker is told, when `other` is heard here.
    pub fn worker_config(&self, other: Option<&LegMedia>) -> Option<media::LegConfig> {
        self.media.worker_config(self.latch(), other)
    }

    /// Plain media of a peer behind NAT may move: a device's only to the host that it signals from, since anybody may send
    /// to the port; a carrier's to any, where it is configured so.
    fn latch(&self) -> media::Latch {
        let window = NAT_WINDOW;
        match (&self.terms.kind, self.terms.behind_nat) {
            (LegKind::User { .. }, behind_nat) => match self.sources.last() {
                // A Contact that a device has set right says nothing of its description.
                Some(host) if behind_nat || self.describes_inside(*host) => media::Latch::NatOnce {
                    window,
                    host: Some(*host),
                },
                _ => media::Latch::Signalled,
            },
            (_, false) => media::Latch::Signalled,
            (_, true) => media::Latch::NatOnce { window, host: None },
        }
    }

    /// Whether its peer, which signals from `host`, describes media at an address of some inside network.
    fn describes_inside(&self, host: IpAddr) -> bool {
        let described = self.media.negotiated.as_ref().map(|settled| settled.remote_rtp.ip());
        described.is_some_and(|address| address.to_canonical() != host.to_canonical() && inside(address).is_some())
    }

    /// Notes what a final response says for the record.
    pub fn note_final(&mut self, message: &Message) {
        self.record.status = message.status();
        self.record.phrase = Some(message.reason().to_owned());
        self.record.reasons.clear();
        self.record.note_reasons(message);
        self.note_correlation(message);
    }

    /// Notes what the peer says with its BYE.
    pub fn note_farewell(&mut self, bye: &Message) {
        self.record.note_reasons(bye);
        let unknown = bye.raw_headers().filter(|header| header.known.is_none());
        let short = unknown.filter(|header| header.value.len() <= LONGEST_FAREWELL);
        let kept = short.take(MOST_FAREWELLS);
        self.farewell_heard = kept
            .map(|header| (header.name().to_owned(), String::from_utf8_lossy(header.value).into()))
            .collect();
    }

    /// Keeps what an INVITE of Teams says of where it comes from.
    pub fn note_caller(&mut self, invite: &Message) {
        self.note_correlation(invite);
        if matches!(self.terms.kind, LegKind::Teams { .. }) {
            self.record.hub = hub_of(invite);
            self.record.user_place = UserPlace::of(invite);
            self.go_where_its_user_is(invite);
        }
    }

    /// Media of a user inside the tenant's network are at the address that is reached from there (TEAMS-056).
    fn go_where_its_user_is(&mut self, invite: &Message) {
        let called = invite.uri().map(|uri| uri.host().to_owned()).unwrap_or_default();
        let place = self.record.user_place.as_ref();
        let is_inside = place.is_some_and(|place| place.reaches_inside_of(&called));
        if let (true, Some((address, name))) = (is_inside, &self.terms.local_media) {
            self.media_address = *address;
            self.record.local_media = Some(name.to_string());
        }
    }

    /// Keeps Microsoft's correlation id, `x-i` in the Contact of Teams.
    fn note_correlation(&mut self, message: &Message) {
        if let Ok(Some(contact)) = message.contact()
            && let Some(id) = contact.uri().param("x-i")
        {
            self.record.correlation = Some(id.to_owned());
        }
    }
}

/// What every request of a leg carries.
pub fn decorate_request(draft: RequestDraft, terms: &LegTerms) -> RequestDraft {
    let mut draft = draft.header(HeaderName::UserAgent, &*terms.product);
    for (name, value) in &terms.fixed_headers {
        draft = draft.header(*name, value);
    }
    draft
}

/// Adds headers that an application gave; a name that can't be written was refused when the verb was read.
pub fn with_headers(draft: RequestDraft, headers: &[(String, String)]) -> RequestDraft {
    headers.iter().fold(draft, |draft, (name, value)| {
        draft.clone().raw_header(name, value).unwrap_or(draft)
    })
}

/// Adds Supported where there is something to say.
pub fn with_supported(draft: RequestDraft, terms: &LegTerms) -> RequestDraft {
    match terms.supported.is_empty() {
        true => draft,
        false => draft.header(HeaderName::Supported, &*terms.supported),
    }
}

/// The next hop that a Route or Contact URI names, on the transport that it names where the leg may follow it there. Else on
/// the leg's own: carriers are configured for that, and a Teams leg speaks TLS whatever a URI says (TEAMS-001).
pub(super) fn next_hop(uri: &Uri, terms: &LegTerms) -> NextHop {
    let named = uri.param("transport");
    let is_named = |way: &&(Transport, _)| named.is_some_and(|named| way.0.uri_name().eq_ignore_ascii_case(named));
    let way = terms.ways.iter().find(is_named).copied();
    let (transport, listener) = way.unwrap_or((terms.transport, terms.listener));
    NextHop {
        host: uri.host().trim_matches(['[', ']']).into(),
        port: uri.port(),
        transport: Some(transport),
        listener,
        server_name: terms.server_names.first().cloned(),
        presented: terms.presented(),
    }
}

/// The hub of Teams that an INVITE came by, by its Record-Route.
pub(super) fn hub_of(invite: &Message) -> Option<String> {
    let route = invite.headers(HeaderName::RecordRoute).next();
    let hub = route.and_then(|route| NameAddr::parse(HeaderName::RecordRoute, route).ok());
    hub.map(|hub| hub.uri().host().to_ascii_lowercase())
}
