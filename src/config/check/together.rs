//! What only shows with all tenants side by side: names and numbers that two of them claim.

use crate::config::checked::{Tenant, TenantNames};
use crate::config::mistake::{Mistake, Source};
use crate::config::names::TenantFqdn;
use crate::config::number_index::{Conflict, NumberIndex, Place};
use crate::config::raw::{At, RawTenant};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A tenant with the file that it came from.
pub struct Member<'m> {
    pub tenant: &'m Arc<Tenant>,
    pub raw: &'m RawTenant,
    pub source: &'m Source,
}

/// Positions by name. A name that two tenants claim, or that is the node's own, is a mistake.
pub fn names(members: &[Member<'_>], base: Option<&TenantFqdn>, mistakes: &mut Vec<Mistake>) -> TenantNames {
    let mut names = TenantNames::default();
    let mut places: HashMap<Box<str>, (usize, Range<usize>)> = HashMap::new();
    for (position, member) in members.iter().enumerate() {
        let own = member.raw.fqdn.as_ref().or(member.raw.label.as_ref());
        let hosts = std::iter::once((own, &member.tenant.fqdn))
            .chain(member.raw.aliases.iter().map(Some).zip(&member.tenant.aliases));
        for (text, host) in hosts {
            let span = text.map_or(0..0, At::span);
            if base == Some(host) {
                let message = format!("{host} is this node's own trunk name");
                mistakes.push(Mistake::at(member.source, span, message).expected("a name of the tenant's own"));
                continue;
            }
            claim(
                &mut names.hosts,
                &mut places,
                host.as_str(),
                position,
                span,
                members,
                mistakes,
            );
        }
        if let (Some(text), Some(realm)) = (&member.raw.realm, &member.tenant.realm) {
            let (name, span) = (realm.name.as_str(), text.span());
            if base.is_some_and(|base| base.as_str() == name) {
                let message = format!("{name} is this node's own trunk name");
                mistakes.push(Mistake::at(member.source, span, message).expected("a name of the tenant's own"));
            } else {
                claim(&mut names.realms, &mut places, name, position, span, members, mistakes);
            }
        }
        let account = &member.tenant.account;
        let sid = (member.raw.account_sid.as_ref(), &account.sid, true);
        let applications = member.raw.application.values().zip(&account.applications);
        let sids = applications.map(|(raw, application)| (raw.value().sid.as_ref(), &application.sid, false));
        for (text, sid, is_account) in std::iter::once(sid).chain(sids) {
            let index = match is_account {
                true => &mut names.accounts,
                false => &mut names.applications,
            };
            let span = text.map_or(0..0, At::span);
            claim(index, &mut places, sid.as_str(), position, span, members, mistakes);
        }
        for (text, token) in member.raw.tokens.iter().zip(&member.tenant.tokens) {
            if names.tokens.insert(token.digest, position).is_some() {
                let expected = "another token for each entry, as `portcullis token new` makes them";
                let mistake = Mistake::at(member.source, text.value().sha256.span(), "the token is there already");
                mistakes.push(mistake.expected(expected));
            }
        }
        for (text, domain) in member.raw.domains.iter().zip(&member.tenant.domains) {
            claim(
                &mut names.domains,
                &mut places,
                domain.as_str(),
                position,
                text.span(),
                members,
                mistakes,
            );
        }
    }
    names
}

fn claim(
    names: &mut HashMap<Box<str>, usize>,
    places: &mut HashMap<Box<str>, (usize, Range<usize>)>,
    name: &str,
    position: usize,
    span: Range<usize>,
    members: &[Member<'_>],
    mistakes: &mut Vec<Mistake>,
) {
    let Some(member) = members.get(position) else { return };
    match places.get(name) {
        // A tenant's domain may be its trunk name too.
        Some((owner, _)) if *owner == position => {
            names.insert(name.into(), position);
        }
        Some((owner, there)) => {
            let Some(other) = members.get(*owner) else { return };
            let other_place = Mistake::at(other.source, there.clone(), "").place();
            let message = format!("{name} is tenant {}'s already ({other_place})", other.tenant.id);
            mistakes.push(Mistake::at(member.source, span, message).expected("a name that no other tenant has"));
        }
        None => {
            places.insert(name.into(), (position, span));
            names.insert(name.into(), position);
        }
    }
}

/// The number index. A number that two tenants claim, or that two equally wide entries of one tenant have, is a
/// mistake that names both places.
pub fn numbers(members: &[Member<'_>], mistakes: &mut Vec<Mistake>) -> NumberIndex {
    let entries = (0u32..).zip(members).flat_map(|(tenant, member)| {
        (0u32..)
            .zip(&member.tenant.numbers)
            .map(move |(entry, number)| (Place { tenant, entry }, number.span))
    });
    let (index, conflicts) = NumberIndex::build(entries);
    for conflict in conflicts {
        mistakes.extend(describe(conflict, members));
    }
    index
}

fn describe(conflict: Conflict, members: &[Member<'_>]) -> Option<Mistake> {
    // The later in the order of files and lines is the one to change.
    let (this, other) = if conflict.this > conflict.other {
        (conflict.this, conflict.other)
    } else {
        (conflict.other, conflict.this)
    };
    let (member, other_member) = (members.get(this.tenant as usize)?, members.get(other.tenant as usize)?);
    let number = member.tenant.numbers.get(this.entry as usize)?.span;
    let other_number = other_member.tenant.numbers.get(other.entry as usize)?.span;
    let other_place = Mistake::at(other_member.source, place(other_member, other)?, "").place();
    let mistake =
        |message, expected| Some(Mistake::at(member.source, place(member, this)?, message).expected(expected));
    if this.tenant == other.tenant {
        return mistake(
            format!("{number} and {other_number} share numbers and are equally wide ({other_place})"),
            "a narrower range, which then wins, or no overlap",
        );
    }
    mistake(
        format!(
            "{number} overlaps {other_number} of tenant {} ({other_place})",
            other_member.tenant.id
        ),
        "numbers that no other tenant has",
    )
}

fn place(member: &Member<'_>, place: Place) -> Option<Range<usize>> {
    let raw = member.raw.numbers.get(place.entry as usize)?.value();
    raw.range.as_ref().or(raw.number.as_ref()).map(At::span)
}
