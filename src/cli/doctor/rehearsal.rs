//! A call each way as this configuration makes it, between two peers that only speak their lines: every message is made by the
//! call value that makes those of live calls. No socket, no media.

use crate::call::{
    Birth, Call, CallFacts, CallId, Direction, Effect, Event, HopMark, LegIndex, Program, Settings, To, Token,
};
use crate::carrier::{self, PlanFacts};
use crate::config::{Carrier, Config, Destination, E164, FromTeams, Purpose, Tenant};
use crate::dial::{DialPlan, LegKind, LegTerms};
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
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Teams' lines, in the shape of its own.
pub const TEAMS_CONTACT: &str = "<sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=0c1d2e3f;x-c=0c1d/d/8/5a>";
pub const TEAMS_ROUTE: &str = "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>";
pub const TEAMS_ROUTE_HOST: &str = "sip-du-a-eu.pstnhub.microsoft.com";
const REFERRED_BY: &str = "<sip:4:+14255550100@sip.pstnhub.microsoft.com>;x-i=0c1d2e3f";
/// Somebody on the telephone network.
const OUTSIDE: &str = "+12065550123";
const TEAMS_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(52, 112, 0, 10)), 40_000);
const CARRIER_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 20)), 5_060);

/// What was said, in order.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    pub said: Vec<Said>,
    /// Whether our `Allow` toward Teams lists REFER.
    pub allows_refer: bool,
    /// Whom Teams wants called by its REFER, word for word.
    pub refer_to: String,
}

/// A message of ours.
#[derive(Debug, Clone)]
pub struct Said {
    pub scene: Scene,
    pub to_teams: bool,
    pub message: Message,
    /// The host that it would be sent to; none for responses.
    pub next: Option<String>,
}

/// What the peers had just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scene {
    Begin,
    Ring,
    EarlyMedia,
    Answer,
    CarrierHolds,
    CarrierResumes,
    CarrierRefreshes,
    TeamsHolds,
    TeamsRefers,
    Busy,
    End,
}

impl Scene {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Scene::Begin => "a call begins",
            Scene::Ring => "it rings",
            Scene::EarlyMedia => "Teams sends a 183 with SDP",
            Scene::Answer => "it is answered",
            Scene::CarrierHolds => "the carrier holds",
            Scene::CarrierResumes => "the carrier resumes",
            Scene::CarrierRefreshes => "the carrier refreshes its session",
            Scene::TeamsHolds => "Teams holds",
            Scene::TeamsRefers => "Teams transfers by REFER",
            Scene::Busy => "Teams is busy",
            Scene::End => "somebody hangs up",
        }
    }
}

impl Rehearsal {
    /// Messages to Teams.
    pub fn to_teams(&self) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(|said| said.to_teams)
    }

    /// Messages of one scene.
    pub fn of(&self, scene: Scene) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |said| said.scene == scene)
    }
}

/// A carrier's call to a Teams user: rings, early media, answered, held, resumed, refreshed; and another one to a busy user.
pub fn to_teams(config: &Config) -> Result<Rehearsal, String> {
    let (tenant, number) = teams_user(config).ok_or("no tenant has a number that leads to Teams")?;
    let carrier = config.sbc.carriers.first().ok_or("no carrier is configured")?;
    let mut said = Vec::new();
    let mut stage = Stage::begin(config, Caller::Carrier(carrier), tenant, &number.to_string())?;
    stage.answer_invite(Scene::Ring, &[(180, None)]);
    stage.answer_invite(Scene::EarlyMedia, &[(183, Some(teams_sdp("sendrecv")))]);
    stage.answer_invite(Scene::Answer, &[(200, Some(teams_sdp("sendrecv")))]);
    stage.caller_acknowledges();
    stage.caller_offers(Scene::CarrierHolds, "sendonly");
    stage.caller_offers(Scene::CarrierResumes, "sendrecv");
    stage.caller_offers(Scene::CarrierRefreshes, "sendrecv");
    stage.caller_hangs_up();
    said.append(&mut stage.said);
    let mut busy = Stage::begin(config, Caller::Carrier(carrier), tenant, &number.to_string())?;
    busy.said.clear();
    busy.answer_invite(Scene::Busy, &[(486, None)]);
    said.append(&mut busy.said);
    Ok(Rehearsal {
        allows_refer: allows_refer(&said),
        said,
        refer_to: String::new(),
    })
}

/// A Teams user's call to the telephone network: rings, answered, held and referred by Teams.
pub fn from_teams(config: &Config) -> Result<Rehearsal, String> {
    let calls_out = |tenant: &&Arc<Tenant>| tenant.from_teams == FromTeams::Carriers && !tenant.carriers.is_empty();
    let tenant = config.tenants.iter().find(calls_out);
    let tenant = tenant.ok_or("no tenant calls out of Teams by a carrier")?;
    let mut stage = Stage::begin(config, Caller::Teams, tenant, OUTSIDE)?;
    stage.answer_invite(Scene::Ring, &[(180, None)]);
    stage.answer_invite(Scene::Answer, &[(200, Some(carrier_sdp("sendrecv")))]);
    stage.caller_acknowledges();
    stage.caller_offers(Scene::TeamsHolds, "inactive");
    let refer_to = refer_to(config).ok_or("no hub is configured")?;
    let refer = format!("Refer-To: <{refer_to}>\r\nReferred-By: {REFERRED_BY}\r\n");
    stage.caller_asks(Scene::TeamsRefers, &Method::Refer, &refer, "");
    stage.caller_hangs_up();
    Ok(Rehearsal {
        allows_refer: allows_refer(&stage.said),
        said: stage.said,
        refer_to,
    })
}

/// Somebody in Teams, by the hub that this node speaks to: whatever cloud it is of, and at its port.
fn refer_to(config: &Config) -> Option<String> {
    let hub = config.sbc.teams.hubs.first()?;
    Some(format!(
        "sip:{}:{};x-m=8:orgid:1f3a;x-t=9b2c;x-ti=77%3d;transport=tls",
        hub.host, hub.port
    ))
}

fn allows_refer(said: &[Said]) -> bool {
    let mut to_teams = said.iter().filter(|said| said.to_teams);
    to_teams.any(|said| said.message.lists(HeaderName::Allow, "REFER"))
}

fn teams_user(config: &Config) -> Option<(&Tenant, E164)> {
    config.tenants.iter().find_map(|tenant| {
        let entry = tenant.numbers.iter().find(|entry| entry.to == Destination::Teams)?;
        Some((&**tenant, entry.span.first()))
    })
}

fn carrier_sdp(direction: &str) -> String {
    let (ip, port) = (CARRIER_AT.ip(), 4_000);
    format!(
        "v=0\r\no=- 71 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 0 9 18 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

fn teams_sdp(direction: &str) -> String {
    let ip = TEAMS_AT.ip();
    format!(
        "v=0\r\no=- 0 0 IN IP4 {ip}\r\ns=session\r\nc=IN IP4 {ip}\r\nb=CT:10000000\r\nt=0 0\r\n\
         m=audio 50000 RTP/SAVP 8 0 9 18 13 101\r\na=rtcp:50001\r\na=rtcp-mux\r\na=rtpmap:13 CN/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31\r\n\
         a={direction}\r\na=ptime:20\r\n"
    )
}

/// Who calls.
#[derive(Clone, Copy)]
enum Caller<'a> {
    Teams,
    Carrier(&'a Arc<Carrier>),
}

struct Stage {
    call: Call,
    now: Moment,
    scene: Scene,
    caller_is_teams: bool,
    invite: Message,
    /// Where the caller and the called side speak from.
    flows: [Flow; 2],
    media: IpAddr,
    said: Vec<Said>,
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
    fn begin(config: &Config, caller: Caller<'_>, tenant: &Tenant, number: &str) -> Result<Stage, String> {
        let port = config
            .sbc
            .listener(config.sbc.teams.listener)
            .map_or(5_061, |listener| listener.advertise_port);
        let (text, origin, believe) = match caller {
            Caller::Teams => (
                teams_invite(tenant, port, number),
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
            (Target::Carriers { carriers, callee }, Caller::Teams) => (
                carrier::plan(plan, carriers, callee, |_| false),
                teams::terms(config, &decision.tenant),
            ),
            _ => return Err(format!("{number} leads elsewhere: {}", decision.target_text())),
        };
        let callee = attempt.hops.first().map(|hop| hop.terms.clone());
        let callee = callee.ok_or("there is no hub or gateway to send it to")?;
        let flows = [flow(&terms), flow(&callee)];
        let transaction = ServerTransactionId::numbered(1);
        let now = Moment::from_micros(1_000_000);
        let caller_is_teams = matches!(caller, Caller::Teams);
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
                began_unix_ms: 0,
                trace: trace.0,
            },
            program: Program::Route(DialPlan {
                attempts: vec![attempt],
                timeout: config.sbc.timers.setup,
                ringing: config.sbc.timers.ringing,
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
            asked: HashMap::from([(transaction, invite.clone())]),
            invite,
            flows,
            media: config.sbc.media.advertise,
            said: Vec::new(),
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
            Effect::OpenMedia { leg, mux, .. } => {
                let port = 20_000 + 2 * self.opened;
                let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
                let session = 9_000 + u64::from(self.opened);
                let local = LocalMedia::new(self.media, port, (!mux).then_some(port + 1), session, key);
                let handle = LegId::first_in(u32::from(self.opened));
                self.opened += 1;
                let result = Ok((handle, local));
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
    fn answer_invite(&mut self, scene: Scene, answers: &[(u16, Option<String>)]) {
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
                    .header(HeaderName::Contact, TEAMS_CONTACT)
                    .header(HeaderName::RecordRoute, TEAMS_ROUTE),
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
    fn caller_asks(&mut self, scene: Scene, method: &Method, more: &str, sdp: &str) {
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
                true => teams_sdp(direction),
                false => carrier_sdp(direction),
            };
            if let Some(message) = self.called_says(leg, &request, 200, is_invite.then_some(sdp.as_str())) {
                let flow = self.flows[1].clone();
                self.step(Event::Response { token, message, flow });
            }
        }
    }

    /// A re-INVITE of the caller.
    fn caller_offers(&mut self, scene: Scene, direction: &str) {
        let sdp = match self.caller_is_teams {
            true => teams_sdp(direction),
            false => carrier_sdp(direction),
        };
        self.caller_asks(scene, &Method::Invite, &self.contact(), &sdp);
        self.caller_acknowledges();
    }

    fn caller_acknowledges(&mut self) {
        if let Some(message) = self.in_dialog(&Method::Ack, self.cseq, "", "") {
            let (flow, vouched) = (self.flows[0].clone(), true);
            self.step(Event::Ack { message, flow, vouched });
        }
    }

    fn caller_hangs_up(&mut self) {
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

fn with_body(head: &str, sdp: &str) -> String {
    let kind = if sdp.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!("{head}{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

fn carrier_invite(number: &str) -> String {
    let head = format!(
        "INVITE sip:{number}@{CARRIER_AT} SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER_AT};branch=z9hG4bKdoctor\r\nMax-Forwards: 70\r\n\
         From: <sip:{OUTSIDE}@{CARRIER_AT}>;tag=doctor\r\nTo: <sip:{number}@{CARRIER_AT}>\r\nCall-ID: doctor-carrier\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:gw@{CARRIER_AT}>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: timer, 100rel\r\n"
    );
    with_body(&head, &carrier_sdp("sendrecv"))
}

fn teams_invite(tenant: &Tenant, port: u16, number: &str) -> String {
    let own = tenant
        .numbers
        .first()
        .map_or_else(|| "+14255550100".to_owned(), |entry| entry.span.first().to_string());
    let trunk = &tenant.fqdn;
    let head = format!(
        "INVITE sip:{number}@{trunk}:{port};user=phone;transport=tls SIP/2.0\r\n\
         VIA: SIP/2.0/TLS {TEAMS_AT};branch=z9hG4bKdoctor\r\nMAX-FORWARDS: 70\r\nRECORD-ROUTE: {TEAMS_ROUTE}\r\n\
         FROM: <sip:{own}@sip.pstnhub.microsoft.com:5061;user=phone>;tag=doctor\r\n\
         TO: <sip:{number}@{trunk}:{port};user=phone>\r\nCALL-ID: doctor-teams\r\nCSEQ: 1 INVITE\r\n\
         CONTACT: {TEAMS_CONTACT}\r\nSUPPORTED: timer\r\nALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n"
    );
    with_body(&head, &teams_sdp("sendrecv"))
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

fn flow(terms: &LegTerms) -> Flow {
    Flow {
        transport: terms.transport,
        listener: terms.listener,
        local: SocketAddr::from(([192, 0, 2, 10], 5_060)),
        remote: match terms.transport {
            Transport::Tls => TEAMS_AT,
            Transport::Udp | Transport::Tcp => CARRIER_AT,
        },
        connection: ConnectionId::NONE,
        peer: None,
    }
}

fn via() -> String {
    "SIP/2.0/TLS sbc.portcullis.invalid:5061;branch=z9hG4bKdoctor".to_owned()
}
