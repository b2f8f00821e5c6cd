//! A target that is a SIP URI: one INVITE to a server that only the application knows.

use super::identity::Shown;
use super::plan::{Credentials, HuntOn, LegKind, NextHop, PeerName, PlannedHop};
use super::refusal::DialRefusal;
use super::targets::Planning;
use crate::app::outbound::{AddressPolicy, Forbidden, embedded};
use crate::carrier::{self, quoted};
use crate::config::{Config, Host as ConfiguredHost, Listener, OwnAddresses, Purpose, Tenant};
use crate::net::interface_addresses;
use crate::route::Trace;
use crate::sdp::Security;
use crate::sip::locate::Host;
use crate::sip::message::HeaderName;
use crate::sip::{ListenerId, Scheme, Transport, Uri, escaped_user};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The URI of a target, with everything about it that needs no configuration, its scheme in small letters: servers that
/// compare it with its case are about.
pub(super) fn read(planning: &Planning<'_>, text: &str) -> Result<Uri, DialRefusal> {
    let refuse = |what: String, fix: &str| planning.refuse("sipUri", what, fix);
    let shown = text.escape_debug();
    let uri = Uri::parse(text).map_err(|error| refuse(format!("'{shown}': {error}"), "say sip:user@host"))?;
    if uri.scheme() != Scheme::Sip {
        return Err(refuse(format!("'{shown}' is no SIP URI"), "say sip:user@host"));
    }
    if uri.user().is_none_or(str::is_empty) {
        return Err(refuse(
            format!("'{shown}' names nobody at its host"),
            "say sip:user@host",
        ));
    }
    if uri.has_headers() {
        return Err(refuse(
            format!("'{shown}' has headers in it"),
            "put them into `headers`",
        ));
    }
    if uri.param("maddr").is_some() {
        return Err(refuse(format!("'{shown}' has `maddr`"), "name the next hop in `proxy`"));
    }
    Ok(uri.with_plain_scheme())
}

/// The hop to `uri`, by way of the target's `proxy`, or the dial's.
pub(super) fn plan(
    planning: &Planning<'_>,
    uri: &Uri,
    shown: &Shown,
    trace: &mut Trace,
) -> Result<PlannedHop, DialRefusal> {
    let (config, tenant) = (planning.facts.config, planning.facts.tenant);
    let proxy = planning.proxy();
    let (next, property) = match proxy {
        Some(proxy) => (read_proxy(planning, proxy)?, "proxy"),
        None => (uri.clone(), "sipUri"),
    };
    let host = Host::parse(next.host()).map_err(|_| {
        let what = format!("'{}' is no host", next.host().escape_debug());
        planning.refuse(property, what, "say a host name or an address")
    })?;
    let wanted = transport_of(planning, &next, property)?.or(transport_of(planning, uri, "sipUri")?);
    let listener = listener_for(config, wanted, &host).ok_or_else(|| {
        let what = match wanted {
            Some(transport) => format!("no listener for carriers speaks {transport} to {host}"),
            None => format!("no listener for carriers reaches {host}"),
        };
        planning.refuse(property, what, "add one to sbc.toml, or say another ;transport=")
    })?;
    let transport = listener.transport;
    let port = next.port();
    may_reach(config, tenant, &host, port.unwrap_or_else(|| default_port(transport)))
        .map_err(|what| planning.refuse(property, what, "say another server"))?;
    // A proxy may be anybody's; the URI itself must not lead back to us either.
    let end = Host::parse(uri.host()).map_err(|_| {
        let what = format!("'{}' is no host", uri.host().escape_debug());
        planning.refuse("sipUri", what, "say a host name or an address")
    })?;
    let end_port = uri.port().unwrap_or_else(|| default_port(transport));
    may_reach(config, tenant, &end, end_port).map_err(|what| planning.refuse("sipUri", what, "say another server"))?;
    if let Some(proxy) = proxy {
        trace.step("proxy", proxy, "the next hop");
    }

    let secured = planning.dial.sdes || transport == Transport::Tls;
    let mut terms = carrier::open_terms(
        config,
        LegKind::SipUri {
            host: uri.host().into(),
        },
        listener.id,
    );
    if secured {
        terms.media.security = Security::SdesRequired;
    }
    let named: Arc<str> = match &host {
        Host::Ip(address) => address.to_string().into(),
        Host::Name(name) => name.clone(),
    };
    // TLS is not left for what a Contact names, and its server proves what was dialled, also where its Contact is an address.
    match transport {
        Transport::Tls => terms.server_names = [named.clone()].into(),
        _ => terms.ways = other_ways(config, listener),
    }
    terms.credentials = planning.target.auth.as_ref().map(|auth| Credentials {
        realm: None,
        username: auth.username.clone(),
        password: auth.password.clone(),
    });
    let (from, contact_user, headers) = identity(shown, &listener.advertise.to_string(), planning)?;
    let written = |port: Option<u16>| port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(PlannedHop {
        peer: PeerName::Uri(format!("{host}{}", written(port)).into()),
        next: NextHop {
            host: named,
            port,
            transport: Some(transport),
            listener: listener.id,
            server_name: None,
            presented: None,
        },
        direct: None,
        request_uri: uri.as_str().to_owned(),
        from,
        to: format!("<{}>", uri.as_str()),
        contact_user,
        headers,
        extra_headers: Vec::new(),
        terms: Arc::new(terms),
        first_response: config.sbc.timers.t1.saturating_mul(64),
        progress: None,
        hunt: HuntOn::codes([]),
        held: false,
        hold_down: Duration::ZERO,
    })
}

/// `host`, `host:port` or a SIP URI.
fn read_proxy(planning: &Planning<'_>, text: &str) -> Result<Uri, DialRefusal> {
    let scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"));
    let parsed = match scheme {
        true => Uri::parse(text),
        false => Uri::parse(&format!("sip:{text}")),
    };
    parsed
        .ok()
        .filter(|uri| uri.scheme() == Scheme::Sip && !uri.has_headers() && uri.param("maddr").is_none())
        .ok_or_else(|| {
            let what = format!("'{}' is no next hop", text.escape_debug());
            planning.refuse("proxy", what, "say host, host:port or sip:host;transport=tcp")
        })
}

fn transport_of(planning: &Planning<'_>, uri: &Uri, property: &'static str) -> Result<Option<Transport>, DialRefusal> {
    let Some(word) = uri.param("transport") else {
        return Ok(None);
    };
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .find(|transport| transport.uri_name().eq_ignore_ascii_case(word))
        .map(Some)
        .ok_or_else(|| {
            let what = format!("transport '{}' is not spoken here", word.escape_debug());
            planning.refuse(property, what, "say udp, tcp or tls")
        })
}

/// The listener that the INVITE leaves from: the first for carriers that speaks the transport and the IP version; without
/// a transport UDP comes first (RFC 3263 §4.1).
fn listener_for<'c>(config: &'c Config, wanted: Option<Transport>, host: &Host) -> Option<&'c Listener> {
    let reaches = |listener: &&Listener| match host {
        Host::Ip(address) => listener.bind.is_ipv4() == address.is_ipv4(),
        Host::Name(_) => true,
    };
    let candidates = || {
        let carriers = config.sbc.listeners.iter();
        carriers
            .filter(|listener| listener.purpose == Purpose::Carrier)
            .filter(reaches)
    };
    let order = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let mut transports = order
        .iter()
        .filter(|transport| wanted.is_none_or(|wanted| wanted == **transport));
    transports.find_map(|transport| candidates().find(|listener| listener.transport == *transport))
}

/// Where else than from `own` requests inside the dialog may leave: the first listener for carriers of each other transport.
/// What was agreed over TLS is not said in clear, whatever the server writes into its Contact.
fn other_ways(config: &Config, own: &Listener) -> Arc<[(Transport, ListenerId)]> {
    let others = [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .filter(|transport| *transport != own.transport);
    let first = |transport| {
        let mut listeners = config.sbc.listeners.iter();
        listeners.find(|known| {
            known.purpose == Purpose::Carrier
                && known.transport == transport
                && known.bind.is_ipv4() == own.bind.is_ipv4()
        })
    };
    others
        .filter_map(|transport| first(transport).map(|known| (transport, known.id)))
        .collect()
}

fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Tls => 5061,
        Transport::Udp | Transport::Tcp => 5060,
    }
}

/// Refuses peers that have kinds of targets of their own: what may be asked of them stands there, and which limits count.
fn known_otherwise(config: &Config, host: &Host) -> Result<(), String> {
    let is = |known: &ConfiguredHost| match (known, host) {
        (ConfiguredHost::Name(known), Host::Name(name)) => known.as_str() == &**name,
        (ConfiguredHost::Address(known), Host::Ip(address)) => known.to_canonical() == address.to_canonical(),
        _ => false,
    };
    if let Host::Name(name) = host
        && config.sbc.teams.hubs.iter().any(|hub| hub.host.as_str() == &**name)
    {
        return Err(format!("{name} is Teams: say a target of type teams"));
    }
    let mut carriers = config.sbc.carriers.iter();
    match carriers.find(|carrier| carrier.gateways.iter().any(|gateway| is(&gateway.host))) {
        Some(carrier) => Err(format!(
            "this is a gateway of carrier '{}': say a target of type phone",
            carrier.id
        )),
        None => Ok(()),
    }
}

/// Refuses what would come straight back to us, and addresses that nobody may send us to: all but public ones and those in
/// the networks that the tenant is allowed. Names are looked at as names; what they resolve to is looked at when it is
/// known.
pub fn may_reach(config: &Config, tenant: &Tenant, host: &Host, port: u16) -> Result<(), String> {
    let sbc = &config.sbc;
    let open = sbc.media.allow_loopback;
    known_otherwise(config, host)?;
    match host {
        Host::Name(name) => {
            let advertised = |listener: &Listener| match &listener.advertise {
                ConfiguredHost::Name(own) => own.as_str() == &**name,
                ConfiguredHost::Address(_) => false,
            };
            let own = sbc.teams.is_base(name)
                || sbc.node.as_str() == &**name
                || sbc.listeners.iter().any(advertised)
                || config.tenant_by_host(name).is_some()
                || config.realm(name).is_some();
            match name.as_ref() {
                _ if own => Err(format!("{name} is this node: the call would come back")),
                "localhost" if !open => Err("localhost is this machine".into()),
                name if name.ends_with(".localhost") && !open => Err(format!("{name} is this machine")),
                _ => Ok(()),
            }
        }
        Host::Ip(address) => {
            let plain = embedded(*address);
            let is_own = |own: IpAddr| own.to_canonical() == plain;
            let own = OwnAddresses::of(sbc, interface_addresses());
            if own.is_socket(plain, port) {
                return Err(format!("{address} is this node: the call would come back"));
            }
            if !open && own.all().into_iter().any(is_own) {
                return Err(format!("{address} is this node's own address"));
            }
            let policy = AddressPolicy::new(tenant.allow_sip_networks.clone(), open, Vec::new());
            policy.check(plain).map_err(|why| match why {
                Forbidden::Private | Forbidden::Reserved => {
                    format!("{address} is {why} (`allow_sip_networks` of the tenant)")
                }
                _ => format!("{address} is {why}"),
            })
        }
    }
}

/// From, the user part of Contact, and what is asserted.
type Identity = (String, String, Vec<(HeaderName, String)>);

/// Nobody vouches for that server: a caller who hides goes there
/// without a number. A user that has none is known by its address.
fn identity(shown: &Shown, own_host: &str, planning: &Planning<'_>) -> Result<Identity, DialRefusal> {
    let realm = planning.facts.realm().filter(|_| shown.user.is_some());
    let host = shown.host.as_deref().or(realm).unwrap_or(own_host);
    if Host::parse(host).is_err() {
        let what = format!("'{}' is no host", host.escape_debug());
        return Err(planning.refuse("from.host", what, "say a host name or an address"));
    }
    let caller = &shown.caller;
    let number = match (&shown.user, shown.instead) {
        (Some(user), _) => user.to_string(),
        (None, Some(instead)) => instead.to_string(),
        (None, None) => caller.number.clone(),
    };
    if caller.private || number.is_empty() {
        let privacy = caller.private.then(|| (HeaderName::Privacy, "id".to_owned()));
        return Ok((
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(),
            "anonymous".into(),
            privacy.into_iter().collect(),
        ));
    }
    let user = escaped_user(&number);
    let phone = if shown.user.is_none() && number.starts_with('+') {
        ";user=phone"
    } else {
        ""
    };
    let display = caller.display.as_deref().map(quoted).unwrap_or_default();
    let asserted = caller.asserted.as_deref().filter(|_| shown.instead.is_none());
    let headers = asserted.map(|asserted| {
        let uri = format!("<sip:{}@{own_host};user=phone>", escaped_user(asserted));
        (HeaderName::PAssertedIdentity, uri)
    });
    Ok((
        format!("{display}<sip:{user}@{host}{phone}>"),
        user,
        headers.into_iter().collect(),
    ))
}
