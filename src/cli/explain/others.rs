//! Why a routed call goes no other way. Made for `explain` alone: live calls keep what was decided, and no more.

use crate::carrier;
use crate::config::{CarrierId, Config, Destination, E164, FromTeams, NumberEntry, Tenant};
use crate::dial::{Attempt, PeerName};
use crate::route::{self, Callee, Decision, Facts, Origin, Target, Trace, TraceStep};

/// At most so many names stand in one line.
const SHOWN: usize = 8;

/// What else there is and why it does not get the call, or gets it later. `attempt`: what is tried, where that is known.
pub fn others(config: &Config, facts: &Facts, decision: &Decision, attempt: Option<&Attempt>) -> Vec<TraceStep> {
    let mut found = Others {
        config,
        facts,
        decision,
        steps: Trace::default(),
    };
    if decision.emergency {
        let outcome =
            "not asked: emergency calls come before the caller's policy, `[destinations]`, limits and applications";
        found.steps.step("rules", "all others", outcome);
    } else {
        let number = found.called_number();
        let entry = number.and_then(|number| config.number(number));
        if let (Some(number), Some((owner, entry))) = (number, entry) {
            found.spans(number, owner, entry);
            found.destinations(number, owner, entry);
        }
        found.application();
    }
    found.carriers();
    found.hops(attempt);
    found.steps.0
}

struct Others<'a> {
    config: &'a Config,
    facts: &'a Facts,
    decision: &'a Decision,
    steps: Trace,
}

impl<'a> Others<'a> {
    /// The number that was called, where it is one.
    fn called_number(&self) -> Option<E164> {
        let tenant = &self.decision.tenant;
        let name = match &self.decision.target {
            Target::Teams { number, .. } => return Some(*number),
            Target::Carriers { callee, .. } | Target::Application { callee, .. } => return number_in(callee),
            Target::User { name } => name,
        };
        let dialled = &self.facts.dialled;
        let number = match &self.facts.origin {
            Origin::Carrier(id) => carrier::read_number(&self.config.carrier(id)?.numbers, dialled),
            Origin::Teams => E164::parse(dialled).ok(),
            Origin::User { .. } => number_in(&route::read_callee(
                self.config,
                tenant,
                dialled,
                &mut Trace::default(),
            )?),
        }?;
        // A colleague's name may read like a number.
        let (_, entry) = self.config.number(number)?;
        matches!(&entry.to, Destination::User(user) if user == name).then_some(number)
    }

    /// Wider entries that hold the number too: no two tenants share one.
    fn spans(&mut self, number: E164, owner: &Tenant, chosen: &NumberEntry) {
        let beaten_by = match chosen.span.count() {
            1 => format!("the number {} by itself comes before a range", chosen.span),
            _ => format!("{} is narrower", chosen.span),
        };
        let wider = owner.numbers.iter().filter(|entry| !std::ptr::eq(*entry, chosen));
        for entry in wider.filter(|entry| entry.span.contains(number)) {
            let outcome = format!("holds it too, for {}: {beaten_by}", words(&entry.to));
            self.steps.step("range", entry.span.to_string(), outcome);
        }
    }

    /// Where else a number can lead.
    fn destinations(&mut self, number: E164, owner: &Tenant, entry: &NumberEntry) {
        let (tenant, span) = (&self.decision.tenant, entry.span);
        if owner.id != tenant.id {
            let outcome = format!(
                "has {number}, but calls of tenant '{}' leave by its own carriers",
                tenant.id
            );
            return self.steps.step("tenant", owner.id.to_string(), outcome);
        }
        match (&self.decision.target, &entry.to) {
            (Target::Teams { voicemail: false, .. }, _) => {
                let outcome = format!("{span} does not say `voicemail = true`");
                self.steps.step("voicemail", number.to_string(), outcome);
            }
            (Target::Teams { voicemail: true, .. }, _) => {
                let outcome = format!("{span} says `voicemail = true`");
                self.steps.step("user", number.to_string(), outcome);
            }
            (Target::Carriers { .. }, Destination::Teams | Destination::TeamsVoicemail) => {
                let outcome = format!("{span} leads there, but Teams itself has sent the call out");
                self.steps.step("teams", tenant.fqdn.to_string(), outcome);
            }
            (_, Destination::Teams | Destination::TeamsVoicemail) => {}
            (_, elsewhere) => {
                let outcome = format!("{span} leads to {}", words(elsewhere));
                self.steps.step("teams", tenant.fqdn.to_string(), outcome);
            }
        }
    }

    /// Applications that a call out of Teams does not meet, or meets in place of the carriers.
    fn application(&mut self) {
        let tenant = &self.decision.tenant;
        if self.facts.origin != Origin::Teams || tenant.account.applications.is_empty() {
            return;
        }
        match (&self.decision.target, &tenant.from_teams) {
            (Target::Application { application, .. }, FromTeams::Application(name)) if application.name != *name => {
                let outcome = "decides about other calls out of Teams: the called number's own comes first";
                self.steps.step("application", name.to_string(), outcome);
            }
            (Target::Carriers { .. }, _) => {
                let outcome = "neither the called number nor `from_teams` names one";
                self.steps.step("application", "any", outcome);
            }
            _ => {}
        }
    }

    /// Each carrier there is: tried later, or never.
    fn carriers(&mut self) {
        let mut told: Vec<&CarrierId> = Vec::new();
        let mut before: Option<&CarrierId> = None;
        if let Target::Carriers { carriers, .. } = &self.decision.target {
            for carrier in carriers {
                if let Some(before) = before {
                    let outcome = format!("after '{before}', when none of its gateways takes the call");
                    self.steps.step("carrier", carrier.id.to_string(), outcome);
                }
                before = Some(&carrier.id);
                told.push(&carrier.id);
            }
        }
        let why_not = self.why_no_carrier();
        let mut never: Vec<(String, Vec<&str>)> = Vec::new();
        for carrier in self
            .config
            .sbc
            .carriers
            .iter()
            .filter(|carrier| !told.contains(&&carrier.id))
        {
            let of_tenant = self.decision.tenant.carriers.contains(&carrier.id);
            let came_from = matches!(&self.facts.origin, Origin::Carrier(id) if *id == carrier.id);
            let why = match (&why_not, of_tenant) {
                // What is not the tenant's is no alternative to where its own are none.
                (Some(_), false) => continue,
                (Some(why), true) => format!("never: {why}"),
                (None, _) if came_from => "never: the call comes from it".to_owned(),
                (None, _) if carrier.gateways.is_empty() => "never: it has no gateway".to_owned(),
                (None, _) if self.decision.emergency => format!(
                    "never: neither `carriers` of `[emergency]` nor tenant '{}' names it",
                    self.decision.tenant.id
                ),
                (None, _) => format!("never: not in `carriers` of tenant '{}'", self.decision.tenant.id),
            };
            match never.iter_mut().find(|(known, _)| *known == why) {
                Some((_, names)) => names.push(carrier.id.as_str()),
                None => never.push((why, vec![carrier.id.as_str()])),
            }
        }
        for (why, names) in never {
            self.steps.step("carrier", listed(&names), why);
        }
    }

    /// Why the tenant's carriers are no way for the call at all; none: they are what it is about.
    fn why_no_carrier(&self) -> Option<String> {
        let entry = self.called_number().and_then(|number| self.config.number(number));
        let entry = entry.filter(|(owner, _)| owner.id == self.decision.tenant.id);
        match (&self.decision.target, entry) {
            (Target::Carriers { .. }, _) if self.decision.emergency => None,
            (Target::Carriers { .. }, Some((_, entry))) if matches!(self.facts.origin, Origin::Carrier(_)) => {
                Some(format!("{} lives on {}", entry.span, words(&entry.to)))
            }
            (Target::Carriers { .. }, _) => None,
            (Target::Application { application, .. }, _) => {
                Some(format!("application '{}' decides, and may dial them", application.name))
            }
            (_, Some((_, entry))) => Some(format!("{} leads to {}", entry.span, words(&entry.to))),
            (_, None) => Some("a colleague is called".to_owned()),
        }
    }

    /// The hubs, and the gateways of each carrier, behind the first.
    fn hops(&mut self, attempt: Option<&Attempt>) {
        let peers: Vec<&PeerName> = attempt
            .iter()
            .flat_map(|attempt| &attempt.hops)
            .map(|hop| &hop.peer)
            .collect();
        for pair in peers.windows(2) {
            let [before, peer] = pair else { continue };
            let step = match (before, peer) {
                (PeerName::Hub(before), PeerName::Hub(hub)) => Some(("hub", hub, before, "`hubs`")),
                (
                    PeerName::Gateway {
                        carrier: first,
                        gateway: before,
                    },
                    PeerName::Gateway { carrier, gateway },
                ) if first == carrier => Some(("gateway", gateway, before, "`gateways`")),
                _ => None,
            };
            if let Some((rule, name, before, list)) = step {
                let outcome = format!("after {before}, by the order of {list}; before it while that one is held down");
                self.steps.step(rule, name.to_string(), outcome);
            }
        }
    }
}

fn number_in(callee: &Callee) -> Option<E164> {
    match callee {
        Callee::Number(number) => Some(*number),
        Callee::Code(_) => None,
    }
}

fn words(to: &Destination) -> String {
    match to {
        Destination::Teams => "the Teams user".to_owned(),
        Destination::TeamsVoicemail => "voicemail of the Teams user".to_owned(),
        Destination::Carrier(id) => format!("carrier '{id}'"),
        Destination::User(name) => format!("user '{name}'"),
        Destination::Application(name) => format!("application '{name}'"),
    }
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
