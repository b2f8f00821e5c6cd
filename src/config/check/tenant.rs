//! `tenants/<name>.toml`: one tenant by itself.

use super::api;
use super::application;
use super::carrier::references;
use super::destinations;
use super::machine::{duplicates, flag, limits};
use super::reach;
use super::reader::Reader;
use super::users;
use crate::app::outbound::AddressPolicy;
use crate::config::checked::{Destination, FromTeams, Hub, NumberEntry, OutsideCaller, Tenant};
use crate::config::mistake::Mistake;
use crate::config::names::{AssignedForm, HostName, Invalid, TenantFqdn, TenantId, UserName};
use crate::config::network::Network;
use crate::config::number::{E164, NumberSpan};
use crate::config::raw::{At, RawFromTeams, RawNumber, RawOutside, RawTenant, RawTenantCaller, RawTo};

/// What a tenant needs to know of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// `teams.base`, when it is one.
    pub base: Option<TenantFqdn>,
    /// Every carrier's id as typed, when all can be read.
    pub carriers: Option<Vec<String>>,
    /// Some listener is for users, when all can be read.
    pub users_listened: Option<bool>,
    /// Which addresses hooks may have, when nothing is wrong with the file.
    pub reach: Option<AddressPolicy>,
    /// Media have an IPv4 address, when it can be read.
    pub media_ipv4: Option<bool>,
    /// `teams.bypass`.
    pub bypass: bool,
    /// `teams.refer`.
    pub refer: bool,
}

/// Teams moves calls of such a trunk by REFER alone (TEAMS-082); `place` is what says one of the two.
pub fn bypass_needs_refer(bypass: bool, refer: bool, place: Option<&At<bool>>, reader: &mut Reader<'_>) {
    if let (true, false, Some(place)) = (bypass, refer, place) {
        reader.fault_expecting(
            place.span(),
            "media bypass, and REFER is not taken",
            "`refer = true`, or no `refer`: Teams transfers calls of a trunk with bypass by REFER alone",
        );
    }
}

/// Media bypass over IPv6 is not to be had (TEAMS-099).
pub fn needs_ipv4(bypass: &At<bool>, reader: &mut Reader<'_>) {
    if *bypass.value() {
        reader.fault_expecting(
            bypass.span(),
            "media bypass, and `media` has an IPv6 address",
            "an IPv4 address as `media.advertise`: Teams takes one IPv4 candidate",
        );
    }
}

/// A trunk below the node's has MediaBypass from that (TEAMS-024): Teams would go on as it is there.
fn inherits_bypass(bypass: &At<bool>, fqdn: &TenantFqdn, machine: &MachineFacts, reader: &mut Reader<'_>) {
    let is_derived = machine.base.as_ref().is_some_and(|base| fqdn.is_derived_from(base));
    if is_derived && *bypass.value() != machine.bypass {
        reader.fault_expecting(
            bypass.span(),
            format!("`bypass` differs from that of `teams`, and {fqdn} is a name below `teams.base`"),
            "`bypass` under [teams], as names below the base inherit MediaBypass, or a trunk of the tenant's own (`fqdn`)",
        );
    }
}

/// The tenant. Without `machine` (its file can't be read) nothing that depends on it is a mistake. Beside mistakes what
/// comes out holds only what other tenants' names and numbers are compared with; `None` when that can't be told either.
pub fn check(stem: &str, raw: &RawTenant, machine: Option<&MachineFacts>, reader: &mut Reader<'_>) -> Option<Tenant> {
    let id = TenantId::parse(stem).map_err(|Invalid(expected)| {
        let message = format!("{stem:?} is no name for a tenant");
        reader
            .mistakes
            .push(Mistake::about(&reader.source.path, message).expected(expected));
    });
    let domains = reader.parse_list(&raw.domains, "domain", HostName::parse);
    duplicates(&raw.domains, "domain", reader);
    for (text, domain) in raw.domains.iter().zip(domains.iter().flatten()) {
        if Hub::PUBLISHED.contains(&domain.as_str()) {
            let expected = "a domain of the tenant's own, such as contoso.example";
            reader.fault_expecting(text.span(), format!("{domain} is Microsoft's"), expected);
        }
    }
    let fqdn = fqdn(raw, machine, reader);
    let aliases = reader.parse_list(&raw.aliases, "trunk name", TenantFqdn::parse);
    duplicates(&raw.aliases, "alias", reader);
    let ids: Option<Vec<&str>> = machine
        .and_then(|machine| machine.carriers.as_ref())
        .map(|ids| ids.iter().map(String::as_str).collect());
    if raw.carriers.value().is_empty() {
        reader.fault_expecting(
            raw.carriers.span(),
            "the tenant has no carrier for calls out of Teams",
            "at least one carrier in sbc.toml",
        );
    }
    let carriers = ids
        .as_deref()
        .and_then(|ids| references(raw.carriers.value(), ids, reader));
    let numbers: Vec<Option<NumberEntry>> = raw
        .numbers
        .iter()
        .map(|entry| number(entry, ids.as_deref(), raw, reader))
        .collect();
    let numbers: Option<Vec<NumberEntry>> = numbers.into_iter().collect();
    let spans: Option<Vec<NumberSpan>> = numbers
        .as_ref()
        .map(|numbers| numbers.iter().map(|entry| entry.span).collect());
    if let (Some(bypass), Some(false)) = (&raw.bypass, machine.and_then(|machine| machine.media_ipv4)) {
        needs_ipv4(bypass, reader);
    }
    if let (Some(bypass), Some(fqdn), Some(machine)) = (&raw.bypass, &fqdn, machine) {
        inherits_bypass(bypass, fqdn, machine, reader);
    }
    if let Some(machine) = machine {
        let bypass = flag(raw.bypass.as_ref(), machine.bypass);
        let refer = flag(raw.refer.as_ref(), machine.refer);
        bypass_needs_refer(bypass, refer, raw.refer.as_ref().or(raw.bypass.as_ref()), reader);
    }
    let realm = users::realm(
        raw,
        machine.and_then(|machine| machine.users_listened),
        spans.as_deref(),
        reader,
    );
    let allow_sip_networks = reader.parse_list(&raw.allow_sip_networks, "network", Network::parse);
    let tokens = api::tokens(&raw.tokens, reader);
    let account = application::account(stem, raw, reader);
    reach::check(raw, machine.and_then(|machine| machine.reach.as_ref()), reader);
    let from_teams = match raw.from_teams.as_ref().map(At::value) {
        None | Some(RawFromTeams::Carriers) => Some(FromTeams::Carriers),
        Some(RawFromTeams::Application(name)) => application::reference(name, raw, reader).map(FromTeams::Application),
    };
    let destinations = destinations::read(raw.destinations.as_ref(), reader);
    let outside_caller = outside_caller(raw.caller.as_ref(), numbers.as_deref(), reader);
    Some(Tenant {
        id: id.ok()?,
        fqdn: fqdn?,
        aliases: aliases.unwrap_or_default(),
        domains: domains.unwrap_or_default(),
        realm: realm.flatten(),
        carriers: carriers.unwrap_or_default(),
        bypass: raw.bypass.as_ref().map(|bypass| *bypass.value()),
        from_teams: from_teams.unwrap_or(FromTeams::Carriers),
        refer: raw.refer.as_ref().map(|refer| *refer.value()),
        account: account?,
        allow_sip_networks: allow_sip_networks.unwrap_or_default(),
        numbers: numbers.unwrap_or_default(),
        outside_caller: outside_caller.unwrap_or(OutsideCaller::Refuse),
        forward_pai: flag(
            raw.caller
                .as_ref()
                .and_then(|caller| caller.value().forward_pai.as_ref()),
            false,
        ),
        limits: limits(raw.limits.as_ref()),
        destinations: destinations.unwrap_or_default(),
        tokens: tokens.unwrap_or_default(),
    })
}

fn fqdn(raw: &RawTenant, machine: Option<&MachineFacts>, reader: &mut Reader<'_>) -> Option<TenantFqdn> {
    match (&raw.label, &raw.fqdn) {
        (None, Some(fqdn)) => reader.parse(fqdn, "trunk name", TenantFqdn::parse),
        (Some(label), None) => {
            let base = machine.and_then(|machine| machine.base.as_ref())?;
            reader.parse(label, "label", |text| {
                if text.contains('.') || text.is_empty() {
                    return Err(Invalid("one label without dots; a whole name goes into `fqdn`"));
                }
                TenantFqdn::parse(&format!("{text}.{base}"))
            })
        }
        (Some(label), Some(_)) => {
            reader.fault_expecting(label.span(), "both `label` and `fqdn`", "one of them");
            None
        }
        (None, None) if !reader.complete(&(0..0)) => None,
        (None, None) => {
            let expected = "`label` (its name in front of teams.base) or `fqdn` (a trunk name of its own)";
            let place = raw.domains.first().map_or(0..0, At::span);
            reader.fault_expecting(place, "the tenant has no trunk name", expected);
            None
        }
    }
}

/// `carriers` is `None` when the machine's file can't be read. `None` when it is not known which numbers are meant: a mistake
/// in where they lead leaves them comparable with those of others.
fn number(
    raw: &At<RawNumber>,
    carriers: Option<&[&str]>,
    tenant: &RawTenant,
    reader: &mut Reader<'_>,
) -> Option<NumberEntry> {
    let (place, raw) = (raw.span(), raw.value());
    let span = match (&raw.number, &raw.range) {
        (Some(number), None) => reader.parse(number, "number", |text| E164::parse(text).map(NumberSpan::one))?,
        (None, Some(range)) => reader.parse(range, "range", NumberSpan::parse_range)?,
        (Some(_), Some(range)) => {
            reader.fault_expecting(
                range.span(),
                "both `number` and `range`",
                "one of them; write [[numbers]] again for the other",
            );
            return None;
        }
        (None, None) if !reader.complete(&place) => return None,
        (None, None) => {
            reader.fault_expecting(place, "[[numbers]] without a number", "`number` or `range`");
            return None;
        }
    };
    let voicemail = raw.voicemail.as_ref().is_some_and(|voicemail| *voicemail.value());
    let to = destination(raw, place, voicemail, carriers, tenant, reader);
    let assigned = raw.assigned.as_ref();
    let form = assigned.and_then(|form| reader.parse(form, "number", AssignedForm::parse));
    let leads_to_teams = matches!(to, None | Some(Destination::Teams | Destination::TeamsVoicemail));
    if let Some(form) = assigned.filter(|_| span.count() != 1 || !leads_to_teams) {
        let expected = "`number` and to = \"teams\", or no `assigned`";
        reader.fault_expecting(
            form.span(),
            "`assigned` is the form of one number of a Teams user",
            expected,
        );
    }
    Some(NumberEntry {
        span,
        to: to.unwrap_or(Destination::Teams),
        assigned: form,
    })
}

fn destination(
    raw: &RawNumber,
    place: std::ops::Range<usize>,
    voicemail: bool,
    carriers: Option<&[&str]>,
    tenant: &RawTenant,
    reader: &mut Reader<'_>,
) -> Option<Destination> {
    Some(match (raw.to.as_ref().map(At::value), voicemail) {
        (None | Some(RawTo::Teams), false) => Destination::Teams,
        (None | Some(RawTo::Teams), true) => Destination::TeamsVoicemail,
        (Some(RawTo::Carrier(id)), false) => {
            let known = references(std::slice::from_ref(id), carriers?, reader)?;
            Destination::Carrier(known.into_iter().next()?)
        }
        (Some(RawTo::User(text)), false) => Destination::User(registered_user(text, tenant, reader)?),
        (Some(RawTo::Application(name)), false) => {
            Destination::Application(application::reference(name, tenant, reader)?)
        }
        (Some(RawTo::Carrier(_) | RawTo::User(_) | RawTo::Application(_)), true) => {
            let place = raw.voicemail.as_ref().map_or(place, At::span);
            reader.fault_expecting(
                place,
                "`voicemail` means a Teams user's, and this number does not lead to Teams",
                "to = \"teams\", or no `voicemail`",
            );
            return None;
        }
    })
}

/// `name@realm` of the tenant's own users.
fn registered_user(text: &At<String>, tenant: &RawTenant, reader: &mut Reader<'_>) -> Option<UserName> {
    let realm = tenant.realm.as_ref().map(|realm| realm.value().as_str());
    let (name, host) = match text.value().split_once('@') {
        Some((name, host)) => (name, Some(host)),
        None => (text.value().as_str(), realm),
    };
    let named = host
        .zip(realm)
        .is_some_and(|(host, realm)| host.eq_ignore_ascii_case(realm));
    if !named {
        let expected = match realm {
            Some(realm) => format!("a name and \"@{realm}\", the tenant's realm"),
            None => "`realm` and [[users]] in this file".to_owned(),
        };
        reader.fault_expecting(
            text.span(),
            format!("{:?} is no user of the tenant", text.value()),
            expected,
        );
        return None;
    }
    let names: Vec<&str> = tenant
        .users
        .iter()
        .map(|user| user.value().name.value().as_str())
        .collect();
    // Whom a hook knows shows when they register.
    if !names.contains(&name) && tenant.registration_hook.is_none() {
        let mistake = Mistake::at(reader.source, text.span(), format!("there is no user {name:?}"));
        let mistake = mistake.near(name, names.iter().copied());
        reader
            .mistakes
            .push(mistake.expected("the name of one of the [[users]]"));
        return None;
    }
    UserName::parse(name)
        .map_err(|Invalid(expected)| reader.fault_expecting(text.span(), "this is no name of a user", expected))
        .ok()
}

fn outside_caller(
    raw: Option<&At<RawTenantCaller>>,
    numbers: Option<&[NumberEntry]>,
    reader: &mut Reader<'_>,
) -> Option<OutsideCaller> {
    let Some(raw) = raw else {
        return Some(OutsideCaller::Refuse);
    };
    let (place, raw) = (raw.span(), raw.value());
    let number = reader.parse_optional(raw.number.as_ref(), "number", E164::parse)?;
    match (raw.outside.as_ref().map(At::value), number, &raw.number) {
        (Some(RawOutside::Replace), Some(number), Some(text)) => {
            if numbers.is_some_and(|numbers| !numbers.iter().any(|entry| entry.span.contains(number))) {
                reader.fault_expecting(
                    text.span(),
                    format!("{number} is not the tenant's"),
                    "one of its [[numbers]]",
                );
                return None;
            }
            Some(OutsideCaller::Replace(number))
        }
        (Some(RawOutside::Replace), _, _) => {
            reader.fault_expecting(
                place,
                "outside = \"replace\" without a number",
                "`number`, one of the tenant's",
            );
            None
        }
        (_, None, _) => Some(OutsideCaller::Refuse),
        (_, Some(_), text) => {
            let span = text.as_ref().map_or(place, At::span);
            reader.fault_expecting(
                span,
                "`number` is only shown with outside = \"replace\"",
                "outside = \"replace\", or no `number`",
            );
            None
        }
    }
}
