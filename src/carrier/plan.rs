//! The INVITE toward a carrier, planned to the last header; gateways in order, the healthy first.

use super::history::history_info;
use super::number::{party_uri, write_number};
use crate::config::{
    CallerSource, Carrier, Codec, Config, Dtmf, E164, Gateway, History, Host, HostName, OwnAddresses, PrivateCaller,
    Ringing,
};
use crate::dial::{
    Attempt, Credentials, HuntOn, KeyForm, LegKind, LegTerms, NextHop, PeerName, PlannedHop, Secret, SessionTimer,
    allow,
};
use crate::net::interface_addresses;
use crate::route::{Callee, Caller, Decision, Diversion, Elin};
use crate::sdp::{self, AddressFamilies, LegProfile};
use crate::sip::message::HeaderName;
use crate::sip::{ListenerId, Transport, escaped_user};
use std::sync::Arc;
use std::time::Duration;

/// What a plan needs beside the decision: how the caller may be shown and who diverted the call.
#[derive(Debug, Clone, Copy)]
pub struct PlanFacts<'a> {
    pub config: &'a Config,
    pub decision: &'a Decision,
    pub caller: &'a Caller,
    pub diversions: &'a [Diversion],
}

/// The attempt that rings `callee` through `carriers`: each carrier's gateways in order, gateways for which `held` is
/// true behind the others of their carrier.
pub fn plan(
    facts: PlanFacts<'_>,
    carriers: &[Arc<Carrier>],
    callee: &Callee,
    held: impl Fn(&PeerName) -> bool,
) -> Attempt {
    let mut hops = Vec::new();
    for carrier in carriers {
        let mut planned = Vec::with_capacity(carrier.gateways.len());
        for gateway in &carrier.gateways {
            let mut hop = hop(facts, carrier, gateway, callee);
            hop.held = held(&hop.peer);
            planned.push(hop);
        }
        planned.sort_by_key(|hop| hop.held);
        hops.append(&mut planned);
    }
    Attempt {
        emergency: facts.decision.calls_for_help(),
        ..Attempt::routed(hops)
    }
}

/// What a gateway is called in health tables, traces and metrics.
pub fn gateway_name(carrier: &Carrier, gateway: &Gateway) -> PeerName {
    let port = gateway.port.map(|port| format!(":{port}")).unwrap_or_default();
    PeerName::Gateway {
        carrier: carrier.id.as_str().into(),
        gateway: format!("{}{port}", gateway.host).into(),
    }
}

fn hop(facts: PlanFacts<'_>, carrier: &Carrier, gateway: &Gateway, callee: &Callee) -> PlannedHop {
    let host = match gateway.port {
        Some(port) => format!("{}:{port}", gateway.host),
        None => gateway.host.to_string(),
    };
    let number = escaped_user(&write_number(&carrier.numbers, &callee.to_string()));
    let transport = match gateway.transport {
        Transport::Udp => String::new(),
        other => format!(";transport={}", other.uri_name()),
    };
    let identity = identity(facts, carrier, gateway.listener);
    let mut headers = identity.headers;
    history(facts, carrier, &number, &host, &mut headers);
    PlannedHop {
        peer: gateway_name(carrier, gateway),
        next: NextHop {
            host: match &gateway.host {
                Host::Address(address) => address.to_string().into(),
                Host::Name(name) => name.as_str().into(),
            },
            port: gateway.port,
            transport: Some(gateway.transport),
            listener: gateway.listener,
            server_name: gateway.server_name.as_ref().map(|name| name.as_str().into()),
            presented: None,
        },
        direct: None,
        request_uri: format!("sip:{number}@{host}{transport};user=phone"),
        from: identity.from,
        to: format!("<sip:{number}@{host};user=phone>"),
        contact_user: identity.contact_user,
        headers,
        extra_headers: Vec::new(),
        terms: terms(facts.config, carrier, gateway.listener, gateway.server_name.as_ref()),
        first_response: carrier.failover.response_timeout,
        progress: Some(carrier.failover.progress_timeout),
        hunt: HuntOn {
            codes: carrier.failover.codes.as_slice().into(),
            every: facts.decision.calls_for_help(),
        },
        held: false,
        hold_down: carrier.failover.hold_down,
    }
}

struct Identity {
    from: String,
    contact_user: String,
    headers: Vec<(HeaderName, String)>,
}

/// Who is shown to the carrier (TEAMS-050): the tenant's replacement, else what the carrier's policy believes.
fn identity(facts: PlanFacts<'_>, carrier: &Carrier, listener: ListenerId) -> Identity {
    let caller = facts.caller;
    let host = facts
        .config
        .sbc
        .listener(listener)
        .map(|l| l.advertise.to_string())
        .unwrap_or_default();
    if let Some(elin) = shown_elin(facts, carrier) {
        return of_place(carrier, caller, elin, &host);
    }
    // Whoever answers an emergency call has to reach the caller: no policy changes or withholds the number (promise 6).
    let emergency = facts.decision.calls_for_help();
    let present = if emergency {
        CallerSource::From
    } else {
        carrier.caller.present
    };
    let diverting = diverted_by(facts).filter(|_| present == CallerSource::Diverting);
    let believed = match (facts.decision.shown_instead, present) {
        // What the carrier takes alone comes before what the tenant shows instead.
        (_, CallerSource::Fixed(shown)) | (Some(shown), _) => shown.to_string(),
        (None, CallerSource::Diverting) if diverting.is_some() => diverting.clone().unwrap_or_default(),
        (None, CallerSource::From | CallerSource::Diverting) if !caller.number.is_empty() => caller.number.clone(),
        (None, CallerSource::Pai | CallerSource::From | CallerSource::Diverting) => {
            caller.asserted.clone().unwrap_or_else(|| caller.number.clone())
        }
    };
    let written = write_number(&carrier.numbers, &believed);
    // Who takes one number alone gets no other in P-Asserted-Identity, whatever Teams asserts.
    let is_own = !matches!(present, CallerSource::Fixed(_)) && facts.decision.shown_instead.is_none();
    let asserted = caller
        .asserted
        .as_deref()
        .filter(|_| is_own && diverting.is_none())
        .unwrap_or(&believed);
    let asserted = write_number(&carrier.numbers, asserted);
    let mut headers = Vec::new();
    let display = caller.display.as_deref().map(quoted).unwrap_or_default();
    if !caller.private && !written.is_empty() {
        let uri = party_uri(&written, &host);
        if carrier.caller.assert {
            headers.push((
                HeaderName::PAssertedIdentity,
                format!("<{}>", party_uri(&asserted, &host)),
            ));
        }
        return Identity {
            from: format!("{display}<{uri}>"),
            contact_user: written,
            headers,
        };
    }
    headers.push((HeaderName::Privacy, "id".into()));
    if (emergency || carrier.caller.private == PrivateCaller::Assert) && !asserted.is_empty() {
        headers.push((
            HeaderName::PAssertedIdentity,
            format!("<{}>", party_uri(&asserted, &host)),
        ));
    }
    Identity {
        from: "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(),
        contact_user: "anonymous".into(),
        headers,
    }
}

fn shown_elin(facts: PlanFacts<'_>, carrier: &Carrier) -> Option<E164> {
    match facts.decision.elin {
        Elin::Shown(number) if carrier.elin => Some(number),
        _ => None,
    }
}

/// The identity of an emergency caller by its ELIN: the number by which the place is found has to be seen, and says of nobody
/// who they are. The name of who asked for privacy is left out.
fn of_place(carrier: &Carrier, caller: &Caller, elin: E164, host: &str) -> Identity {
    let written = write_number(&carrier.numbers, &elin.to_string());
    let uri = party_uri(&written, host);
    let display = caller.display.as_deref().filter(|_| !caller.private);
    let display = display.map(quoted).unwrap_or_default();
    let asserted = carrier
        .caller
        .assert
        .then(|| (HeaderName::PAssertedIdentity, format!("<{uri}>")));
    Identity {
        from: format!("{display}<{uri}>"),
        contact_user: written,
        headers: asserted.into_iter().collect(),
    }
}

/// The number of the tenant's that has forwarded the call last: a foreign one in the history is nobody's to show.
fn diverted_by(facts: PlanFacts<'_>) -> Option<String> {
    let of_tenant = |diversion: &&Diversion| {
        let owner = diversion.e164().and_then(|number| facts.config.number(number));
        !diversion.private && owner.is_some_and(|(owner, _)| owner.id == facts.decision.tenant.id)
    };
    let by = facts.diversions.iter().rev().find(of_tenant)?;
    Some(by.number.clone())
}

/// A display name as a quoted string and a space (RFC 3261 §25.1).
pub fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 3);
    text.push('"');
    for c in name.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push_str("\" ");
    text
}

/// How a diverted call tells the carrier of it (TEAMS-051): RFC 5806 or RFC 7044.
fn history(facts: PlanFacts<'_>, carrier: &Carrier, number: &str, host: &str, headers: &mut Vec<(HeaderName, String)>) {
    // Who asked not to be shown is told of to those who keep that to themselves, as a caller's own number is.
    let withheld = carrier.caller.private == PrivateCaller::Withhold && !facts.decision.calls_for_help();
    // Who has forwarded it at another tenant is that tenant's to show.
    let is_foreign = |diversion: &Diversion| {
        let owner = diversion.e164().and_then(|number| facts.config.number(number));
        owner.is_some_and(|(owner, _)| owner.id != facts.decision.tenant.id)
    };
    let told = |diversion: &&Diversion| !(withheld && diversion.private || is_foreign(diversion));
    let diversions: Vec<Diversion> = facts.diversions.iter().filter(told).cloned().collect();
    if diversions.is_empty() {
        return;
    }
    let written = |diversion: &Diversion| write_number(&carrier.numbers, &diversion.number);
    match carrier.history {
        History::None => {}
        History::Diversion => {
            // The latest diversion first (RFC 5806 §4.3).
            for diversion in diversions.iter().rev() {
                let reason = if diversion.reason.is_empty() {
                    "unknown"
                } else {
                    &diversion.reason
                };
                let privacy = if diversion.private { ";privacy=full" } else { "" };
                headers.push((
                    HeaderName::Diversion,
                    format!("<{}>;reason={reason}{privacy}", party_uri(&written(diversion), host)),
                ));
            }
        }
        History::HistoryInfo => {
            let entries = history_info(&diversions, written, number, host);
            headers.extend(entries.map(|entries| (HeaderName::HistoryInfo, entries)));
        }
    }
}

/// The terms of every leg toward or from this carrier on `listener`, whose server proves `server_name` where it speaks TLS:
/// requests inside a call mostly go to an address (its Contact), which stands in no certificate.
pub fn terms(
    config: &Config,
    carrier: &Carrier,
    listener: ListenerId,
    server_name: Option<&HostName>,
) -> Arc<LegTerms> {
    let kind = LegKind::Carrier {
        carrier: carrier.id.as_str().into(),
    };
    let mut terms = open_terms(config, kind, listener);
    terms.media.codecs = carrier.media.codecs.iter().map(|codec| sdp_codec(*codec)).collect();
    terms.server_names = server_name.into_iter().map(|name| name.as_str().into()).collect();
    terms.networks = carrier.identify.networks.as_slice().into();
    let names = carrier.identify.client_names.iter();
    terms.peer_names = names.map(|name| name.as_str().into()).collect();
    terms.behind_nat = carrier.media.nat;
    terms.keys = match carrier.media.dtmf {
        Dtmf::Events => KeyForm::Events,
        Dtmf::Tones => KeyForm::Tones,
        Dtmf::Info => KeyForm::Info,
    };
    terms.music_on_hold = carrier.media.music_on_hold;
    terms.pass_location = carrier.pass_location;
    terms.ringing = carrier.ringing;
    terms.takes_refer(carrier.refer);
    terms.session_timer.expires = carrier.session_expires;
    terms.credentials = carrier.credentials.as_ref().map(|known| Credentials {
        realm: known.realm.clone(),
        username: known.username.clone(),
        password: Secret(known.password.reveal().to_owned()),
    });
    Arc::new(terms)
}

/// What a carrier may send us, as OPTIONS tells outside of calls.
pub fn allow(carrier: &Carrier) -> &'static str {
    match carrier.refer {
        true => allow::STEERED,
        false => allow::ROUTED,
    }
}

/// The terms of a leg that leaves from `listener` to somebody of whom nothing else is known: plain RTP, our address in
/// Contact.
pub fn open_terms(config: &Config, kind: LegKind, listener: ListenerId) -> LegTerms {
    let sbc = &config.sbc;
    let contact = sbc.listener(listener).map_or_else(String::new, |known| {
        format!(
            "{}:{};transport={}",
            known.advertise,
            known.advertise_port,
            known.transport.uri_name()
        )
    });
    let mut media = LegProfile::carrier();
    media.addresses.families = AddressFamilies::of(sbc.media_of(listener).bind);
    let own = OwnAddresses::of(sbc, interface_addresses());
    (media.addresses.own, media.addresses.listeners) = (own.of_media(), own.sockets());
    media.addresses.allow_loopback = sbc.media.allow_loopback;
    LegTerms {
        kind,
        listener,
        transport: sbc.listener(listener).map_or(Transport::Udp, |known| known.transport),
        ways: [].into(),
        networks: [].into(),
        peer_names: [].into(),
        server_names: [].into(),
        contact: contact.into(),
        allow: allow::ROUTED.into(),
        supported: "timer".into(),
        product: sbc.teams.product.as_str().into(),
        fixed_headers: Vec::new(),
        media,
        media_address: sbc.listener(listener).map(|known| known.media).unwrap_or_default(),
        local_media: None,
        behind_nat: false,
        keys: KeyForm::Events,
        music_on_hold: false,
        pass_location: false,
        ringing: Ringing::RELAYED,
        patience: None,
        session_timer: SessionTimer {
            expires: None,
            min: Duration::from_secs(90),
            least_proposed: Duration::ZERO,
        },
        credentials: None,
        transfers: None,
    }
}

/// The configuration's word for a codec as SDP knows it.
pub fn sdp_codec(codec: Codec) -> sdp::Codec {
    match codec {
        Codec::Pcmu => sdp::Codec::Pcmu,
        Codec::Pcma => sdp::Codec::Pcma,
        Codec::G722 => sdp::Codec::G722,
        Codec::G729 => sdp::Codec::G729,
        Codec::Silk => sdp::Codec::Silk,
    }
}
