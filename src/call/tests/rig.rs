//! The rig: drives a call, plays its media plane, keeps what it sent, and checks what must always hold.

use super::contract;
use super::peers::{CONTOSO, SBC, carrier_invite, carrier_sdp, teams_invite, teams_sdp, with_body};
use crate::call::{
    Birth, Call, CallFacts, CallId, CallNews, CallRecord, Direction, Effect, Event, HopMark, LegIndex, MediaNotice,
    PeerVerdict, Phase, SendFailure, Token,
};
use crate::carrier::{self, PlanFacts};
use crate::config::{CallerHeader, Config};
use crate::dial::{Attempt, DialPlan, LegKind, PeerName};
use crate::media::LegId;
use crate::moment::Moment;
use crate::route::{self, Facts, Origin, Target};
use crate::sdp::LocalMedia;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};
use crate::sip::{ConnectionId, Flow, ListenerId, Method, Transport};
use crate::srtp::{MasterKey, Suite};
use crate::teams;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// A message that the call has sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub leg: LegIndex,
    pub message: Message,
    /// Of a request with a transaction.
    pub token: Option<Token>,
}

impl Sent {
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.message.header(name)
    }

    pub fn sdp(&self) -> String {
        String::from_utf8_lossy(self.message.body()).into_owned()
    }

    /// The line of the description that begins so.
    pub fn sdp_line(&self, start: &str) -> Option<String> {
        self.sdp()
            .lines()
            .find(|line| line.starts_with(start))
            .map(str::to_owned)
    }

    pub fn is(&self, method: &Method) -> bool {
        self.message.method() == Some(method)
    }
}

/// A response of a scripted peer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    tag: &'static str,
    more: Vec<(HeaderName, String)>,
    sdp: Option<String>,
}

/// A response from the usual fork.
pub fn reply(status: u16) -> Reply {
    Reply {
        status,
        tag: "callee-tag",
        more: Vec::new(),
        sdp: None,
    }
}

impl Reply {
    pub fn tag(self, tag: &'static str) -> Reply {
        Reply { tag, ..self }
    }

    pub fn sdp(self, sdp: impl Into<String>) -> Reply {
        Reply {
            sdp: Some(sdp.into()),
            ..self
        }
    }

    pub fn with(mut self, name: HeaderName, value: &str) -> Reply {
        self.more.push((name, value.to_owned()));
        self
    }
}

/// What a scenario begins with.
pub struct Scenario {
    origin: Direction,
    sbc: String,
    more: String,
    sdp: String,
    edit: Vec<(String, String)>,
    parallel: bool,
    no_port_for: HashSet<usize>,
    hold_media: bool,
    hop_mark: HopMark,
}

/// A call from the carrier to a Teams user.
pub fn from_carrier() -> Scenario {
    Scenario::new(Direction::CarrierToTeams, carrier_sdp("sendrecv"))
}

/// A call from Teams to a telephone number.
pub fn from_teams() -> Scenario {
    Scenario::new(Direction::TeamsToCarrier, teams_sdp("sendrecv"))
}

impl Scenario {
    fn new(origin: Direction, sdp: String) -> Scenario {
        Scenario {
            origin,
            sbc: SBC.to_owned(),
            more: String::new(),
            sdp,
            edit: Vec::new(),
            parallel: false,
            no_port_for: HashSet::new(),
            hold_media: false,
            hop_mark: HopMark::new(77),
        }
    }

    /// More header lines in the INVITE.
    pub fn with(mut self, lines: &str) -> Scenario {
        self.more.push_str(lines);
        self
    }

    /// Another description in the INVITE; empty for none.
    pub fn sdp(mut self, sdp: &str) -> Scenario {
        self.sdp = sdp.to_owned();
        self
    }

    /// Another text in the INVITE.
    pub fn edit(mut self, from: &str, to: &str) -> Scenario {
        self.edit.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Another text in the machine's configuration.
    pub fn sbc(mut self, from: &str, to: &str) -> Scenario {
        assert!(self.sbc.contains(from), "'{from}' does not stand in the configuration");
        self.sbc = self.sbc.replace(from, to);
        self
    }

    /// Every hop an attempt of its own, rung at once.
    pub fn in_parallel(mut self) -> Scenario {
        self.parallel = true;
        self
    }

    /// The `nth` opening of media fails; the caller's is 0.
    pub fn without_port(mut self, nth: usize) -> Scenario {
        self.no_port_for.insert(nth);
        self
    }

    /// Media opens only when the scenario says so.
    pub fn slow_media(mut self) -> Scenario {
        self.hold_media = true;
        self
    }

    pub fn hop_mark(mut self, mark: HopMark) -> Scenario {
        self.hop_mark = mark;
        self
    }

    /// Routes the INVITE, plans it and begins the call.
    pub fn begin(self) -> Rig {
        let config =
            Config::from_toml_strs(&self.sbc, &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let (mut text, origin, believe) = match self.origin {
            Direction::TeamsToCarrier => (teams_invite(&self.more, &self.sdp), Origin::Teams, CallerHeader::From),
            Direction::CarrierToTeams => {
                let north = &config.sbc.carriers[0];
                let text = carrier_invite(&self.more, &self.sdp);
                (text, Origin::Carrier(north.id.clone()), north.caller.read)
            }
        };
        for (from, to) in &self.edit {
            assert!(text.contains(from.as_str()), "'{from}' does not stand in the INVITE");
            text = text.replace(from.as_str(), to);
        }
        let invite = parse(&text);
        let facts = Facts::read(origin, &invite, believe);
        let (decision, trace) = route::decide(&config, &facts);
        let decision = decision.unwrap_or_else(|refusal| panic!("{}", refusal.sentence));
        let plan_facts = PlanFacts {
            config: &config,
            decision: &decision,
            caller: &facts.caller,
            diversions: &facts.diversions,
        };
        let north = &config.sbc.carriers[0];
        let (attempt, terms) = match &decision.target {
            Target::Teams { number, voicemail } => (
                teams::plan(plan_facts, *number, *voicemail, |_| false),
                carrier::terms(&config, north, north.gateways[0].listener),
            ),
            Target::Carriers { carriers, callee } => (
                carrier::plan(plan_facts, carriers, callee, |_| false),
                teams::terms(&config, &decision.tenant),
            ),
        };
        let attempts = match self.parallel {
            true => attempt
                .hops
                .into_iter()
                .map(|hop| Attempt { hops: vec![hop] })
                .collect(),
            false => vec![attempt],
        };
        let transaction = ServerTransactionId::numbered(1);
        let now = Moment::from_micros(1_000_000);
        let flow = flow();
        let (call, effects) = Call::begin(Birth {
            id: CallId::from_random(0xabc),
            seed: 42,
            now,
            facts: CallFacts {
                direction: self.origin,
                tenant: decision.tenant.id.to_string(),
                carrier: None,
                from: facts.caller.number.clone(),
                to: facts.dialled.clone(),
                emergency: decision.emergency,
                began_unix_ms: 0,
                trace: trace.0,
            },
            plan: DialPlan {
                attempts,
                timeout: config.sbc.timers.ringing,
            },
            terms,
            contact_user: facts.dialled.clone(),
            invite: &invite,
            flow: &flow,
            transaction,
            media_timeout_ends_call: true,
            hop_mark: self.hop_mark,
        });
        let mut rig = Rig {
            call,
            now,
            sent: Vec::new(),
            over: Vec::new(),
            cancelled: Vec::new(),
            acknowledged: Vec::new(),
            verdicts: Vec::new(),
            news: Vec::new(),
            bridges: 0,
            requests: HashMap::from([(transaction, (LegIndex::CALLER, invite.clone(), false))]),
            invite,
            pending: VecDeque::new(),
            hold_media: self.hold_media,
            no_port_for: self.no_port_for,
            opened: Vec::new(),
            closed: HashSet::new(),
            next_transaction: 2,
            peer_cseq: HashMap::new(),
            last_peer_invite: HashMap::from([(LegIndex::CALLER, 1)]),
            answered_requests: HashSet::new(),
        };
        rig.carry_out(effects);
        rig.pump();
        rig
    }
}

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
    pub news: Vec<CallNews>,
    pub bridges: usize,
    /// Requests of peers, and whether they have their final answer.
    requests: HashMap<ServerTransactionId, (LegIndex, Message, bool)>,
    invite: Message,
    pending: VecDeque<Event>,
    hold_media: bool,
    no_port_for: HashSet<usize>,
    pub opened: Vec<(LegId, LegIndex)>,
    pub closed: HashSet<LegId>,
    next_transaction: u32,
    peer_cseq: HashMap<LegIndex, u32>,
    last_peer_invite: HashMap<LegIndex, u32>,
    answered_requests: HashSet<Token>,
}

/// Parses what a scenario wrote.
pub fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes().to_vec().into()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        local: SocketAddr::from(([192, 0, 2, 10], 5060)),
        remote: SocketAddr::from(([203, 0, 113, 2], 5060)),
        connection: ConnectionId::NONE,
        peer: None,
    }
}

impl Rig {
    /// Hands the call an event, carries out what comes of it, and all media events that follow.
    pub fn step(&mut self, event: Event) {
        let effects = self.call.step(event, self.now);
        self.carry_out(effects);
        self.pump();
    }

    fn pump(&mut self) {
        while !self.hold_media
            && let Some(event) = self.pending.pop_front()
        {
            let effects = self.call.step(event, self.now);
            self.carry_out(effects);
        }
    }

    /// Lets media events that were held back through.
    pub fn release_media(&mut self) {
        self.hold_media = false;
        self.pump();
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
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
            Effect::OpenMedia { leg, mux } => self.open_media(leg, mux),
            Effect::ConfigureMedia { handle, .. } => self.assert_open(handle),
            Effect::BridgeMedia { a, b } => {
                self.assert_open(a);
                self.assert_open(b);
                self.bridges += 1;
            }
            Effect::CloseMedia { leg, handle } => {
                self.assert_open(handle);
                self.closed.insert(handle);
                let closed = MediaNotice::Closed(Box::default());
                self.pending.push_back(Event::Media(leg, closed));
            }
            Effect::Send { leg, token, draft, .. } => {
                let message = render(&draft.to_bytes(&via()));
                self.note_sent(leg, message, Some(token));
            }
            Effect::SendAck { leg, draft, .. } => {
                let message = render(&draft.to_bytes(&via()));
                self.note_sent(leg, message, None);
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
            Effect::Tell(news) => self.news.push(news),
            Effect::Over(record) => self.over.push(*record),
        }
    }

    fn open_media(&mut self, leg: LegIndex, mux: bool) {
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
                LocalMedia::new(address, port, (!mux).then_some(port + 1), 9_000 + nth as u64, key),
            ))
        };
        self.pending.push_back(Event::MediaOpened { leg, result });
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
        contract::check(kind, &message, &self.foreign_to(leg));
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

fn render(bytes: &bytes::Bytes) -> Message {
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

    /// The record; the call must be over.
    pub fn record(&self) -> &CallRecord {
        self.over.first().expect("the call is over")
    }
}

/// What the peers do.
impl Rig {
    /// A response to a request of ours.
    pub fn respond(&mut self, request: &Sent, reply: Reply) {
        let token = request.token.expect("a request with a transaction");
        let mut draft = ResponseDraft::new(reply.status);
        if reply.status > 100 {
            draft = draft.to_tag(reply.tag);
        }
        if (101..300).contains(&reply.status) && request.is(&Method::Invite) {
            let teams = matches!(
                self.call.legs()[usize::from(request.leg.0)].terms.kind,
                LegKind::Teams { .. }
            );
            draft = match teams {
                true => draft
                    .header(
                        HeaderName::RecordRoute,
                        "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>",
                    )
                    .header(
                        HeaderName::Contact,
                        "<sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=0c1d;x-c=%2Fa>",
                    ),
                false => draft.header(HeaderName::Contact, "<sip:gw9@203.0.113.9:5070>"),
            };
        }
        for (name, value) in &reply.more {
            draft = draft.header(*name, value);
        }
        if let Some(sdp) = reply.sdp {
            draft = draft.body("application/sdp", sdp);
        }
        if reply.status >= 200 {
            self.answered_requests.insert(token);
        }
        let message = render(&draft.to_bytes(&request.message, flow().remote));
        self.step(Event::Response {
            token,
            message,
            flow: flow(),
        });
    }

    /// No final response to a request of ours will come.
    pub fn fail(&mut self, request: &Sent, cause: TransportCause) {
        let token = request.token.expect("a request with a transaction");
        self.answered_requests.insert(token);
        self.step(Event::Failed {
            token,
            failure: SendFailure::Transport(cause),
        });
    }

    /// A request of a peer inside its dialog; returns its transaction.
    pub fn request(&mut self, leg: LegIndex, method: Method, more: &str, sdp: &str) -> ServerTransactionId {
        let cseq = self.peer_cseq.entry(leg).or_insert(1);
        *cseq += 1;
        let cseq = *cseq;
        if method == Method::Invite {
            self.last_peer_invite.insert(leg, cseq);
        }
        let message = self.in_dialog(leg, &method, cseq, more, sdp);
        let transaction = ServerTransactionId::numbered(self.next_transaction);
        self.next_transaction += 1;
        self.requests.insert(transaction, (leg, message.clone(), false));
        self.step(Event::Request {
            transaction,
            message,
            flow: flow(),
        });
        transaction
    }

    /// The ACK of our last 2xx on a leg.
    pub fn ack(&mut self, leg: LegIndex, sdp: &str) {
        let cseq = self.last_peer_invite.get(&leg).copied().unwrap_or(1);
        let message = self.in_dialog(leg, &Method::Ack, cseq, "", sdp);
        self.step(Event::Ack { message });
    }

    /// The caller's CANCEL of its INVITE, or of a re-INVITE.
    pub fn cancel(&mut self, transaction: ServerTransactionId, more: &str) {
        let (_, request, _) = &self.requests[&transaction];
        let (number, _) = request.cseq();
        let text = format!(
            "CANCEL {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} CANCEL\r\n{more}",
            request.request_uri().unwrap_or_default(),
            request.top_via().as_str(),
            request.header(HeaderName::From).unwrap_or_default(),
            request.header(HeaderName::To).unwrap_or_default(),
            request.call_id(),
        );
        let message = parse(&with_body(&text, ""));
        self.step(Event::Cancelled { transaction, message });
    }

    fn in_dialog(&self, leg: LegIndex, method: &Method, cseq: u32, more: &str, sdp: &str) -> Message {
        let (call_id, from, to) = if leg == LegIndex::CALLER {
            let tagged = |sent: &&Sent| sent.message.to_tag().is_some();
            let heard = self.heard_by_caller();
            let told = heard.iter().find(tagged).expect("the caller knows a dialog");
            (
                self.invite.call_id().to_owned(),
                self.invite.header(HeaderName::From).unwrap_or_default().to_owned(),
                told.header(HeaderName::To).unwrap_or_default().to_owned(),
            )
        } else {
            let ack = self.sent.iter().find(|sent| sent.leg == leg && sent.is(&Method::Ack));
            let ack = ack.expect("the callee knows a dialog");
            (
                ack.message.call_id().to_owned(),
                ack.header(HeaderName::To).unwrap_or_default().to_owned(),
                ack.header(HeaderName::From).unwrap_or_default().to_owned(),
            )
        };
        let contact = match method {
            Method::Invite => "Contact: <sip:moved@203.0.113.30:5060>\r\n",
            _ => "",
        };
        parse(&with_body(
            &format!(
                "{method} sip:us@sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/TLS 203.0.113.2;branch=z9hG4bKp{cseq}{method}\r\n\
                 From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{contact}{more}"
            ),
            sdp,
        ))
    }

    /// The transaction of the caller's INVITE.
    pub fn first_transaction() -> ServerTransactionId {
        ServerTransactionId::numbered(1)
    }
}

/// Time.
impl Rig {
    /// Lets time pass, tick by tick as the call asks for them.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        let mut ticks = 0;
        while let Some(due) = self.call.next_timeout().filter(|due| *due <= end) {
            if due > self.now {
                ticks = 0;
                self.now = due;
            }
            ticks += 1;
            assert!(ticks < 20, "the call asks for a tick at {due:?} for ever");
            self.step(Event::Tick);
        }
        self.now = end;
    }

    /// Plays both peers until the call is over: they accept BYEs and cancelled INVITEs. Then checks that nothing is left.
    pub fn finish(&mut self) -> CallRecord {
        self.release_media();
        for _ in 0..100 {
            let cancelled: Vec<Token> = self.cancelled.iter().map(|(token, _)| *token).collect();
            let open = |sent: &&Sent| {
                sent.token.is_some_and(|token| {
                    !self.answered_requests.contains(&token) && (sent.is(&Method::Bye) || cancelled.contains(&token))
                })
            };
            let Some(request) = self.sent.iter().find(open).cloned() else {
                break;
            };
            let status = if request.is(&Method::Bye) { 200 } else { 487 };
            self.respond(&request, reply(status));
        }
        self.wait(Duration::from_secs(60));
        assert_eq!(self.over.len(), 1, "the call is not over: {:?}", self.call.phase());
        for (handle, _) in &self.opened {
            assert!(self.closed.contains(handle), "media {handle} was left open");
        }
        for (leg, request, done) in self.requests.values() {
            assert!(*done, "no final answer on {leg:?} to\n{request:?}");
        }
        self.over[0].clone()
    }
}
