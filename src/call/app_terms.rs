//! What a call takes from the configuration of its application.

use super::application::{AppTerms, CallerFacts};
use super::sender::Sender;
use crate::app::verb::{Hook, HookMethod};
use crate::config::{self, Account, Application, Config};
use crate::dial::Secret;
use crate::route::Facts;
use crate::sip::Flow;
use crate::sip::message::Message;

impl AppTerms {
    /// The terms of an application of this account; they stay what they are over reloads.
    pub fn of(
        application: &Application,
        account: &Account,
        sip_address: String,
        api_base_url: Option<String>,
    ) -> AppTerms {
        AppTerms {
            name: application.name.as_str().into(),
            account_sid: account.sid.as_str().into(),
            application_sid: application.sid.as_str().into(),
            hook: hook(&application.hook),
            status_hook: application.status_hook.as_ref().map(hook),
            secret: application
                .secret
                .as_ref()
                .map(|secret| Secret(secret.reveal().to_owned())),
            fallback: application.fallback.as_ref().map(|fallback| hook(&fallback.hook)),
            connected: application.is_connected(),
            language: Some(application.speech.language.clone()),
            voice: application.speech.voice.clone(),
            api_base_url,
            sip_address,
        }
    }
}

fn hook(typed: &config::Hook) -> Hook {
    Hook {
        url: typed.url.as_str().to_owned(),
        method: match typed.method {
            config::HookMethod::Get => HookMethod::Get,
            config::HookMethod::Post => HookMethod::Post,
        },
        credentials: typed
            .login
            .as_ref()
            .map(|login| (login.username.clone(), Secret(login.password.reveal().to_owned()))),
    }
}

impl CallerFacts {
    /// The caller of an INVITE, as it was read.
    pub(super) fn of(facts: &Facts, sender: &Sender, invite: &Message, flow: &Flow) -> CallerFacts {
        let shown = invite.from().ok().and_then(|from| from.display().map(str::to_owned));
        CallerFacts {
            from: facts.caller.number.clone(),
            caller_name: shown.filter(|name| !name.is_empty()),
            to: facts.dialled.clone(),
            source_ip: flow.remote.ip().to_canonical().to_string(),
            trunk_name: match sender {
                Sender::Carrier(carrier) => Some(carrier.id.to_string()),
                Sender::Teams => Some("Microsoft Teams".into()),
                _ => None,
            },
            trace_id: trace_id(),
        }
    }
}

/// A trace of its own for each call: 32 hexadecimal digits.
pub(super) fn trace_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Our signalling address on the side that a flow came from.
pub(super) fn sip_address(config: &Config, flow: &Flow) -> String {
    match config.sbc.listener(flow.listener) {
        Some(listener) => format!("{}:{}", listener.advertise, listener.advertise_port),
        None => flow.local.to_string(),
    }
}
