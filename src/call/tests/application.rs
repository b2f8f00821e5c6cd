//! What an application does to a call, told by the rig.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{Scenario, from_carrier};
use crate::app::payload::{Kind, Properties};
use crate::app::verb::{self, Dial, Hook, Verb, Voicing};
use crate::call::{AppTerms, Command, Effect, Event, LegIndex, PlayOutcome, Reply, Sound, Unplanned, Wish};
use crate::config::{CallerHeader, Config};
use crate::dial::targets::{self, DialFacts, FirstLeg};
use crate::dial::{Attempt, DialPlan, LegKind, LegTerms, TargetName};
use crate::route::{Facts, Origin};
use crate::sip::Method;
use serde_json::{Value, json};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// The terms of the application of scenarios.
pub fn terms() -> AppTerms {
    AppTerms {
        name: "reception".into(),
        account_sid: "0d2b7c5a-4a4e-4a55-9d4a-b9a5b1a1c001".into(),
        application_sid: Some("0d2b7c5a-4a4e-4a55-9d4a-b9a5b1a1c002".into()),
        hook: hook("https://app.contoso.example/incoming"),
        status_hook: Some(hook("https://app.contoso.example/status")),
        secret: None,
        fallback: None,
        connected: false,
        speech: Voicing::default(),
        env_vars: Vec::new(),
        api_base_url: None,
    }
}

pub fn hook(url: &str) -> Hook {
    Hook::post(url)
}

/// A call from the carrier that an application has.
pub fn to_application() -> Scenario {
    from_carrier().decided_by(terms())
}

pub fn verbs(json: &Value) -> Vec<Verb> {
    verb::parse_application(json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}\n{json}"))
}

/// A question to the application.
#[derive(Debug, Clone)]
pub struct Question {
    pub number: u32,
    pub leg: LegIndex,
    pub kind: Kind,
    pub url: String,
    pub properties: Properties,
}

impl Rig {
    /// All questions so far.
    pub fn questions(&self) -> Vec<Question> {
        let question = |effect: &Effect| match effect {
            Effect::Ask {
                ask,
                leg,
                kind,
                hook,
                properties,
                ..
            } => Some(Question {
                number: *ask,
                leg: *leg,
                kind: *kind,
                url: hook.url.clone(),
                properties: properties.clone(),
            }),
            _ => None,
        };
        self.wishes.iter().filter_map(question).collect()
    }

    pub fn last_question(&self) -> Question {
        self.questions().pop().expect("a question")
    }

    /// What the application was told without being asked, of this kind.
    pub fn told(&self, wanted: Kind) -> Vec<Properties> {
        let told = |effect: &Effect| match effect {
            Effect::Notify { kind, properties, .. } if *kind == wanted => Some(properties.clone()),
            _ => None,
        };
        self.wishes.iter().filter_map(told).collect()
    }

    /// The status events of a leg: status and SIP status.
    pub fn statuses_of(&self, call_sid: &Value) -> Vec<String> {
        self.told(Kind::CallStatus)
            .iter()
            .filter(|event| event["call_sid"] == *call_sid)
            .map(|event| {
                format!(
                    "{} {}",
                    event["call_status"].as_str().unwrap_or_default(),
                    event["sip_status"]
                )
            })
            .collect()
    }

    /// Answers the last question.
    pub fn answer(&mut self, json: &Value) {
        self.answer_question(self.last_question().number, json);
    }

    pub fn answer_question(&mut self, ask: u32, json: &Value) {
        let verbs = match json.as_array() {
            Some(list) if list.is_empty() => Vec::new(),
            _ => verbs(json),
        };
        self.step(Event::Answered {
            ask,
            result: Ok(Reply { verbs }),
        });
    }

    /// The last question fails.
    pub fn hook_fails(&mut self, why: &str) {
        let ask = self.last_question().number;
        self.step(Event::Answered {
            ask,
            result: Err(why.to_owned().into()),
        });
    }

    pub fn command(&mut self, wish: Wish) {
        self.step(Event::Command(Box::new(Command {
            leg: None,
            wish,
            reply: None,
        })));
    }

    /// The sounds so far, with their legs and numbers.
    pub fn sounds(&self) -> Vec<(LegIndex, u32, Sound)> {
        let sound = |effect: &Effect| match effect {
            Effect::Play { leg, play, sound, .. } => Some((*leg, *play, sound.clone())),
            _ => None,
        };
        self.wishes.iter().filter_map(sound).collect()
    }

    /// The last sound comes to its end.
    pub fn sound_ends(&mut self) {
        let (leg, play, _) = self.sounds().pop().expect("a sound");
        self.step(Event::Played {
            leg,
            play,
            outcome: PlayOutcome::Completed {
                played: Duration::from_secs(1),
            },
        });
    }

    pub fn key(&mut self, leg: LegIndex, digit: char) {
        self.step(Event::Digit { leg, digit });
    }

    pub fn key_in_info(&mut self, leg: LegIndex, key: impl Display) {
        let kind = "Content-Type: application/dtmf-relay\r\n";
        self.request(leg, Method::Info, kind, &format!("Signal={key}\r\nDuration=160\r\n"));
    }

    /// Plans the dial that waits: a target a telephone number, as the real rooms plan it.
    pub fn planned(&mut self, numbers: &[&str]) {
        self.planned_on(numbers, |_| {});
    }

    /// The dial that is to be planned, and what it is planned by.
    fn dial_that_waits(&self) -> (Box<Dial>, Config) {
        let dial = self.wishes.iter().rev().find_map(|effect| match effect {
            Effect::Plan { dial } => Some(dial.clone()),
            _ => None,
        });
        let dial = dial.expect("a dial");
        let config = Config::from_toml_strs(&super::peers::sbc(), &[("contoso", super::peers::CONTOSO)])
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        (dial, config)
    }

    /// The same on other terms.
    pub fn planned_on(&mut self, numbers: &[&str], change: impl Fn(&mut LegTerms)) {
        let (dial, config) = self.dial_that_waits();
        let attempts = numbers.iter().zip(&dial.targets).map(|(number, target)| {
            let mut attempt = super::scenario::attempt_to(&config, number);
            for hop in &mut attempt.hops {
                change(Arc::make_mut(&mut hop.terms));
            }
            Attempt {
                target: Some(TargetName::phone(number)),
                confirm: target.confirm_hook.clone(),
                ..attempt
            }
        });
        let plan = DialPlan {
            attempts: attempts.collect(),
            timeout: Duration::from_secs(600),
            ringing: dial.timeout,
            left_out: Vec::new(),
        };
        self.step(Event::Planned {
            result: Ok(Box::new(plan)),
        });
    }

    /// Plans the dial that waits as a running node does; nobody is registered.
    pub fn planned_really(&mut self) {
        let (dial, config) = self.dial_that_waits();
        self.plan_by(&dial, &config);
    }

    /// The same on a machine that also has these listeners.
    pub fn planned_with(&mut self, listeners: &str) {
        let (dial, _) = self.dial_that_waits();
        let north = "[[carriers]]\nid = \"north\"\ngateways = [{ host = \"203.0.113.2\", listener = \"udp\" }]\n";
        let machine = crate::config::fixture::machine(&format!("{listeners}{north}"));
        let config = Config::from_toml_strs(&machine, &[("contoso", super::peers::CONTOSO)])
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        self.plan_by(&dial, &config);
    }

    fn plan_by(&mut self, dial: &Dial, config: &Config) {
        let carrier = Origin::Carrier(config.sbc.carriers[0].id.clone());
        let caller = Facts::read(carrier, &self.invite, CallerHeader::Pai).caller;
        let facts = DialFacts {
            config,
            tenant: &config.tenants[0],
            first: FirstLeg::Calls,
            caller: &caller,
            told_from: &caller.number,
            colleague: None,
            shown_instead: None,
            diversions: &[],
            devices: &|_| Vec::new(),
        };
        let (plan, trace) = targets::plan(facts, dial, &|_| false);
        let result = plan.map(Box::new).map_err(|refusal| Unplanned::of(&refusal, &trace));
        self.step(Event::Planned { result });
    }

    /// A destination answers.
    pub fn picks_up(&mut self, invite: &Sent) {
        let sdp = match self.call.legs()[usize::from(invite.leg.0)].terms.kind {
            LegKind::Teams { .. } => teams_sdp("sendrecv"),
            _ => carrier_sdp("sendrecv"),
        };
        self.respond(invite, reply(200).sdp(sdp));
    }
}

/// A dial of these telephone numbers.
pub fn dial(numbers: &[&str], more: &Value) -> Value {
    let targets: Vec<Value> = numbers
        .iter()
        .map(|number| json!({ "type": "phone", "number": number }))
        .collect();
    let mut dial = json!({ "verb": "dial", "target": targets });
    if let (Some(dial), Some(more)) = (dial.as_object_mut(), more.as_object()) {
        dial.extend(more.clone());
    }
    dial
}
