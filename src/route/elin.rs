//! Emergency location identification numbers (ELINs): which one may be shown for an emergency caller, and where a call to
//! one goes while it stands for somebody.

use super::decide::{Callee, Decision, Target, is_emergency};
use super::facts::{Facts, Origin};
use super::trace::Trace;
use crate::carrier::read_number;
use crate::config::{Carrier, CarrierId, Config, Destination, E164, NumberEntry, Tenant, UserName};
use crate::pidf;
use crate::sip::message::{HeaderName, Message};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What is known of ELINs before a call is routed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElinFacts {
    #[default]
    None,
    /// Of an emergency call: the numbers in its location record, as written there.
    Named(Vec<String>),
    /// Of an emergency call: why its location record says nothing.
    Unread(String),
    /// The number that is called has been shown for this caller of an emergency number, of late.
    ShownFor(EmergencyCaller),
}

/// Who called an emergency number, as a call back reaches them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmergencyCaller {
    /// The Teams user with this number.
    Teams(E164),
    /// A user that registers with the tenant's realm.
    User(UserName),
    /// Somebody on a PBX.
    Carrier { id: CarrierId, number: E164 },
}

impl fmt::Display for EmergencyCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EmergencyCaller::Teams(number) => write!(f, "{number} in Teams"),
            EmergencyCaller::User(name) => write!(f, "user '{name}'"),
            EmergencyCaller::Carrier { id, number } => write!(f, "{number} on carrier '{id}'"),
        }
    }
}

impl EmergencyCaller {
    /// Whom a call back reaches; `None` for a caller without a number.
    pub fn of(facts: &Facts, decision: &Decision) -> Option<EmergencyCaller> {
        match &facts.origin {
            Origin::User { name, .. } => Some(EmergencyCaller::User(name.clone())),
            Origin::Carrier(id) => Some(EmergencyCaller::Carrier {
                id: id.clone(),
                number: decision.caller?,
            }),
            Origin::Teams => {
                let asserted = || {
                    facts
                        .caller
                        .asserted
                        .as_deref()
                        .and_then(|number| E164::parse(number).ok())
                };
                decision.caller.or_else(asserted).map(EmergencyCaller::Teams)
            }
        }
    }
}

/// What a call has to do with an ELIN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Elin {
    #[default]
    None,
    /// An emergency call to carriers that want one: those that may be shown, in the order of the location record. Empty: none.
    Fitting(Vec<E164>),
    /// It is shown to carriers that want one.
    Shown(E164),
    /// It was called, and the call goes back to whom it was shown for.
    CalledBack(E164),
}

impl Decision {
    /// Shows the first ELIN that fits, as a node does where it stands for nobody.
    pub fn show_first(&mut self, trace: &mut Trace) {
        if let Elin::Fitting(fitting) = &self.elin
            && let Some(number) = fitting.first().copied()
        {
            let outcome = "shown as the caller, where it stands for nobody else at that time";
            trace.step("elin", number.to_string(), outcome);
            self.elin = Elin::Shown(number);
        }
    }
}

impl Facts {
    /// The same with what the location record of an emergency call says, where any carrier wants to be shown an ELIN: the
    /// shard's other calls wait while a record is read.
    pub fn with_location(mut self, config: &Config, invite: &Message) -> Facts {
        let is_wanted = config.sbc.carriers.iter().any(|carrier| carrier.elin);
        if is_wanted && is_emergency(config, &self.dialled) {
            let content_type = invite.header(HeaderName::ContentType).unwrap_or_default();
            self.elin = match pidf::elins(content_type, invite.body()) {
                Ok(Some(named)) => ElinFacts::Named(named),
                Ok(None) => ElinFacts::None,
                Err(why) => ElinFacts::Unread(why.to_string()),
            };
        }
        self
    }
}

/// The ELIN that `number` is, and whose.
pub fn elin_of(config: &Config, number: E164) -> Option<(&Arc<Tenant>, &NumberEntry)> {
    config.number(number).filter(|(_, entry)| entry.elin)
}

/// Which of the numbers in the caller's location record may be shown to `carriers`: those that are ELINs of the tenant, for
/// a record comes from a peer, and whoever is shown gets what is meant for the caller. Who calls through a carrier is of the
/// tenant only where the tenant's number leads there: anybody may write any number. None at all is no reason to refuse anybody
/// (promise 6).
pub(super) fn fitting(
    config: &Config,
    facts: &Facts,
    tenant: &Tenant,
    carriers: &[Arc<Carrier>],
    trace: &mut Trace,
) -> Elin {
    let wanting: Vec<&Carrier> = carriers
        .iter()
        .filter(|carrier| carrier.elin)
        .map(AsRef::as_ref)
        .collect();
    if wanting.is_empty() {
        return Elin::None;
    }
    let named = match &facts.elin {
        ElinFacts::Named(named) => named.as_slice(),
        ElinFacts::Unread(why) => {
            trace.step("elin", "location record", format!("can't be read: {why}"));
            &[]
        }
        ElinFacts::None | ElinFacts::ShownFor(_) => &[],
    };
    let is_at_home = match &facts.origin {
        Origin::Carrier(from) => leads_to(config, tenant, &facts.caller.number, from),
        Origin::Teams | Origin::User { .. } => true,
    };
    let mut fitting: Vec<E164> = Vec::new();
    for written in named.iter().filter(|_| is_at_home) {
        match own_elin(config, tenant, &wanting, written) {
            Some(number) if fitting.contains(&number) => {}
            Some(number) => {
                let outcome = format!("in the location record, an ELIN of tenant '{}'", tenant.id);
                trace.step("elin", number.to_string(), outcome);
                fitting.push(number);
            }
            None => {
                let outcome = format!(
                    "in the location record, but no ELIN of tenant '{}': passed over",
                    tenant.id
                );
                trace.step("elin", written, outcome);
            }
        }
    }
    if fitting.is_empty() {
        let what = match (named.is_empty(), is_at_home) {
            (true, _) => "no location record names one",
            (false, true) => "none of the location record is the tenant's",
            (false, false) => "the caller's number is none of the tenant's that leads to the carrier it calls from",
        };
        trace.step("elin", "none", format!("{what}: the caller's own number is shown"));
    }
    Elin::Fitting(fitting)
}

/// Whether `number` is one of the tenant's that leads to the carrier.
fn leads_to(config: &Config, tenant: &Tenant, number: &str, carrier: &CarrierId) -> bool {
    let owner = E164::parse(number).ok().and_then(|number| config.number(number));
    owner.is_some_and(|(owner, entry)| {
        owner.id == tenant.id && matches!(&entry.to, Destination::Carrier(home) if home == carrier)
    })
}

/// A number of a location record as the first way to read it that makes it an ELIN of the tenant: as it stands, by the rules of
/// a carrier that wants one, with a plus.
fn own_elin(config: &Config, tenant: &Tenant, wanting: &[&Carrier], written: &str) -> Option<E164> {
    let as_it_stands = E164::parse(written).ok();
    let by_rules = wanting
        .iter()
        .filter_map(|carrier| read_number(&carrier.numbers, written));
    let with_plus = E164::from_digits(written);
    let mut readings = as_it_stands.into_iter().chain(by_rules).chain(with_plus);
    readings.find(|number| elin_of(config, *number).is_some_and(|(owner, _)| owner.id == tenant.id))
}

/// The call to an ELIN that stands for somebody who called an emergency number: it goes back to the caller, past limits, as
/// that one's call did. `None`: the number leads where its entry says.
pub(super) fn call_back(
    config: &Config,
    facts: &Facts,
    (tenant, number): (&Arc<Tenant>, E164),
    from: (&CarrierId, Option<E164>),
    trace: &mut Trace,
) -> Option<Decision> {
    let ElinFacts::ShownFor(caller) = &facts.elin else {
        return None;
    };
    let target = match caller {
        EmergencyCaller::Teams(number) => Some(Target::Teams {
            number: *number,
            voicemail: false,
        }),
        EmergencyCaller::User(name) => tenant.realm.is_some().then(|| Target::User { name: name.clone() }),
        EmergencyCaller::Carrier { id, number } => {
            let carrier = config.carrier(id).filter(|carrier| !carrier.gateways.is_empty());
            carrier.filter(|_| id != from.0).map(|carrier| Target::Carriers {
                carriers: vec![carrier.clone()],
                callee: Callee::Number(*number),
            })
        }
    };
    let outcome = match target {
        Some(_) => format!("shown for an emergency call of {caller}: the call goes back there, past limits"),
        None => format!("shown for an emergency call of {caller}, who can't be called any more"),
    };
    trace.step("callback", number.to_string(), outcome);
    Some(Decision {
        tenant: tenant.clone(),
        target: target?,
        caller: from.1,
        shown_instead: None,
        emergency: true,
        elin: Elin::CalledBack(number),
    })
}

#[cfg(test)]
mod tests;
