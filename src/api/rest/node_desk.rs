//! The calls of a running node, for REST.

use super::desk::{Account, CallCount, CallDesk, Doing, Placed, Refusal, Resource, Updated};
use super::pace::Pace;
use crate::app::command::{NewCall, Steering, read_new_call, read_update};
use crate::app::outbound::HookUrl;
use crate::app::payload::Status;
use crate::app::sid::CallSid;
use crate::app::verb::Hook;
use crate::call::{Answered, AppTerms, Command, Event, LineStatus, LiveCall, Node, NotPlaced, Undelivered, Wish};
use crate::config::{Application, Destination, NumberEntry, Tenant, TokenDigest};
use serde_json::{Map, Value, json};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The desk of a node.
pub struct NodeDesk {
    node: Arc<Node>,
    pace: Pace,
}

impl NodeDesk {
    /// A desk over the node's calls and its configuration in force.
    pub fn new(node: Arc<Node>) -> NodeDesk {
        NodeDesk {
            node,
            pace: Pace::default(),
        }
    }

    fn tenant(&self, account: &Account) -> Option<Arc<Tenant>> {
        self.node.config.load().tenant(&account.tenant).cloned()
    }

    fn deliver(&self, call: &LiveCall, event: Event) -> Result<(), Refusal> {
        let delivered = self.node.calls.deliver(call.id, event);
        delivered.map_err(|undelivered| match undelivered {
            Undelivered::Unknown => Refusal::State("the call is over".to_owned()),
            Undelivered::Full => Refusal::TooMany {
                why: "the call is busy: ask again".to_owned(),
                retry_after: Duration::from_secs(1),
            },
        })
    }

    /// Refuses a hook at an address that would never be asked. A path lies at the application's own server, and a name is
    /// judged by what it leads to when it is asked.
    fn askable<'h>(&self, hooks: impl IntoIterator<Item = (&'static str, &'h Hook)>) -> Result<(), Refusal> {
        let ways = self.node.ways.load();
        for (name, hook) in hooks {
            let Ok(url) = HookUrl::parse(&hook.url, None) else {
                continue;
            };
            let permitted = ways.connector.permits(&url);
            permitted.map_err(|why| Refusal::Wrong(format!("{name}: {} is never asked: it is {why}", url.host())))?;
        }
        Ok(())
    }

    /// The account's live call that has this leg.
    fn live(&self, account: &Account, sid: CallSid) -> Option<LiveCall> {
        let call = self.node.calls.find_sid(sid)?;
        (call.facts.tenant == account.tenant.to_string()).then_some(call)
    }

    /// The account's call of this leg, once it is over.
    fn ended(&self, account: &Account, sid: CallSid) -> Option<LiveCall> {
        let call = self.node.calls.ended_call(sid)?;
        (call.facts.tenant == account.tenant.to_string()).then_some(call)
    }
}

impl CallDesk for NodeDesk {
    fn account(&self, token: &TokenDigest) -> Option<Account> {
        let config = self.node.config.load();
        let tenant = config.tenant_by_token(token)?;
        Some(Account {
            sid: tenant.account.sid.as_str().to_owned(),
            tenant: tenant.id.clone(),
            token: tenant.tokens.iter().find(|known| known.digest == *token)?.name.clone(),
        })
    }

    fn admit(&self, token: &TokenDigest) -> Result<(), Duration> {
        let config = self.node.config.load();
        match &config.sbc.api {
            Some(api) => self.pace.step(*token, api.requests_per_second, self.node.clock.now()),
            // Nobody is asked without the table, which stays as it is until the next start.
            None => Ok(()),
        }
    }

    fn place<'d>(&'d self, account: &'d Account, body: Value) -> Doing<'d, Placed> {
        Box::pin(async move {
            let wanted = read_new_call(body).map_err(|error| Refusal::Wrong(error.to_string()))?;
            let config = self.node.config.load_full();
            let gone = || Refusal::Unavailable("the account is not configured any more".to_owned());
            let tenant = config.tenant(&account.tenant).ok_or_else(gone)?;
            let terms = AppTerms::placed(&config, tenant, &wanted, None).map_err(Refusal::Wrong)?;
            self.askable(hooks_of_order(&wanted))?;
            let placed = self.node.place(&config, tenant, terms, wanted).map_err(refusal)?;
            let not_sent = |_| "the call ended before its INVITE was sent".to_owned();
            let call_id = placed.call_id.await.map_err(not_sent).flatten();
            let call_id = call_id.map_err(Refusal::Unavailable)?;
            Ok(Placed {
                sid: placed.call_sid.to_string(),
                call_id,
            })
        })
    }

    fn calls(&self, account: &Account) -> Vec<Map<String, Value>> {
        let tenant = account.tenant.to_string();
        let live = self.node.calls.list().into_iter().rev();
        live.filter(|call| call.facts.tenant == tenant)
            .chain(self.node.calls.ended(&tenant))
            .flat_map(|call| call.lines(|line| Some(line.properties.clone())))
            .collect()
    }

    fn call(&self, account: &Account, sid: &str) -> Option<Map<String, Value>> {
        let sid = CallSid::parse(sid)?;
        let call = self.live(account, sid).or_else(|| self.ended(account, sid))?;
        let shown = call.lines(|line| (line.call_sid == sid).then(|| line.properties.clone()));
        shown.into_iter().next()
    }

    fn update<'d>(&'d self, account: &'d Account, sid: &'d str, body: Value) -> Doing<'d, Updated> {
        Box::pin(async move {
            let sid = CallSid::parse(sid).ok_or(Refusal::NoSuchCall)?;
            let Some(call) = self.live(account, sid) else {
                let ended = self.ended(account, sid);
                return Err(ended.map_or(Refusal::NoSuchCall, |_| Refusal::State("the call is over".to_owned())));
            };
            let wishes = read_update(body).map_err(|error| Refusal::Wrong(error.to_string()))?;
            if let Some(why) = wishes.iter().find_map(|wish| out_of_place(&call, sid, wish)) {
                return Err(Refusal::State(why.to_owned()));
            }
            if let Some(why) = misplaced_status_hook(&call, sid, &wishes) {
                return Err(Refusal::Wrong(format!("call_status_hook: {why}")));
            }
            self.askable(wishes.iter().flat_map(hooks_of_wish))?;
            let has_answer = wishes.iter().any(|wish| matches!(wish, Wish::Request(_)));
            // Whether they can be sent, the call alone knows.
            let sends_keys = wishes.iter().any(|wish| matches!(wish, Wish::Digits { .. }));
            let command = Box::new(Command {
                leg: Some(sid),
                wish: Wish::All(wishes),
                reply: None,
            });
            if !has_answer && !sends_keys {
                self.deliver(&call, Event::Command(command))?;
                return Ok(Updated::Taken);
            }
            let (answer, outcome) = oneshot::channel();
            self.deliver(&call, Event::Wanted { command, answer })?;
            // The transaction ends by itself, and with the call goes whoever would tell.
            let outcome = outcome.await;
            let outcome = outcome.map_err(|_| Refusal::State("the call ended before the answer".to_owned()))?;
            let Answered { status, reason } = outcome.map_err(Refusal::State)?;
            Ok(match has_answer {
                true => Updated::Answered { status, reason },
                false => Updated::Taken,
            })
        })
    }

    fn forget(&self, account: &Account, sid: &str) -> Result<(), Refusal> {
        let parsed = CallSid::parse(sid).ok_or(Refusal::NoSuchCall)?;
        if self.live(account, parsed).is_some() {
            return Err(Refusal::State(
                "the call is live: end it by call_status, then its record can be forgotten".to_owned(),
            ));
        }
        match self.ended(account, parsed) {
            Some(_) => {
                self.node.calls.forget(parsed);
                Ok(())
            }
            None => Err(Refusal::NoSuchCall),
        }
    }

    fn changed(&self, account: &Account, call_sid: &str, what: &str) {
        let (tenant, token) = (&account.tenant, account.token.as_str());
        let sid = CallSid::parse(call_sid);
        let known = sid.and_then(|sid| self.live(account, sid).or_else(|| self.ended(account, sid)));
        let call = known.map(|call| call.id);
        let call = call.as_ref().map(tracing::field::display);
        tracing::info!(%tenant, token, call, call_sid, what, "a call was changed over REST");
    }

    fn count(&self, account: &Account) -> CallCount {
        let tenant = account.tenant.to_string();
        let mut count = CallCount {
            inbound: 0,
            outbound: 0,
        };
        let live = self.node.calls.list();
        let directions = live
            .iter()
            .filter(|call| call.facts.tenant == tenant)
            .flat_map(|call| call.lines(|line| (!line.status.is_final()).then(|| is_outbound(line))));
        for outbound in directions {
            match outbound {
                true => count.outbound += 1,
                false => count.inbound += 1,
            }
        }
        count
    }

    fn resources(&self, account: &Account, resource: Resource) -> Vec<Map<String, Value>> {
        let Some(tenant) = self.tenant(account) else {
            return Vec::new();
        };
        let shown: Vec<Value> = match resource {
            Resource::Applications => tenant
                .account
                .applications
                .iter()
                .map(|application| shown_application(&tenant, application))
                .collect(),
            Resource::PhoneNumbers => tenant
                .numbers
                .iter()
                .map(|entry| shown_number(&tenant, entry))
                .collect(),
        };
        shown
            .into_iter()
            .filter_map(|value| match value {
                Value::Object(object) => Some(object),
                _ => None,
            })
            .collect()
    }
}

fn hooks_of_order(order: &NewCall) -> impl Iterator<Item = (&'static str, &Hook)> {
    let own = match &order.steering {
        Steering::Hook(hook) => Some(hook),
        Steering::Application(_) => None,
    };
    let others = [
        ("call_status_hook", &order.status_hook),
        ("referHook", &order.refer_hook),
    ];
    let others = others
        .into_iter()
        .filter_map(|(name, hook)| Some((name, hook.as_ref()?)));
    own.map(|hook| ("call_hook", hook)).into_iter().chain(others)
}

fn hooks_of_wish(wish: &Wish) -> Vec<(&'static str, &Hook)> {
    match wish {
        Wish::Redirect(hook) => vec![("call_hook", hook)],
        Wish::StatusHook(hook) => vec![("call_status_hook", hook)],
        Wish::Part { parent, child } => {
            let both = [("call_hook", parent.as_ref()), ("child_call_hook", Some(child))];
            both.into_iter()
                .filter_map(|(name, onward)| Some((name, onward?.hook()?)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Why a wish can't be fulfilled as the call stands.
fn out_of_place(call: &LiveCall, sid: CallSid, wish: &Wish) -> Option<&'static str> {
    let known = call.lines(|line| (line.call_sid == sid).then_some(line.status));
    let status = call.status.lock().unwrap_or_else(PoisonError::into_inner);
    let own = status.lines.first().is_some_and(|line| line.call_sid == sid);
    let answered = known.contains(&Status::InProgress);
    if known.iter().all(|status| status.is_final()) {
        return Some("this leg is over");
    }
    match wish {
        Wish::Part { .. } if status.bridged.is_none() => Some("child_call_hook: the caller talks to no callee"),
        Wish::Redirect(_) if !own && !answered => Some("call_hook: this leg has not answered, or is gone"),
        Wish::Redirect(_) if !own && status.bridged != Some(sid) => {
            Some("call_hook: the caller does not talk to this leg: it is screened, or gone")
        }
        Wish::Boost(_) if status.bridged.is_none() => Some("boostAudioSignal: this leg talks to nobody"),
        _ => None,
    }
}

/// As the call refuses it, where it has moved meanwhile.
fn misplaced_status_hook(call: &LiveCall, sid: CallSid, wishes: &[Wish]) -> Option<&'static str> {
    let status = call.status.lock().unwrap_or_else(PoisonError::into_inner);
    let of_caller = status.lines.first().is_some_and(|line| line.call_sid == sid);
    status.terms.as_ref()?.misplaced_status_hook(wishes, of_caller)
}

fn is_outbound(line: &LineStatus) -> bool {
    line.properties.get("direction").and_then(Value::as_str) == Some("outbound")
}

fn refusal(refused: NotPlaced) -> Refusal {
    match refused {
        NotPlaced::Wrong(why) => Refusal::Wrong(why),
        NotPlaced::Unavailable(why) => Refusal::Unavailable(why),
        NotPlaced::TooMany { why, retry_after } => Refusal::TooMany { why, retry_after },
    }
}

/// Passwords and secrets stay in the configuration.
fn shown_application(tenant: &Tenant, application: &Application) -> Value {
    let hook = |hook: &crate::config::Hook| json!({ "url": hook.url.as_str(), "method": hook.method.word() });
    json!({
        "application_sid": application.sid.as_str(),
        "account_sid": tenant.account.sid.as_str(),
        "name": application.name.as_str(),
        "call_hook": hook(&application.hook),
        "call_status_hook": application.status_hook.as_ref().map(hook),
        "speech_synthesis_vendor": application.speech.vendor.as_ref().map_or("default".to_owned(), ToString::to_string),
        "speech_synthesis_language": application.speech.language,
        "speech_synthesis_voice": application.speech.voice,
    })
}

/// An entry is one number or a range.
fn shown_number(tenant: &Tenant, entry: &NumberEntry) -> Value {
    let application = match &entry.to {
        Destination::Application(name) => tenant.account.application(name).map(|known| known.sid.as_str()),
        _ => None,
    };
    json!({
        "number": entry.span.to_string(),
        "account_sid": tenant.account.sid.as_str(),
        "application_sid": application,
    })
}
