//! One call of a rehearsal: the call value, and what goes in and out of it.

use super::lines::{CARRIER_AT, TeamsSide, carrier_invite, carrier_sdp, via, with_body};
use super::{Said, Scene};
use crate::call::{
    Birth, Call, CallFacts, CallId, Direction, Effect, Event, HopMark, LegIndex, Program, Settings, To, Token,
};
use crate::carrier::{self, PlanFacts};
use crate::config::{Carrier, Config, Media, Purpose, Tenant};
use crate::dial::{DialPlan, LegKind, LegTerms};
use crate::ice::Secret;
use crate::media::LegId;
use crate::moment::Moment;
use crate::route::{self, Facts, Origin, Target};
use crate::sdp::LocalMedia;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{ConnectionId, Flow, ListenerId, Method, Transport};
use crate::srtp::{MasterKey, Suite};
use crate::teams;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Who calls.
#[derive(Clone, Copy)]
pub(super) enum Caller<'a> {
    /// By this carrier; none: as routed.
    Teams(Option<&'a Carrier>),
    Carrier(&'a Arc<Carrier>),
}

pub(super) struct Stage {
    call: Call,
    now: Moment,
    scene: Scene,
    caller_is_teams: bool,
    pub teams: TeamsSide,
    /// Teams' side is reached directly.
    pub bypass: bool,
    invite: Message,
    /// Where the caller and the called side speak from.
    flows: [Flow; 2],
    media: Media,
    pub said: Vec<Said>,
    /// A ringing tone of ours has sounded.
    pub rings_back: bool,
    /// Requests of the caller.
    asked: HashMap<ServerTransactionId, Message>,
    /// Our requests to the called side.
    sent: Vec<(LegIndex, Token, Message)>,
    pending: VecDeque<Event>,
    opened: u16,
    transactions: u32,
    cseq: u32,
}

impl Stage {
    pub fn begin(config: &Config, caller: Caller<'_>, tenant: &Tenant, number: &str) -> Result<Stage, String> {
        let port = config
            .sbc
            .listener(config.sbc.teams.listener)
            .map_or(5_061, |listener| listener.advertise_port);
        let bypass = tenant.bypasses(&config.sbc.teams);
        let teams = TeamsSide::of(config).ok_or("no hub is configured")?;
        let (text, origin, believe) = match caller {
            Caller::Teams(_) => (
                teams.invite(tenant, port, number, bypass),
                Origin::Teams,
                crate::config::CallerHeader::From,
            ),
            Caller::Carrier(carrier) => (
                carrier_invite(number),
                Origin::Carrier(carrier.id.clone()),
                carrier.caller.read,
            ),
        };
        let invite = Message::parse(text.into_bytes().into()).map_err(|error| error.to_string())?;
        let facts = Facts::read(origin, &invite, believe);
        let (decision, trace) = route::decide(config, &facts);
        let decision = decision.map_err(|refusal| format!("{number} is refused: {}", refusal.sentence))?;
        let facts = facts.understood_by(config);
        let shown = route::believed_caller(config, &decision, &facts);
        let plan = PlanFacts {
            config,
            decision: &decision,
            caller: &shown,
            diversions: &facts.diversions,
        };
        let (attempt, terms) = match (&decision.target, caller) {
            (Target::Teams { number, voicemail }, Caller::Carrier(carrier)) => (
                teams::plan(plan, *number, *voicemail, |_| false),
                carrier_terms(config, carrier).ok_or("no listener serves carriers")?,
            ),
            (Target::Carriers { carriers, callee }, Caller::Teams(by)) => {
                let mut carriers = carriers.clone();
                carriers.retain(|carrier| by.is_none_or(|by| by.id == carrier.id));
                (
                    carrier::plan(plan, &carriers, callee, |_| false),
                    teams::terms(config, &decision.tenant),
                )
            }
            _ => return Err(format!("{number} leads elsewhere: {}", decision.target_text())),
        };
        let callee = attempt.hops.first().map(|hop| hop.terms.clone());
        let callee = callee.ok_or("there is no hub or gateway to send it to")?;
        let flows = [&terms, &callee].map(|terms| flow(terms, teams.address));
        let transaction = ServerTransactionId::numbered(1);
        let now = Moment::from_micros(1_000_000);
        let caller_is_teams = matches!(caller, Caller::Teams(_));
        let (call, effects) = Call::begin(Birth {
            id: CallId::from_random(0xd0c),
            seed: 7,
            now,
            facts: CallFacts {
                direction: match caller_is_teams {
                    true => Direction::TeamsToCarrier,
                    false => Direction::CarrierToTeams,
                },
                tenant: decision.tenant.id.to_string(),
                carrier: None,
                from: facts.caller.number.clone(),
                to: facts.dialled.clone(),
                emergency: false,
                elin: None,
                began_unix_ms: 0,
                trace: trace.0,
            },
            program: Program::Route(DialPlan {
                attempts: vec![attempt],
                timeout: config.sbc.timers.setup,
                ringing: config.sbc.timers.ringing,
                left_out: Vec::new(),
            }),
            terms,
            contact_user: facts.dialled.clone(),
            invite: &invite,
            flow: &flows[0],
            transaction,
            settings: Settings {
                hold_timeout: config.sbc.media.hold_timeout,
                hop_mark: HopMark::new(7),
            },
        });
        let mut stage = Stage {
            call,
            now,
            scene: Scene::Begin,
            caller_is_teams,
            teams,
            bypass,
            asked: HashMap::from([(transaction, invite.clone())]),
            invite,
            flows,
            media: config.sbc.media.clone(),
            said: Vec::new(),
            rings_back: false,
            sent: Vec::new(),
            pending: VecDeque::new(),
            opened: 0,
            transactions: 1,
            cseq: 1,
        };
        stage.carry_out(effects);
        Ok(stage)
    }

    fn step(&mut self, event: Event) {
        self.now = self.now + Duration::from_millis(100);
        let effects = self.call.step(event, self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        loop {
            while let Some(effect) = effects.pop_front() {
                self.do_one(effect);
            }
            let Some(event) = self.pending.pop_front() else { return };
            effects.extend(self.call.step(event, self.now));
        }
    }

    fn do_one(&mut self, effect: Effect) {
        match effect {
            Effect::OpenMedia { leg, address, mux, .. } => {
                let address = self.media.at(address).advertise;
                let port = 20_000 + 2 * self.opened;
                let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
                let session = 9_000 + u64::from(self.opened);
                let local = LocalMedia::new(address, port, (!mux).then_some(port + 1), session, key);
                let handle = LegId::first_in(u32::from(self.opened));
                self.opened += 1;
                let result = Ok((handle, local.with_secret(Secret::generate(&mut rand::rng()))));
                self.pending.push_back(Event::MediaOpened {
                    leg,
                    result,
                    may_recode: true,
                });
            }
            Effect::Send { leg, token, draft, to } => {
                if let Some(message) = self.note(leg, &draft.to_bytes(&via()), Some(&to))
                    && leg != LegIndex::CALLER
                {
                    self.sent.push((leg, token, message));
                } else if leg == LegIndex::CALLER {
                    // Ours to the caller: it takes whatever it is asked.
                    self.pending.extend(self.consent(token, &draft.to_bytes(&via())));
                }
            }
            Effect::RingBack { on, .. } => self.rings_back |= on,
            Effect::SendAck { leg, draft, to } => {
                self.note(leg, &draft.to_bytes(&via()), Some(&to));
            }
            Effect::Respond { transaction, draft } => {
                if let Some(request) = self.asked.get(&transaction) {
                    let bytes = draft.to_bytes(request, self.flows[0].remote);
                    self.note(LegIndex::CALLER, &bytes, None);
                }
            }
            _ => {}
        }
    }

    fn is_teams(&self, leg: LegIndex) -> bool {
        let leg = self.call.legs().get(usize::from(leg.0));
        leg.is_some_and(|leg| matches!(leg.terms.kind, LegKind::Teams { .. }))
    }

    fn consent(&self, token: Token, request: &bytes::Bytes) -> Option<Event> {
        let request = Message::parse(request.clone()).ok()?;
        let draft = ResponseDraft::new(200);
        let message = Message::parse(draft.to_bytes(&request, self.flows[0].remote)).ok()?;
        let flow = self.flows[0].clone();
        Some(Event::Response { token, message, flow })
    }

    /// Keeps a message of ours.
    fn note(&mut self, leg: LegIndex, bytes: &bytes::Bytes, to: Option<&To>) -> Option<Message> {
        let message = Message::parse(bytes.clone()).ok()?;
        self.said.push(Said {
            scene: self.scene,
            to_teams: self.is_teams(leg),
            message: message.clone(),
            next: to.map(|to| match to {
                To::Next(next) | To::First(next) => next.host.to_string(),
                To::Hop(hop) => hop.remote.ip().to_string(),
            }),
        });
        Some(message)
    }

    /// The called side answers our newest INVITE.
    pub fn answer_invite(&mut self, scene: Scene, answers: &[(u16, Option<String>)]) {
        self.scene = scene;
        let invite = self
            .sent
            .iter()
            .rev()
            .find(|(_, _, sent)| sent.method() == Some(&Method::Invite));
        let Some((leg, token, invite)) = invite.cloned() else {
            return;
        };
        for (status, sdp) in answers {
            let message = self.called_says(leg, &invite, *status, sdp.as_deref());
            let flow = self.flows[1].clone();
            if let Some(message) = message {
                self.step(Event::Response { token, message, flow });
            }
        }
    }

    fn called_says(&self, leg: LegIndex, request: &Message, status: u16, sdp: Option<&str>) -> Option<Message> {
        let mut draft = ResponseDraft::new(status).to_tag("called");
        if status < 300 {
            draft = match self.is_teams(leg) {
                true => draft
                    .header(HeaderName::Contact, &self.teams.contact)
                    .header(HeaderName::RecordRoute, &self.teams.route),
                false => draft.header(HeaderName::Contact, format!("<sip:gw@{CARRIER_AT}>")),
            };
        } else {
            let reason = "Q.850;cause=34;text=\"a1856424-e9da-40a6-a870-f289f81a863a;Callee is busy\"";
            draft = draft.header(HeaderName::Reason, reason);
        }
        if let Some(sdp) = sdp {
            draft = draft.body("application/sdp", sdp.to_owned());
        }
        Message::parse(draft.to_bytes(request, self.flows[1].local)).ok()
    }

    /// A request of the caller inside its dialog, and the called side's consent to whatever comes of it.
    pub fn caller_asks(&mut self, scene: Scene, method: &Method, more: &str, sdp: &str) {
        self.scene = scene;
        self.cseq += 1;
        let known = self.sent.len();
        let Some(message) = self.in_dialog(method, self.cseq, more, sdp) else {
            return;
        };
        self.transactions += 1;
        let transaction = ServerTransactionId::numbered(self.transactions);
        self.asked.insert(transaction, message.clone());
        let (flow, vouched) = (self.flows[0].clone(), true);
        self.step(Event::Request {
            transaction,
            message,
            flow,
            vouched,
        });
        for (leg, token, request) in self.sent.get(known..).unwrap_or_default().to_vec() {
            let is_invite = request.method() == Some(&Method::Invite);
            let held = String::from_utf8_lossy(request.body()).contains("a=inactive");
            let direction = if held { "inactive" } else { "sendrecv" };
            let sdp = match self.is_teams(leg) {
                true => self.teams.sdp(direction, self.bypass),
                false => carrier_sdp(direction),
            };
            if let Some(message) = self.called_says(leg, &request, 200, is_invite.then_some(sdp.as_str())) {
                let flow = self.flows[1].clone();
                self.step(Event::Response { token, message, flow });
            }
        }
    }

    /// A re-INVITE of the caller.
    pub fn caller_offers(&mut self, scene: Scene, direction: &str) {
        let sdp = match self.caller_is_teams {
            true => self.teams.sdp(direction, self.bypass),
            false => carrier_sdp(direction),
        };
        self.caller_asks(scene, &Method::Invite, &self.contact(), &sdp);
        self.caller_acknowledges();
    }

    pub fn caller_acknowledges(&mut self) {
        if let Some(message) = self.in_dialog(&Method::Ack, self.cseq, "", "") {
            let (flow, vouched) = (self.flows[0].clone(), true);
            self.step(Event::Ack { message, flow, vouched });
        }
    }

    pub fn caller_hangs_up(&mut self) {
        self.caller_asks(Scene::End, &Method::Bye, "", "");
    }

    fn contact(&self) -> String {
        let contact = self.invite.header(HeaderName::Contact).unwrap_or_default();
        format!("Contact: {contact}\r\n")
    }

    fn in_dialog(&self, method: &Method, cseq: u32, more: &str, sdp: &str) -> Option<Message> {
        let to = self
            .said
            .iter()
            .rev()
            .filter(|said| said.to_teams == self.caller_is_teams);
        let to = to
            .filter(|said| said.message.is_response())
            .find_map(|said| said.message.header(HeaderName::To))?;
        let contact = self.said.iter().filter(|said| said.message.is_response());
        let contact = contact.filter(|said| said.to_teams == self.caller_is_teams);
        let contact = contact
            .filter_map(|said| said.message.contact().ok().flatten())
            .next_back()?;
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bKdoctor{cseq}{method}\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{more}",
            contact.uri().as_str(),
            self.flows[0].transport.uri_name().to_ascii_uppercase(),
            self.flows[0].remote,
            self.invite.header(HeaderName::From)?,
            self.invite.call_id(),
        );
        Message::parse(with_body(&text, sdp).into_bytes().into()).ok()
    }
}

fn carrier_terms(config: &Config, carrier: &Arc<Carrier>) -> Option<Arc<LegTerms>> {
    let configured = carrier.gateways.first().map(|gateway| gateway.listener);
    let any = || {
        config
            .sbc
            .listeners
            .iter()
            .find(|listener| listener.purpose == Purpose::Carrier)
    };
    let listener: ListenerId = configured.or_else(|| any().map(|listener| listener.id))?;
    Some(carrier::terms(config, carrier, listener, None))
}

fn flow(terms: &LegTerms, teams: SocketAddr) -> Flow {
    Flow {
        transport: terms.transport,
        listener: terms.listener,
        local: SocketAddr::from(([192, 0, 2, 10], 5_060)),
        remote: match terms.transport {
            Transport::Tls => teams,
            Transport::Udp | Transport::Tcp => CARRIER_AT,
        },
        connection: ConnectionId::NONE,
        peer: None,
    }
}
