//! Who a target of a dial is shown as the caller.

use super::refusal::DialRefusal;
use super::targets::DialFacts;
use crate::app::verb::{Dial, Target, TargetKind};
use crate::config::{E164, OutsideCaller};
use crate::route::{Caller, Trace};

/// The caller as one target is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub caller: Caller,
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
    let named = match (user, dial.caller_id) {
        (Some(user), _) => match E164::parse(user) {
            Ok(number) => Some((Some(position), "from.user", number)),
            // Another server's names are its own business; telephone networks and Teams know numbers.
            Err(_) if matches!(target.kind, TargetKind::Sip { .. }) => {
                return Ok(by_name(dial, user, host));
            }
            Err(_) => {
                return Err(DialRefusal {
                    target: Some(position),
                    property: "from.user",
                    what: format!("'{}' is no E.164 number", user.escape_debug()),
                    fix: "say a number of the account such as +14255550100".into(),
                });
            }
        },
        (None, Some(number)) => Some((None, "callerId", number)),
        (None, None) => None,
    };
    if emergency {
        return Ok(vouched(facts, named.map(|(_, _, number)| number), host));
    }
    let Some((at, property, number)) = named else {
        return Ok(inherited(facts, dial, host));
    };
    if facts.number() == Some(number) && facts.shown_instead.is_none() {
        // The caller's own number, repeated.
        return Ok(inherited(facts, dial, host));
    }
    let owned = facts
        .config
        .number(number)
        .is_some_and(|(owner, _)| owner.id == facts.tenant.id);
    let number = match (owned, facts.tenant.outside_caller) {
        (true, _) => {
            trace.step(
                "caller",
                number.to_string(),
                format!("a number of tenant '{}'", facts.tenant.id),
            );
            number
        }
        (false, OutsideCaller::Replace(instead)) => {
            trace.step(
                "caller",
                number.to_string(),
                format!("not a number of tenant '{}': {instead} is shown", facts.tenant.id),
            );
            instead
        }
        (false, OutsideCaller::Refuse) => {
            return Err(DialRefusal {
                target: at,
                property,
                what: format!("{number} is not a number of tenant '{}'", facts.tenant.id),
                fix: match facts.caller.number.is_empty() {
                    true => "say one of its numbers".into(),
                    false => "say one of its numbers, or leave it out for the caller's own".into(),
                },
            });
        }
    };
    Ok(Shown {
        caller: Caller {
            number: number.to_string(),
            asserted: None,
            display: dial.caller_name.clone(),
            private: false,
        },
        number: Some(number),
        instead: None,
        host,
    })
}

/// Who calls an emergency number: the caller as it came, with all that vouches for it; where there is none, the number that
/// the application named, when it is the tenant's, so that somebody can be called back (promise 6).
fn vouched(facts: DialFacts<'_>, named: Option<E164>, host: Option<String>) -> Shown {
    let mut caller = facts.caller.clone();
    let mut number = facts.number();
    if caller.number.is_empty() {
        let owns = |number: &E164| {
            let owner = facts.config.number(*number);
            owner.is_some_and(|(owner, _)| owner.id == facts.tenant.id)
        };
        number = named.filter(owns);
        caller.number = number.map(|number| number.to_string()).unwrap_or_default();
    }
    Shown {
        caller,
        number,
        instead: None,
        host,
    }
}

fn by_name(dial: &Dial, user: &str, host: Option<String>) -> Shown {
    Shown {
        caller: Caller {
            number: user.to_owned(),
            asserted: None,
            display: dial.caller_name.clone(),
            private: false,
        },
        number: None,
        instead: None,
        host,
    }
}

/// The caller's identity as it came, with another name where the application gives one. A caller who hides stays hidden,
/// whatever `forwardPAI` says.
fn inherited(facts: DialFacts<'_>, dial: &Dial, host: Option<String>) -> Shown {
    let mut caller = facts.caller.clone();
    if dial.caller_name.is_some() {
        caller.display.clone_from(&dial.caller_name);
    }
    if !dial.forward_pai {
        caller.asserted = None;
    }
    Shown {
        number: facts.number(),
        caller,
        instead: facts.shown_instead,
        host,
    }
}
