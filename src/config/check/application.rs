//! `[application.<name>]` and `account_sid` of a tenant; `[application_servers]` of the machine.

use super::machine::flag;
use super::reader::Reader;
use super::secret;
use super::speech;
use crate::config::checked::{Account, Application, ApplicationServers, Fallback, Hook, HookLogin, HookMethod};
use crate::config::hook_url::{HookProtocol, HookUrl};
use crate::config::names::{ApplicationName, Invalid, Secret, Sid};
use crate::config::network::Network;
use crate::config::raw::{At, RawApplication, RawApplicationServers, RawHook, RawHookMethod, RawHookTable, RawTenant};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The account of the tenant `stem`: beside mistakes, what of it is right.
pub fn account(stem: &str, raw: &RawTenant, reader: &mut Reader<'_>) -> Account {
    let typed = reader.parse_optional(raw.account_sid.as_ref(), "account_sid", Sid::parse);
    let sid = typed
        .flatten()
        .unwrap_or_else(|| Sid::derived(&format!("account/{stem}")));
    let shared = secret::check(
        &secret::Forms {
            what: "webhook_secret",
            place: raw.webhook_secret_place(),
            text: raw.webhook_secret.as_ref(),
            variable: raw.webhook_secret_env.as_ref(),
            file: raw.webhook_secret_file.as_ref(),
        },
        reader,
    );
    let checked: Vec<Option<Application>> = raw
        .application
        .iter()
        .map(|(name, application)| check(stem, name, application, raw, shared.clone().flatten(), reader))
        .collect();
    distinct_sids(stem, raw, reader);
    let speech_services = speech::services(raw, reader);
    Account {
        sid,
        secret: shared.flatten(),
        applications: checked.into_iter().flatten().map(Arc::new).collect(),
        speech_services: speech_services.unwrap_or_default(),
    }
}

fn check(
    stem: &str,
    name: &str,
    raw: &At<RawApplication>,
    tenant: &RawTenant,
    shared: Option<Secret>,
    reader: &mut Reader<'_>,
) -> Option<Application> {
    let (place, raw) = (raw.span(), raw.value());
    let parsed = ApplicationName::parse(name).map_err(|Invalid(expected)| {
        reader.fault_expecting(
            place.clone(),
            format!("{name:?} is no name for an application"),
            expected,
        );
    });
    let sid = match &raw.sid {
        Some(text) => reader.parse(text, "sid", Sid::parse),
        None => Some(derived(stem, name)),
    };
    let hook = hook(&raw.hook, Base::None, reader);
    let base = hook.as_ref().map_or(Base::Wrong, |hook| Base::At(&hook.url));
    let status_hook = match &raw.call_status_hook {
        Some(raw) => status_hook(raw, base, reader).map(Some),
        None => Some(None),
    };
    let fallback = match &raw.fallback {
        Some(raw) => fallback(name, raw, (tenant, base), reader).map(Some),
        None => Some(None),
    };
    let secret = secret::check(
        &secret::Forms {
            what: "webhook_secret",
            place,
            text: raw.webhook_secret.as_ref(),
            variable: raw.webhook_secret_env.as_ref(),
            file: raw.webhook_secret_file.as_ref(),
        },
        reader,
    );
    let speech = speech::usual(raw.speech.as_ref(), tenant, reader);
    let env_vars = env_vars(raw, reader);
    Some(Application {
        name: parsed.ok()?,
        sid: sid?,
        hook: hook?,
        status_hook: status_hook?,
        fallback: fallback?,
        secret: secret?.or(shared),
        speech: speech?,
        env_vars: env_vars?,
    })
}

/// The sid of an application that has none of its own.
fn derived(stem: &str, name: &str) -> Sid {
    Sid::derived(&format!("application/{stem}/{name}"))
}

/// Variables are sent with the first question of every call.
const MOST_VARIABLES: usize = 64;
/// Their names and values together.
const VARIABLE_BYTES: usize = 16 * 1024;

fn env_vars(raw: &RawApplication, reader: &mut Reader<'_>) -> Option<Vec<(String, Secret)>> {
    let (mut whole, mut bytes) = (true, 0);
    for (position, (name, value)) in raw.env_vars.iter().enumerate() {
        bytes += name.len() + value.value().0.len();
        if name.is_empty() || value.value().0.is_empty() {
            reader.fault(value.span(), "a variable needs a name and a value");
            whole = false;
        }
        let beyond = match () {
            () if position >= MOST_VARIABLES => "these are too many variables: 64 at most",
            () if bytes > VARIABLE_BYTES => "these are too long variables: 16 KiB at most, all names and values",
            () => continue,
        };
        reader.fault(value.span(), beyond);
        whole = false;
        break;
    }
    let variables = raw.env_vars.iter();
    whole.then(|| {
        variables
            .map(|(name, value)| (name.clone(), Secret::new(&value.value().0)))
            .collect()
    })
}

/// Where a hook lies that is only a path.
#[derive(Clone, Copy)]
enum Base<'h> {
    /// Nowhere: it has to be a whole URL.
    None,
    /// At the server of this hook.
    At(&'h HookUrl),
    /// At that of a hook whose own mistake is told.
    Wrong,
}

fn hook(raw: &At<RawHook>, base: Base<'_>, reader: &mut Reader<'_>) -> Option<Hook> {
    match raw.value() {
        RawHook::Text(text) => Some(Hook {
            url: url(text, base, raw.span(), reader)?,
            method: HookMethod::Post,
            login: None,
        }),
        RawHook::Table(table) => hook_table(raw, table, base, reader),
    }
}

fn status_hook(raw: &At<RawHook>, base: Base<'_>, reader: &mut Reader<'_>) -> Option<Hook> {
    let hook = hook(raw, base, reader)?;
    let connected = |url: &HookUrl| url.protocol() == HookProtocol::WebSocket;
    match base {
        Base::At(own) if connected(own) => {
            let why = "events of an application on the WebSocket API go over its socket";
            of_http(hook, raw, why, reader)
        }
        _ => Some(hook),
    }
}

/// A hook that is asked by HTTP alone; `why` finishes "this hook can't be a WebSocket: …".
pub fn http_hook(raw: &At<RawHook>, why: &str, reader: &mut Reader<'_>) -> Option<Hook> {
    let hook = hook(raw, Base::None, reader)?;
    of_http(hook, raw, why, reader)
}

/// The message has no text of its own: a password may stand in it.
fn url(text: &str, base: Base<'_>, place: Range<usize>, reader: &mut Reader<'_>) -> Option<HookUrl> {
    let parsed = match (text.starts_with('/'), base) {
        (true, Base::None) => {
            let message = "this is a path, and there is no hook whose server it could belong to";
            reader.fault_expecting(place, message, "an absolute URL such as https://app.example/incoming");
            return None;
        }
        // Of a right one nothing is known either.
        (true, Base::Wrong) => HookUrl::check_path(text).map(|()| None),
        (true, Base::At(own)) => own.beside(text).map(Some),
        (false, _) => HookUrl::parse(text).map(Some),
    };
    if let Err(Invalid(expected)) = &parsed {
        reader.fault_expecting(place, "this is no URL of a hook", *expected);
    }
    parsed.ok().flatten()
}

fn hook_table(raw: &At<RawHook>, table: &RawHookTable, base: Base<'_>, reader: &mut Reader<'_>) -> Option<Hook> {
    let url = url(table.url.value(), base, table.url.span(), reader);
    let socket = url
        .as_ref()
        .is_some_and(|url| url.protocol() == HookProtocol::WebSocket);
    if let (true, Some(method)) = (socket, &table.method) {
        reader.fault_expecting(
            method.span(),
            "the WebSocket API has no method",
            "no `method`, or a URL of http or https",
        );
    }
    let password = secret::check(
        &secret::Forms {
            what: "password",
            place: raw.span(),
            text: table.password.as_ref(),
            variable: table.password_env.as_ref(),
            file: table.password_file.as_ref(),
        },
        reader,
    );
    let username = reader.parse_optional(table.username.as_ref(), "user name", |text| {
        // A colon would end the name (RFC 7617 §2).
        let fits = !text.is_empty() && !text.contains(|c: char| c.is_control() || c == ':');
        fits.then(|| text.to_owned())
            .ok_or(Invalid("a text without colons or line ends"))
    });
    let login = match (username?, password?) {
        (Some(username), Some(password)) => Some(HookLogin { username, password }),
        (None, None) => None,
        (Some(_), None) => {
            let place = table.username.as_ref().map_or(raw.span(), At::span);
            reader.fault_expecting(
                place,
                "a user name without a password",
                "one of `password`, `password_env` and `password_file` too",
            );
            return None;
        }
        (None, Some(_)) => {
            reader.fault_expecting(raw.span(), "a password without a user name", "`username` too");
            return None;
        }
    };
    let method = match table.method.as_ref().map(At::value) {
        Some(RawHookMethod::Get) => HookMethod::Get,
        Some(RawHookMethod::Post) | None => HookMethod::Post,
    };
    Some(Hook {
        url: url?,
        method,
        login,
    })
}

fn of_http(hook: Hook, raw: &At<RawHook>, why: &str, reader: &mut Reader<'_>) -> Option<Hook> {
    if hook.url.protocol() == HookProtocol::Http {
        return Some(hook);
    }
    let (place, text) = match raw.value() {
        RawHook::Text(text) => (raw.span(), text),
        RawHook::Table(table) => (table.url.span(), table.url.value()),
    };
    let (message, expected) = match text.starts_with('/') {
        true => (
            format!("a path is a WebSocket here, as the application's hook is: {why}"),
            "an absolute URL of http or https",
        ),
        false => (
            format!("this hook can't be a WebSocket: {why}"),
            "a URL of http or https",
        ),
    };
    reader.fault_expecting(place, message, expected);
    None
}

/// The hook of another application, or one of its own.
fn fallback(
    name: &str,
    raw: &At<RawHook>,
    (tenant, base): (&RawTenant, Base<'_>),
    reader: &mut Reader<'_>,
) -> Option<Fallback> {
    const WHY: &str = "it is asked one question, when the application itself is out of reach";
    let named = match raw.value() {
        RawHook::Text(text) if !text.contains("://") && !text.starts_with('/') => text,
        _ => {
            let hook = hook(raw, base, reader)?;
            let hook = of_http(hook, raw, WHY, reader)?;
            return Some(Fallback {
                application: None,
                hook,
            });
        }
    };
    if named == name {
        reader.fault_expecting(
            raw.span(),
            "an application can't be its own fallback",
            "another one, or a URL",
        );
        return None;
    }
    let Some(other) = tenant.application.get(named) else {
        unknown(named, raw.span(), tenant, reader);
        return None;
    };
    // Its own mistakes are told where it stands.
    let mut silent = reader.silent();
    let hook = hook(&other.value().hook, Base::None, &mut silent)?;
    if hook.url.protocol() != HookProtocol::Http {
        let message = format!("application {named:?} is on the WebSocket API: {WHY}");
        reader.fault_expecting(raw.span(), message, "an application with a URL of http or https");
        return None;
    }
    Some(Fallback {
        application: ApplicationName::parse(named).ok(),
        hook,
    })
}

/// The application that a number or `from_teams` names.
pub fn reference(text: &At<String>, tenant: &RawTenant, reader: &mut Reader<'_>) -> Option<ApplicationName> {
    if tenant.application.contains_key(text.value().as_str()) {
        return ApplicationName::parse(text.value()).ok();
    }
    unknown(text.value(), text.span(), tenant, reader);
    None
}

fn unknown(name: &str, place: Range<usize>, tenant: &RawTenant, reader: &mut Reader<'_>) {
    let names: Vec<&str> = tenant.application.keys().map(String::as_str).collect();
    // One without a name may be the one that is meant.
    if names.contains(&"") {
        return;
    }
    reader.tell(place, format!("there is no application {name:?}"), |mistake| {
        let mistake = mistake.near(name, names.iter().copied());
        mistake.expected(match names.as_slice() {
            [] => format!("[application.{name}] in this file"),
            names => format!("one of [application.…] in this file: {}", names.join(", ")),
        })
    });
}

fn distinct_sids(stem: &str, raw: &RawTenant, reader: &mut Reader<'_>) {
    let mut seen: HashMap<Sid, &str> = HashMap::new();
    for (name, application) in &raw.application {
        let typed = application.value().sid.as_ref();
        let Ok(sid) = typed.map_or_else(|| Ok(derived(stem, name)), |text| Sid::parse(text.value())) else {
            continue;
        };
        if let Some(other) = seen.insert(sid.clone(), name) {
            let place = typed.map_or(application.span(), At::span);
            let message = format!("{sid} is the sid of application {other:?} too");
            reader.fault_expecting(place, message, "another UUID, or no `sid`");
        }
    }
}

/// How application servers are reached, or `None` when something was wrong.
pub fn servers(raw: Option<&RawApplicationServers>, reader: &mut Reader<'_>) -> Option<ApplicationServers> {
    let allow_networks = reader.parse_list(raw.map_or(&[], |raw| &raw.allow_networks), "network", Network::parse);
    let mut time = |text: Option<&At<_>>, seconds| reader.duration(text, Duration::from_secs(seconds));
    let connect_timeout = time(raw.and_then(|raw| raw.connect_timeout.as_ref()), 2);
    let timeout = time(raw.and_then(|raw| raw.timeout.as_ref()), 10);
    let initial_timeout = time(raw.and_then(|raw| raw.initial_timeout.as_ref()), 5);
    let max_answer = reader.size(raw.and_then(|raw| raw.max_answer.as_ref()), 256_000);
    let media_folder = raw
        .and_then(|raw| raw.media_folder.as_ref())
        .map(|folder| reader.folder_there(folder));
    Some(ApplicationServers {
        allow_networks: allow_networks?,
        allow_loopback: flag(raw.and_then(|raw| raw.allow_loopback.as_ref()), false),
        connect_timeout: connect_timeout?,
        timeout: timeout?,
        initial_timeout: initial_timeout?,
        max_answer: max_answer?,
        media_folder,
    })
}
