//! The INVITE toward Teams: sip, sip2, sip3, the healthy first (TEAMS-063).

use crate::carrier::{PlanFacts, history_info, party_uri, quoted};
use crate::config::{Config, E164, Hub, OwnAddresses, Ringing, Teams, Tenant, TenantFqdn};
use crate::dial::{
    Attempt, HuntOn, KeyForm, LegKind, LegTerms, NextHop, PeerName, PlannedHop, SessionTimer, ToHubs, Transfers, allow,
};
use crate::net::interface_addresses;
use crate::route::Diversion;
use crate::sdp::{AddressFamilies, LegProfile};
use crate::sip::Transport;
use crate::sip::message::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// What Teams says in Min-SE itself: it is proposed no less (TEAMS-075).
const LEAST_PROPOSED: Duration = Duration::from_secs(300);

/// The attempt that rings `number` in the tenant: each hub once, hubs for which `held` is true last.
pub fn plan(facts: PlanFacts<'_>, number: E164, voicemail: bool, held: impl Fn(&PeerName) -> bool) -> Attempt {
    let teams = &facts.config.sbc.teams;
    let mut planned = Vec::with_capacity(teams.hubs.len());
    for hub in &teams.hubs {
        let mut hop = hop(facts, teams, hub, number, voicemail);
        hop.held = held(&hop.peer);
        planned.push(hop);
    }
    planned.sort_by_key(|hop| hop.held);
    Attempt::routed(planned)
}

/// What a hub is called in health tables, traces and metrics.
pub fn hub_name(hub: &Hub) -> PeerName {
    PeerName::Hub(hub.host.as_str().into())
}

fn hop(facts: PlanFacts<'_>, teams: &Teams, hub: &Hub, number: E164, voicemail: bool) -> PlannedHop {
    let tenant = &facts.decision.tenant;
    let opaque = if voicemail { ";opaque=app:voicemail" } else { "" };
    let (from, contact_user, mut headers) = identity(facts, tenant);
    let as_given = |diversion: &Diversion| diversion.number.clone();
    let (callee, host) = (as_assigned(facts.config, tenant, number), tenant.fqdn.as_str());
    if let Some(entries) = history_info(facts.diversions, as_given, &callee, host) {
        headers.push((HeaderName::HistoryInfo, entries));
    }
    let terms = terms(facts.config, tenant);
    PlannedHop {
        peer: hub_name(hub),
        next: NextHop {
            host: hub.host.as_str().into(),
            port: Some(hub.port),
            transport: Some(Transport::Tls),
            listener: teams.listener,
            server_name: Some(hub.host.as_str().into()),
            presented: terms.presented(),
        },
        direct: None,
        request_uri: format!(
            "sip:{callee}@{}:{};user=phone;transport=tls{opaque}",
            hub.host, hub.port
        ),
        from,
        to: format!("<sip:{callee}@{};user=phone>", tenant.fqdn),
        contact_user,
        headers,
        extra_headers: Vec::new(),
        terms,
        first_response: teams.response_timeout,
        progress: Some(teams.progress_timeout),
        // Never on 4xx or 6xx (TEAMS-064).
        hunt: HuntOn::codes([503]),
        held: false,
        hold_down: teams.hold_down,
    }
}

/// A number as Teams knows it (TEAMS-040).
fn as_assigned(config: &Config, tenant: &Tenant, number: E164) -> String {
    let entry = config.number(number).filter(|(owner, _)| owner.id == tenant.id);
    let form = entry.and_then(|(_, entry)| entry.assigned.as_ref());
    form.map_or_else(|| number.to_string(), |form| form.to_string())
}

/// From, the user part of Contact, and Privacy (TEAMS-039 to TEAMS-042).
fn identity(facts: PlanFacts<'_>, tenant: &Tenant) -> (String, String, Vec<(HeaderName, String)>) {
    let caller = facts.caller;
    let shown = match facts.decision.caller {
        Some(number) => number.to_string(),
        None => caller.number.clone(),
    };
    // Who has no number is as anonymous as who hides it.
    if caller.private || shown.is_empty() {
        return (
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(),
            "anonymous".into(),
            vec![(HeaderName::Privacy, "id".into())],
        );
    }
    let display = caller.display.as_deref().map(quoted).unwrap_or_default();
    let user: String = shown
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#' | '.' | '-'))
        .collect();
    (
        format!("{display}<{}>", party_uri(&user, &tenant.fqdn)),
        user,
        Vec::new(),
    )
}

/// The terms of the legs that we call Teams on: they are of the tenant's own trunk. Whoever comes by a transfer has the terms of the
/// leg that has asked for it.
pub fn terms(config: &Config, tenant: &Tenant) -> Arc<LegTerms> {
    terms_of(config, tenant, &tenant.fqdn)
}

/// The terms of a leg that Teams calls us on, by the name `host`. The call is one of that trunk, and the certificate of its connection
/// was shown for that name: so our Contact bears it as well (TEAMS-029). A call to nobody's name, as one for help may be, is of the
/// tenant's own trunk.
pub fn terms_under(config: &Config, tenant: &Tenant, host: &str) -> Arc<LegTerms> {
    let mut trunks = tenant.trunks();
    let called = trunks.find(|trunk| trunk.as_str().eq_ignore_ascii_case(host));
    terms_of(config, tenant, called.unwrap_or(&tenant.fqdn))
}

fn terms_of(config: &Config, tenant: &Tenant, trunk: &TenantFqdn) -> Arc<LegTerms> {
    let sbc = &config.sbc;
    let port = sbc
        .listener(sbc.teams.listener)
        .map_or(5061, |listener| listener.advertise_port);
    let mut media = match tenant.bypasses(&sbc.teams) {
        true => LegProfile::teams_bypass(),
        false => LegProfile::teams(),
    };
    let own = OwnAddresses::of(sbc, interface_addresses());
    (media.addresses.own, media.addresses.listeners) = (own.of_media(), own.sockets());
    media.addresses.allow_loopback = sbc.media.allow_loopback;
    let usual = sbc.media_of(sbc.teams.listener);
    media.addresses.families = AddressFamilies::of(usual.bind);
    Arc::new(LegTerms {
        kind: LegKind::Teams {
            tenant_fqdn: trunk.as_str().into(),
        },
        listener: sbc.teams.listener,
        transport: Transport::Tls,
        ways: [].into(),
        networks: sbc.teams.networks.as_slice().into(),
        peer_names: [].into(),
        // In-dialog requests go to the host in Record-Route; every certificate of Teams bears a hub's name (TEAMS-010): which,
        // shows when it is heard.
        server_names: sbc.teams.hubs.iter().map(|hub| hub.host.as_str().into()).collect(),
        contact: format!("{trunk}:{port};transport=tls").into(),
        allow: allow(config, Some(tenant)).into(),
        supported: "timer, replaces".into(),
        product: sbc.teams.product.as_str().into(),
        fixed_headers: vec![(HeaderName::XMsSbc, sbc.teams.product.clone())],
        media,
        media_address: sbc
            .listener(sbc.teams.listener)
            .map(|known| known.media)
            .unwrap_or_default(),
        local_media: tenant
            .local_media
            .as_ref()
            .and_then(|name| Some((sbc.media.named(name)?, name.clone())))
            // Until the next start the listener's may be of the other IP version.
            .filter(|(id, _)| sbc.media.at(*id).bind.is_ipv4() == usual.bind.is_ipv4()),
        behind_nat: false,
        keys: KeyForm::Events,
        music_on_hold: false,
        pass_location: false,
        ringing: Ringing::RELAYED,
        patience: Some(sbc.teams.patience),
        session_timer: SessionTimer {
            expires: Some(sbc.teams.session_expires),
            min: sbc.teams.min_se,
            least_proposed: LEAST_PROPOSED,
        },
        credentials: None,
        transfers: takes_refer(config, Some(tenant)).then(|| Transfers::ToHubs(Arc::new(to_hubs(&sbc.teams)))),
    })
}

fn to_hubs(teams: &Teams) -> ToHubs {
    let hub = |hub: &Hub| (hub.host.as_str().into(), hub.port);
    ToHubs {
        hubs: teams.hubs.iter().map(hub).collect(),
        first_response: teams.response_timeout,
        progress: teams.progress_timeout,
        hold_down: teams.hold_down,
    }
}

/// What Teams may send us on a tenant's trunk, or on the node's own.
pub fn allow(config: &Config, tenant: Option<&Tenant>) -> &'static str {
    match takes_refer(config, tenant) {
        true => allow::TEAMS_REFER,
        false => allow::TEAMS,
    }
}

fn takes_refer(config: &Config, tenant: Option<&Tenant>) -> bool {
    let own = tenant.and_then(|tenant| tenant.refer);
    own.unwrap_or(config.sbc.teams.refer)
}
