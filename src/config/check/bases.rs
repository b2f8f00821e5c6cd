//! The node's carrier trunks: `teams.base`, `teams.further_bases`, and which of them a tenant's `label` stands in front of.

use super::reader::Reader;
use super::tenant::refuse_microsofts;
use crate::config::checked::Teams;
use crate::config::names::TenantFqdn;
use crate::config::raw::{At, RawTeams};

/// The carrier trunks as tenants' files see them; None is what can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// What labels stand in front of where nothing else is said: `teams.base`.
    pub first: Option<TenantFqdn>,
    /// The others.
    pub further: Option<Vec<TenantFqdn>>,
    /// `teams.base` as it stands in the file, where the node knows no such trunk until its next start: who names it waits with
    /// it.
    pub waiting: Option<TenantFqdn>,
}

impl Bases {
    pub fn of(raw: &RawTeams) -> Bases {
        let read = |text: &At<String>| TenantFqdn::parse(text.value()).ok();
        Bases {
            first: read(&raw.base),
            further: raw.further_bases.iter().map(read).collect(),
            waiting: None,
        }
    }

    /// What is so in another reading as well.
    pub fn common(self, other: &Bases) -> Bases {
        Bases {
            first: self.first.filter(|first| other.first.as_ref() == Some(first)),
            further: self.further.filter(|further| other.further.as_ref() == Some(further)),
            waiting: None,
        }
    }

    /// In a node that has these until its next start: labels are in front of `teams.base` as it is written where the node knows
    /// that name already.
    pub fn held(self, in_force: &Teams) -> Bases {
        let known = self
            .first
            .as_ref()
            .filter(|written| in_force.bases().any(|base| base == *written));
        let first = known.unwrap_or(&in_force.base).clone();
        Bases {
            further: Some(in_force.bases().filter(|base| **base != first).cloned().collect()),
            waiting: self.first.filter(|written| *written != first),
            first: Some(first),
        }
    }

    /// Those that are known.
    pub fn known(&self) -> impl Iterator<Item = &TenantFqdn> + Clone {
        self.first.iter().chain(self.further.iter().flatten())
    }

    /// The one that a trunk derives from.
    pub fn above(&self, trunk: &TenantFqdn) -> Option<&TenantFqdn> {
        self.known().find(|base| trunk.is_derived_from(base))
    }
}

/// `teams.base`.
pub fn first(raw: &At<RawTeams>, reader: &mut Reader<'_>) -> Option<TenantFqdn> {
    trunk(&raw.value().base, reader)
}

/// `teams.further_bases`. What is one label in front of another is derived from it, and could be no trunk that is registered
/// by itself (TEAMS-024).
pub fn further(raw: &At<RawTeams>, first: Option<&TenantFqdn>, reader: &mut Reader<'_>) -> Option<Vec<TenantFqdn>> {
    let texts = &raw.value().further_bases;
    let mut read: Vec<Option<TenantFqdn>> = Vec::with_capacity(texts.len());
    for text in texts {
        let name = trunk(text, reader);
        let before = first.into_iter().chain(read.iter().flatten());
        if let Some(name) = &name {
            collides(name, before, text, reader);
        }
        read.push(name);
    }
    read.into_iter().collect()
}

fn trunk(text: &At<String>, reader: &mut Reader<'_>) -> Option<TenantFqdn> {
    let name = reader.parse(text, "trunk name", TenantFqdn::parse)?;
    refuse_microsofts(text, "a name of your own, such as sbc1.example.net", reader);
    Some(name)
}

fn collides<'b>(
    name: &TenantFqdn,
    mut before: impl Iterator<Item = &'b TenantFqdn> + Clone,
    text: &At<String>,
    reader: &mut Reader<'_>,
) {
    if before.clone().any(|other| other == name) {
        let message = format!("{name} is a trunk of this node already");
        reader.fault_expecting(text.span(), message, "each name once, and none that `base` has");
        return;
    }
    let pair = before.find_map(|other| match name.is_derived_from(other) {
        true => Some((name, other)),
        false => other.is_derived_from(name).then_some((other, name)),
    });
    if let Some((below, above)) = pair {
        reader.fault_expecting(
            text.span(),
            format!("{below} is one label in front of {above}: Teams takes it for a customer's trunk below that"),
            "trunk names of which none is one label in front of another",
        );
    }
}

/// What a tenant's label stands in front of; outside: was there a mistake, inside: is it known. `bases` is `None` when the machine's
/// file can't be read.
#[expect(clippy::option_option, reason = "outside: was there a mistake; inside: is it known")]
pub fn above_label(
    named: Option<&At<String>>,
    bases: Option<&Bases>,
    reader: &mut Reader<'_>,
) -> Option<Option<TenantFqdn>> {
    let first = || bases.and_then(|bases| bases.first.clone());
    let Some(text) = named else {
        return Some(first());
    };
    let name = reader.parse(text, "trunk name", TenantFqdn::parse)?;
    let Some(bases) = bases else {
        return Some(Some(name));
    };
    if bases.waiting.as_ref() == Some(&name) {
        return Some(first());
    }
    let are_all_known = bases.first.is_some() && bases.further.is_some();
    if are_all_known && !bases.known().any(|base| *base == name) {
        let known: Vec<&str> = bases.known().map(TenantFqdn::as_str).collect();
        reader.tell(text.span(), format!("this node has no trunk {name}"), |mistake| {
            let mistake = mistake.near(name.as_str(), known.iter().copied());
            mistake.expected(format!(
                "`base` or one of `further_bases` under [teams] in sbc.toml: {}",
                known.join(", ")
            ))
        });
        return None;
    }
    Some(Some(name))
}
