//! What only shows with all tenants side by side: names and numbers that two of them claim.

use crate::config::checked::{Config, NumberEntry, Tenant, TenantNames};
use crate::config::mistake::{Mistake, Source};
use crate::config::names::TenantFqdn;
use crate::config::number::NumberSpan;
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

/// More changed tenants than this, and everything is made anew.
const FEW: usize = 16;

/// What finds a tenant by a name and by a number. What `old`, in force and right, has of tenants that are the same now is
/// not made again: one tenant's change among 100,000 numbers is then a tenth of a millisecond.
pub fn together(
    members: &[Member<'_>],
    base: Option<&TenantFqdn>,
    old: Option<&Config>,
    mistakes: &mut Vec<Mistake>,
) -> (Arc<TenantNames>, Arc<NumberIndex>) {
    let kept = old.and_then(|old| Some((old, changed(old, members)?)));
    let names = kept.as_ref().and_then(|(old, changed)| {
        let same_base = base == Some(&old.sbc.teams.base);
        let same = |(_, before, now): &(u32, &Tenant, &Tenant)| are_named_alike(before, now);
        (same_base && changed.iter().all(same)).then(|| old.names.clone())
    });
    let names = names.unwrap_or_else(|| Arc::new(self::names(members, base, mistakes)));
    let numbers = kept.and_then(|(old, changed)| {
        changed
            .into_iter()
            .try_fold(old.numbers.clone(), |index, (position, _, now)| {
                Some(Arc::new(index.with(position, entries(position, &now.numbers))?))
            })
    });
    // What collides is told by the whole: it knows both places.
    let numbers = numbers.unwrap_or_else(|| Arc::new(self::numbers(members, mistakes)));
    (names, numbers)
}

/// The few tenants that are not as in `old`, before and now, by their positions; None when positions or many moved.
fn changed<'m>(old: &'m Config, members: &[Member<'m>]) -> Option<Vec<(u32, &'m Tenant, &'m Tenant)>> {
    if old.tenants.len() != members.len() {
        return None;
    }
    let mut changed = Vec::new();
    for ((position, before), member) in (0..).zip(old.tenants.iter()).zip(members) {
        if before.id != member.tenant.id || changed.len() > FEW {
            return None;
        }
        if !Arc::ptr_eq(before, member.tenant) {
            changed.push((position, &**before, &**member.tenant));
        }
    }
    Some(changed)
}

/// Whether two states of a tenant are found by the same names, in each index of [`TenantNames`].
fn are_named_alike(one: &Tenant, other: &Tenant) -> bool {
    let realm = |tenant: &Tenant| tenant.realm.as_ref().map(|realm| realm.name.clone());
    let applications = |tenant: &Tenant| {
        let applications = tenant.account.applications.iter();
        applications
            .map(|application| application.sid.clone())
            .collect::<Vec<_>>()
    };
    let tokens = |tenant: &Tenant| tenant.tokens.iter().map(|token| token.digest).collect::<Vec<_>>();
    (&one.fqdn, &one.aliases, &one.domains) == (&other.fqdn, &other.aliases, &other.domains)
        && realm(one) == realm(other)
        && one.account.sid == other.account.sid
        && applications(one) == applications(other)
        && tokens(one) == tokens(other)
}

fn entries(tenant: u32, numbers: &[NumberEntry]) -> impl Iterator<Item = (Place, NumberSpan)> {
    (0..)
        .zip(numbers)
        .map(move |(entry, number)| (Place { tenant, entry }, number.span))
}

/// Positions by name. A name that two tenants claim, or that is the node's own, is a mistake.
fn names(members: &[Member<'_>], base: Option<&TenantFqdn>, mistakes: &mut Vec<Mistake>) -> TenantNames {
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
fn numbers(members: &[Member<'_>], mistakes: &mut Vec<Mistake>) -> NumberIndex {
    let all = (0..)
        .zip(members)
        .flat_map(|(tenant, member)| entries(tenant, &member.tenant.numbers));
    let (index, conflicts) = NumberIndex::build(all);
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
