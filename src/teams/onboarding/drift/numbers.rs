//! Who has which number: `Get-CsOnlineUser` and `Get-CsPhoneNumberAssignment`.

use super::super::powershell::{quoted, route_label};
use super::export::{Export, Object};
use super::{Difference, Fix, Weight, file_of};
use super::{gateways, routes};
use crate::config::{Config, Destination, E164, NumberEntry, Tenant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A number as Teams has it: users may share one and have extensions behind it (TEAMS-040).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    number: E164,
    extension: Option<String>,
}

/// A number that somebody has there.
#[derive(Debug, Clone, Default)]
struct Assigned {
    who: Option<String>,
    /// `DirectRouting`, `CallingPlan`, `OperatorConnect`; `None`: not told.
    kind: Option<String>,
}

/// Whose a number is here.
enum Here<'c> {
    /// The form stands in one of the tenant's numbers.
    AsAssigned,
    Entry(&'c Tenant, &'c NumberEntry),
    Nobodys,
}

pub(super) fn compare(config: &Config, tenant: &Tenant, export: &Export) -> Vec<Difference> {
    let assigned = assigned(export);
    let mut found = Vec::new();
    let (mut unknown, mut untold) = (Vec::new(), Vec::new());
    for (form, there) in &assigned {
        // Numbers of Microsoft's own, or of an operator's, never come here.
        if there
            .kind
            .as_ref()
            .is_some_and(|kind| !kind.eq_ignore_ascii_case("DirectRouting"))
        {
            continue;
        }
        match here(config, tenant, form) {
            Here::AsAssigned => {}
            Here::Nobodys if there.kind.is_some() => unknown.push(form),
            Here::Nobodys => untold.push(form),
            Here::Entry(owner, _) if owner.id != tenant.id => found.push(foreign(form, there, owner)),
            Here::Entry(_, entry) => found.extend(elsewhere(tenant, form, there, entry)),
        }
    }
    let others = other_trunks(config, export);
    found.extend(
        runs(unknown)
            .into_iter()
            .map(|run| unconfigured(tenant, &assigned, &others, &run)),
    );
    found.extend(runs(untold).into_iter().map(|run| of_unknown_kind(&assigned, &run)));
    found.extend(export.users.iter().filter_map(unlicensed));
    found.extend(
        export
            .users
            .iter()
            .filter_map(|user| without_policy(config, tenant, user)),
    );
    found.extend(spare(tenant, &assigned).iter().map(unassigned));
    found
}

fn here<'c>(config: &'c Config, tenant: &Tenant, form: &Form) -> Here<'c> {
    if tenant.number_assigned(&form.to_string()).is_some() {
        return Here::AsAssigned;
    }
    match config.number(form.number) {
        Some((owner, entry)) => Here::Entry(owner, entry),
        None => Here::Nobodys,
    }
}

fn assigned(export: &Export) -> BTreeMap<Form, Assigned> {
    let mut numbers: BTreeMap<Form, Assigned> = BTreeMap::new();
    for object in &export.assignments {
        let is_free = object
            .text("PstnAssignmentStatus")
            .is_some_and(|status| status.eq_ignore_ascii_case("Unassigned"));
        if let Some(form) = object.text("TelephoneNumber").and_then(Form::read).filter(|_| !is_free) {
            let known = numbers.entry(form).or_default();
            known.kind = object.text("NumberType").map(str::to_owned);
            known.who = object.text("AssignedPstnTargetId").map(str::to_owned);
        }
    }
    for object in &export.users {
        if let Some(form) = object.text("LineUri").and_then(Form::read) {
            let known = numbers.entry(form).or_default();
            known.who = user_name(object).map(str::to_owned).or(known.who.take());
        }
    }
    numbers
}

/// Trunks of other nodes that the export names: numbers may be theirs.
fn other_trunks(config: &Config, export: &Export) -> BTreeSet<String> {
    let of_gateways = gateways::foreign(config, &export.gateways);
    let of_routes = routes::foreign(config, &export.routes);
    of_gateways.chain(of_routes).map(str::to_ascii_lowercase).collect()
}

impl Form {
    /// `tel:+14255550100;ext=12`, `+14255550100`, `14255550100`.
    fn read(text: &str) -> Option<Form> {
        let text = text.strip_prefix("tel:").unwrap_or(text);
        let (number, parameters) = match text.split_once(';') {
            Some((number, parameters)) => (number, parameters),
            None => (text, ""),
        };
        let extension = parameters
            .split(';')
            .find_map(|parameter| parameter.strip_prefix("ext="));
        // It is printed into commands and configuration.
        let is_one =
            |extension: &str| matches!(extension.len(), 1..=15) && extension.bytes().all(|byte| byte.is_ascii_digit());
        if extension.is_some_and(|extension| !is_one(extension)) {
            return None;
        }
        Some(Form {
            number: E164::from_digits(number.strip_prefix('+').unwrap_or(number))?,
            extension: extension.map(str::to_owned),
        })
    }

    const fn plain(number: E164) -> Form {
        Form {
            number,
            extension: None,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extension {
            Some(extension) => write!(f, "{};ext={extension}", self.number),
            None => self.number.fmt(f),
        }
    }
}

fn user_name(user: &Object) -> Option<&str> {
    user.text("UserPrincipalName").or_else(|| user.text("Identity"))
}

/// Both ends included; the same where it is one, as every form with an extension is.
type Run = (Form, Form);

/// Consecutive numbers as one.
fn runs<'f>(forms: impl IntoIterator<Item = &'f Form>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for form in forms {
        match runs.last_mut() {
            Some((_, last)) if follows(last, form) => *last = form.clone(),
            _ => runs.push((form.clone(), form.clone())),
        }
    }
    runs
}

fn follows(last: &Form, next: &Form) -> bool {
    last.extension.is_none()
        && next.extension.is_none()
        && last.number.value() + 1 == next.number.value()
        && last.number.digit_count() == next.number.digit_count()
}

/// Numbers that the configuration sends to Teams and that nobody has there, as runs.
fn spare(tenant: &Tenant, assigned: &BTreeMap<Form, Assigned>) -> Vec<Run> {
    let mut spare = Vec::new();
    for entry in &tenant.numbers {
        if !matches!(entry.to, Destination::Teams | Destination::TeamsVoicemail) {
            continue;
        }
        if let Some(form) = &entry.assigned {
            let form = Form::read(form.as_str()).filter(|form| !assigned.contains_key(form));
            spare.extend(form.map(|form| (form.clone(), form)));
            continue;
        }
        let (first, last) = (entry.span.first(), entry.span.last());
        let narrower = tenant.numbers.iter().filter(|other| {
            other.span.count() < entry.span.count()
                && entry.span.contains(other.span.first())
                && entry.span.contains(other.span.last())
        });
        let had = assigned.keys().filter(|form| form.extension.is_none());
        let mut taken: Vec<(u64, u64)> = narrower
            .map(|other| (other.span.first().value(), other.span.last().value()))
            .chain(had.map(|form| (form.number.value(), form.number.value())))
            .filter(|(from, to)| *to >= first.value() && *from <= last.value())
            .collect();
        taken.sort_unstable();
        let mut next = first.value();
        for (from, to) in taken.into_iter().chain([(last.value() + 1, last.value() + 1)]) {
            if from > next
                && let (Some(begin), Some(end)) = (e164(next), e164(from - 1))
            {
                spare.push((Form::plain(begin), Form::plain(end)));
            }
            next = next.max(to + 1);
        }
    }
    spare
}

fn e164(value: u64) -> Option<E164> {
    E164::from_digits(&value.to_string())
}

fn foreign(form: &Form, there: &Assigned, owner: &Tenant) -> Difference {
    Difference {
        weight: Weight::Breaks,
        subject: format!("number {form}"),
        what: format!("is assigned here, and is a number of tenant {}", owner.id),
        there: there.who.clone().unwrap_or_else(|| "assigned".to_owned()),
        here: format!("tenant {}", owner.id),
        fix: Fix::Powershell(format!(
            "Remove-CsPhoneNumberAssignment -Identity {} -TelephoneNumber {} -NumberType DirectRouting",
            who(there),
            quoted(&form.to_string())
        )),
    }
}

/// Calls of carriers to a number that a Teams user has go somewhere else.
fn elsewhere(tenant: &Tenant, form: &Form, there: &Assigned, entry: &NumberEntry) -> Option<Difference> {
    let goes = match &entry.to {
        Destination::Teams | Destination::TeamsVoicemail => return unreached(tenant, form, there, entry),
        Destination::Carrier(id) => format!("carrier {id}"),
        Destination::User(name) => format!("user {name}"),
        Destination::Application(name) => format!("application {name}"),
    };
    // It may ring the Teams user itself; and an extension behind a number of whomever is no other's.
    let is_note = matches!(entry.to, Destination::Application(_)) || form.extension.is_some();
    Some(Difference {
        weight: if is_note { Weight::Note } else { Weight::Breaks },
        subject: format!("number {form}"),
        what: format!("a Teams user has it, and calls to {} go to {goes}", form.number),
        there: there.who.clone().unwrap_or_else(|| "assigned".to_owned()),
        here: format!("{} to {goes}", entry.span),
        fix: Fix::Config {
            file: file_of(tenant),
            lines: entry_for(&(form.clone(), form.clone())),
        },
    })
}

/// A number that goes to Teams goes there in its plain form, or in that of `assigned`, and a user has it in another one.
fn unreached(tenant: &Tenant, form: &Form, there: &Assigned, entry: &NumberEntry) -> Option<Difference> {
    let (weight, what, here) = match &entry.assigned {
        Some(other) => (
            Weight::Breaks,
            format!("a Teams user has it, and calls to it go to Teams as {other}"),
            format!("assigned = \"{other}\""),
        ),
        // Of those that share a number one may have it plain, and the others are never called from outside.
        None if form.extension.is_some() => (
            Weight::Note,
            "a Teams user has it, and no number here is `assigned` so: nobody outside reaches that user".to_owned(),
            format!("{} to Teams as it is", entry.span),
        ),
        None => return None,
    };
    Some(Difference {
        weight,
        subject: format!("number {form}"),
        what,
        there: there.who.clone().unwrap_or_else(|| "assigned".to_owned()),
        here,
        fix: Fix::Config {
            file: file_of(tenant),
            lines: entry_for(&(form.clone(), form.clone())),
        },
    })
}

fn unconfigured(
    tenant: &Tenant,
    assigned: &BTreeMap<Form, Assigned>,
    others: &BTreeSet<String>,
    run: &Run,
) -> Difference {
    let first = assigned.get(&run.0).and_then(|there| there.who.clone());
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let (weight, what) = match others.is_empty() {
        true => (
            Weight::Breaks,
            "assigned for Direct Routing, and no tenant has it here: calls to it are refused, and its caller is not shown"
                .to_owned(),
        ),
        false => (
            Weight::Note,
            format!(
                "assigned for Direct Routing, and no tenant has it here: calls to it are refused, unless it is a number of {}",
                others.join(", ")
            ),
        ),
    };
    Difference {
        weight,
        subject: subject(run),
        what,
        there: first.unwrap_or_else(|| "assigned".to_owned()),
        here: "missing".to_owned(),
        fix: Fix::Config {
            file: file_of(tenant),
            lines: entry_for(run),
        },
    }
}

/// A user has it, and it may be Microsoft's own or an operator's, which never come here.
fn of_unknown_kind(assigned: &BTreeMap<Form, Assigned>, run: &Run) -> Difference {
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
            quoted(&run.0.to_string())
        )),
    }
}

fn unassigned(run: &Run) -> Difference {
    Difference {
        weight: Weight::Note,
        subject: subject(run),
        what: "goes to Teams, and nobody has it there".to_owned(),
        there: "unassigned".to_owned(),
        here: "to = \"teams\"".to_owned(),
        fix: Fix::Powershell(format!(
            "Set-CsPhoneNumberAssignment -Identity '<user>' -TelephoneNumber {} -NumberType DirectRouting",
            quoted(&run.0.to_string())
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
    let form = user.text("LineUri").and_then(Form::read)?;
    match here(config, tenant, &form) {
        Here::AsAssigned => {}
        Here::Entry(owner, _) if owner.id == tenant.id => {}
        Here::Entry(..) | Here::Nobodys => return None,
    }
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

fn subject((first, last): &Run) -> String {
    match first == last {
        true => format!("number {first}"),
        false => format!("numbers {first} to {last}"),
    }
}

/// An entry of a tenant's file. Which number leads to an extension only who has given it out knows.
fn entry_for((first, last): &Run) -> String {
    match (first == last, &first.extension) {
        (true, None) => format!("[[numbers]]\nnumber = \"{first}\"\nto = \"teams\""),
        (true, Some(_)) => format!(
            "[[numbers]]\nnumber = \"…\"   # the one that is called from outside\nassigned = \"{first}\"\nto = \"teams\""
        ),
        (false, _) => format!("[[numbers]]\nrange = \"{first}-{last}\"\nto = \"teams\""),
    }
}
