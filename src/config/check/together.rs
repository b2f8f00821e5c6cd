//! What only shows with all tenants side by side: names and numbers that two of them claim.

use super::bases::Bases;
use super::{api, tenant};
use crate::config::checked::{Config, NumberEntry, Tenant, TenantNames};
use crate::config::mistake::{Mistake, Source};
use crate::config::names::{HostName, TenantFqdn};
use crate::config::number::NumberSpan;
use crate::config::number_index::{Conflict, NumberIndex, Place};
use crate::config::raw::{At, RawTenant};
use std::borrow::Cow;
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
/// ELINs of all tenants: every reload writes each in all forms that carriers use.
const MOST_ELINS: u64 = 100_000;

/// What finds a tenant by a name and by a number. What `old`, in force and right, has of tenants that are the same now is
/// not made again: one tenant's change among 100,000 numbers is then a tenth of a millisecond.
pub fn together(
    members: &[Member<'_>],
    bases: Option<&Bases>,
    old: Option<&Config>,
    mistakes: &mut Vec<Mistake>,
) -> (Arc<TenantNames>, Arc<NumberIndex>) {
    // Beside mistakes what was checked lacks what could not be read, and may still be compared.
    let old = old.filter(|_| mistakes.is_empty());
    let kept = old.and_then(|old| Some((old, changed(old, members)?)));
    let names = kept.as_ref().and_then(|(old, changed)| {
        let same_bases = bases.is_some_and(|bases| bases.known().eq(old.sbc.teams.bases()));
        let same = |(_, before, now): &(u32, &Tenant, &Tenant)| are_named_alike(before, now);
        (same_bases && changed.iter().all(same)).then(|| old.names.clone())
    });
    let names = names.unwrap_or_else(|| Arc::new(self::names(members, bases, mistakes)));
    let has_more = |(_, before, now): &(u32, &Tenant, &Tenant)| elins(now) > elins(before);
    let may_be_many = kept.as_ref().is_none_or(|(_, changed)| changed.iter().any(has_more));
    let numbers = kept.and_then(|(old, changed)| {
        changed
            .into_iter()
            .try_fold(old.numbers.clone(), |index, (position, _, now)| {
                Some(Arc::new(index.with(position, entries(position, &now.numbers))?))
            })
    });
    // What collides is told by the whole: it knows both places.
    let numbers = numbers.unwrap_or_else(|| Arc::new(self::numbers(members, mistakes)));
    if may_be_many {
        count_elins(members, mistakes);
    }
    (names, numbers)
}

fn elins(tenant: &Tenant) -> u64 {
    tenant
        .elins()
        .fold(0, |count: u64, entry| count.saturating_add(entry.span.count()))
}

fn count_elins(members: &[Member<'_>], mistakes: &mut Vec<Mistake>) {
    let mut count: u64 = 0;
    for member in members {
        let before = count;
        count = count.saturating_add(elins(member.tenant));
        if (before..count).contains(&MOST_ELINS) {
            let numbers = member.raw.numbers.iter().map(At::value);
            let mut typed = numbers.filter_map(|number| number.elin.as_ref().filter(|elin| *elin.value()));
            let place = typed.next().map_or(0..0, At::span);
            let mistake = Mistake::at(member.source, place, "too many numbers of all tenants are ELINs");
            let expected = format!("at most {MOST_ELINS}; each stands for one place where people are");
            mistakes.push(mistake.expected(expected));
        }
    }
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
fn names(members: &[Member<'_>], bases: Option<&Bases>, mistakes: &mut Vec<Mistake>) -> TenantNames {
    let is_base = |name: &str| bases.is_some_and(|bases| bases.known().any(|base| base.as_str() == name));
    let first = bases.and_then(|bases| bases.first.as_ref());
    let mut names = TenantNames::default();
    let mut claims = Claims {
        members,
        places: HashMap::new(),
        mistakes,
    };
    for (position, member) in members.iter().enumerate() {
        let (raw, tenant) = (member.raw, member.tenant);
        let own = raw.fqdn.as_ref().or(raw.label.as_ref());
        // Under a base that can't be read a label is all that is known of a name.
        let shown = match (&raw.label, raw.base.is_some() || first.is_some()) {
            (Some(label), false) => label.value(),
            _ => tenant.fqdn.as_str(),
        };
        let aliases = read(&raw.aliases, &tenant.aliases, |text| {
            TenantFqdn::parse(text.value()).is_ok()
        });
        let aliases = aliases.map(|(text, alias)| (Some(text), alias, alias.as_str()));
        for (text, host, shown) in std::iter::once((own, &tenant.fqdn, shown)).chain(aliases) {
            let span = text.map_or(0..0, At::span);
            match is_base(host.as_str()) {
                true => claims.own_name(host.as_str(), member, span),
                false => claims.claim(&mut names.hosts, (host.as_str(), shown), position, span),
            }
        }
        // Beside mistakes in its users there is no realm.
        let realm = match (&raw.realm, &tenant.realm) {
            (Some(text), Some(realm)) => Some((text, Cow::Borrowed(&realm.name))),
            (Some(text), None) => HostName::parse(text.value()).ok().map(|name| (text, Cow::Owned(name))),
            (None, _) => None,
        };
        if let Some((text, name)) = realm {
            match is_base(name.as_str()) {
                true => claims.own_name(name.as_str(), member, text.span()),
                false => claims.claim(&mut names.realms, (name.as_str(), name.as_str()), position, text.span()),
            }
        }
        let sid = tenant.account.sid.as_str();
        let span = raw.account_sid.as_ref().map_or(0..0, At::span);
        claims.claim(&mut names.accounts, (sid, sid), position, span);
        for application in &tenant.account.applications {
            let typed = raw.application.get(application.name.as_str());
            let typed = typed.and_then(|typed| typed.value().sid.as_ref());
            let (sid, span) = (application.sid.as_str(), typed.map_or(0..0, At::span));
            claims.claim(&mut names.applications, (sid, sid), position, span);
        }
        for (text, token) in read(&raw.tokens, &tenant.tokens, api::is_token) {
            if names.tokens.insert(token.digest, position).is_some() {
                let expected = "another token for each entry, as `portcullis token new` makes them";
                let mistake = Mistake::at(member.source, text.value().sha256.span(), "the token is there already");
                claims.mistakes.push(mistake.expected(expected));
            }
        }
        for (text, domain) in read(&raw.domains, &tenant.domains, |text| {
            HostName::parse(text.value()).is_ok()
        }) {
            claims.claim(
                &mut names.domains,
                (domain.as_str(), domain.as_str()),
                position,
                text.span(),
            );
        }
    }
    names
}

/// Those of `typed` that could be read, each beside what it reads as.
fn read<'a, R, T>(typed: &'a [R], values: &'a [T], reads: impl Fn(&R) -> bool) -> impl Iterator<Item = (&'a R, &'a T)> {
    let all = typed.len() == values.len();
    typed.iter().filter(move |typed| all || reads(typed)).zip(values)
}

struct Claims<'c, 'm> {
    members: &'c [Member<'m>],
    /// Who has a name, and where.
    places: HashMap<Box<str>, (usize, Range<usize>)>,
    mistakes: &'c mut Vec<Mistake>,
}

impl Claims<'_, '_> {
    /// `name` as it is compared and as it is told.
    fn claim(
        &mut self,
        names: &mut HashMap<Box<str>, usize>,
        (name, shown): (&str, &str),
        position: usize,
        span: Range<usize>,
    ) {
        let Some(member) = self.members.get(position) else {
            return;
        };
        match self.places.get(name) {
            // A tenant's domain may be its trunk name too.
            Some((owner, _)) if *owner == position => {
                names.insert(name.into(), position);
            }
            Some((owner, there)) => {
                let Some(other) = self.members.get(*owner) else { return };
                let other_place = Mistake::at(other.source, there.clone(), "").place();
                let message = format!("{shown} is tenant {}'s already ({other_place})", other.tenant.id);
                let mistake = Mistake::at(member.source, span, message);
                self.mistakes.push(mistake.expected("a name that no other tenant has"));
            }
            None => {
                self.places.insert(name.into(), (position, span));
                names.insert(name.into(), position);
            }
        }
    }

    fn own_name(&mut self, name: &str, member: &Member<'_>, span: Range<usize>) {
        let mistake = Mistake::at(member.source, span, format!("{name} is this node's own trunk name"));
        self.mistakes.push(mistake.expected("a name of the tenant's own"));
    }
}

/// The number index. A number that two tenants claim, or that two equally wide entries of one tenant have, is a
/// mistake that names both places.
fn numbers(members: &[Member<'_>], mistakes: &mut Vec<Mistake>) -> NumberIndex {
    let all = (0..)
        .zip(members)
        .flat_map(|(tenant, member)| entries(tenant, &member.tenant.numbers));
    let (index, conflicts) = NumberIndex::build(all);
    let mut places = Places {
        members,
        known: HashMap::new(),
    };
    for conflict in conflicts {
        mistakes.extend(describe(conflict, &mut places));
    }
    index
}

fn describe(conflict: Conflict, places: &mut Places<'_, '_>) -> Option<Mistake> {
    // The later in the order of files and lines is the one to change.
    let (this, other) = if conflict.this > conflict.other {
        (conflict.this, conflict.other)
    } else {
        (conflict.other, conflict.this)
    };
    let members = places.members;
    let (member, other_member) = (members.get(this.tenant as usize)?, members.get(other.tenant as usize)?);
    let number = member.tenant.numbers.get(this.entry as usize)?.span;
    let other_number = other_member.tenant.numbers.get(other.entry as usize)?.span;
    let other_place = Mistake::at(other_member.source, places.of(other)?, "").place();
    let place = places.of(this)?;
    let mistake = |message, expected| Some(Mistake::at(member.source, place, message).expected(expected));
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

/// Where numbers stand in their files: of a file with one that collides all, as mostly more of them do.
struct Places<'p, 'm> {
    members: &'p [Member<'m>],
    known: HashMap<u32, Vec<Option<Range<usize>>>>,
}

impl Places<'_, '_> {
    fn of(&mut self, place: Place) -> Option<Range<usize>> {
        let member = self.members.get(place.tenant as usize)?;
        let places = self.known.entry(place.tenant).or_insert_with(|| {
            let numbers = read(&member.raw.numbers, &member.tenant.numbers, |raw| {
                tenant::span(raw.value()).is_some()
            });
            numbers
                .map(|(raw, _)| raw.value().range.as_ref().or(raw.value().number.as_ref()).map(At::span))
                .collect()
        });
        places.get(place.entry as usize)?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;

    #[test]
    fn elins_of_all_tenants_are_counted() {
        let carrier = "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\n";
        let tenants: Vec<(String, String)> = (100..111)
            .map(|tenant| {
                let id = format!("t{tenant}");
                let text = format!(
                    "domains = [\"{id}.example\"]\nlabel = \"{id}\"\ncarriers = [\"north\"]\n[[numbers]]\n\
                     range = \"+1425{tenant}0000-+1425{tenant}9999\"\nelin = true\n"
                );
                (id, text)
            })
            .collect();
        let tenants: Vec<(&str, &str)> = tenants.iter().map(|(id, text)| (&**id, &**text)).collect();
        let read = |count: usize| Config::from_toml_strs(&machine(carrier), &tenants[..count]);
        assert!(read(10).is_ok());
        let wrong = read(11).expect_err("too many").to_string();
        assert!(
            wrong.contains("t110.toml:6:8: too many numbers of all tenants are ELINs")
                && wrong.ends_with("\n1 mistake"),
            "{wrong}"
        );
    }
}
