//! What a scenario begins with: an INVITE, routed and planned by the real rooms.

use super::peers::{CONTOSO, carrier_invite, carrier_sdp, sbc, teams_invite, teams_sdp};
use super::rig::{Rig, flow, parse};
use crate::app::sid::CallSid;
use crate::call::{
    AppTerms, Birth, Call, CallFacts, CallId, CallerFacts, Direction, ElinUse, HopMark, PlacedBirth, Placing, Program,
    Settings,
};
use crate::carrier::{self, PlanFacts};
use crate::config::{CallerHeader, Config, E164};
use crate::dial::{Attempt, DialPlan, PeerName, TargetName};
use crate::moment::Moment;
use crate::route::{self, Elin, Facts, Origin, Target};
use crate::sdp::Codec;
use crate::sip::Flow;
use crate::sip::transaction::ServerTransactionId;
use crate::teams;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Who calls.
#[derive(Debug, Clone, Copy)]
enum From {
    Teams,
    Carrier,
}

/// What a scenario begins with.
pub struct Scenario {
    origin: From,
    more: String,
    sdp: String,
    edit: Vec<(String, String)>,
    parallel: bool,
    no_port_for: HashSet<usize>,
    narrow_callee: bool,
    recoding_is_full: bool,
    hold_media: bool,
    nat: Option<Flow>,
    held: Option<&'static str>,
    application: Option<AppTerms>,
    bypass: bool,
    ringing: String,
    of_carrier: &'static str,
    calls_back: bool,
}

/// A call from the carrier to a Teams user.
pub fn from_carrier() -> Scenario {
    Scenario::new(From::Carrier, carrier_sdp("sendrecv"))
}

/// A call from Teams to a telephone number.
pub fn from_teams() -> Scenario {
    Scenario::new(From::Teams, teams_sdp("sendrecv"))
}

impl Scenario {
    fn new(origin: From, sdp: String) -> Scenario {
        Scenario {
            origin,
            more: String::new(),
            sdp,
            edit: Vec::new(),
            parallel: false,
            no_port_for: HashSet::new(),
            narrow_callee: false,
            recoding_is_full: false,
            hold_media: false,
            nat: None,
            held: None,
            application: None,
            bypass: false,
            ringing: String::new(),
            of_carrier: "",
            calls_back: false,
        }
    }

    /// What the carrier is told while somebody rings.
    pub fn ringing(mut self, how: &str) -> Scenario {
        self.ringing = format!("ringing = \"{how}\"\n");
        self
    }

    /// The carrier is told nothing of 181 and 182.
    pub fn keeping_back_forwarding(mut self) -> Scenario {
        self.ringing.push_str("pass_forwarding = false\n");
        self
    }

    /// An application decides about the call.
    pub fn decided_by(mut self, terms: AppTerms) -> Scenario {
        self.application = Some(terms);
        self
    }

    /// The carrier may transfer.
    pub fn carrier_may_refer(self) -> Scenario {
        self.of_carrier("refer = true\n")
    }

    /// This key of the carrier, too, or with another value.
    pub fn of_carrier(mut self, keys: &'static str) -> Scenario {
        self.of_carrier = keys;
        self
    }

    /// The call goes back to who called for help.
    pub fn calling_back(mut self) -> Scenario {
        self.calls_back = true;
        self
    }

    /// On a trunk with media bypass.
    pub fn bypassing(mut self) -> Scenario {
        self.bypass = true;
        self
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

    /// No hop speaks G.722.
    pub fn narrow_callee(mut self) -> Scenario {
        self.narrow_callee = true;
        self
    }

    /// Other calls take all places among those that are recoded at cost.
    pub fn recoding_is_full(mut self) -> Scenario {
        self.recoding_is_full = true;
        self
    }

    /// Media opens only when the scenario says so.
    pub fn slow_media(mut self) -> Scenario {
        self.hold_media = true;
        self
    }

    /// The caller is behind NAT, and this is where its INVITE comes from.
    pub fn behind_nat(mut self, flow: Flow) -> Scenario {
        self.nat = Some(flow);
        self
    }

    /// This peer is held down.
    pub fn holding(mut self, peer: &'static str) -> Scenario {
        self.held = Some(peer);
        self
    }

    /// Routes the INVITE, plans it and begins the call.
    pub fn begin(self) -> Rig {
        let base = "base = \"sbc1.example.net\"";
        let key = self.of_carrier.split('=').next().filter(|key| !key.is_empty());
        let lines = sbc()
            .lines()
            .filter(|line| key.is_none_or(|key| !line.starts_with(key)))
            .fold(String::new(), |text, line| text + line + "\n");
        let machine =
            lines.replace(base, &format!("{base}\nbypass = {}", self.bypass)) + &self.ringing + self.of_carrier;
        let config =
            Config::from_toml_strs(&machine, &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let (mut text, origin, believe) = match self.origin {
            From::Teams => (teams_invite(&self.more, &self.sdp), Origin::Teams, CallerHeader::From),
            From::Carrier => {
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
        let mut decision = decision.unwrap_or_else(|refusal| panic!("{}", refusal.sentence));
        if self.calls_back {
            decision.elin = Elin::CalledBack(E164::parse("+14255550180").expect("a number"));
        }
        let plan_facts = PlanFacts {
            config: &config,
            decision: &decision,
            caller: &facts.caller,
            diversions: &facts.diversions,
        };
        let north = &config.sbc.carriers[0];
        let held = |peer: &PeerName| self.held.is_some_and(|held| peer.to_string() == held);
        let (mut attempt, mut terms) = match &decision.target {
            Target::Teams { number, voicemail } => (
                teams::plan(plan_facts, *number, *voicemail, held),
                carrier::terms(&config, north, north.gateways[0].listener, None),
            ),
            Target::Carriers { carriers, callee } => (
                carrier::plan(plan_facts, carriers, callee, held),
                teams::terms(&config, &decision.tenant),
            ),
            Target::User { .. } | Target::Application { .. } => panic!("no scenario calls one"),
        };
        for hop in attempt.hops.iter_mut().filter(|_| self.narrow_callee) {
            Arc::make_mut(&mut hop.terms)
                .media
                .codecs
                .retain(|codec| *codec != Codec::G722);
        }
        let attempts = match self.parallel {
            true => attempt.hops.into_iter().map(|hop| Attempt::routed(vec![hop])).collect(),
            false => vec![attempt],
        };
        let program = match self.application {
            Some(terms) => Program::Application {
                terms: terms.into(),
                caller: CallerFacts {
                    private: facts.caller.private,
                    number: E164::parse(&facts.caller.number).ok(),
                    ..caller_facts()
                },
                setup: config.sbc.timers.setup,
            },
            None => Program::Route(DialPlan::routed(
                attempts,
                config.sbc.timers.setup,
                config.sbc.timers.ringing,
            )),
        };
        let transaction = ServerTransactionId::numbered(1);
        let now = Moment::from_micros(1_000_000);
        Arc::make_mut(&mut terms).behind_nat = self.nat.is_some();
        let flow = self.nat.unwrap_or_else(flow);
        let (call, effects) = Call::begin(Birth {
            id: CallId::from_random(0xabc),
            seed: 42,
            now,
            facts: CallFacts {
                direction: match self.origin {
                    From::Teams => Direction::TeamsToCarrier,
                    From::Carrier => Direction::CarrierToTeams,
                },
                tenant: decision.tenant.id.to_string(),
                carrier: None,
                from: facts.caller.number.clone(),
                to: facts.dialled.clone(),
                emergency: decision.emergency,
                elin: ElinUse::of(&decision.elin),
                began_unix_ms: 0,
                trace: trace.0,
            },
            program,
            terms,
            contact_user: facts.dialled.clone(),
            invite: &invite,
            flow: &flow,
            transaction,
            settings: Settings {
                hold_timeout: config.sbc.media.hold_timeout,
                hop_mark: HopMark::new(77),
            },
        });
        let mut rig = Rig::new(call, invite, now);
        rig.hold_media = self.hold_media;
        rig.no_port_for = self.no_port_for;
        rig.recoding_is_full = self.recoding_is_full;
        rig.carry_out(effects);
        rig.pump();
        rig
    }
}

/// A call that an application places to these telephone numbers at once, as to the devices of one user.
pub fn placed(terms: AppTerms, numbers: &[&str]) -> Rig {
    let config = Config::from_toml_strs(&sbc(), &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let attempts = numbers.iter().map(|number| Attempt {
        target: Some(TargetName::phone(number)),
        ..attempt_to(&config, number)
    });
    let plan = DialPlan {
        attempts: attempts.collect(),
        timeout: Duration::from_secs(600),
        ringing: Duration::from_secs(60),
        left_out: Vec::new(),
    };
    let desk = plan.attempts[0].hops[0].terms.clone();
    let now = Moment::from_micros(1_000_000);
    let (call, effects) = Call::place(PlacedBirth {
        id: CallId::from_random(0xdef),
        seed: 43,
        now,
        facts: CallFacts {
            direction: Direction::Placed,
            tenant: "contoso".into(),
            carrier: None,
            from: "+14255550150".into(),
            to: numbers[0].into(),
            emergency: false,
            elin: None,
            began_unix_ms: 0,
            trace: Vec::new(),
        },
        terms: terms.into(),
        caller: CallerFacts {
            from: "+14255550150".into(),
            number: E164::parse("+14255550150").ok(),
            private: false,
            to: numbers[0].into(),
            trunk_name: None,
            ..caller_facts()
        },
        placing: Placing {
            sid: CallSid::from_random(77),
            plan,
            tag: None,
            time_limit: None,
            refer_hook: None,
        },
        desk,
        settings: Settings {
            hold_timeout: config.sbc.media.hold_timeout,
            hop_mark: HopMark::new(77),
        },
    });
    // There was no INVITE; what peers say inside a caller's dialog has none to be inside of.
    let mut rig = Rig::new(call, parse(&carrier_invite("", "")), now);
    rig.requests.clear();
    rig.carry_out(effects);
    rig.pump();
    rig
}

fn caller_facts() -> CallerFacts {
    CallerFacts {
        from: "+12065550100".into(),
        number: E164::parse("+12065550100").ok(),
        private: false,
        caller_name: Some("Ada".into()),
        to: "+14255550150".into(),
        source_ip: "203.0.113.2".into(),
        trunk_name: Some("north".into()),
        sip_address: "192.0.2.10:5060".into(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
    }
}

/// What a dial of this telephone number tries: the tenant's carriers, as for a call out of Teams.
pub fn attempt_to(config: &Config, number: &str) -> Attempt {
    let text = teams_invite("", "").replace("+12065550100", number);
    let facts = Facts::read(Origin::Teams, &parse(&text), CallerHeader::From);
    let (decision, _) = route::decide(config, &facts);
    let decision = decision.unwrap_or_else(|refusal| panic!("{}", refusal.sentence));
    let plan_facts = PlanFacts {
        config,
        decision: &decision,
        caller: &facts.caller,
        diversions: &facts.diversions,
    };
    match &decision.target {
        Target::Carriers { carriers, callee } => carrier::plan(plan_facts, carriers, callee, |_| false),
        Target::Teams { number, voicemail } => teams::plan(plan_facts, *number, *voicemail, |_| false),
        _ => panic!("no scenario calls one"),
    }
}
