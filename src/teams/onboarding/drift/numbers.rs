//! Who has which number: `Get-CsOnlineUser` and `Get-CsPhoneNumberAssignment`.

use super::super::powershell::{quoted, route_label};
use super::export::{Export, Object};
use super::{Difference, Fix, Weight, file_of};
use crate::config::{Config, Destination, E164, NumberEntry, Tenant};
use std::collections::BTreeMap;

/// A number that somebody has there.
#[derive(Debug, Clone, Default)]
struct Assigned {
    who: Option<String>,
    /// `DirectRouting`, `CallingPlan`, `OperatorConnect`; `None`: not told.
    kind: Option<String>,
}

pub(super) fn compare(config: &Config, tenant: &Tenant, export: &Export) -> Vec<Difference> {
    let assigned = assigned(export);
    let mut found = Vec::new();
    let (mut unknown, mut untold) = (Vec::new(), Vec::new());
    for (number, there) in &assigned {
        // Numbers of Microsoft's own, or of an operator's, never come here.
        if there
            .kind
            .as_ref()
            .is_some_and(|kind| !kind.eq_ignore_ascii_case("DirectRouting"))
        {
            continue;
        }
        match config.number(*number) {
            None if there.kind.is_some() => unknown.push(*number),
            None => untold.push(*number),
            Some((owner, _)) if owner.id != tenant.id => found.push(foreign(*number, there, owner)),
            Some((_, entry)) => found.extend(elsewhere(tenant, *number, there, entry)),
        }
    }
    found.extend(
        runs(&unknown)
            .into_iter()
            .map(|run| unconfigured(tenant, &assigned, run)),
    );
    found.extend(runs(&untold).into_iter().map(|run| of_unknown_kind(&assigned, run)));
    found.extend(export.users.iter().filter_map(unlicensed));
    found.extend(
        export
            .users
            .iter()
            .filter_map(|user| without_policy(config, tenant, user)),
    );
    let numbers: Vec<E164> = assigned.keys().copied().collect();
    for run in spare(tenant, &numbers) {
        found.push(unassigned(run));
    }
    found
}

fn assigned(export: &Export) -> BTreeMap<E164, Assigned> {
    let mut numbers: BTreeMap<E164, Assigned> = BTreeMap::new();
    for object in &export.assignments {
        let is_free = object
            .text("PstnAssignmentStatus")
            .is_some_and(|status| status.eq_ignore_ascii_case("Unassigned"));
        if let Some(number) = object.text("TelephoneNumber").and_then(number_of).filter(|_| !is_free) {
            let known = numbers.entry(number).or_default();
            known.kind = object.text("NumberType").map(str::to_owned);
            known.who = object.text("AssignedPstnTargetId").map(str::to_owned);
        }
    }
    for object in &export.users {
        if let Some(number) = object.text("LineUri").and_then(number_of) {
            let known = numbers.entry(number).or_default();
            known.who = user_name(object).map(str::to_owned).or(known.who.take());
        }
    }
    numbers
}

/// `tel:+14255550100;ext=12`, `+14255550100`, `14255550100`.
fn number_of(text: &str) -> Option<E164> {
    let text = text.strip_prefix("tel:").unwrap_or(text);
    let text = text.split(';').next().unwrap_or(text);
    E164::from_digits(text.strip_prefix('+').unwrap_or(text))
}

fn user_name(user: &Object) -> Option<&str> {
    user.text("UserPrincipalName").or_else(|| user.text("Identity"))
}

/// Consecutive numbers as one.
fn runs(numbers: &[E164]) -> Vec<(E164, E164)> {
    let mut runs: Vec<(E164, E164)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.value() + 1 == number.value() && last.digit_count() == number.digit_count() => {
                *last = *number;
            }
            _ => runs.push((*number, *number)),
        }
    }
    runs
}

/// Numbers that the configuration sends to Teams and that nobody has there, as runs.
fn spare(tenant: &Tenant, assigned: &[E164]) -> Vec<(E164, E164)> {
    let mut spare = Vec::new();
    for entry in &tenant.numbers {
        if !matches!(entry.to, Destination::Teams | Destination::TeamsVoicemail) {
            continue;
        }
        let (first, last) = (entry.span.first(), entry.span.last());
        let narrower = tenant.numbers.iter().filter(|other| {
            other.span.count() < entry.span.count()
                && entry.span.contains(other.span.first())
                && entry.span.contains(other.span.last())
        });
        let mut taken: Vec<(u64, u64)> = narrower
            .map(|other| (other.span.first().value(), other.span.last().value()))
            .chain(assigned.iter().map(|number| (number.value(), number.value())))
            .filter(|(from, to)| *to >= first.value() && *from <= last.value())
            .collect();
        taken.sort_unstable();
        let mut next = first.value();
        for (from, to) in taken.into_iter().chain([(last.value() + 1, last.value() + 1)]) {
            if from > next
                && let (Some(begin), Some(end)) = (e164(next), e164(from - 1))
            {
                spare.push((begin, end));
            }
            next = next.max(to + 1);
        }
    }
    spare
}

fn e164(value: u64) -> Option<E164> {
    E164::from_digits(&value.to_string())
}

fn foreign(number: E164, there: &Assigned, owner: &Tenant) -> Difference {
    Difference {
        weight: Weight::Breaks,
        subject: format!("number {number}"),
        what: format!("is assigned here, and is a number of tenant {}", owner.id),
        there: there.who.clone().unwrap_or_else(|| "assigned".to_owned()),
        here: format!("tenant {}", owner.id),
        fix: Fix::Powershell(format!(
            "Remove-CsPhoneNumberAssignment -Identity {} -TelephoneNumber {number} -NumberType DirectRouting",
            who(there)
        )),
    }
}

/// Calls of carriers to a number that a Teams user has go somewhere else.
fn elsewhere(tenant: &Tenant, number: E164, there: &Assigned, entry: &NumberEntry) -> Option<Difference> {
    let (weight, goes) = match &entry.to {
        Destination::Teams | Destination::TeamsVoicemail => return None,
        Destination::Carrier(id) => (Weight::Breaks, format!("carrier {id}")),
        Destination::User(name) => (Weight::Breaks, format!("user {name}")),
        // It may ring the Teams user itself.
        Destination::Application(name) => (Weight::Note, format!("application {name}")),
    };
    Some(Difference {
        weight,
        subject: format!("number {number}"),
        what: format!("a Teams user has it, and calls to it go to {goes}"),
        there: there.who.clone().unwrap_or_else(|| "assigned".to_owned()),
        here: format!("{} to {goes}", entry.span),
        fix: Fix::Config {
            file: file_of(tenant),
            lines: entry_for((number, number)),
        },
    })
}

fn unconfigured(tenant: &Tenant, assigned: &BTreeMap<E164, Assigned>, run: (E164, E164)) -> Difference {
    let first = assigned.get(&run.0).and_then(|there| there.who.clone());
    Difference {
        weight: Weight::Breaks,
        subject: subject(run),
        what: "assigned for Direct Routing, and no tenant has it here: calls to it are refused, and its caller is not shown"
            .to_owned(),
        there: first.unwrap_or_else(|| "assigned".to_owned()),
        here: "missing".to_owned(),
        fix: Fix::Config {
            file: file_of(tenant),
            lines: entry_for(run),
        },
    }
}

/// A user has it, and it may be Microsoft's own or an operator's, which never come here.
fn of_unknown_kind(assigned: &BTreeMap<E164, Assigned>, run: (E164, E164)) -> Difference {
    let first = assigned.get(&run.0).and_then(|there| there.who.clone());
    Difference {
        weight: Weight::Note,
        subject: subject(run),
        what:
            "a user has it, and no tenant has it here; whether by Direct Routing only Get-CsPhoneNumberAssignment tells"
                .to_owned(),
        there: first.unwrap_or_else(|| "assigned".to_owned()),
        here: "missing".to_owned(),
        fix: Fix::Powershell(format!(
            "Get-CsPhoneNumberAssignment -TelephoneNumber {} | Select-Object TelephoneNumber, NumberType",
            run.0
        )),
    }
}

fn unassigned(run: (E164, E164)) -> Difference {
    Difference {
        weight: Weight::Note,
        subject: subject(run),
        what: "goes to Teams, and nobody has it there".to_owned(),
        there: "unassigned".to_owned(),
        here: "to = \"teams\"".to_owned(),
        fix: Fix::Powershell(format!(
            "Set-CsPhoneNumberAssignment -Identity '<user>' -TelephoneNumber {} -NumberType DirectRouting",
            run.0
        )),
    }
}

fn unlicensed(user: &Object) -> Option<Difference> {
    let name = user_name(user)?;
    user.text("LineUri")?;
    (user.flag("EnterpriseVoiceEnabled") == Some(false)).then(|| Difference {
        weight: Weight::Breaks,
        subject: format!("user {name}"),
        what: "has a number and may not call: enterprise voice is off".to_owned(),
        there: "False".to_owned(),
        here: "True".to_owned(),
        fix: Fix::Powershell(format!(
            "Set-CsPhoneNumberAssignment -Identity {} -EnterpriseVoiceEnabled $true",
            quoted(name)
        )),
    })
}

fn without_policy(config: &Config, tenant: &Tenant, user: &Object) -> Option<Difference> {
    let name = user_name(user)?;
    let number = user.text("LineUri").and_then(number_of)?;
    config.number(number).filter(|(owner, _)| owner.id == tenant.id)?;
    let is_bare = user.has("OnlineVoiceRoutingPolicy") && user.text("OnlineVoiceRoutingPolicy").is_none();
    is_bare.then(|| Difference {
        weight: Weight::Note,
        subject: format!("user {name}"),
        what: "has no voice routing policy of its own: it calls out only if the Global one has our usage".to_owned(),
        there: "Global".to_owned(),
        here: route_label(tenant),
        fix: Fix::Powershell(format!(
            "Grant-CsOnlineVoiceRoutingPolicy -Identity {} -PolicyName {}",
            quoted(name),
            quoted(&route_label(tenant))
        )),
    })
}

fn who(there: &Assigned) -> String {
    quoted(there.who.as_deref().unwrap_or("<user>"))
}

fn subject((first, last): (E164, E164)) -> String {
    match first == last {
        true => format!("number {first}"),
        false => format!("numbers {first} to {last}"),
    }
}

/// An entry of a tenant's file.
fn entry_for((first, last): (E164, E164)) -> String {
    match first == last {
        true => format!("[[numbers]]\nnumber = \"{first}\"\nto = \"teams\""),
        false => format!("[[numbers]]\nrange = \"{first}-{last}\"\nto = \"teams\""),
    }
}
