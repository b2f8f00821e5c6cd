//! `[[carriers]]`: who they are, the ways into them, and what is rewritten on the way.

use super::address;
use super::credentials;
use super::listener::{are_named, transport};
use super::machine::{flag, limits};
use super::numbers;
use super::reader::Reader;
use super::sockets;
use crate::config::checked::{
    CallerHeader, CallerSource, Carrier, CarrierCaller, CarrierMedia, Codec, Dtmf, Failover, Gateway, History, Host,
    Identification, PrivateCaller, Ringing, Tell,
};
use crate::config::names::{CarrierId, HostName};
use crate::config::network::Network;
use crate::config::number::E164;
use crate::config::raw::{
    At, RawAlgorithm, RawCaller, RawCarrier, RawClientCertificate, RawCodec, RawDtmf, RawFailover, RawGateway,
    RawHeader, RawHistory, RawListener, RawPrivacy, RawPurpose, RawRinging, RawSbc, RawSource, RawTransport,
};
use crate::sip::digest::Algorithm;
use crate::sip::{ListenerId, Transport};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// One carrier, or `None` when something was wrong.
pub fn check(raw: &At<RawCarrier>, listeners: &[RawListener], reader: &mut Reader<'_>) -> Option<Carrier> {
    let (place, raw) = (raw.span(), raw.value());
    let id = reader.parse(&raw.id, "carrier id", CarrierId::parse);
    let networks = reader.parse_list(&raw.networks, "address or network", Network::parse);
    if raw.digest.is_none() {
        sockets::open_to_all(&raw.networks, RawPurpose::Carrier, listeners, reader);
    }
    let client_names = client_names(raw, listeners, reader);
    let digest = credentials::check(raw.digest.as_ref(), reader);
    let algorithms = algorithms(raw, reader);
    let own = credentials::check_own(raw.credentials.as_ref(), reader);
    let server_name = reader.parse_optional(raw.server_name.as_ref(), "host name", HostName::parse);
    if raw.networks.is_empty() && raw.digest.is_none() && raw.gateways.is_empty() {
        let expected = "`networks` or `digest` for calls from it, `gateways` for calls to it";
        reader.fault_expecting(
            place.clone(),
            format!("carrier {:?} can neither call nor be called", raw.id.value()),
            expected,
        );
    }
    let interval = reader
        .duration_or_zero(raw.options_interval.as_ref(), Duration::from_secs(60))
        .map(|time| (!time.is_zero()).then_some(time));
    let gateways: Vec<_> = raw
        .gateways
        .iter()
        .map(|raw| gateway(raw, interval.flatten(), listeners, reader))
        .collect();
    let failover = failover(raw.failover.as_ref(), reader);
    let rules = numbers::check(raw.numbers.as_ref(), reader);
    let caller = caller(raw.caller.as_ref(), reader);
    let session_expires = match &raw.session_expires {
        None => Some(None),
        Some(text) => reader.duration(Some(text), Duration::ZERO).and_then(|time| {
            if time < Duration::from_secs(90) {
                reader.fault_expecting(
                    text.span(),
                    "a session timer that short is refused",
                    "at least 90s (RFC 4028 §4)",
                );
                return None;
            }
            Some(Some(time))
        }),
    };
    let mut listed = Vec::new();
    for codec in raw.codecs.iter().flat_map(At::value) {
        if listed.contains(codec.value()) {
            reader.fault_expecting(codec.span(), "the codec is here twice", "each codec once");
        }
        listed.push(*codec.value());
    }
    if let Some(codecs) = raw.codecs.as_ref().filter(|codecs| codecs.value().is_empty()) {
        reader.fault_expecting(
            codecs.span(),
            "`codecs` is empty",
            "at least one codec, or no `codecs` for the default",
        );
    }
    Some(Carrier {
        id: id?,
        identify: Identification {
            networks: networks?,
            transports: raw.transports.iter().map(|raw| transport(*raw.value())).collect(),
            client_names: client_names?,
            digest: digest?,
            algorithms: algorithms?,
        },
        server_name: server_name?,
        gateways: gateways.into_iter().collect::<Option<Vec<_>>>()?,
        failover: failover?,
        numbers: rules?,
        caller: caller?,
        history: match raw.history.as_ref().map(At::value) {
            None | Some(RawHistory::Diversion) => History::Diversion,
            Some(RawHistory::HistoryInfo) => History::HistoryInfo,
            Some(RawHistory::None) => History::None,
        },
        limits: limits(raw.limits.as_ref()),
        media: CarrierMedia {
            codecs: codecs(raw.codecs.as_ref().map(|codecs| codecs.value().as_slice())),
            nat: flag(raw.nat.as_ref(), false),
            dtmf: match raw.dtmf.as_ref().map(At::value) {
                None | Some(RawDtmf::Events) => Dtmf::Events,
                Some(RawDtmf::Tones) => Dtmf::Tones,
                Some(RawDtmf::Info) => Dtmf::Info,
            },
            music_on_hold: flag(raw.music_on_hold.as_ref(), false),
        },
        ringing: Ringing {
            tell: match raw.ringing.as_ref().map(At::value) {
                None | Some(RawRinging::Media) => Tell::Media,
                Some(RawRinging::First) => Tell::First,
                Some(RawRinging::All) => Tell::All,
                Some(RawRinging::Plain) => Tell::Plain,
                Some(RawRinging::Tone) => Tell::Tone,
            },
            forwarding: flag(raw.pass_forwarding.as_ref(), true),
        },
        refer: flag(raw.refer.as_ref(), false),
        session_expires: session_expires?,
        credentials: own?,
        emergency: flag(raw.emergency.as_ref(), false),
        pass_location: flag(raw.pass_location.as_ref(), false),
        elin: flag(raw.elin.as_ref(), false),
    })
}

/// Names that its certificate has to bear, where one is asked for.
fn client_names(raw: &RawCarrier, listeners: &[RawListener], reader: &mut Reader<'_>) -> Option<Vec<HostName>> {
    let names = reader.parse_list(&raw.client_names, "host name", HostName::parse);
    let Some(first) = raw.client_names.first() else {
        return names;
    };
    super::machine::duplicates(&raw.client_names, "name", reader);
    let asks = |listener: &RawListener| {
        let asked = listener.client_certificate.as_ref().map(At::value);
        *listener.purpose.value() == RawPurpose::Carrier
            && *listener.transport.value() == RawTransport::Tls
            && matches!(
                asked,
                Some(RawClientCertificate::Request | RawClientCertificate::Require)
            )
    };
    if !listeners.iter().any(asks) {
        let expected = "a carrier listener with transport = \"tls\" and client_certificate = \"require\"";
        reader.fault_expecting(first.span(), "no listener asks carriers for certificates", expected);
    }
    let mut transports = raw.transports.iter().map(At::value);
    if !raw.transports.is_empty() && !transports.any(|transport| *transport == RawTransport::Tls) {
        let expected = "\"tls\" among `transports`, or no `client_names`";
        reader.fault_expecting(first.span(), "without TLS there are no certificates", expected);
    }
    if raw.networks.is_empty() && raw.digest.is_none() {
        let expected = "`networks` or `digest` as well";
        reader.fault_expecting(first.span(), "a certificate alone lets nobody call", expected);
    }
    names
}

/// What may prove the carrier's password, the strongest first.
fn algorithms(raw: &RawCarrier, reader: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    let Some(list) = &raw.digest_algorithms else {
        return Some(vec![Algorithm::Sha256, Algorithm::Md5]);
    };
    if list.value().is_empty() {
        reader.fault_expecting(
            list.span(),
            "nothing could prove the password",
            "\"SHA-256\", \"MD5\" or both",
        );
        return None;
    }
    let listed = |algorithm| list.value().iter().any(|item| *item.value() == algorithm);
    let known = [
        (RawAlgorithm::Sha256, Algorithm::Sha256),
        (RawAlgorithm::Md5, Algorithm::Md5),
    ];
    Some(
        known
            .into_iter()
            .filter(|(raw, _)| listed(*raw))
            .map(|(_, algorithm)| algorithm)
            .collect(),
    )
}

/// What is wrong between carriers: ids given twice, and callers that can't be told apart.
pub fn check_together(raw: &RawSbc, reader: &mut Reader<'_>) {
    super::machine::duplicates(
        raw.carriers.iter().map(|carrier| &carrier.value().id),
        "carrier id",
        reader,
    );
    let callers: Vec<Option<Caller<'_>>> = raw.carriers.iter().map(|raw| Caller::of(raw.value())).collect();
    for (position, this) in callers.iter().enumerate() {
        for (other, raw_other) in callers.iter().zip(&raw.carriers).take(position) {
            let (Some(this), Some(other)) = (this, other) else {
                continue;
            };
            if told_apart(this, other) {
                continue;
            }
            let also = |network: &Network| other.networks.iter().any(|(known, _)| known == network);
            if let Some((_, span)) = this.networks.iter().find(|(network, _)| also(network)) {
                let who = match raw_other.value().id.value().as_str() {
                    "" => "another carrier".to_owned(),
                    id => format!("carrier {id:?}"),
                };
                reader.fault_expecting(
                    span.clone(),
                    format!("{who} calls from this network too"),
                    "networks, transports, `client_names` or digest user names that tell the two apart",
                );
            }
        }
    }
}

/// What a carrier that calls is known by, whatever else of it is wrong.
struct Caller<'r> {
    /// Those that can be read, and where they stand.
    networks: Vec<(Network, Range<usize>)>,
    transports: Vec<Transport>,
    client_names: Vec<HostName>,
    username: Option<&'r str>,
}

impl Caller<'_> {
    /// None when something that may tell it from others can't be read.
    fn of(raw: &RawCarrier) -> Option<Caller<'_>> {
        let network = |text: &At<String>| Some((Network::parse(text.value()).ok()?, text.span()));
        let names = raw.client_names.iter().map(|text| HostName::parse(text.value()));
        let username = raw
            .digest
            .as_ref()
            .map(|digest| digest.value().username.value().as_str());
        (username != Some("")).then_some(Caller {
            networks: raw.networks.iter().filter_map(network).collect(),
            transports: raw.transports.iter().map(|raw| transport(*raw.value())).collect(),
            client_names: names.collect::<Result<_, _>>().ok()?,
            username,
        })
    }
}

fn told_apart(one: &Caller<'_>, other: &Caller<'_>) -> bool {
    let by_user = match (one.username, other.username) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    };
    let any = |transports: &[Transport]| transports.is_empty();
    let shared = any(&one.transports)
        || any(&other.transports)
        || one
            .transports
            .iter()
            .any(|transport| other.transports.contains(transport));
    let certified = |one: &Caller<'_>| !one.client_names.is_empty();
    let by_name =
        (certified(one) || certified(other)) && !one.client_names.iter().any(|name| other.client_names.contains(name));
    by_user || by_name || !shared
}

/// Every carrier's id as typed; None where one has none: it may be the one that is meant.
pub fn ids(raw: &RawSbc) -> Option<Vec<&str>> {
    let ids = raw.carriers.iter().map(|carrier| carrier.value().id.value().as_str());
    ids.map(|id| (!id.is_empty()).then_some(id)).collect()
}

/// The carriers that `texts` name. None where they are not among `ids`, or these are not known.
pub fn references(texts: &[At<String>], ids: Option<&[&str]>, reader: &mut Reader<'_>) -> Option<Vec<CarrierId>> {
    super::machine::duplicates(texts, "carrier", reader);
    let known: BTreeSet<&str> = ids?.iter().copied().collect();
    let found: Vec<Option<CarrierId>> = texts
        .iter()
        .map(|text| {
            let typed = text.value().as_str();
            if known.contains(typed) {
                return CarrierId::parse(typed).ok();
            }
            reader.tell(text.span(), format!("there is no carrier {typed:?}"), |mistake| {
                let mistake = mistake.near(typed, known.iter().copied());
                if mistake.nearest.is_some() {
                    mistake
                } else if known.is_empty() {
                    mistake.expected("a carrier in sbc.toml; it has none")
                } else {
                    let some: Vec<&str> = known.iter().take(5).copied().collect();
                    mistake.expected(format!("a carrier in sbc.toml, such as {}", some.join(", ")))
                }
            });
            None
        })
        .collect();
    found.into_iter().collect()
}

fn gateway(
    raw: &At<RawGateway>,
    interval: Option<Duration>,
    listeners: &[RawListener],
    reader: &mut Reader<'_>,
) -> Option<Gateway> {
    let (place, raw) = (raw.span(), raw.value());
    let host = reader.parse(&raw.host, "host", address::host);
    let asked = raw.transport.as_ref().map(|raw| transport(*raw.value()));
    let listener = leaving_from(raw, asked, place, listeners, reader);
    let server_name = reader.parse_optional(raw.server_name.as_ref(), "host name", HostName::parse);
    let port = raw.port.as_ref().map(|port| *port.value());
    // Without a listener the transport may be known all the same.
    let leaves_by = listener.map(|(_, speaks)| speaks).or(asked);
    if let (Some(host), Some(leaves_by)) = (&host, leaves_by)
        && let Some(own) = sockets::own(host, port, leaves_by, listeners)
    {
        reader.fault_expecting(
            raw.host.span(),
            format!("the gateway is our own listener {own:?}"),
            "the carrier's host and port",
        );
    }
    let server_name = match (leaves_by, &raw.server_name, &host) {
        (Some(Transport::Tls), Some(_), _) => server_name,
        (Some(Transport::Tls), None, Some(Host::Name(name))) => Some(Some(name.clone())),
        (Some(Transport::Tls), None, Some(Host::Address(_))) => {
            reader.fault_expecting(
                raw.host.span(),
                "a TLS gateway given by address",
                "`server_name`, the name that its certificate has to prove",
            );
            None
        }
        (Some(Transport::Udp | Transport::Tcp), Some(text), _) => {
            reader.fault(text.span(), "`server_name` means nothing without transport = \"tls\"");
            None
        }
        _ => Some(None),
    };
    Some(Gateway {
        host: host?,
        port,
        transport: leaves_by?,
        listener: listener?.0,
        server_name: server_name?,
        options_interval: interval,
    })
}

/// The listener that a gateway's calls leave from, and its transport.
fn leaving_from(
    raw: &RawGateway,
    asked: Option<Transport>,
    place: Range<usize>,
    listeners: &[RawListener],
    reader: &mut Reader<'_>,
) -> Option<(ListenerId, Transport)> {
    let mut carrier_listeners = (0..=u16::MAX)
        .map(ListenerId)
        .zip(listeners)
        .filter(|(_, listener)| *listener.purpose.value() == RawPurpose::Carrier)
        .map(|(id, listener)| {
            (
                id,
                listener.name.value().as_str(),
                transport(*listener.transport.value()),
            )
        });
    if let Some(text) = &raw.listener {
        if reader.is_mended(&text.span()) {
            return None;
        }
        let names: Vec<&str> = carrier_listeners.clone().map(|(_, name, _)| name).collect();
        let Some((id, _, speaks)) = carrier_listeners.find(|(_, name, _)| name == text.value()) else {
            if are_named(listeners) {
                let message = format!("there is no carrier listener {:?}", text.value());
                let expected = format!("one of {}", names.join(", "));
                reader.tell(text.span(), message, |mistake| {
                    mistake.near(text.value(), names.iter().copied()).expected(expected)
                });
            }
            return None;
        };
        if let (Some(transport), Some(typed)) = (asked.filter(|transport| *transport != speaks), &raw.transport) {
            let message = format!("listener {:?} speaks {speaks}, not {transport}", text.value());
            reader.fault_expecting(typed.span(), message, format!("\"{speaks}\", or another listener"));
            return None;
        }
        return Some((id, speaks));
    }
    let mut fitting = carrier_listeners.filter(|(_, _, speaks)| asked.is_none_or(|transport| transport == *speaks));
    match (fitting.next(), fitting.next()) {
        (Some((id, _, speaks)), None) => Some((id, speaks)),
        (None, _) => {
            let with = asked
                .map(|transport| format!(" with transport = \"{transport}\""))
                .unwrap_or_default();
            reader.fault_expecting(
                place,
                format!("there is no carrier listener{with}"),
                "one in [[listeners]] that this gateway's calls leave from",
            );
            None
        }
        (Some((_, one, _)), Some((_, another, _))) => {
            let message = "several listeners fit this gateway";
            reader.fault_expecting(
                place,
                message,
                format!("`listener`, such as \"{one}\" or \"{another}\""),
            );
            None
        }
    }
}

fn failover(raw: Option<&RawFailover>, reader: &mut Reader<'_>) -> Option<Failover> {
    let mut codes = Some(vec![408, 500, 502, 503, 504]);
    if let Some(typed) = raw.and_then(|raw| raw.codes.as_ref()) {
        for code in typed {
            let why = match *code.value() {
                401 | 407 => "a challenge is answered with `credentials`",
                486 | 487 => "that is the called user's answer: it is always final",
                _ => continue,
            };
            reader.fault_expecting(
                code.span(),
                format!("{} can't move a call on: {why}", code.value()),
                "codes such as 408, 500, 502, 503, 504",
            );
            codes = None;
        }
        codes = codes.map(|_| typed.iter().map(|code| *code.value()).collect());
    }
    let response_timeout = reader.duration(
        raw.and_then(|raw| raw.response_timeout.as_ref()),
        Duration::from_secs(4),
    );
    let progress_timeout = reader.duration(
        raw.and_then(|raw| raw.progress_timeout.as_ref()),
        Duration::from_secs(15),
    );
    let hold_down = reader.duration_or_zero(raw.and_then(|raw| raw.hold_down.as_ref()), Duration::from_secs(30));
    Some(Failover {
        codes: codes?,
        response_timeout: response_timeout?,
        progress_timeout: progress_timeout?,
        hold_down: hold_down?,
    })
}

fn caller(raw: Option<&At<RawCaller>>, reader: &mut Reader<'_>) -> Option<CarrierCaller> {
    let Some(raw) = raw else {
        return Some(CarrierCaller {
            read: CallerHeader::Pai,
            present: CallerSource::From,
            assert: true,
            private: PrivateCaller::Assert,
        });
    };
    let (place, raw) = (raw.span(), raw.value());
    let number = reader.parse_optional(raw.number.as_ref(), "number", E164::parse)?;
    let present = match (raw.present.as_ref().map(At::value), number) {
        (Some(RawSource::Fixed), Some(number)) => CallerSource::Fixed(number),
        (Some(RawSource::Fixed), None) => {
            reader.fault_expecting(
                place,
                "present = \"fixed\" without a number",
                "`number`, the number to show",
            );
            return None;
        }
        (_, Some(_)) => {
            if let Some(text) = &raw.number {
                reader.fault_expecting(
                    text.span(),
                    "`number` is only shown with present = \"fixed\"",
                    "present = \"fixed\", or no `number`",
                );
            }
            return None;
        }
        (None | Some(RawSource::From), None) => CallerSource::From,
        (Some(RawSource::Pai), None) => CallerSource::Pai,
        (Some(RawSource::Diverting), None) => CallerSource::Diverting,
    };
    Some(CarrierCaller {
        read: match raw.read.as_ref().map(At::value) {
            None | Some(RawHeader::Pai) => CallerHeader::Pai,
            Some(RawHeader::From) => CallerHeader::From,
        },
        present,
        assert: flag(raw.assert.as_ref(), true),
        private: match raw.privacy.as_ref().map(At::value) {
            None | Some(RawPrivacy::Assert) => PrivateCaller::Assert,
            Some(RawPrivacy::Withhold) => PrivateCaller::Withhold,
        },
    })
}

fn codecs(raw: Option<&[At<RawCodec>]>) -> Vec<Codec> {
    let codec = |raw: &At<RawCodec>| match raw.value() {
        RawCodec::Pcmu => Codec::Pcmu,
        RawCodec::Pcma => Codec::Pcma,
        RawCodec::G722 => Codec::G722,
        RawCodec::G729 => Codec::G729,
        RawCodec::Silk => Codec::Silk,
    };
    match raw {
        Some(list) => list.iter().map(codec).collect(),
        None => vec![Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::G729],
    }
}
