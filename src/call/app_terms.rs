//! What a call takes from the configuration of its application.

use super::application::{AppTerms, CallerFacts};
use super::sender::Sender;
use crate::app::command::{NewCall, Onward, Steering, Wish};
use crate::app::outbound::{HookUrl, UrlFault};
use crate::app::verb::{Hook, HookMethod, Voice, Voicing};
use crate::config::{self, Account, Application, Config, E164, Tenant};
use crate::dial::Secret;
use crate::route::{Facts, Origin};
use crate::sip::{Flow, ListenerId};
use std::sync::Arc;

/// Why there is no other.
const ITS_SOCKET: &str = "events of an application on the WebSocket API go over its socket: say a URL of http or https, or leave \
                          it out";

impl AppTerms {
    /// The terms of an application of this account; they stay what they are over reloads.
    pub fn of(application: &Application, account: &Account, api_base_url: Option<String>) -> AppTerms {
        AppTerms {
            name: application.name.as_str().into(),
            account_sid: account.sid.as_str().into(),
            application_sid: Some(application.sid.as_str().into()),
            hook: hook(&application.hook),
            status_hook: application.status_hook.as_ref().map(hook),
            secret: application
                .secret
                .as_ref()
                .map(|secret| Secret(secret.reveal().to_owned())),
            fallback: application.fallback.as_ref().map(|fallback| hook(&fallback.hook)),
            connected: application.is_connected(),
            speech: Voicing {
                vendor: application.speech.vendor.as_ref().map(ToString::to_string),
                language: Some(application.speech.language.clone()),
                voice: application.speech.voice.clone().map(Voice::Name),
            },
            env_vars: application
                .env_vars
                .iter()
                .map(|(name, value)| (name.clone(), Secret(value.reveal().to_owned())))
                .collect(),
            api_base_url,
        }
    }
}

impl AppTerms {
    /// The terms of a call that is placed: an application of the account or a hook of its own, and what the order says
    /// otherwise. A path lies at the server of the application that ordered, `by`. Over REST there is none: `call_hook` has to be
    /// a whole URL then, and the path of the status hook lies at the server of the call's own application. The error is for
    /// whoever ordered it.
    pub fn placed(
        config: &Config,
        tenant: &Tenant,
        order: &NewCall,
        by: Option<&AppTerms>,
    ) -> Result<AppTerms, String> {
        let base = config.sbc.api.as_ref().and_then(|api| api.base_url.clone());
        let account = &tenant.account;
        let mut terms = match &order.steering {
            Steering::Application(sid) => {
                let known = |application: &&Arc<Application>| application.sid.as_str().eq_ignore_ascii_case(sid);
                let application = account.applications.iter().find(known);
                let application = application.ok_or("application_sid: the account has no such application")?;
                AppTerms::of(application, account, base)
            }
            Steering::Hook(hook) => {
                AppTerms::hooked(hook_of("call_hook", hook, by.map(|by| &by.hook))?, account, base)?
            }
        };
        if let Some(hook) = &order.status_hook {
            let hook = hook_of("call_status_hook", hook, Some(by.map_or(&terms.hook, |by| &by.hook)))?;
            if is_of_another_socket(&hook, &terms.hook) {
                return Err(format!("call_status_hook: {ITS_SOCKET}"));
            }
            terms.status_hook = Some(hook);
        }
        if let Some(synthesizer) = &order.synthesizer {
            terms.speech = synthesizer.voicing.over(&terms.speech);
        }
        Ok(terms)
    }

    /// Why events can't go to the status hook that an update of a leg names: a WebSocket beside that of an application on the
    /// WebSocket API, as the update leaves the call and, where that gets one of its own, the callee.
    pub fn misplaced_status_hook(&self, wishes: &[Wish], of_caller: bool) -> Option<&'static str> {
        let (mut told, mut at) = (None, vec![&self.hook]);
        for wish in wishes {
            match wish {
                Wish::StatusHook(hook) => told = Some(hook),
                Wish::Redirect(hook) if of_caller => at = vec![self.led_by(Some(hook))],
                Wish::Redirect(hook) => at.push(AppTerms::server_of_callee(Some(hook)).unwrap_or(&self.hook)),
                Wish::Part { parent, child } => {
                    let callee = AppTerms::server_of_callee(child.hook()).unwrap_or(&self.hook);
                    at = vec![self.led_by(parent.as_ref().and_then(Onward::hook)), callee];
                }
                _ => {}
            }
        }
        at.into_iter()
            .any(|own| told.is_some_and(|told| is_of_another_socket(told, own)))
            .then_some(ITS_SOCKET)
    }

    /// The application's own hook where this one is asked for other verbs, and answers.
    fn led_by<'h>(&'h self, hook: Option<&'h Hook>) -> &'h Hook {
        hook.filter(|hook| !hook.url.starts_with('/')).unwrap_or(&self.hook)
    }

    /// The hook of a callee that becomes a call of its own: where an http server has answered for it, and else this
    /// application's.
    pub(super) fn server_of_callee(hook: Option<&Hook>) -> Option<&Hook> {
        hook.filter(|hook| !hook.url.starts_with('/') && !hook.is_websocket())
    }

    fn hooked(hook: Hook, account: &Account, base: Option<String>) -> Result<AppTerms, String> {
        let url = HookUrl::parse(&hook.url, None).map_err(|fault| format!("call_hook: {fault}"))?;
        let secret = account.secret.as_ref();
        Ok(AppTerms {
            name: "".into(),
            account_sid: account.sid.as_str().into(),
            application_sid: None,
            hook,
            status_hook: None,
            secret: secret.map(|secret| Secret(secret.reveal().to_owned())),
            fallback: None,
            connected: url.is_websocket(),
            speech: Voicing::default(),
            env_vars: Vec::new(),
            api_base_url: base,
        })
    }
}

/// A hook that is ordered by its path: at the server of `at`, with the credentials for that.
fn hook_of(name: &str, hook: &Hook, at: Option<&Hook>) -> Result<Hook, String> {
    let Some(at) = at.filter(|_| hook.url.starts_with('/')) else {
        return Ok(hook.clone());
    };
    let fault = |fault: UrlFault| format!("{name}: {fault}");
    let base = HookUrl::parse(&at.url, None).map_err(fault)?;
    Ok(Hook {
        url: base.absolute(&hook.url).map_err(fault)?,
        method: hook.method,
        credentials: hook.credentials.clone().or_else(|| at.credentials.clone()),
    })
}

fn is_of_another_socket(hook: &Hook, own: &Hook) -> bool {
    let urls = (HookUrl::parse(&hook.url, None), HookUrl::parse(&own.url, None));
    matches!(urls, (Ok(url), Ok(own)) if url.is_websocket() && own.is_websocket() && !url.same_origin(&own))
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
    pub(super) fn of(config: &Config, facts: &Facts, sender: &Sender, flow: &Flow) -> CallerFacts {
        CallerFacts {
            from: told_from(facts),
            number: E164::parse(&facts.understood_by(config).caller.number).ok(),
            private: facts.caller.private,
            caller_name: facts.caller.display.clone(),
            to: facts.dialled.clone(),
            source_ip: flow.remote.ip().to_canonical().to_string(),
            trunk_name: match sender {
                Sender::Carrier(carrier) => Some(carrier.id.to_string()),
                Sender::Teams => Some("Microsoft Teams".into()),
                _ => None,
            },
            sip_address: sip_address(config, flow.listener).unwrap_or_else(|| flow.local.to_string()),
            trace_id: trace_id(),
        }
    }
}

/// `from`: the caller's number as it was read, the name of a user that has none, `anonymous` of who hides without either.
pub(super) fn told_from(facts: &Facts) -> String {
    match &facts.origin {
        _ if !facts.caller.number.is_empty() => facts.caller.number.clone(),
        Origin::User { name, .. } => name.to_string(),
        _ if facts.caller.private => "anonymous".to_owned(),
        _ => String::new(),
    }
}

/// A trace of its own for each call: 32 hexadecimal digits.
pub(super) fn trace_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Our signalling address at a listener.
pub(super) fn sip_address(config: &Config, listener: ListenerId) -> Option<String> {
    let listener = config.sbc.listener(listener)?;
    Some(format!("{}:{}", listener.advertise, listener.advertise_port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::command::read_new_call;
    use crate::config::fixture::machine;
    use crate::config::{CallerHeader, CarrierId};
    use crate::sip::message::Message;
    use serde_json::json;

    #[test]
    fn who_hides_is_anonymous_to_the_application() {
        let carrier = || Origin::Carrier(CarrierId::parse("north").expect("an id"));
        let told = |origin, from: &str| {
            let text = format!(
                "INVITE sip:+14255550100@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: {from};tag=1\r\n\
                 To: <sip:+14255550100@192.0.2.10>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            let invite = Message::parse(text.into_bytes().into()).expect("an INVITE");
            told_from(&Facts::read(origin, &invite, CallerHeader::From))
        };
        assert_eq!(told(carrier(), "<sip:anonymous@anonymous.invalid>"), "anonymous");
        assert_eq!(told(carrier(), "<sip:1001@north.example>"), "1001");
        assert_eq!(told(carrier(), "<sip:north.example>"), "");
    }

    #[test]
    fn our_address_is_told_as_host_and_port_whatever_the_listener() {
        let tables = "[[listeners]]\nname = \"six\"\npurpose = \"carrier\"\ntransport = \"udp\"\nbind = \"[2001:db8::10]:5070\"\n";
        let config = Config::from_toml_strs(&machine(tables), &[]).expect("a configuration");
        let told = config
            .sbc
            .listeners
            .iter()
            .map(|listener| sip_address(&config, listener.id));
        let told: Vec<String> = told.map(|address| address.expect("a listener")).collect();
        assert_eq!(
            told,
            ["sbc1.example.net:5061", "192.0.2.10:5060", "[2001:db8::10]:5070"]
        );
    }

    #[test]
    fn a_path_that_an_application_orders_is_at_its_own_server() {
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                      [application.one]\nhook = { url = \"https://one.example/in\", username = \"a\", password = \"b\" }\n\
                      [application.two]\nhook = \"https://two.example/in\"\n";
        let sbc = machine("[[carriers]]\nid = \"north\"\nnetworks = [\"192.0.2.1\"]\n");
        let config = Config::from_toml_strs(&sbc, &[("contoso", tenant)]).expect("a configuration");
        let tenant = &config.tenants[0];
        let [one, two] = &tenant.account.applications[..] else {
            panic!("two applications")
        };
        let by = AppTerms::of(one, &tenant.account, None);
        let order = |steering: (&str, &str)| {
            let (name, value) = steering;
            let order = json!({ "from": "1", "to": { "type": "phone", "number": "2" }, name: value,
                "call_status_hook": "/told" });
            read_new_call(order).expect("an order")
        };
        let placed = |steering| AppTerms::placed(&config, tenant, &order(steering), Some(&by)).expect("terms");
        for steering in [
            ("call_hook", "https://two.example/x"),
            ("application_sid", two.sid.as_str()),
        ] {
            let told = placed(steering).status_hook.expect("a status hook");
            assert_eq!(
                (told.url.as_str(), told.credentials.is_some()),
                ("https://one.example/told", true)
            );
        }
        let there = placed(("call_hook", "/placed"));
        assert_eq!(there.hook.url, "https://one.example/placed");
    }

    #[test]
    fn an_update_tells_events_to_no_other_socket_than_that_which_it_leads_to() {
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                      [application.socket]\nhook = \"wss://one.example/in\"\n\
                      [application.webhooks]\nhook = \"https://one.example/in\"\n";
        let sbc = machine("[[carriers]]\nid = \"north\"\nnetworks = [\"192.0.2.1\"]\n");
        let config = Config::from_toml_strs(&sbc, &[("contoso", tenant)]).expect("a configuration");
        let account = &config.tenants[0].account;
        let [socket, webhooks] = &account.applications[..] else {
            panic!("two applications")
        };
        let [socket, webhooks] = [socket, webhooks].map(|application| AppTerms::of(application, account, None));
        let refused = |terms: &AppTerms, update: serde_json::Value, of_caller| {
            let wishes = crate::app::command::read_update(update.clone()).expect("an update");
            (update, terms.misplaced_status_hook(&wishes, of_caller).is_some())
        };
        for (hook, told, of_socket, of_webhooks) in [
            ("/next", "wss://two.example/told", true, false),
            ("wss://one.example/next", "wss://two.example/told", true, true),
            ("wss://two.example/next", "wss://two.example/told", false, false),
            ("wss://two.example/next", "wss://one.example/told", true, true),
            ("https://two.example/next", "wss://three.example/told", false, false),
            ("/next", "wss://one.example/told", false, false),
            ("/next", "https://two.example/told", false, false),
            ("wss://two.example/next", "/told", false, false),
        ] {
            let update = json!({ "call_hook": hook, "call_status_hook": told });
            assert_eq!(refused(&socket, update.clone(), true), (update.clone(), of_socket));
            assert_eq!(refused(&webhooks, update.clone(), true), (update, of_webhooks));
        }
        // The caller stays, and its callee is asked for: a call of its own has the socket of this application, or webhooks.
        let told = "wss://two.example/told";
        for update in [
            json!({ "child_call_hook": "wss://two.example/next", "call_status_hook": told }),
            json!({ "child_call_hook": "https://two.example/next", "call_status_hook": told }),
            json!({ "call_hook": "https://two.example/x", "child_call_hook": "/y", "call_status_hook": told }),
        ] {
            assert_eq!(refused(&socket, update.clone(), true), (update.clone(), true));
            assert_eq!(refused(&webhooks, update.clone(), true), (update, false));
        }
        let of_callee = json!({ "call_hook": "https://two.example/next", "call_status_hook": told });
        assert!(refused(&socket, of_callee, false).1, "the caller's events go there too");
        let both = json!({ "call_hook": "https://a.example/", "child_call_hook": "https://b.example/", "call_status_hook": told });
        assert!(!refused(&socket, both, true).1);
    }

    #[test]
    fn a_path_that_is_ordered_over_rest_is_at_the_server_of_the_calls_own_application() {
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                      [application.one]\nhook = { url = \"https://one.example/in\", username = \"a\", password = \"b\" }\n\
                      [application.socket]\nhook = \"wss://one.example/in\"\n";
        let sbc = machine("[[carriers]]\nid = \"north\"\nnetworks = [\"192.0.2.1\"]\n");
        let config = Config::from_toml_strs(&sbc, &[("contoso", tenant)]).expect("a configuration");
        let tenant = &config.tenants[0];
        let [one, socket] = &tenant.account.applications[..] else {
            panic!("two applications")
        };
        let placed = |name: &str, value: &str, told: &str| {
            let order =
                json!({ "from": "1", "to": { "type": "phone", "number": "2" }, name: value, "call_status_hook": told });
            let terms = AppTerms::placed(&config, tenant, &read_new_call(order).expect("an order"), None);
            terms.map(|terms| terms.status_hook.map(|hook| (hook.url, hook.credentials.is_some())))
        };
        let told = |url: &str, credentials| Ok(Some((url.to_owned(), credentials)));
        let (one, socket) = (one.sid.as_str(), socket.sid.as_str());
        assert_eq!(
            placed("application_sid", one, "/told"),
            told("https://one.example/told", true)
        );
        assert_eq!(
            placed("call_hook", "https://two.example/x", "/told"),
            told("https://two.example/told", false)
        );
        assert_eq!(
            placed("application_sid", socket, "/told"),
            told("wss://one.example/told", false)
        );
        assert_eq!(
            placed("application_sid", socket, "https://two.example/told"),
            told("https://two.example/told", false)
        );
        let why = placed("application_sid", socket, "wss://two.example/told").expect_err("another socket");
        assert!(
            why.starts_with("call_status_hook: events of an application on the WebSocket API"),
            "{why}"
        );
        let why = placed("call_hook", "/placed", "/told").expect_err("a path of nobody");
        assert_eq!(
            why,
            "call_hook: \"/placed\" is a path, and there is no application's URL that it could belong to"
        );
    }
}
