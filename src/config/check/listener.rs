//! `[[listeners]]`: sockets, what peers are told, TLS.

use super::address;
use super::machine::{duplicates, host_and_port};
use super::reader::Reader;
use super::{media, sockets};
use crate::config::checked::{
    ClientCertificate, Host, Listener, ListenerTls, MediaAddressId, Purpose, Roots, TlsIdentity,
};
use crate::config::names::{ListenerName, TenantFqdn};
use crate::config::raw::{At, RawClientCertificate, RawListener, RawPurpose, RawSbc, RawTransport};
use crate::sip::{ListenerId, Transport};

/// The DSCP mark that call signalling usually has.
const CLASS_SELECTOR_3: u8 = 24;

/// All listeners, or `None` when something was wrong with one.
pub fn check(raw: &RawSbc, base: Option<&TenantFqdn>, reader: &mut Reader<'_>) -> Option<Vec<Listener>> {
    duplicates(
        raw.listeners.iter().map(|listener| &listener.name),
        "listener name",
        reader,
    );
    let listeners: Vec<Option<Listener>> = (0..=u16::MAX)
        .zip(&raw.listeners)
        .map(|(id, listener)| one(ListenerId(id), listener, raw, base, reader))
        .collect();
    let mut teams = raw
        .listeners
        .iter()
        .filter(|listener| *listener.purpose.value() == RawPurpose::Teams);
    if teams.next().is_none() {
        let expected = "one with purpose = \"teams\" and transport = \"tls\"";
        let place = reader.written([raw.teams.span(), 0..0]);
        reader.fault_expecting(place, "there is no listener for Teams", expected);
    }
    for second in teams {
        reader.fault_expecting(
            second.purpose.span(),
            "a second listener for Teams",
            "exactly one: its name is what Teams is paired with",
        );
    }
    sockets::check(raw, reader);
    listeners.into_iter().collect()
}

/// Whether every listener has a name: one without may be the one that is meant.
pub fn are_named(listeners: &[RawListener]) -> bool {
    listeners.iter().all(|listener| !listener.name.value().is_empty())
}

fn one(
    id: ListenerId,
    raw: &RawListener,
    sbc: &RawSbc,
    base: Option<&TenantFqdn>,
    reader: &mut Reader<'_>,
) -> Option<Listener> {
    let name = reader.parse(&raw.name, "listener name", ListenerName::parse);
    let bind = reader.parse(&raw.bind, "address to listen on", address::socket);
    let transport = transport(*raw.transport.value());
    let purpose = match raw.purpose.value() {
        RawPurpose::Teams => Purpose::Teams,
        RawPurpose::Carrier => Purpose::Carrier,
        RawPurpose::Users => Purpose::Users,
    };
    if purpose == Purpose::Teams && transport != Transport::Tls {
        reader.fault_expecting(
            raw.transport.span(),
            format!("Teams does not speak {transport}"),
            "\"tls\"",
        );
    }
    let advertise = match (&raw.advertise, purpose, bind) {
        (Some(text), ..) => {
            let advertised = host_and_port(text, "host", reader);
            if let (Some(Host::Address(_)), Purpose::Teams) = (advertised.as_ref().map(|host| &host.host), purpose) {
                reader.fault_expecting(
                    text.span(),
                    "Teams takes no IP address in Contact",
                    "a host name, such as teams.base",
                );
            }
            advertised.map(|host| (host.host, host.port))
        }
        (None, Purpose::Teams, _) => base.map(|base| (Host::Name(base.clone().into()), None)),
        (None, Purpose::Carrier | Purpose::Users, Some(bind)) if bind.ip().is_unspecified() => {
            let expected = "`advertise`, the address that peers reach";
            reader.fault_expecting(
                raw.bind.span(),
                "the listener has no `advertise`, and `bind` is every address",
                expected,
            );
            None
        }
        (None, Purpose::Carrier | Purpose::Users, bind) => bind.map(|bind| (Host::Address(bind.ip()), None)),
    };
    let tls = tls(raw, purpose, transport, sbc, reader);
    if let (Some(most), Transport::Udp) = (&raw.connections_per_source, transport) {
        reader.fault_expecting(most.span(), "UDP has no connections", "a listener for `tcp` or `tls`");
    }
    let media = match &raw.media {
        Some(name) => media::of_listener(name, sbc, reader),
        None => Some(MediaAddressId::default()),
    };
    // Teams opens up to two from each of dozens of machines; an office full of phones is one source.
    let usual = if purpose == Purpose::Users { 256 } else { 64 };
    let (bind, (advertise, port)) = (bind?, advertise?);
    Some(Listener {
        id,
        name: name?,
        purpose,
        transport,
        bind,
        advertise,
        advertise_port: port.unwrap_or(bind.port()),
        tls: tls?,
        connections_per_source: raw
            .connections_per_source
            .as_ref()
            .map_or(usual, |most| *most.value() as usize),
        media: media?,
        dscp: raw.dscp.as_ref().map_or(CLASS_SELECTOR_3, |dscp| *dscp.value()),
    })
}

#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: is it a TLS listener"
)]
fn tls(
    raw: &RawListener,
    purpose: Purpose,
    transport: Transport,
    sbc: &RawSbc,
    reader: &mut Reader<'_>,
) -> Option<Option<ListenerTls>> {
    let teams = sbc.teams.value();
    let before = reader.mistakes.len();
    if transport != Transport::Tls || purpose == Purpose::Teams {
        let (why, instead) = match purpose {
            Purpose::Teams => ("is set in [teams] for the Teams listener", "the key in [teams]"),
            Purpose::Carrier | Purpose::Users => (
                "means nothing without transport = \"tls\"",
                "a TLS listener, or no such key",
            ),
        };
        let keys = [
            ("client_certificate", raw.client_certificate.as_ref().map(At::span)),
            ("roots", raw.roots.as_ref().map(At::span)),
        ];
        for (key, span) in keys {
            if let Some(span) = span {
                reader.fault_expecting(span, format!("`{key}` {why}"), instead);
            }
        }
    }
    if transport != Transport::Tls {
        if let Some(certificate) = raw.certificates.first() {
            reader.fault(
                certificate.span(),
                format!("a {transport} listener shows no certificate"),
            );
        }
        return (reader.mistakes.len() == before).then_some(None);
    }
    if raw.certificates.is_empty() {
        let expected = "certificates = [{ certificate = \"certs/sbc.pem\", key = \"certs/sbc.key\" }]";
        let place = reader.written([
            raw.name.span(),
            raw.transport.span(),
            raw.bind.span(),
            raw.purpose.span(),
            0..0,
        ]);
        reader.fault_expecting(place, "a TLS listener without a certificate", expected);
    }
    let identities = raw
        .certificates
        .iter()
        .map(|raw| TlsIdentity {
            certificate: reader.file(&raw.value().certificate),
            key: reader.file(&raw.value().key),
        })
        .collect();
    let (certificate, trust) = match purpose {
        Purpose::Teams => (
            client_certificate(teams.client_certificate.as_ref(), ClientCertificate::Require),
            roots(teams.roots.as_ref(), Roots::Teams, reader),
        ),
        Purpose::Carrier | Purpose::Users => (
            client_certificate(raw.client_certificate.as_ref(), ClientCertificate::None),
            roots(raw.roots.as_ref(), Roots::System, reader),
        ),
    };
    (reader.mistakes.len() == before).then_some(Some(ListenerTls {
        identities,
        client_certificate: certificate,
        roots: trust,
    }))
}

/// `teams`, `system` or a file.
pub fn roots(text: Option<&At<String>>, default: Roots, reader: &mut Reader<'_>) -> Roots {
    match text {
        None => default,
        Some(text) => match text.value().as_str() {
            "teams" => Roots::Teams,
            "system" => Roots::System,
            _ => Roots::File(reader.file_or(text, &["teams", "system"])),
        },
    }
}

/// Whether a client has to show a certificate.
pub fn client_certificate(raw: Option<&At<RawClientCertificate>>, default: ClientCertificate) -> ClientCertificate {
    match raw.map(At::value) {
        None => default,
        Some(RawClientCertificate::None) => ClientCertificate::None,
        Some(RawClientCertificate::Request) => ClientCertificate::Request,
        Some(RawClientCertificate::Require) => ClientCertificate::Require,
    }
}

/// The transport as typed.
pub fn transport(raw: RawTransport) -> Transport {
    match raw {
        RawTransport::Udp => Transport::Udp,
        RawTransport::Tcp => Transport::Tcp,
        RawTransport::Tls => Transport::Tls,
    }
}
