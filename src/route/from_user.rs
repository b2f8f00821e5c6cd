//! Calls from users that register here: emergency numbers first, then colleagues, the tenant's numbers, the telephone
//! network.

use super::decide::{Callee, Decision, Target, emergency, is_dial_string, is_emergency};
use super::facts::Facts;
use super::home_carrier;
use super::refusal::Refusal;
use super::to_application::{of_own_number, to_application};
use super::trace::Trace;
use crate::carrier;
use crate::config::{Config, Destination, E164, OutsideCaller, Tenant, TenantId, User, UserName};
use std::sync::Arc;

pub(super) fn from_user(
    config: &Config,
    facts: &Facts,
    (tenant, name): (&TenantId, &UserName),
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    let found = config.tenant(tenant).and_then(|tenant| {
        let realm = tenant.realm.as_ref()?;
        Some((tenant, realm, realm.user(name.as_str())?))
    });
    // The configuration changed between the proof and the route.
    let (tenant, realm, user) =
        found.ok_or_else(|| Refusal::not_allowed(name.as_str(), "call: it is no user any more"))?;
    let address = format!("{name}@{}", realm.name);
    trace.step("user", &address, format!("registers with tenant '{}'", tenant.id));
    if is_emergency(config, &facts.dialled) {
        let mut decision = emergency(config, facts, tenant, trace)?;
        // Who has no number is called back at the tenant's.
        decision.shown_instead = substitute(tenant).filter(|_| user.number.is_none());
        return Ok(decision);
    }
    let here = facts.host.eq_ignore_ascii_case(realm.name.as_str());
    if let Some(colleague) = realm.user(&facts.dialled).filter(|_| here) {
        return to_user(tenant, user, &address, &colleague.name, trace);
    }
    let callee = read_callee(config, tenant, &facts.dialled, trace)
        .ok_or_else(|| Refusal::address_incomplete(&facts.dialled))?;
    let own = match &callee {
        Callee::Number(number) => config.number(*number).filter(|(owner, _)| owner.id == tenant.id),
        Callee::Code(_) => None,
    };
    if let Some(application) = of_own_number(config, tenant, &callee) {
        let shown = substitute(tenant).filter(|_| user.number.is_none());
        return to_application(tenant, application, callee, (user.number, shown), trace);
    }
    let teams = |number, voicemail, trace: &mut Trace| {
        if !user.may_call.teams {
            return Err(Refusal::not_allowed(&address, "call Teams users"));
        }
        trace.step(
            "target",
            tenant.fqdn.to_string(),
            if voicemail {
                "voicemail of the Teams user"
            } else {
                "the Teams user"
            },
        );
        let shown = user.number.or(substitute(tenant));
        Ok(decision(tenant, Target::Teams { number, voicemail }, shown, None))
    };
    match (&callee, own.map(|(_, entry)| &entry.to)) {
        (Callee::Number(number), Some(Destination::Teams)) => teams(*number, false, trace),
        (Callee::Number(number), Some(Destination::TeamsVoicemail)) => teams(*number, true, trace),
        (_, Some(Destination::User(callee))) => to_user(tenant, user, &address, callee, trace),
        _ => to_phone(config, tenant, user, &address, callee, trace),
    }
}

fn to_user(
    tenant: &Arc<Tenant>,
    user: &User,
    address: &str,
    callee: &UserName,
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    if !user.may_call.users {
        return Err(Refusal::not_allowed(address, "call other users"));
    }
    trace.step("target", callee.to_string(), "a user that registers here");
    Ok(decision(
        tenant,
        Target::User { name: callee.clone() },
        user.number,
        None,
    ))
}

fn to_phone(
    config: &Config,
    tenant: &Arc<Tenant>,
    user: &User,
    address: &str,
    callee: Callee,
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    if !user.may_call.phones {
        return Err(Refusal::not_allowed(address, "call telephone numbers"));
    }
    let instead = substitute(tenant);
    match (user.number, instead) {
        (Some(number), _) => trace.step("caller", address, format!("shown as {number}, its number")),
        (None, Some(shown)) => trace.step("caller", address, format!("has no number: {shown} is shown")),
        (None, None) => {
            return Err(Refusal::not_allowed(
                address,
                "call telephone numbers: it has no number to show",
            ));
        }
    }
    let carriers = home_carrier::ways_out(config, tenant, &callee, trace);
    if carriers.is_empty() {
        return Err(Refusal::no_carrier(tenant.id.as_str()));
    }
    let shown = instead.filter(|_| user.number.is_none());
    Ok(decision(
        tenant,
        Target::Carriers { carriers, callee },
        user.number,
        shown,
    ))
}

fn decision(tenant: &Arc<Tenant>, target: Target, caller: Option<E164>, shown_instead: Option<E164>) -> Decision {
    Decision {
        tenant: tenant.clone(),
        target,
        caller,
        shown_instead,
        emergency: false,
    }
}

/// The number that the tenant shows for those who have none of their own.
fn substitute(tenant: &Tenant) -> Option<E164> {
    match tenant.outside_caller {
        OutsideCaller::Replace(number) => Some(number),
        OutsideCaller::Refuse => None,
    }
}

/// People dial as their country does: what is no E.164 is read by the rules of the tenant's first carrier.
pub fn read_callee(config: &Config, tenant: &Tenant, dialled: &str, trace: &mut Trace) -> Option<Callee> {
    if let Ok(number) = E164::parse(dialled) {
        return Some(Callee::Number(number));
    }
    let rules = tenant.carriers.first().and_then(|id| config.carrier(id));
    let read = rules.and_then(|carrier| Some((carrier, carrier::read_number(&carrier.numbers, dialled)?)));
    if let Some((carrier, number)) = read {
        trace.step(
            "number",
            dialled,
            format!("read as {number} by the rules of carrier '{}'", carrier.id),
        );
        return Some(Callee::Number(number));
    }
    is_dial_string(dialled).then(|| Callee::Code(dialled.to_owned()))
}
