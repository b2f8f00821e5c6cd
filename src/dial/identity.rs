//! Who a target of a dial is shown as the caller.

use super::refusal::DialRefusal;
use super::targets::{DialFacts, FirstLeg};
use crate::app::verb::{CallerId, Dial, Target, TargetKind};
use crate::config::{Config, E164, OutsideCaller, Tenant, UserName};
use crate::route::{Caller, Trace, reads_as_another};

/// The caller as one target is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub caller: Caller,
    /// A user of the tenant that has no number: shown by its name where names mean something.
    pub user: Option<UserName>,
    /// The number as E.164, where it is one.
    pub number: Option<E164>,
    /// Shown in its place, by the tenant's policy.
    pub instead: Option<E164>,
    /// The host in From; `None`: the usual one.
    pub host: Option<String>,
}

/// The identity for `target`: what the application says of it, as far as the tenant owns that, else the caller's own as
/// it came. No policy touches the identity of an emergency call (promise 6).
pub(super) fn shown(
    facts: DialFacts<'_>,
    dial: &Dial,
    (position, target): (usize, &Target),
    emergency: bool,
    trace: &mut Trace,
) -> Result<Shown, DialRefusal> {
    let from = target.from.as_ref();
    let host = from.and_then(|from| from.host.clone()).filter(|_| !emergency);
    let user = from.and_then(|from| from.user.as_deref());
    let named = match (user, &dial.caller_id) {
        (Some(user), _) => Some((Some(position), "from.user", CallerId::read(user))),
        (None, Some(named)) => Some((None, "callerId", named.clone())),
        (None, None) => None,
    };
    if emergency {
        let named = named.and_then(|(_, _, named)| named.number());
        return Ok(vouched(facts, named, host, trace));
    }
    let Some((at, property, named)) = named else {
        return Ok(inherited(facts, dial, &target.kind, host, trace));
    };
    let read = facts.number().filter(|_| facts.shown_instead.is_none());
    if is_the_caller(&named, facts.told_from, read) {
        trace.step("caller", named.to_string(), "the caller's own, as it came");
        return Ok(inherited(facts, dial, &target.kind, host, trace));
    }
    let number = match named {
        CallerId::Number(number) => number,
        // Another server's names are its own business; telephone networks and Teams know numbers.
        CallerId::Word(name) if at.is_some() && matches!(target.kind, TargetKind::Sip { .. }) => {
            return Ok(by_name(dial, &name, host));
        }
        CallerId::Word(word) => {
            return Err(DialRefusal {
                target: at,
                property,
                what: format!("'{}' is no E.164 number", word.escape_debug()),
                fix: match facts.told_from.is_empty() {
                    true => "say a number of the account such as +14255550100".into(),
                    false => "say a number of the account such as +14255550100, or the caller's own `from`".into(),
                },
            });
        }
    };
    let tenant = &facts.tenant.id;
    let Some(shown) = shown_number(facts.config, facts.tenant, number) else {
        return Err(DialRefusal {
            target: at,
            property,
            what: format!("{number} is not a number of tenant '{tenant}'"),
            fix: match facts.caller.number.is_empty() {
                true => "say one of its numbers".into(),
                false => "say one of its numbers, or leave it out for the caller's own".into(),
            },
        });
    };
    let outcome = match shown == number {
        true => format!("a number of tenant '{tenant}'"),
        false => format!("not a number of tenant '{tenant}': {shown} is shown"),
    };
    trace.step("caller", number.to_string(), outcome);
    Ok(Shown {
        caller: Caller {
            number: shown.to_string(),
            display: dial.caller_name.clone(),
            ..Caller::default()
        },
        user: None,
        number: Some(shown),
        instead: None,
        host,
    })
}

/// Whether the number is the tenant's.
fn is_of(config: &Config, tenant: &Tenant, number: E164) -> bool {
    config.number(number).is_some_and(|(owner, _)| owner.id == tenant.id)
}

/// What a tenant shows for a number that no caller stands behind: the number, if it is its own; else what its policy has in
/// place of others; else nothing.
pub fn shown_number(config: &Config, tenant: &Tenant, number: E164) -> Option<E164> {
    match (is_of(config, tenant, number), tenant.outside_caller) {
        (true, _) => Some(number),
        (false, OutsideCaller::Replace(instead)) => Some(instead),
        (false, OutsideCaller::Refuse) => None,
    }
}

/// Whether what an application names is the caller: what it was told of as `from`, or the number as it was read. Then nothing
/// is claimed: the caller's identity passes as it came, under the rules for that, and not a letter of what was written.
pub fn is_the_caller(named: &CallerId, told_from: &str, read: Option<E164>) -> bool {
    let repeated = !told_from.is_empty() && named.to_string() == told_from;
    repeated || named.number().is_some_and(|number| read == Some(number))
}

/// Who calls an emergency number: the caller as it came, with all that vouches for it; where there is none, the number that
/// the application named, when it is the tenant's, else the one that the tenant shows for those who have none, so that
/// somebody can be called back (promise 6).
fn vouched(facts: DialFacts<'_>, named: Option<E164>, host: Option<String>, trace: &mut Trace) -> Shown {
    let caller = facts.caller;
    // Where nobody called, the application alone knows who is in need, and that one has not hidden.
    let asks_application = caller.number.is_empty() || facts.first == FirstLeg::IsCalled;
    let own = named.filter(|number| asks_application && is_of(facts.config, facts.tenant, *number));
    let caller = match own {
        Some(own) if facts.first == FirstLeg::IsCalled => Caller {
            number: own.to_string(),
            ..Caller::default()
        },
        Some(own) => Caller {
            number: own.to_string(),
            ..caller.clone()
        },
        None => caller.clone(),
    };
    let instead = facts.shown_instead.filter(|_| caller.number.is_empty());
    let outcome = match (own, facts.first) {
        (Some(_), _) => "as the application says: nobody called who could be called back",
        (None, _) if caller.number.is_empty() => "there is no number of who calls",
        (None, FirstLeg::IsCalled) => "the number that the application is told of",
        (None, FirstLeg::Calls) => "who calls, as it came",
    };
    let shown = instead.map_or_else(|| caller.number.clone(), |instead| instead.to_string());
    trace.step("caller", shown, outcome);
    Shown {
        number: own.or_else(|| facts.number()),
        user: None,
        caller,
        instead,
        host,
    }
}

fn by_name(dial: &Dial, user: &str, host: Option<String>) -> Shown {
    Shown {
        caller: Caller {
            number: user.to_owned(),
            display: dial.caller_name.clone(),
            ..Caller::default()
        },
        user: None,
        number: None,
        instead: None,
        host,
    }
}

/// The caller's identity as it came, with another name where the application gives one. A caller who hides stays hidden,
/// whatever `forwardPAI` says.
fn inherited(facts: DialFacts<'_>, dial: &Dial, kind: &TargetKind, host: Option<String>, trace: &mut Trace) -> Shown {
    let mut caller = match dial.forward_pai {
        true => facts.caller.clone(),
        false => unasserted(facts, trace),
    };
    if dial.caller_name.is_some() {
        caller.display.clone_from(&dial.caller_name);
    }
    let mut user = facts.colleague.filter(|_| caller.number.is_empty() && !caller.private);
    if let Some(name) = user {
        let outcome = match (kind, facts.shown_instead) {
            (TargetKind::User { .. } | TargetKind::Sip { .. }, _) => "has no number: shown by its address".to_owned(),
            (_, Some(instead)) => format!("has no number: {instead} is shown"),
            (TargetKind::Teams { .. }, None) if reads_as_another(name.as_str()) => {
                user = None;
                "has no number, and its name would be read as one: Anonymous".to_owned()
            }
            (TargetKind::Teams { .. }, None) => "has no number: shown by its name".to_owned(),
            (TargetKind::Phone { .. }, None) => {
                "has no number, and the tenant's `[caller]` names none: Anonymous, where the carrier shows none of its own"
                    .to_owned()
            }
        };
        trace.step("caller", name.to_string(), outcome);
    } else if facts.first == FirstLeg::IsCalled {
        let outcome = match (caller.private, caller.number.is_empty()) {
            (true, _) => "it is a caller's who hid: Anonymous",
            (false, true) => "there is no number that may be shown: Anonymous",
            (false, false) => "the number that the application is told of",
        };
        trace.step("caller", &caller.number, outcome);
    }
    Shown {
        number: E164::parse(&caller.number).ok(),
        user: user.cloned(),
        caller,
        instead: facts.shown_instead,
        host,
    }
}

/// The caller without what is asserted of it, which stays here. Nobody vouches for what From says beside that: it is not
/// shown where it is another tenant's.
fn unasserted(facts: DialFacts<'_>, trace: &mut Trace) -> Caller {
    let mut caller = facts.caller.unasserted();
    if caller.number == facts.caller.number {
        return caller;
    }
    let owner = E164::parse(&caller.number)
        .ok()
        .and_then(|number| facts.config.number(number));
    let outcome = match owner {
        Some((owner, _)) if owner.id != facts.tenant.id => {
            caller.number.clear();
            "From says a number of another tenant: Anonymous".to_owned()
        }
        _ if caller.number.is_empty() => "From says none: Anonymous".to_owned(),
        _ => format!("{} of From is shown", caller.number),
    };
    let outcome = format!("asserted alone, which stays here (`forwardPAI`): {outcome}");
    trace.step("caller", &facts.caller.number, outcome);
    caller
}
