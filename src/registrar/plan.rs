//! The INVITEs that ring a user: every device at once, and the flows of one device one after the other.

use super::aor::Aor;
use super::binding::Binding;
use crate::carrier::{self, quoted};
use crate::config::{Config, E164, Realm, Tenant, UserName};
use crate::dial::{Attempt, HuntOn, LegKind, LegTerms, NextHop, PeerName, PlannedHop, allow};
use crate::route::Caller;
use crate::sdp::Security;
use crate::sip::message::HeaderName;
use crate::sip::{ListenerId, escaped_user};
use std::sync::Arc;
use std::time::Duration;

/// A call to a user, as far as planning goes.
#[derive(Debug, Clone, Copy)]
pub struct UserCall<'a> {
    pub config: &'a Config,
    pub tenant: &'a Tenant,
    /// Who is called.
    pub name: &'a UserName,
    pub caller: &'a Caller,
    /// The caller as E.164, where the number is one.
    pub number: Option<E164>,
    /// The caller, when it is another user of the tenant.
    pub colleague: Option<&'a UserName>,
    /// Stands in the Request-URI instead of the user part that the device registered.
    pub override_to: Option<&'a str>,
}

/// One attempt for each device that can be reached, those of a higher `q` first; several flows of one device (RFC 5626)
/// are hops of one attempt, the latest first. None: the user is nowhere.
pub fn plan(call: UserCall<'_>, bindings: &[Binding]) -> Vec<Attempt> {
    let mut devices: Vec<Vec<&Binding>> = Vec::new();
    for binding in bindings.iter().filter(|binding| binding.is_reachable()) {
        let instance = binding.device.instance.as_ref();
        let same = devices.iter_mut().find(|flows| {
            let known = flows.first().and_then(|first| first.device.instance.as_ref());
            instance.is_some() && known == instance
        });
        match same {
            Some(flows) => flows.push(binding),
            None => devices.push(vec![binding]),
        }
    }
    let attempt = |mut flows: Vec<&Binding>| {
        flows.sort_by_key(|binding| std::cmp::Reverse(binding.expires));
        Attempt::routed(flows.into_iter().map(|binding| hop(call, binding)).collect())
    };
    devices.into_iter().map(attempt).collect()
}

/// What a user's device may send us, as OPTIONS tells outside of calls.
pub fn allow(realm: Option<&Realm>) -> &'static str {
    match realm.is_some_and(|realm| realm.refer) {
        true => allow::USERS_REFER,
        false => allow::USERS,
    }
}

/// What a device is called in traces and records.
pub fn device_name(aor: &str, binding: &Binding) -> PeerName {
    PeerName::User {
        user: aor.into(),
        device: format!("{}:{}", binding.transport, binding.remote).into(),
    }
}

fn hop(call: UserCall<'_>, binding: &Binding) -> PlannedHop {
    let contact = &binding.device.contact;
    let request_uri = match call.override_to {
        Some(user) => contact
            .with_user(user)
            .map_or_else(|_| contact.to_string(), String::from),
        None => contact.to_string(),
    };
    let realm = realm_of(call.tenant);
    let aor = format!("{}@{realm}", call.name);
    let (from, contact_user, headers) = identity(call, realm);
    PlannedHop {
        peer: device_name(&aor, binding),
        next: NextHop {
            host: contact.host().trim_matches(['[', ']']).into(),
            port: contact.port(),
            transport: Some(binding.transport),
            listener: binding.listener,
            server_name: None,
            presented: None,
        },
        direct: binding.flow(),
        request_uri,
        from,
        to: format!("<sip:{aor}>"),
        contact_user,
        headers,
        extra_headers: Vec::new(),
        terms: terms(
            call.config,
            call.tenant,
            call.name,
            binding.listener,
            binding.behind_nat,
        ),
        first_response: call.config.sbc.registrar.response_timeout,
        progress: None,
        // Another flow of the same device helps where this one failed (RFC 5626 §5.3), not where the device answers.
        hunt: HuntOn::codes([430, 503]),
        held: false,
        hold_down: Duration::ZERO,
    }
}

/// From, the user part of our Contact, and Privacy: a colleague by its address, others by their number in the realm, so
/// that a device can call back what it shows.
fn identity(call: UserCall<'_>, realm: &str) -> (String, String, Vec<(HeaderName, String)>) {
    let caller = call.caller;
    let shown = match (call.colleague, call.number) {
        (Some(colleague), _) => colleague.to_string(),
        (None, Some(number)) => number.to_string(),
        (None, None) => caller.number.clone(),
    };
    if caller.private || shown.is_empty() {
        return (
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(),
            "anonymous".into(),
            vec![(HeaderName::Privacy, "id".into())],
        );
    }
    let display = caller.display.as_deref().map(quoted).unwrap_or_default();
    let phone = if call.colleague.is_some() { "" } else { ";user=phone" };
    let from = format!("{display}<sip:{}@{realm}{phone}>", escaped_user(&shown));
    (from, shown, Vec::new())
}

fn realm_of(tenant: &Tenant) -> &str {
    tenant.realm.as_ref().map_or("", |realm| realm.name.as_str())
}

/// The terms of every leg toward or from a device of the user `name` on `listener`.
pub fn terms(
    config: &Config,
    tenant: &Tenant,
    name: &UserName,
    listener: ListenerId,
    behind_nat: bool,
) -> Arc<LegTerms> {
    let kind = LegKind::User {
        tenant: tenant.id.as_str().into(),
        user: Aor::new(name.as_str(), realm_of(tenant)).to_string().into(),
    };
    // Whoever a hook has let in is not in the configuration.
    let user = tenant.realm.as_ref().and_then(|realm| realm.user(name.as_str()));
    let mut terms = carrier::open_terms(config, kind, listener);
    if user.is_some_and(|user| user.srtp) {
        terms.media.security = Security::SdesRequired;
    }
    terms.behind_nat = behind_nat;
    terms.takes_refer(tenant.realm.as_ref().is_some_and(|realm| realm.refer));
    Arc::new(terms)
}
