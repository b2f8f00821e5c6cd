//! Calls that an application, or somebody over REST, places.

use super::app_terms::{sip_address, trace_id};
use super::application::{AppTerms, CallerFacts};
use super::node::Node;
use super::record::{CallFacts, Direction};
use super::setup::{PlacedBirth, Placing};
use super::switchboard::unix_ms;
use super::task::{self, Ordered, Planner};
use crate::app::command::NewCall;
use crate::app::sid::CallSid;
use crate::app::verb::{CallerId, Dial, DtmfCapture, TargetFrom, USUAL_SCREENING};
use crate::config::{Config, E164, Limits, Tenant};
use crate::dial::targets::MOST_STEPS;
use crate::observe::Happening;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A call that is being placed.
#[derive(Debug)]
pub struct PlacedCall {
    pub call_sid: CallSid,
    /// Its Call-ID, as soon as its INVITE is sent, or why the call ended before.
    pub call_id: oneshot::Receiver<Result<String, String>>,
}

/// Why a call is not placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaced {
    /// What was asked for can't be dialled.
    #[error("{0}")]
    Wrong(String),
    /// Nobody can be rung, or the node takes no calls now.
    #[error("{0}")]
    Unavailable(String),
    /// A limit is reached.
    #[error("{why}")]
    TooMany { why: String, retry_after: Duration },
}

impl Node {
    /// Rings a destination; the application of `terms` has the call once it is answered. Must be called within a tokio
    /// runtime.
    pub fn place(
        self: &Arc<Node>,
        config: &Arc<Config>,
        tenant: &Arc<Tenant>,
        terms: AppTerms,
        order: NewCall,
    ) -> Result<PlacedCall, NotPlaced> {
        let order = NewCall {
            from: owned_form(config, tenant, order.from),
            ..order
        };
        let (from, caller_name, tag) = (order.from.clone(), order.caller_name.clone(), order.tag.clone());
        let (time_limit, refer_hook) = (order.time_limit, order.refer_hook.clone());
        let dial = dial_of(order);
        let planner = Box::new(Planner::of_nobody(config.clone(), tenant.clone()));
        let (plan, trace) = planner.plan(self, &dial);
        let plan = plan.map_err(|refusal| NotPlaced::Wrong(refusal.of_order()))?;
        let first = plan.attempts.iter().flat_map(|attempt| &attempt.hops).next();
        let Some(desk) = first.map(|hop| hop.terms.clone()) else {
            let why = plan.attempts.iter().find_map(|attempt| attempt.failed.as_ref());
            let why = why.map_or_else(|| "nobody can be rung".to_owned(), |failure| failure.explain());
            return Err(NotPlaced::Unavailable(why));
        };
        let gone = || NotPlaced::Unavailable("the listener that it would leave by is not configured".into());
        let sip_address = sip_address(config, desk.listener).ok_or_else(gone)?;
        let emergency = plan.attempts.iter().any(|attempt| attempt.emergency);
        // As for calls that come in: help may be found at no other node in time (promise 6).
        if self.is_draining() && !emergency {
            return Err(NotPlaced::Unavailable("this node is going out of service".into()));
        }
        let now = self.clock.now();
        let place = self
            .take_place(config, tenant, None, emergency)
            .map_err(|refusal| NotPlaced::TooMany {
                why: refusal.sentence,
                retry_after: refusal.retry_after.unwrap_or(config.sbc.guard.retry_after),
            })?;
        let place = match emergency {
            true => {
                let own = self.take_emergency_place(&tenant.id);
                place.with(own.map_err(|why| NotPlaced::TooMany {
                    why,
                    retry_after: config.sbc.guard.retry_after,
                })?)
            }
            false => place,
        };
        let most = config.sbc.guard.max_placing;
        let limits = Limits {
            calls: Some(most),
            ..Limits::default()
        };
        let placing = self.places.take(&[(&placing_by(tenant), limits)], emergency, now);
        let placing = placing.map_err(|_| NotPlaced::TooMany {
            why: format!("{most} calls of this account are being placed already"),
            retry_after: config.sbc.guard.retry_after,
        })?;
        let to = dial.targets.first().map(|target| target.kind.name().to_owned());
        let to = to.unwrap_or_default();
        let call_sid = CallSid::from_random(rand::random());
        let facts = CallFacts {
            direction: Direction::Placed,
            tenant: tenant.id.to_string(),
            carrier: None,
            from: from.clone(),
            to: to.clone(),
            emergency,
            elin: None,
            began_unix_ms: unix_ms(),
            trace: trace.bounded(MOST_STEPS),
        };
        let (listed, events) = self.enter_call(&facts, now);
        let live = listed.live().clone();
        let birth = PlacedBirth {
            id: live.id,
            seed: rand::random(),
            now,
            facts,
            caller: CallerFacts {
                number: E164::parse(&from).ok(),
                from,
                private: false,
                caller_name,
                to,
                source_ip: String::new(),
                trunk_name: None,
                sip_address,
                trace_id: trace_id(),
            },
            terms: Arc::new(terms),
            placing: Placing {
                sid: call_sid,
                plan,
                tag,
                time_limit,
                refer_hook,
            },
            desk,
            settings: self.call_settings(config),
        };
        self.observer.happened(&Happening::CallBegan {
            call: live.id,
            facts: &live.facts,
        });
        let (sent, call_id) = oneshot::channel();
        let setting = task::Setting {
            node: self.clone(),
            listed,
            place,
            events,
            planner: Some(planner),
            ordered: Some(Ordered {
                sent: Some(sent),
                _placing: placing,
            }),
            dowry: task::Dowry::default(),
        };
        task::place(setting, birth);
        Ok(PlacedCall { call_sid, call_id })
    }
}

/// Whose calls ring that an application placed.
pub fn placing_by(tenant: &Tenant) -> String {
    format!("calls being placed by tenant {}", tenant.id)
}

/// Clients of jambonz write numbers without the plus: taken as E.164 where the tenant owns that number.
fn owned_form(config: &Config, tenant: &Tenant, from: String) -> String {
    let plus = format!("+{from}");
    let owner = E164::parse(&plus).ok().and_then(|number| config.number(number));
    match owner {
        Some((owner, _)) if owner.id == tenant.id => plus,
        _ => from,
    }
}

/// The dial that a new call is.
fn dial_of(order: NewCall) -> Dial {
    let mut target = order.to;
    let caller_id = E164::parse(&order.from).ok();
    if caller_id.is_none() || order.from_host.is_some() {
        target.from.get_or_insert(TargetFrom {
            user: Some(order.from),
            host: order.from_host,
        });
    }
    Dial {
        id: None,
        targets: vec![target],
        action_hook: None,
        answer_on_bridge: true,
        caller_id: caller_id.map(CallerId::Number),
        caller_name: order.caller_name,
        confirm_hook: None,
        confirm_timeout: USUAL_SCREENING,
        dial_music: None,
        dtmf_capture: DtmfCapture::default(),
        dtmf_hook: None,
        headers: order.headers,
        time_limit: None,
        timeout: order.timeout,
        refer_hook: None,
        on_hold_hook: None,
        boost: None,
        proxy: None,
        tag: None,
        forward_pai: false,
        sdes: false,
    }
}
