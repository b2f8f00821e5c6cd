//! The decision and the INVITEs that it leads to, as data.

use super::hints::hints;
use super::others::others;
use super::question::Question;
use crate::call::ElinUse;
use crate::carrier::{self, PlanFacts};
use crate::config::{Config, Hook, HookProtocol};
use crate::dial::{Attempt, PlannedHop};
use crate::route::{self, Decision, Facts, Origin, Refusal, Target, TraceStep};
use crate::sip::message::HeaderName;
use crate::teams;
use serde::Serialize;
use std::time::Duration;

/// Everything that `explain` says.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// `Teams`, or the carrier.
    pub from: String,
    pub dialled: String,
    pub caller: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub emergency: bool,
    /// As in call records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elin_use: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elin: Option<String>,
    pub trace: Vec<TraceStep>,
    /// In the order in which they would be tried.
    pub hops: Vec<Hop>,
    /// All devices that this user has registered with the running node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings: Option<String>,
    /// The application that decides; what it dials is not known before it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<Asks>,
    /// Of a routed call: what else there is, and why it does not get the call, or gets it later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<TraceStep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// How an application would be asked.
#[derive(Debug, Serialize)]
pub struct Asks {
    pub application: String,
    pub application_sid: String,
    pub account_sid: String,
    pub hook: AskedHook,
    /// Asked when that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<AskedHook>,
    /// Told of every change of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_status_hook: Option<AskedHook>,
    /// Names of what it is told of itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_vars: Vec<String>,
}

/// A hook without its secrets.
#[derive(Debug, Serialize)]
pub struct AskedHook {
    /// `None` on the WebSocket API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    pub url: String,
}

impl Asks {
    fn of(decision: &Decision) -> Option<Asks> {
        let Target::Application { application, .. } = &decision.target else {
            return None;
        };
        let asked = |hook: &Hook| AskedHook {
            method: (hook.url.protocol() == HookProtocol::Http).then(|| hook.method.word()),
            url: hook.url.to_string(),
        };
        Some(Asks {
            application: application.name.to_string(),
            application_sid: application.sid.to_string(),
            account_sid: decision.tenant.account.sid.to_string(),
            hook: asked(&application.hook),
            fallback: application.fallback.as_ref().map(|fallback| asked(&fallback.hook)),
            call_status_hook: application.status_hook.as_ref().map(asked),
            env_vars: application.env_vars.iter().map(|(name, _)| name.clone()).collect(),
        })
    }
}

/// One INVITE.
#[derive(Debug, Serialize)]
pub struct Hop {
    pub peer: String,
    /// `sip1.north.example` by `udp`, before DNS.
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    pub listener: String,
    pub request_uri: String,
    /// Name and value, as they would be sent but for tags.
    pub headers: Vec<(String, String)>,
    /// Answers with these codes, none within `first_response_ms`, or 100 alone for `progress_ms`, lead to the next hop.
    pub hunt_on: Vec<u16>,
    /// Every other refusal as well.
    pub hunt_on_every: bool,
    pub first_response_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_ms: Option<u64>,
}

impl Answer {
    /// Asks the functions that route live calls.
    pub fn find(config: &Config, question: Question) -> Answer {
        let Question { facts, unread, assumed } = question;
        let (mut decision, mut trace) = route::decide(config, &facts);
        if let Ok(decision) = &mut decision {
            decision.show_first(&mut trace);
        }
        let from = match &facts.origin {
            Origin::Teams => "Teams".to_owned(),
            Origin::Carrier(id) => format!("carrier '{id}'"),
            Origin::User { name, .. } => format!("user '{name}'"),
        };
        let caller = match (facts.caller.number.as_str(), &facts.origin) {
            ("", Origin::User { name, .. }) => name.to_string(),
            ("", _) => "anonymous".to_owned(),
            (number, _) => number.to_owned(),
        };
        let mut answer = Answer {
            from,
            dialled: facts.dialled.clone(),
            caller,
            assumed,
            tenant: None,
            emergency: false,
            elin_use: None,
            elin: None,
            trace: unread.into_iter().chain(trace.0).collect(),
            hops: Vec::new(),
            rings: None,
            asks: None,
            others: Vec::new(),
            refusal: None,
            hints: Vec::new(),
        };
        match decision {
            Ok(decision) => {
                answer.tenant = Some(decision.tenant.id.to_string());
                answer.emergency = decision.emergency;
                let elin = ElinUse::of(&decision.elin);
                answer.elin_use = elin.map(ElinUse::label);
                answer.elin = elin.and_then(ElinUse::number).map(|number| number.to_string());
                answer.asks = Asks::of(&decision);
                let attempt = attempt(config, &facts, &decision);
                answer.others = others(config, &facts, &decision, attempt.as_ref());
                match attempt {
                    Some(attempt) => answer.hops = attempt.hops.iter().map(|planned| hop(config, planned)).collect(),
                    None if answer.asks.is_some() => {}
                    None => answer.rings = Some(decision.target_text()),
                }
            }
            Err(refusal) => {
                let number = match &facts.origin {
                    Origin::Carrier(id) => config
                        .carrier(id)
                        .and_then(|carrier| carrier::read_number(&carrier.numbers, &facts.dialled)),
                    Origin::Teams | Origin::User { .. } => None,
                };
                answer.hints = hints(config, &facts, number, &refusal);
                answer.refusal = Some(refusal);
            }
        }
        answer
    }
}

/// `None`: where the target's devices are is known to the running node alone, what an application wants to itself.
fn attempt(config: &Config, facts: &Facts, decision: &Decision) -> Option<Attempt> {
    let facts = facts.understood_by(config);
    let caller = route::believed_caller(config, decision, &facts);
    let plan = PlanFacts {
        config,
        decision,
        caller: &caller,
        diversions: &facts.diversions,
    };
    match &decision.target {
        Target::Teams { number, voicemail } => Some(teams::plan(plan, *number, *voicemail, |_| false)),
        Target::Carriers { carriers, callee } => Some(carrier::plan(plan, carriers, callee, |_| false)),
        Target::User { .. } | Target::Application { .. } => None,
    }
}

fn hop(config: &Config, planned: &PlannedHop) -> Hop {
    let terms = &planned.terms;
    let contact = format!("<sip:{}@{}>", planned.contact_user, terms.contact);
    let mut headers = vec![
        ("From".to_owned(), planned.from.clone()),
        ("To".to_owned(), planned.to.clone()),
        ("Contact".to_owned(), contact),
    ];
    let named = |(name, value): &(HeaderName, String)| (name.as_str().to_owned(), value.clone());
    headers.extend(planned.headers.iter().chain(&terms.fixed_headers).map(named));
    let listener = config.sbc.listener(planned.next.listener);
    Hop {
        peer: planned.peer.to_string(),
        host: planned.next.host.to_string(),
        port: planned.next.port,
        transport: planned.next.transport.map(|transport| transport.uri_name()),
        listener: listener.map(|listener| listener.name.to_string()).unwrap_or_default(),
        request_uri: planned.request_uri.clone(),
        headers,
        hunt_on: planned.hunt.codes.to_vec(),
        hunt_on_every: planned.hunt.every,
        first_response_ms: milliseconds(planned.first_response),
        progress_ms: planned.progress.map(milliseconds),
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
