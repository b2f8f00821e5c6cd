//! The rig: drives a call, plays its media plane, keeps what it sent, and checks what must always hold.

use super::contract;
use super::messages::Sent;
use crate::call::{
    Call, CallNews, CallRecord, Effect, Event, LegIndex, MediaNotice, Parted, PeerVerdict, Phase, To, Token,
};
use crate::dial::{LegKind, PeerName};
use crate::ice::Secret;
use crate::media::{LegConfig, LegId};
use crate::moment::Moment;
use crate::sdp::LocalMedia;
use crate::sip::message::Message;
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{ConnectionId, Flow, ListenerId, Method, Transport};
use crate::srtp::{MasterKey, Suite};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

/// A call under test.
pub struct Rig {
    pub call: Call,
    pub now: Moment,
    /// All that went out, in order.
    pub sent: Vec<Sent>,
    pub over: Vec<CallRecord>,
    pub cancelled: Vec<(Token, Option<String>)>,
    pub acknowledged: Vec<ServerTransactionId>,
    pub verdicts: Vec<(PeerName, PeerVerdict)>,
    /// Addresses that failed, and whether the connection there was dropped.
    pub addresses_down: Vec<(SocketAddr, bool)>,
    /// Names that are to be looked up anew.
    pub looked_up: Vec<String>,
    /// Where requests of ours were to go.
    pub destinations: Vec<To>,
    pub news: Vec<CallNews>,
    /// What an application's call wants done beside signalling, in order.
    pub wishes: Vec<Effect>,
    pub bridges: usize,
    /// Who was joined, in order.
    pub bridged: Vec<(LegId, LegId)>,
    pub bridges_cut: usize,
    /// Sides whose silence counts from their answer.
    pub awaited: Vec<LegId>,
    /// What the media workers were told last.
    pub configured: HashMap<LegId, LegConfig>,
    /// Callees that have become calls of their own.
    pub parted: Vec<Parted>,
    /// Requests of peers, and whether they have their final answer.
    pub(super) requests: HashMap<ServerTransactionId, (LegIndex, Message, bool)>,
    pub(super) invite: Message,
    pending: VecDeque<Event>,
    pub(super) hold_media: bool,
    pub(super) no_port_for: HashSet<usize>,
    /// Other calls take all places among those that are recoded at cost.
    pub(super) recoding_is_full: bool,
    /// How many legs have asked for a place among the calls that are recoded.
    pub(super) recoding_asked: usize,
    pub opened: Vec<(LegId, LegIndex)>,
    pub closed: HashSet<LegId>,
    pub(super) next_transaction: u32,
    pub(super) peer_cseq: HashMap<LegIndex, u32>,
    pub(super) last_peer_invite: HashMap<LegIndex, u32>,
    pub(super) answered_requests: HashSet<Token>,
}

/// Parses what a scenario wrote.
pub fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes().to_vec().into()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        local: SocketAddr::from(([192, 0, 2, 10], 5060)),
        remote: SocketAddr::from(([203, 0, 113, 2], 5060)),
        connection: ConnectionId::NONE,
        peer: None,
    }
}

/// Where a peer of Teams speaks from: any of its hubs.
fn hub_flow() -> Flow {
    Flow {
        transport: Transport::Tls,
        remote: SocketAddr::from(([52, 112, 9, 9], 40_000)),
        connection: ConnectionId(9),
        ..flow()
    }
}

impl Rig {
    /// A call that has just begun with this INVITE.
    pub(super) fn new(call: Call, invite: Message, now: Moment) -> Rig {
        Rig {
            call,
            now,
            sent: Vec::new(),
            over: Vec::new(),
            cancelled: Vec::new(),
            acknowledged: Vec::new(),
            verdicts: Vec::new(),
            addresses_down: Vec::new(),
            looked_up: Vec::new(),
            destinations: Vec::new(),
            news: Vec::new(),
            wishes: Vec::new(),
            bridges: 0,
            bridged: Vec::new(),
            bridges_cut: 0,
            awaited: Vec::new(),
            configured: HashMap::new(),
            parted: Vec::new(),
            requests: HashMap::from([(Rig::first_transaction(), (LegIndex::CALLER, invite.clone(), false))]),
            invite,
            pending: VecDeque::new(),
            hold_media: false,
            no_port_for: HashSet::new(),
            recoding_is_full: false,
            recoding_asked: 0,
            opened: Vec::new(),
            closed: HashSet::new(),
            next_transaction: 2,
            peer_cseq: HashMap::new(),
            last_peer_invite: HashMap::from([(LegIndex::CALLER, 1)]),
            answered_requests: HashSet::new(),
        }
    }

    /// Hands the call an event, carries out what comes of it, and all media events that follow.
    pub fn step(&mut self, event: Event) {
        let effects = self.call.step(event, self.now);
        self.carry_out(effects);
        self.pump();
    }

    pub(super) fn pump(&mut self) {
        while !self.hold_media
            && let Some(event) = self.pending.pop_front()
        {
            let effects = self.call.step(event, self.now);
            self.carry_out(effects);
        }
    }

    /// Lets one media event that was held back through.
    pub fn media_event(&mut self) {
        let event = self.pending.pop_front().expect("a media event");
        let effects = self.call.step(event, self.now);
        self.carry_out(effects);
    }

    /// The same, where there is one; false where there is none.
    pub fn try_media_event(&mut self) -> bool {
        let waits = !self.pending.is_empty();
        if waits {
            self.media_event();
        }
        waits
    }

    /// Audio of a leg's peer begins to arrive.
    pub fn flows(&mut self, leg: LegIndex) {
        self.step(Event::Media(leg, MediaNotice::Flows));
    }

    /// Where any of Teams speaks from.
    pub fn flow_of_teams(&self) -> Flow {
        hub_flow()
    }

    /// Where the peer of a leg speaks from.
    pub fn flow_of(&self, leg: LegIndex) -> Flow {
        match self.speaks_teams(leg) {
            true => hub_flow(),
            false => flow(),
        }
    }

    /// Whether a Teams-like peer speaks on a leg.
    pub fn speaks_teams(&self, leg: LegIndex) -> bool {
        let leg = self.call.legs().get(usize::from(leg.0));
        leg.is_some_and(|leg| matches!(leg.terms.kind, LegKind::Teams { .. }))
    }

    /// A leg of another call is about to come: its media bear a name of this rig's.
    pub fn name_media_of(&mut self, leg: &mut crate::call::Leg) {
        let handle = handle(self.opened.len());
        let index = LegIndex(u16::try_from(self.call.legs().len()).expect("few legs"));
        self.opened.push((handle, index));
        leg.media.sockets = crate::call::leg_media::Sockets::Open(handle);
    }

    /// Whether a request of ours has had its final answer.
    pub fn is_answered(&self, request: &Sent) -> bool {
        request
            .token
            .is_some_and(|token| self.answered_requests.contains(&token))
    }

    /// Whether the peer of a leg has learnt of a dialog with us.
    pub fn knows_dialog(&self, leg: LegIndex) -> bool {
        match leg {
            LegIndex::CALLER => self
                .heard_by_caller()
                .iter()
                .any(|heard| heard.message.to_tag().is_some()),
            _ => self.sent.iter().any(|sent| sent.leg == leg && sent.is(&Method::Ack)),
        }
    }

    /// Nobody acknowledges what is still to be acknowledged.
    pub fn time_out_acks(&mut self) {
        for number in 1..self.next_transaction {
            let transaction = ServerTransactionId::numbered(number);
            if !self.acknowledged.contains(&transaction) {
                self.step(Event::AckTimeout { transaction });
            }
        }
    }

    /// Lets media events that were held back through.
    pub fn release_media(&mut self) {
        self.hold_media = false;
        self.pump();
    }

    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(self.over.is_empty(), "{effect:?} after the end");
            self.do_one(effect);
        }
        assert_eq!(self.call.phase() == Phase::Over, self.over.len() == 1);
        if !self.over.is_empty() {
            assert_eq!(self.call.next_timeout(), None, "a timer after the end");
        }
    }

    fn do_one(&mut self, effect: Effect) {
        match effect {
            Effect::OpenMedia {
                leg, mux, may_recode, ..
            } => self.open_media(leg, mux, may_recode),
            Effect::ConfigureMedia { handle, config } => {
                self.assert_open(handle);
                self.configured.insert(handle, config);
            }
            Effect::BridgeMedia { a, b } => {
                self.assert_open(a);
                self.assert_open(b);
                self.bridges += 1;
                self.bridged.push((a, b));
            }
            Effect::UnbridgeMedia { handle } => {
                self.assert_open(handle);
                self.bridges_cut += 1;
                self.wishes.push(Effect::UnbridgeMedia { handle });
            }
            Effect::AwaitMedia { handle } => {
                self.assert_open(handle);
                self.awaited.push(handle);
            }
            Effect::CloseMedia { leg, handle } => {
                self.assert_open(handle);
                self.closed.insert(handle);
                let closed = MediaNotice::Closed(Box::default());
                self.pending.push_back(Event::Media(leg, closed));
            }
            Effect::Send { leg, token, draft, to } => {
                self.destinations.push(to);
                let message = render(&draft.to_bytes(&via()));
                self.note_sent(leg, message, Some(token));
            }
            Effect::SendAck { leg, draft, to } => {
                self.destinations.push(to);
                let message = render(&draft.to_bytes(&via()));
                self.note_sent(leg, message, None);
            }
            Effect::Part(parted) => {
                // Its sockets are the other call's from now on.
                let handle = parted.leg.media.handle();
                self.opened.retain(|(known, _)| Some(*known) != handle);
                self.parted.push(*parted);
            }
            Effect::GiveLeg { ref leg, .. } => {
                // Its sockets are the other call's from now on.
                let handle = leg.media.handle();
                self.opened.retain(|(known, _)| Some(*known) != handle);
                self.wishes.push(effect);
            }
            Effect::CancelRequest { token, reason } => self.cancelled.push((token, reason)),
            Effect::Respond { transaction, draft } => {
                let (leg, request, done) = self.requests.get_mut(&transaction).expect("a response to a request");
                assert!(!*done, "a second final response: {} to\n{request:?}", draft.status());
                *done = draft.status() >= 200;
                let message = render(&draft.to_bytes(request, flow().remote));
                let leg = *leg;
                self.note_sent(leg, message, None);
            }
            Effect::Acknowledged { transaction } => self.acknowledged.push(transaction),
            Effect::Peer { peer, verdict } => self.verdicts.push((peer, verdict)),
            Effect::AddressDown { hop, drop, .. } => {
                self.looked_up.extend(drop.iter().map(|name| name.host.to_string()));
                self.addresses_down.push((hop.remote, drop.is_some()));
            }
            Effect::Tell(news) => self.news.push(news),
            Effect::LegsSwapped { with } => {
                // What is still to be told of a leg's media goes by the leg's new number, as its sockets' name does.
                for event in &mut self.pending {
                    if let Event::Media(leg, _) = event {
                        *leg = match *leg {
                            LegIndex::CALLER => with,
                            leg if leg == with => LegIndex::CALLER,
                            leg => leg,
                        };
                    }
                }
                self.wishes.push(effect);
            }
            Effect::Plan { .. }
            | Effect::PlanTransfer(_)
            | Effect::Join(_)
            | Effect::Ask { .. }
            | Effect::TakeBack { .. }
            | Effect::Moved { .. }
            | Effect::Notify { .. }
            | Effect::Play { .. }
            | Effect::RingBack { .. }
            | Effect::Prepare { .. }
            | Effect::ExpectChecks { .. }
            | Effect::StopPlaying { .. }
            | Effect::SendDigits { .. }
            | Effect::Mute { .. }
            | Effect::Boost { .. }
            | Effect::ListenInBand { .. }
            | Effect::Done { .. }
            | Effect::RepeatBye { .. }
            | Effect::ApplicationOver => self.wishes.push(effect),
            Effect::Over(record) => self.over.push(*record),
        }
    }

    fn open_media(&mut self, leg: LegIndex, mux: bool, may_recode: bool) {
        self.recoding_asked += usize::from(may_recode);
        let nth = self.opened.len();
        let port = 20_000 + 2 * u16::try_from(nth).expect("few legs");
        let handle = handle(nth);
        self.opened.push((handle, leg));
        let result = if self.no_port_for.contains(&nth) {
            self.closed.insert(handle);
            Err("all ports are taken".to_owned())
        } else {
            let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
            let address = [198, 51, 100, 10].into();
            Ok((
                handle,
                LocalMedia::new(address, port, (!mux).then_some(port + 1), 9_000 + nth as u64, key)
                    .with_secret(Secret::from_bytes([nth as u8; 32])),
            ))
        };
        self.pending.push_back(Event::MediaOpened {
            leg,
            result,
            may_recode: may_recode && !self.recoding_is_full,
        });
    }

    fn assert_open(&self, handle: LegId) {
        assert!(
            self.opened.iter().any(|(known, _)| *known == handle),
            "{handle} was never opened"
        );
        assert!(!self.closed.contains(&handle), "{handle} is closed");
    }

    fn note_sent(&mut self, leg: LegIndex, message: Message, token: Option<Token>) {
        let kind = &self.call.legs()[usize::from(leg.0)].terms.kind;
        // Legs that have changed their places know their own side's names by other numbers.
        let swapped = self
            .wishes
            .iter()
            .any(|effect| matches!(effect, Effect::LegsSwapped { .. }));
        let foreign = if swapped { Vec::new() } else { self.foreign_to(leg) };
        contract::check(kind, &message, &foreign);
        self.sent.push(Sent { leg, message, token });
    }

    /// Names that belong to other legs: nothing of them may show on `leg`.
    fn foreign_to(&self, leg: LegIndex) -> Vec<String> {
        let mut names = Vec::new();
        if leg != LegIndex::CALLER {
            names.extend(
                [
                    "carrier-tag",
                    "carrier-call-id",
                    "z9hG4bKcarrier",
                    "x-own",
                    "203.0.113.20",
                ]
                .map(String::from),
            );
            names.extend(
                [
                    "teams-tag",
                    "teams-call-id",
                    "z9hG4bKteams",
                    "x-i=",
                    "x-c=",
                    "52.112.0.",
                ]
                .map(String::from),
            );
            if matches!(self.call.legs()[usize::from(leg.0)].terms.kind, LegKind::Carrier { .. }) {
                names.extend(["pstnhub", TEAMS_TRUNK].map(String::from));
            }
        }
        if leg == LegIndex::CALLER {
            names.push("callee-tag".into());
            let sent = self.sent.iter().filter(|sent| sent.leg != leg);
            names.extend(sent.map(|sent| sent.message.call_id().to_owned()));
        }
        if leg != LegIndex::CALLER && matches!(self.call.legs()[usize::from(leg.0)].terms.kind, LegKind::Teams { .. }) {
            names.retain(|name| !matches!(name.as_str(), "x-i=" | "x-c=" | "teams-tag"));
        }
        names
    }
}

const TEAMS_TRUNK: &str = "contoso.sbc1";

fn via() -> String {
    "SIP/2.0/TLS sbc1.example.net:5061;branch=z9hG4bK0000".into()
}

pub(super) fn render(bytes: &bytes::Bytes) -> Message {
    Message::parse(bytes.clone()).unwrap_or_else(|error| panic!("we sent {error}\n{}", String::from_utf8_lossy(bytes)))
}

fn handle(nth: usize) -> LegId {
    serde_json::from_value(serde_json::json!({"worker": 0, "slot": nth, "generation": 1})).expect("a media leg")
}

/// Looking at what was sent.
impl Rig {
    /// INVITEs that began legs, in order.
    pub fn invites(&self) -> Vec<Sent> {
        self.requests_sent(&Method::Invite)
            .into_iter()
            .filter(|sent| sent.message.to_tag().is_none())
            .collect()
    }

    pub fn last_invite(&self) -> Sent {
        self.invites().pop().expect("an INVITE")
    }

    /// Re-INVITEs to a leg.
    pub fn reinvites(&self, leg: LegIndex) -> Vec<Sent> {
        self.requests_sent(&Method::Invite)
            .into_iter()
            .filter(|sent| sent.message.to_tag().is_some() && sent.leg == leg)
            .collect()
    }

    pub fn requests_sent(&self, method: &Method) -> Vec<Sent> {
        self.sent.iter().filter(|sent| sent.is(method)).cloned().collect()
    }

    /// BYEs to a leg.
    pub fn byes(&self, leg: LegIndex) -> Vec<Sent> {
        let mut byes = self.requests_sent(&Method::Bye);
        byes.retain(|bye| bye.leg == leg);
        byes
    }

    /// Responses to the caller's first INVITE.
    pub fn heard_by_caller(&self) -> Vec<Sent> {
        let first = |sent: &&Sent| sent.leg == LegIndex::CALLER && sent.message.cseq() == (1, Method::Invite);
        self.sent
            .iter()
            .filter(|sent| !sent.message.is_request())
            .filter(first)
            .cloned()
            .collect()
    }

    /// Their statuses.
    pub fn statuses(&self) -> Vec<u16> {
        self.heard_by_caller()
            .iter()
            .filter_map(|sent| sent.message.status())
            .collect()
    }

    pub fn last_response(&self, leg: LegIndex) -> Sent {
        let mut responses = self
            .sent
            .iter()
            .filter(|sent| sent.leg == leg && !sent.message.is_request());
        responses.next_back().cloned().expect("a response")
    }
}
