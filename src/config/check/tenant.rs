//! `tenants/<name>.toml`: one tenant by itself.

use super::api;
use super::application;
use super::bases;
use super::carrier::references;
use super::destinations;
use super::facts::MachineFacts;
use super::machine::{duplicates, flag, limits};
use super::media;
use super::reach;
use super::reader::Reader;
use super::users;
use crate::config::checked::{Cloud, Destination, FromTeams, NumberEntry, OutsideCaller, Tenant};
use crate::config::mistake::Mistake;
use crate::config::names::{AssignedForm, HostName, Invalid, MediaAddressName, Sid, TenantFqdn, TenantId, UserName};
use crate::config::network::Network;
use crate::config::number::{E164, NumberSpan};
use crate::config::raw::{At, RawFromTeams, RawNumber, RawOutside, RawTenant, RawTenantCaller, RawTo};

/// Emergency location identification numbers of one tenant.
const MOST_ELINS: u64 = 10_000;

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
            "media bypass, and media of Teams have an IPv6 address",
            "an IPv4 address for the media of the listener for Teams: Teams takes one IPv4 candidate",
        );
    }
}

/// Where users inside the tenant's network have their media: of the IP version that all of its media in Teams have.
fn local_media(name: &At<String>, machine: &MachineFacts, reader: &mut Reader<'_>) -> Option<MediaAddressName> {
    let known = machine.media_addresses.as_deref()?;
    let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    let found = media::reference(name, &names, reader)?;
    let of_teams = machine.media_ipv4;
    let is_ipv4 = known
        .iter()
        .find(|(known, _)| known == name.value())
        .and_then(|(_, ipv4)| *ipv4);
    if let Some((local, usual)) = is_ipv4.zip(of_teams).filter(|(local, usual)| local != usual) {
        let version = |is_ipv4| if is_ipv4 { "IPv4" } else { "IPv6" };
        reader.fault_expecting(
            name.span(),
            format!(
                "media address {:?} is {}, and media of Teams are {}",
                name.value(),
                version(local),
                version(usual)
            ),
            format!("one that is {}", version(usual)),
        );
        return None;
    }
    Some(found)
}

/// Names of Microsoft's own hosts, of whichever cloud, mean no tenant and no trunk.
pub fn refuse_microsofts(text: &At<String>, expected: &str, reader: &mut Reader<'_>) {
    if Cloud::of_hub(text.value()).is_some() || Cloud::is_test_name(text.value()) {
        let name = text.value().to_ascii_lowercase();
        reader.fault_expecting(text.span(), format!("{name} is Microsoft's"), expected);
    }
}

/// A trunk below one of the node's has MediaBypass from that (TEAMS-024): Teams would go on as it is there.
fn inherits_bypass(bypass: &At<bool>, fqdn: &TenantFqdn, machine: &MachineFacts, reader: &mut Reader<'_>) {
    let differs = machine.bypass.is_some_and(|inherited| *bypass.value() != inherited);
    if let Some(base) = machine.bases.above(fqdn).filter(|_| differs) {
        reader.fault_expecting(
            bypass.span(),
            format!("`bypass` differs from that of `teams`, and {fqdn} is a name below {base}"),
            "`bypass` under [teams], as names below the base inherit MediaBypass, or a trunk of the tenant's own (`fqdn`)",
        );
    }
}

/// Labels are in front of this where the base can't be read, so that tenants can be compared. No name ends so.
const UNKNOWN_BASE: &str = "x";

/// The tenant. Without `machine` (its file can't be read) nothing that depends on it is a mistake. Beside mistakes what
/// comes out holds what of its names and numbers can be compared with those of other tenants; `None` when it has no id.
pub fn check(stem: &str, raw: &RawTenant, machine: Option<&MachineFacts>, reader: &mut Reader<'_>) -> Option<Tenant> {
    let id = TenantId::parse(stem).map_err(|Invalid(expected)| {
        let message = format!("{stem:?} is no name for a tenant");
        reader
            .mistakes
            .push(Mistake::about(&reader.source.path, message).expected(expected));
    });
    let domains = reader.parse_each(&raw.domains, "domain", HostName::parse);
    duplicates(&raw.domains, "domain", reader);
    for text in &raw.domains {
        refuse_microsofts(text, "a domain of the tenant's own, such as contoso.example", reader);
    }
    for text in raw.fqdn.iter().chain(&raw.aliases) {
        refuse_microsofts(
            text,
            "a trunk name of the tenant's own, such as sbc.contoso.example",
            reader,
        );
    }
    let fqdn = fqdn(raw, machine, reader);
    let aliases = reader.parse_each(&raw.aliases, "trunk name", TenantFqdn::parse);
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
    let carriers = references(raw.carriers.value(), ids.as_deref(), reader);
    let numbers: Vec<Option<NumberEntry>> = raw
        .numbers
        .iter()
        .map(|entry| number(entry, ids.as_deref(), raw, reader))
        .collect();
    // One that can't be read may be any.
    let all_read = numbers.iter().all(Option::is_some);
    let numbers: Vec<NumberEntry> = numbers.into_iter().flatten().collect();
    let spans = all_read.then(|| numbers.iter().map(|entry| entry.span).collect::<Vec<NumberSpan>>());
    if let (Some(bypass), Some(false)) = (&raw.bypass, machine.and_then(|machine| machine.media_ipv4)) {
        needs_ipv4(bypass, reader);
    }
    if let (Some(bypass), Some(fqdn), Some(machine)) = (&raw.bypass, &fqdn, machine) {
        inherits_bypass(bypass, fqdn, machine, reader);
    }
    let local_media = match (&raw.local_media, machine) {
        (Some(name), Some(machine)) => local_media(name, machine, reader).map(Some),
        // What the machine's file has can't be read.
        (Some(_), None) | (None, _) => Some(None),
    };
    let usual = |flag: fn(&MachineFacts) -> Option<bool>| machine.and_then(flag);
    let bypass = raw.bypass.as_ref().map(|bypass| *bypass.value());
    let refer = raw.refer.as_ref().map(|refer| *refer.value());
    let both = bypass
        .or(usual(|machine| machine.bypass))
        .zip(refer.or(usual(|machine| machine.refer)));
    if let Some((bypass, refer)) = both {
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
    count_elins(raw, reader);
    let destinations = destinations::read(raw.destinations.as_ref(), reader);
    let outside_caller = outside_caller(raw.caller.as_ref(), spans.as_deref(), reader);
    Some(Tenant {
        id: id.ok()?,
        fqdn: fqdn.or_else(|| nobodys(stem))?,
        aliases,
        domains,
        realm: realm.flatten(),
        carriers: carriers.unwrap_or_default(),
        local_media: local_media?,
        bypass,
        from_teams: from_teams.unwrap_or(FromTeams::Carriers),
        refer,
        account,
        allow_sip_networks: allow_sip_networks.unwrap_or_default(),
        assigned: numbers
            .iter()
            .filter_map(|entry| Some((entry.assigned.clone()?, entry.span.first())))
            .collect(),
        numbers,
        outside_caller: outside_caller.unwrap_or(OutsideCaller::Refuse),
        forward_pai: flag(
            raw.caller
                .as_ref()
                .and_then(|caller| caller.value().forward_pai.as_ref()),
            false,
        ),
        limits: limits(raw.limits.as_ref()),
        destinations: destinations.unwrap_or_default(),
        tokens,
    })
}

fn fqdn(raw: &RawTenant, machine: Option<&MachineFacts>, reader: &mut Reader<'_>) -> Option<TenantFqdn> {
    if let (Some(base), None) = (&raw.base, &raw.label) {
        let expected =
            "`label`, which stands in front of it; beside `fqdn` no `base`: that name says by itself what it is below";
        reader.fault_expecting(base.span(), "`base` without `label`", expected);
    }
    match (&raw.label, &raw.fqdn) {
        (None, Some(fqdn)) => reader.parse(fqdn, "trunk name", TenantFqdn::parse),
        (Some(label), None) => {
            let base = bases::above_label(raw.base.as_ref(), machine.map(|machine| &machine.bases), reader);
            let above = base.as_ref().and_then(Option::as_ref);
            let above = above.map_or(UNKNOWN_BASE, TenantFqdn::as_str);
            let name = reader.parse(label, "label", |text| {
                if text.contains('.') || text.is_empty() {
                    return Err(Invalid("one label without dots; a whole name goes into `fqdn`"));
                }
                TenantFqdn::parse(&format!("{text}.{above}"))
            });
            // In front of a wrong base it is no name yet.
            name.filter(|_| base.is_some())
        }
        (Some(label), Some(_)) => {
            reader.fault_expecting(label.span(), "both `label` and `fqdn`", "one of them");
            None
        }
        (None, None) if raw.base.is_some() => None,
        (None, None) => {
            let expected = "`label` (its name in front of teams.base) or `fqdn` (a trunk name of its own)";
            let first = raw.domains.first().map_or(0..0, At::span);
            let place = reader.written([first, 0..0]);
            reader.fault_expecting(place, "the tenant has no trunk name", expected);
            None
        }
    }
}

/// The name of a tenant of which none can be told: it is nobody else's.
fn nobodys(stem: &str) -> Option<TenantFqdn> {
    TenantFqdn::parse(&format!("{}.invalid", Sid::derived(stem))).ok()
}

/// The numbers that an entry is for, where they can be told.
pub fn span(raw: &RawNumber) -> Option<NumberSpan> {
    match (&raw.number, &raw.range) {
        (Some(number), None) => E164::parse(number.value()).map(NumberSpan::one).ok(),
        (None, Some(range)) => NumberSpan::parse_range(range.value()).ok(),
        (Some(_), Some(_)) | (None, None) => None,
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
        (Some(number), None) => reader.parse(number, "number", |text| E164::parse(text).map(NumberSpan::one)),
        (None, Some(range)) => reader.parse(range, "range", NumberSpan::parse_range),
        (Some(_), Some(range)) => {
            reader.fault_expecting(
                range.span(),
                "both `number` and `range`",
                "one of them; write [[numbers]] again for the other",
            );
            None
        }
        (None, None) => {
            reader.fault_expecting(place.clone(), "[[numbers]] without a number", "`number` or `range`");
            None
        }
    };
    let voicemail = raw.voicemail.as_ref().is_some_and(|voicemail| *voicemail.value());
    let to = destination(raw, place, voicemail, carriers, tenant, reader);
    let assigned = raw.assigned.as_ref();
    let form = assigned.and_then(|form| reader.parse(form, "number", AssignedForm::parse));
    let leads_to_teams = matches!(to, None | Some(Destination::Teams | Destination::TeamsVoicemail));
    let is_one = span.is_none_or(|span| span.count() == 1);
    if let Some(form) = assigned.filter(|_| !is_one || !leads_to_teams) {
        let expected = "`number` and to = \"teams\", or no `assigned`";
        reader.fault_expecting(
            form.span(),
            "`assigned` is the form of one number of a Teams user",
            expected,
        );
    }
    Some(NumberEntry {
        span: span?,
        to: to.unwrap_or(Destination::Teams),
        assigned: form,
        elin: flag(raw.elin.as_ref(), false),
    })
}

/// Calls to each of them are never shed, and each may lead to a caller.
fn count_elins(raw: &RawTenant, reader: &mut Reader<'_>) {
    let mut count = 0;
    for number in raw.numbers.iter().map(At::value) {
        let Some(elin) = number.elin.as_ref().filter(|elin| *elin.value()) else {
            continue;
        };
        let before = count;
        count += span(number).map_or(0, |span| span.count());
        if (before..count).contains(&MOST_ELINS) {
            let expected = format!("at most {MOST_ELINS}; each stands for one place where people are");
            reader.fault_expecting(elin.span(), "too many numbers of the tenant are ELINs", expected);
        }
    }
}

fn destination(
    raw: &RawNumber,
    place: std::ops::Range<usize>,
    voicemail: bool,
    carriers: Option<&[&str]>,
    tenant: &RawTenant,
    reader: &mut Reader<'_>,
) -> Option<Destination> {
    let to = raw.to.as_ref().map(At::value);
    if voicemail && !matches!(to, None | Some(RawTo::Teams)) {
        let place = raw.voicemail.as_ref().map_or(place, At::span);
        reader.fault_expecting(
            place,
            "`voicemail` means a Teams user's, and this number does not lead to Teams",
            "to = \"teams\", or no `voicemail`",
        );
    }
    Some(match to {
        None | Some(RawTo::Teams) if voicemail => Destination::TeamsVoicemail,
        None | Some(RawTo::Teams) => Destination::Teams,
        Some(RawTo::Carrier(id)) => {
            let known = references(std::slice::from_ref(id), carriers, reader)?;
            Destination::Carrier(known.into_iter().next()?)
        }
        Some(RawTo::User(text)) => Destination::User(registered_user(text, tenant, reader)?),
        Some(RawTo::Application(name)) => Destination::Application(application::reference(name, tenant, reader)?),
    })
}

/// `name@realm` of the tenant's own users.
fn registered_user(text: &At<String>, tenant: &RawTenant, reader: &mut Reader<'_>) -> Option<UserName> {
    let realm = tenant.realm.as_ref().map(|realm| realm.value().as_str());
    if realm == Some("") {
        return None;
    }
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
        // One without a name may be the one that is meant.
        if !names.contains(&"") {
            reader.tell(text.span(), format!("there is no user {name:?}"), |mistake| {
                let mistake = mistake.near(name, names.iter().copied());
                mistake.expected("the name of one of the [[users]]")
            });
        }
        return None;
    }
    UserName::parse(name)
        .map_err(|Invalid(expected)| reader.fault_expecting(text.span(), "this is no name of a user", expected))
        .ok()
}

fn outside_caller(
    raw: Option<&At<RawTenantCaller>>,
    numbers: Option<&[NumberSpan]>,
    reader: &mut Reader<'_>,
) -> Option<OutsideCaller> {
    let Some(raw) = raw else {
        return Some(OutsideCaller::Refuse);
    };
    let (place, raw) = (raw.span(), raw.value());
    let number = reader.parse_optional(raw.number.as_ref(), "number", E164::parse)?;
    match (raw.outside.as_ref().map(At::value), number, &raw.number) {
        (Some(RawOutside::Replace), Some(number), Some(text)) => {
            if numbers.is_some_and(|numbers| !numbers.iter().any(|span| span.contains(number))) {
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
